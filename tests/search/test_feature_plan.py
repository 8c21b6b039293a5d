"""How many passes and bytes a search may need, and what of it is kept."""

from pathlib import Path

import numpy as np
import pytest

from search.feature_plan import (
    DEFAULT_SHARE,
    GIB,
    CutPlan,
    budget_of,
    expected_images_per_second,
    image_bytes,
    matrix_speed,
    plan_features,
    view_of_epoch,
)
from spaces import architecture_named
from spaces.architecture import Architecture
from spaces.narrowing import make_space
from tests.spaces.networks import smallest

LITE, DENSE = architecture_named("efficientnet_lite0"), architecture_named("densenet121")
COUNTS = {"train": 100, "valid": 10, "test": 20}


def plan(
    *architectures: Architecture,
    levels: str = "no",
    epochs: int = 5,
    views: int = 2,
    budget: int = 10**15,
    **more: object,
) -> list[CutPlan]:
    narrowing = {"all": {"augmentation": levels.split(), **more}}
    space = make_space(architectures, narrowing, cheap_cuts=False)
    size = {each.name: each.native_size for each in architectures}
    return plan_features(space, architectures, size, COUNTS, epochs, views, budget)


@pytest.mark.parametrize(
    ("levels", "epochs", "views", "augmented"),
    [
        ("no", 5, 2, 0),
        ("light", 5, 2, 2),
        ("light", 1, 2, 1),  # no epoch asks for the second view
        ("no light deep", 5, 3, 6),
        ("strong", 2, 9, 2),
    ],
)
def test_images_are_every_split_once_and_train_again_for_each_level_and_view(
    levels: str, epochs: int, views: int, augmented: int
) -> None:
    for cut in plan(LITE, levels=levels, epochs=epochs, views=views):
        assert cut.images == 130 + 100 * augmented
        assert len(cut.views) == len(set(cut.views)) == augmented
        used = {(level, view_of_epoch(level, epoch, views)) for level in levels.split() for epoch in range(epochs)}
        assert set(cut.views) == used - {("no", 0)}


def test_every_cut_that_freezes_something_is_planned_and_the_smallest_comes_first() -> None:
    found = plan(LITE, DENSE)
    expected = [(each.name, cut.name) for each in (LITE, DENSE) for cut in each.cuts if cut.after is not None]
    assert {(each.architecture.name, each.cut.name) for each in found} == set(expected)
    assert len(found) == len(expected)
    for architecture in (LITE, DENSE):
        sizes = [each.bytes for each in found if each.architecture is architecture]
        assert sizes == sorted(sizes)
    assert [each.architecture.name for each in found] == [LITE.name] * 3 + [DENSE.name] * 3


def test_a_cut_outside_the_space_is_not_planned() -> None:
    assert [each.cut.name for each in plan(LITE, frozen=["none", "all"])] == ["all"]
    assert plan(LITE, frozen="none") == []


def test_bytes_are_four_for_each_number_of_each_image() -> None:
    by_cut = {each.cut.name: each.bytes for each in plan(LITE, levels="no")}
    assert by_cut["all"] == 130 * 4 * 1280
    assert by_cut["below_last_block"] == 130 * 4 * 7 * 7 * 192


def test_the_smallest_are_kept_as_long_as_all_kept_fit_together() -> None:
    needed = [each.bytes for each in plan(LITE)]

    def kept(budget: int) -> int:
        found = plan(LITE, budget=budget)
        assert [each.kept for each in found] == sorted((each.kept for each in found), reverse=True)
        return sum(each.kept for each in found)

    for count in range(3):
        assert kept(sum(needed[:count])) == kept(sum(needed[: count + 1]) - 1) == count
    assert kept(sum(needed)) == 3


def test_architectures_share_the_budget() -> None:
    least = {(each.architecture.name, each.cut.name): each.bytes for each in plan(LITE, DENSE)}
    both = least[LITE.name, "all"] + least[DENSE.name, "all"]
    for budget, kept in ((both, 2), (both - 1, 1)):
        assert sum(each.kept for each in plan(LITE, DENSE, budget=budget)) == kept


@pytest.mark.parametrize("architecture", [LITE, DENSE], ids=["efficientnet_lite0", "densenet121"])
def test_image_bytes_are_about_the_networks_at_any_size_and_exact_for_pooled_features(
    architecture: Architecture,
) -> None:
    network = smallest(architecture)
    for cut in (each for each in architecture.cuts if each.after is not None):
        real = 4 * int(np.prod(network.get_layer(cut.after).output.shape[1:]))
        told = image_bytes(architecture, cut, architecture.least_size)
        assert told == real if len(cut.features) == 1 else real / 4 <= told <= 4 * real
        assert image_bytes(architecture, cut, architecture.native_size) == 4 * np.prod(cut.features)


def test_the_budget_is_what_was_given_or_a_share_of_the_free_disk_with_the_features_counted_as_free(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert budget_of(tmp_path / "not" / "there", 0.25) == GIB // 4
    monkeypatch.setattr("shutil.disk_usage", lambda path: type("Usage", (), {"free": 1000})())
    assert budget_of(tmp_path / "not" / "there", None) == 1000 * DEFAULT_SHARE
    file = tmp_path / "features" / "network" / "no-0-key" / "all.f32"
    file.parent.mkdir(parents=True)
    file.write_bytes(bytes(500))
    assert budget_of(tmp_path, None) == 1500 * DEFAULT_SHARE


def test_speed_falls_with_the_area_and_with_the_network() -> None:
    whole = expected_images_per_second(LITE, LITE.native_size, 100.0)
    assert whole == pytest.approx(100 / LITE.gigaflops)
    assert expected_images_per_second(LITE, LITE.native_size // 2, 100.0) == pytest.approx(4 * whole)
    assert expected_images_per_second(DENSE, DENSE.native_size, 100.0) < whole
    assert 0 < matrix_speed() < 1e6
