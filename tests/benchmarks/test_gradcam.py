"""The deletion test of heat maps on real radiographs, and what counts as a hot spot on an abnormality."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from benchmarks.gradcam import Seen, deletion, hot_spot, lies_in, predictor_of, seen, shifted
from radiographs.dataset import list_images


@pytest.mark.slow
def test_hiding_the_hottest_tenth_lowers_the_probability_more_than_the_same_region_elsewhere(
    shared: Path, tmp_path: Path
) -> None:
    data = shared / "radiographs"
    listed = list_images(data, "XR_HAND")
    tested = listed.images[listed.images["split"] == "test"]
    predictor = predictor_of(tmp_path, data, "XR_HAND")
    found = seen(predictor, replace(listed, images=tested[:40]))
    told = deletion(predictor, found)
    _, low, _ = told["difference"]
    assert low > 0
    cold = Seen(found.images, found.grey, found.raw, 1 - found.heat)  # such maps fail: the test can tell
    assert deletion(predictor, cold)["difference"][0] < told["difference"][0] / 2


def test_a_moved_region_keeps_its_area() -> None:
    inside = np.zeros((6, 8), bool)
    inside[4:, 5:] = True
    moved = shifted(inside, np.random.default_rng(1))
    assert moved.sum() == inside.sum()
    assert (moved != inside).any()


def test_the_hot_spot_is_the_middle_of_the_hottest_pixel_and_a_cold_map_has_none() -> None:
    heat = np.zeros((4, 2), np.float32)
    assert hot_spot(heat) is None
    assert not lies_in(None, np.ones((8, 8), bool))
    heat[3, 0] = 1
    assert hot_spot(heat) == (0.875, 0.25)
    inside = np.zeros((8, 8), bool)
    inside[7, 2] = True
    assert lies_in(hot_spot(heat), inside)
    assert not lies_in(hot_spot(heat), ~inside)
