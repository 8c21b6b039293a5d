"""Views in fixed padded batches, in the order of the images."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from features.extractor import Views, extract, padded, view_batches
from features.forward import BATCH
from radiographs.augmentation import LEVELS, view_of

MakeViews = Callable[..., Views]


def expected_views(views: Views) -> NDArray[np.uint8]:
    pixels, digests = views.images.pixels, views.images.digests
    return np.stack([view_of(pixels.of(digest), views.level, digest, views.view) for digest in digests])[..., None]


@pytest.mark.parametrize("level", LEVELS)
def test_views_come_in_the_order_of_the_images(make_views: MakeViews, level: str) -> None:
    views = make_views(level, 2)
    batches = list(view_batches(views, views.batches))
    assert [(number, len(made)) for number, made in batches] == [(0, BATCH), (1, 37 - BATCH)]
    assert np.array_equal(np.concatenate([made for _, made in batches]), expected_views(views))


def test_chosen_batches_alone_are_made(make_views: MakeViews) -> None:
    views = make_views("deep", 1)
    ((number, made),) = view_batches(views, [1])
    assert number == 1
    assert np.array_equal(made, expected_views(views)[BATCH:])


def test_no_images_give_no_batches(make_views: MakeViews) -> None:
    views = make_views(count=0)
    assert len(views) == 0
    assert list(view_batches(views, views.batches)) == []


@pytest.mark.parametrize("count", [1, BATCH - 1, BATCH])
def test_a_batch_is_filled_up_with_zeros(make_views: MakeViews, count: int) -> None:
    views = make_views(count=count)
    ((_, made),) = view_batches(views, views.batches)
    whole = padded(made)
    assert (whole.shape, whole.dtype) == ((BATCH, 32, 32, 1), np.float32)
    assert np.array_equal(whole[:count], expected_views(views))
    assert not whole[count:].any()


def test_features_of_padding_are_cut_off(make_views: MakeViews) -> None:
    views, seen = make_views(), []

    def forward(grey: NDArray[np.float32], cuts: Sequence[str]) -> list[NDArray[np.float32]]:
        seen.append((grey.shape, tuple(cuts)))
        return [grey[:, 0, 0], -grey[:, 0]]

    found = list(extract(forward, views, ["corner", "row"], views.batches))
    assert seen == [((BATCH, 32, 32, 1), ("corner", "row"))] * 2
    expected = expected_views(views).astype(np.float32)
    assert np.array_equal(np.concatenate([each["corner"] for _, each in found]), expected[:, 0, 0])
    assert np.array_equal(np.concatenate([each["row"] for _, each in found]), -expected[:, 0])


@pytest.mark.parametrize("change", [{"size": 33}, {"count": 36}])
def test_another_list_or_size_has_another_key(make_views: MakeViews, change: dict[str, Any]) -> None:
    assert make_views().images.key == make_views("strong", 1).images.key != make_views(**change).images.key


def test_a_failing_reader_is_heard(make_views: MakeViews) -> None:
    views = make_views()
    absent = Views(replace(views.images, digests=("no such image",)), "no", 0)
    with pytest.raises(KeyError, match="no such image"):
        list(view_batches(absent, absent.batches))
