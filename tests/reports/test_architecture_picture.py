"""Pictures of all listed architectures."""

import pytest

from reports.architecture_picture import architecture_alt, architecture_figure, shape_text
from reports.figures import DARK, png
from spaces import ARCHITECTURES
from spaces.architecture import Architecture


@pytest.mark.parametrize("architecture", ARCHITECTURES, ids=lambda each: each.name)
def test_every_cut_is_in_the_picture_with_its_layer_and_shape(architecture: Architecture) -> None:
    network, bars = architecture_figure(architecture).axes
    told = [text.get_text() for text in (*network.texts, *bars.texts)]
    for cut in architecture.cuts:
        assert f"{cut.name}{' *' if cut.name in architecture.cheap_cuts else ''}" in told
        assert shape_text(cut) in told
        assert cut.after is None or cut.after in told
        assert cut.name in architecture_alt(architecture)


def test_the_frozen_bar_ends_at_the_cut() -> None:
    densenet = next(each for each in ARCHITECTURES if each.name == "densenet121")
    bars = architecture_figure(densenet).axes[1].patches
    frozen, trained = bars[::2], bars[1::2]
    assert [bar.get_width() for bar in frozen] == [0, 1, 2, 3]
    assert [bar.get_x() for bar in trained] == [0, 1, 2, 3]


def test_the_same_picture_has_the_same_bytes() -> None:
    assert png(architecture_figure(ARCHITECTURES[0], DARK)) == png(architecture_figure(ARCHITECTURES[0], DARK))
