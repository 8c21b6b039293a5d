"""Views in fixed pieces and batches, in the order of the images."""

import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from features.extractor import Views, extract, view_batches
from features.forward import BATCH, Forward
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


@pytest.mark.parametrize(("piece", "runs"), [(1, 37), (2, 16 + 3), (5, 7 + 1), (BATCH, 2), (2 * BATCH, 2)])
def test_features_come_in_order_and_those_of_padding_are_cut_off(make_views: MakeViews, piece: int, runs: int) -> None:
    views, seen = make_views(), []

    def run(grey: NDArray[np.float32], cuts: Sequence[str]) -> list[NDArray[np.float32]]:
        time.sleep(0.002 * float(grey[0, 0, 0, 0] % 3))  # so that pieces end in another order
        seen.append((grey.shape, grey.dtype, tuple(cuts)))
        return [grey[:, 0, 0], -grey[:, 0]]

    found = list(extract(Forward(piece, run), views, ["corner", "row"], views.batches))
    assert [batch for batch, _ in found] == [0, 1]
    assert seen == [((piece, 32, 32, 1), np.float32, ("corner", "row"))] * runs
    expected = expected_views(views).astype(np.float32)
    assert np.array_equal(np.concatenate([each["corner"] for _, each in found]), expected[:, 0, 0])
    assert np.array_equal(np.concatenate([each["row"] for _, each in found]), -expected[:, 0])


@pytest.mark.parametrize("change", [{"size": 33}, {"count": 36}])
def test_another_list_or_size_has_another_key(make_views: MakeViews, change: dict[str, Any]) -> None:
    assert make_views().images.key == make_views("strong", 1).images.key != make_views(**change).images.key


def test_chosen_batches_have_the_features_that_they_have_among_all(make_views: MakeViews) -> None:
    views, forward = make_views("deep", 1), Forward(2, lambda grey, cuts: [grey.sum((1, 2))])
    among_all = dict(extract(forward, views, ["sum"], views.batches))
    ((batch, found),) = extract(forward, views, ["sum"], [1])
    assert batch == 1
    assert found["sum"].tobytes() == among_all[1]["sum"].tobytes()


def test_batches_added_to_the_list_while_it_works_are_extracted_too(make_views: MakeViews) -> None:
    views, forward = make_views(), Forward(2, lambda grey, cuts: [grey.sum((1, 2))])
    among_all, asked, seen = dict(extract(forward, views, ["sum"], views.batches)), [1], []
    for batch, found in extract(forward, views, ["sum"], asked):
        assert found["sum"].tobytes() == among_all[batch]["sum"].tobytes()
        seen.append(batch)
        asked += [0, 1, 0][len(seen) - 1 : len(seen)]
    assert seen == [1, 0, 1, 0]


def test_work_that_was_begun_ahead_is_dropped_where_the_caller_stops(make_views: MakeViews) -> None:
    views, runs = make_views(), []

    def run(grey: NDArray[np.float32], cuts: Sequence[str]) -> list[NDArray[np.float32]]:
        runs.append(len(grey))
        time.sleep(0.01)
        return [grey]

    batches = extract(Forward(1, run), views, ["all"], views.batches)
    next(batches)
    batches.close()
    assert BATCH <= len(runs) < len(views)


def test_a_failing_reader_is_heard(make_views: MakeViews) -> None:
    views = make_views()
    absent = Views(replace(views.images, digests=("no such image",)), "no", 0)
    with pytest.raises(KeyError, match="no such image"):
        list(view_batches(absent, absent.batches))
