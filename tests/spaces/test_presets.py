"""Published settings lie inside the space."""

import pytest

from plumbing.errors import SpaceError
from spaces import architecture_named
from spaces.declaration import Space, Value, check_configuration
from spaces.narrowing import make_space
from spaces.presets import PRESETS, preset


@pytest.mark.parametrize("name", PRESETS)
def test_every_preset_lies_inside_the_full_space(name: str, full_space: Space) -> None:
    for configuration in preset(name, full_space):
        check_configuration(full_space, configuration)


def test_the_published_settings_try_each_network_at_three_levels(full_space: Space) -> None:
    tried = [(each["architecture"], each["augmentation"]) for each in preset("published", full_space)]
    names = {name for name, _ in tried}
    assert names >= {"base_cnn", "densenet121", "resnet152", "inception_v3", "xception"}
    assert sorted(tried) == sorted((name, level) for name in names for level in ("no", "light", "deep"))


def test_the_published_hand_made_settings_are_as_told(full_space: Space) -> None:
    dense = next(each for each in preset("published", full_space) if each["architecture"] == "densenet121")
    told: dict[str, Value] = {"lr": 1e-3, "conv_dropout": 0.2, "batch_size": 32, "frozen": "all", "units": 0}
    assert {name: dense[name] for name in told} == told


def test_only_architectures_of_the_search_are_tried() -> None:
    space = make_space([architecture_named("xception")], {}, cheap_cuts=False)
    assert {each["architecture"] for each in preset("published", space)} == {"xception"}


def test_an_unknown_preset_is_one_line_with_the_known_ones(full_space: Space) -> None:
    with pytest.raises(SpaceError, match="--enqueue best: no such preset; give one of published, published_tuned"):
        preset("best", full_space)


def test_a_preset_that_holds_nothing_of_the_search_is_one_line() -> None:
    space = make_space([architecture_named("xception")], {}, cheap_cuts=False)
    with pytest.raises(SpaceError, match="published_tuned: holds nothing of xception; leave --enqueue out"):
        preset("published_tuned", space)
