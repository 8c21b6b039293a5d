"""Features kept on disk: the same bits as computed anew, computed once."""

import zlib
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from features import cache as module
from features.cache import FeatureCache
from features.extractor import Views, view_batches
from features.forward import BATCH, Forward, keras_forward
from radiographs.augmentation import LEVELS
from spaces import ARCHITECTURES, architecture_named
from tests.features.networks import frozen_layers, lively, lively_onnx
from tests.features.toy import COUNT, TOY, Counting, anew, ask, toy_forward, toy_views

MakeViews = Callable[..., Views]
CUTS = [(each.name, cut) for each in ARCHITECTURES for cut in frozen_layers(each)]
LITE = "efficientnet_lite0"
LITE_CUTS = tuple(frozen_layers(architecture_named(LITE)))


def never() -> Forward:
    pytest.fail("computed again")


def kept(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.rglob("*.f32"))


def check_cached_equals_anew(name: str, cut: str, views: Views, folder: Path, forward: Forward) -> None:
    known = lively_onnx(name).known
    together = tuple(known.shapes)
    first = FeatureCache(folder).features(known, lambda: forward, views, cut, together)
    again = FeatureCache(folder).features(known, never, views, cut, together)
    recomputed = FeatureCache(None).features(known, lambda: forward, views, cut)
    assert first.shape == (len(views), *known.shapes[cut])
    assert first.dtype == again.dtype == recomputed.dtype == np.float32
    assert first.tobytes() == again.tobytes() == recomputed.tobytes()
    assert len({image.tobytes() for image in first}) == len(views)


@pytest.mark.parametrize("level", LEVELS)
def test_invariant_3_cached_features_equal_recomputed_ones_bit_for_bit_at_every_level(
    make_views: MakeViews, tmp_path: Path, level: str
) -> None:
    views = make_views(level, 0 if level == "no" else 2)
    for cut in LITE_CUTS:
        check_cached_equals_anew(LITE, cut, views, tmp_path, lively_onnx(LITE).forward)


@pytest.mark.parametrize(("name", "cut"), CUTS)
def test_invariant_3_cached_features_equal_recomputed_ones_bit_for_bit_at_every_cut(
    make_views: MakeViews, tmp_path: Path, name: str, cut: str
) -> None:
    views = make_views("deep", 1, size=architecture_named(name).least_size, count=3)
    check_cached_equals_anew(name, cut, views, tmp_path, lively_onnx(name).forward)


def test_invariant_3_cached_features_equal_recomputed_ones_bit_for_bit_by_keras(
    make_views: MakeViews, tmp_path: Path
) -> None:
    layers = frozen_layers(architecture_named(LITE))
    forward = keras_forward(lively(LITE), layers)
    for cut in layers:
        check_cached_equals_anew(LITE, cut, make_views("strong", 1), tmp_path, forward)


def test_invariant_3_features_do_not_depend_on_the_cuts_kept_in_the_same_pass(
    make_views: MakeViews, tmp_path: Path
) -> None:
    lite, views = lively_onnx(LITE), make_views("light", 1)
    for cut in lite.known.shapes:
        alone = FeatureCache(tmp_path / cut).features(lite.known, lambda: lite.forward, views, cut)
        joined = FeatureCache(tmp_path / "all").features(lite.known, lambda: lite.forward, views, cut, LITE_CUTS)
        assert alone.tobytes() == joined.tobytes()


def test_kept_features_are_computed_once_however_often_they_are_asked_for(tmp_path: Path) -> None:
    cache = FeatureCache(tmp_path)
    for _ in range(3):
        ask(cache)
    assert (cache.ledger.served, cache.ledger.extracted) == (3 * COUNT, COUNT)
    later = FeatureCache(tmp_path)
    assert later.features(TOY, never, toy_views(), "high").tobytes() == anew()
    assert (later.ledger.served, later.ledger.extracted) == (COUNT, 0)


def test_without_a_folder_features_are_computed_each_time_and_nothing_is_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    cache = FeatureCache(None)
    ask(cache)
    ask(cache)
    assert (cache.ledger.served, cache.ledger.extracted) == (2 * COUNT, 2 * COUNT)
    assert not cache.holds(TOY, toy_views(), "high")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("folder", ["kept", None])
def test_the_numbers_are_those_of_the_forward_pass_in_the_order_of_the_images(
    tmp_path: Path, folder: str | None
) -> None:
    views = toy_views("deep", 1)
    expected = toy_forward(
        np.concatenate([made for _, made in view_batches(views, views.batches)]).astype(np.float32), ["low"]
    )[0]
    cache = FeatureCache(tmp_path / folder if folder else None)
    assert np.array_equal(ask(cache, "low", level="deep", view=1), expected)


def test_several_cuts_are_computed_in_one_pass(tmp_path: Path) -> None:
    cache, counting = FeatureCache(tmp_path), Counting()
    high = cache.features(TOY, counting.make, toy_views(), "high", ("low", "high"))
    assert cache.holds(TOY, toy_views(), "low")
    low = cache.features(TOY, never, toy_views(), "low", ("low", "high"))
    assert counting.asked == [("high", "low")] * 3
    assert cache.ledger.extracted == COUNT
    assert kept(tmp_path) == ["high.f32", "low.f32"]
    assert (high.tobytes(), low.tobytes()) == (anew("high"), anew("low"))


def test_a_cut_missing_later_is_computed_alone(tmp_path: Path) -> None:
    cache, counting = FeatureCache(tmp_path), Counting()
    ask(cache, "high")
    assert not cache.holds(TOY, toy_views(), "low")
    low = cache.features(TOY, counting.make, toy_views(), "low", ("low", "high"))
    assert counting.asked == [("low",)] * 3
    assert low.tobytes() == anew("low")
    assert ask(cache, "high").tobytes() == anew("high")


@pytest.mark.parametrize("folder", ["kept", None])
@pytest.mark.parametrize("count", [COUNT, 0])
def test_features_cannot_be_written_to(tmp_path: Path, folder: str | None, count: int) -> None:
    cache = FeatureCache(tmp_path / folder if folder else None)
    for _ in range(2):
        assert not ask(cache, count=count).flags.writeable


@pytest.mark.parametrize("folder", ["kept", None])
def test_an_empty_list_has_features_of_no_images(tmp_path: Path, folder: str | None) -> None:
    cache = FeatureCache(tmp_path / folder if folder else None)
    for _ in range(2):
        found = ask(cache, "low", ("low", "high"), count=0)
        assert (found.shape, found.dtype) == ((0, 2, 4), np.float32)
    assert cache.ledger.extracted == 0


ASKED: dict[str, Any] = {"network": TOY, "views": toy_views("deep", 1), "cut": "high"}
REVERSED = replace(toy_views().images, digests=toy_views().images.digests[::-1])


@pytest.mark.parametrize(
    "change",
    [
        {"network": replace(TOY, architecture="other")},
        {"network": replace(TOY, digest="5678")},
        {"network": replace(TOY, engine="toy 1.1")},
        {"network": replace(TOY, layers=TOY.layers | {"high": "another_layer"})},
        {"cut": "low"},
        {"views": toy_views("light", 1)},
        {"views": toy_views("deep", 2)},
        {"views": toy_views("deep", 1, count=COUNT - 1)},
        {"views": toy_views("deep", 1, size=5)},
        {"views": Views(REVERSED, "deep", 1)},
    ],
    ids=["architecture", "weights", "engine", "layer", "cut", "level", "view", "list", "size", "order"],
)
def test_a_change_of_anything_asks_for_another_file(tmp_path: Path, change: dict[str, Any]) -> None:
    cache = FeatureCache(tmp_path)
    cache.features(ASKED["network"], lambda: toy_forward, ASKED["views"], ASKED["cut"])
    assert cache.holds(**ASKED)
    assert not cache.holds(**(ASKED | change))


@pytest.mark.parametrize(
    ("name", "value"), [("DATA_SEED", 1), ("BATCH", 64), ("PIECE", 4), ("code_of_features", lambda: "1")]
)
def test_a_change_of_seed_batch_or_code_asks_for_another_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, value: object
) -> None:
    cache = FeatureCache(tmp_path)
    ask(cache)
    assert cache.holds(TOY, toy_views(), "high")
    monkeypatch.setattr(module, name, value)
    assert not cache.holds(TOY, toy_views(), "high")


def test_a_failing_forward_pass_is_heard_and_the_next_one_goes_on(tmp_path: Path) -> None:
    cache = FeatureCache(tmp_path)

    def failing() -> Forward:
        raise MemoryError("too large")

    with pytest.raises(MemoryError, match="too large"):
        cache.features(TOY, failing, toy_views(), "high")
    assert not cache.holds(TOY, toy_views(), "high")
    assert ask(cache).tobytes() == anew()


def test_the_files_are_plain_numbers_and_their_checksums_which_earlier_versions_wrote_too(tmp_path: Path) -> None:
    content = anew()
    ask(FeatureCache(tmp_path))
    (path,) = tmp_path.rglob("high.f32")
    chunks = [content[start : start + BATCH * 16] for start in range(0, len(content), BATCH * 16)]
    assert path.read_bytes() == content
    assert path.with_name("high.f32.sums").read_bytes() == b"".join(
        zlib.crc32(chunk).to_bytes(4, "little") for chunk in chunks
    )
    path.with_name("batches").unlink()  # which they did not
    assert FeatureCache(tmp_path).features(TOY, never, toy_views(), "high").tobytes() == content
