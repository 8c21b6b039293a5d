"""A frozen trunk's output: in order, in padded batches, the trunk untouched."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from features.extractor import BATCH, view_batches
from radiographs.augmentation import LEVELS, view_of
from radiographs.dataset import SizedPixels
from spaces.weights import weights_digest

Make = Callable[[str, str], Any]


def extracted(frozen: Any, pixels: SizedPixels, digests: list[str], level: str, view: int) -> np.ndarray:
    batches = [frozen.extractor.batch(views) for _, views in view_batches(pixels, digests, level, view)]
    return np.concatenate(batches)


@pytest.mark.parametrize("level", LEVELS)
def test_views_come_in_the_order_of_the_images(pixels: SizedPixels, digests: list[str], level: str) -> None:
    batches = list(view_batches(pixels, digests, level, view=2))
    assert [start for start, _ in batches] == [0, BATCH]
    assert [len(views) for _, views in batches] == [BATCH, len(digests) - BATCH]
    expected = [view_of(pixels.of(digest), level, digest, 2) for digest in digests]
    assert np.array_equal(np.concatenate([views for _, views in batches])[..., 0], np.stack(expected))


def test_no_images_give_no_batches(pixels: SizedPixels) -> None:
    assert list(view_batches(pixels, [], "deep", 0)) == []


def test_features_are_the_trunks_output_for_each_image(frozen: Make, pixels: SizedPixels, digests: list[str]) -> None:
    part = frozen("efficientnet_lite0", "below_last_block")
    found = extracted(part, pixels, digests, "deep", 1)
    assert found.shape == (37, *part.extractor.shape) == (37, 1, 1, 192)
    views = np.stack([view_of(pixels.of(digest), "deep", digest, 1) for digest in digests])
    expected = part.trunk(views[..., None].astype(np.float32), training=False).numpy()
    np.testing.assert_allclose(found, expected, rtol=0, atol=1e-5 * np.abs(expected).max())


@pytest.mark.parametrize("images", [1, 5, BATCH])
def test_a_padded_batch_gives_each_image_what_a_full_one_gives(
    frozen: Make, pixels: SizedPixels, digests: list[str], images: int
) -> None:
    part = frozen("efficientnet_lite0", "all")
    full = extracted(part, pixels, digests, "no", 0)
    few = extracted(part, pixels, digests[:images], "no", 0)
    assert few.tobytes() == full[:images].tobytes()


def test_extracting_never_changes_the_trunk(frozen: Make, pixels: SizedPixels, digests: list[str]) -> None:
    part = frozen("efficientnet_lite0", "all")
    statistics = [array for array in part.trunk.variables if array.name.startswith("moving_")]
    assert len(statistics) > 50  # batch normalization: else this would prove nothing
    before = weights_digest(part.trunk)
    extracted(part, pixels, digests, "strong", 3)
    assert weights_digest(part.trunk) == before


def test_a_failing_reader_is_heard(pixels: SizedPixels) -> None:
    with pytest.raises(KeyError, match="no such image"):
        list(view_batches(pixels, ["no such image"], "no", 0))
