"""What goes where the cache's budget is short."""

import errno
import os
from pathlib import Path

import pytest

from features import cache as module
from features.cache import FeatureCache
from plumbing.files import locked
from tests.features.toy import COUNT, HIGH_BYTES, LOW_BYTES, TOY, anew, ask, toy_views

THREE = 3 * HIGH_BYTES + 100


def path_of(folder: Path, view: int) -> Path:
    (path,) = folder.glob(f"toy/deep-{view}-*/high.f32")
    return path


def views_kept(folder: Path) -> list[int]:
    return sorted(int(path.parent.name.split("-")[1]) for path in folder.rglob("*.f32"))


def bytes_kept(folder: Path) -> int:
    return sum(path.stat().st_size for path in folder.rglob("*.f32"))


def filled(folder: Path, budget: int = THREE) -> FeatureCache:
    """Views 0, 1 and 2, used long ago in this order."""
    cache = FeatureCache(folder, budget)
    for view in range(3):
        ask(cache, level="deep", view=view)
        os.utime(path_of(folder, view), (1000 + view, 1000 + view))
    return cache


def test_what_was_not_used_for_longest_goes_first(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    cache = filled(tmp_path)
    monkeypatch.setattr(module, "STAMP_SECONDS", -1.0)  # a use in the same second counts
    ask(cache, level="deep", view=0)
    ask(cache, level="deep", view=3)
    assert views_kept(tmp_path) == [0, 2, 3]
    assert not list(tmp_path.glob("toy/deep-1-*/*.sums"))
    assert not cache.holds(TOY, toy_views("deep", 1), "high")


def test_use_by_another_process_counts(tmp_path: Path) -> None:
    cache = filled(tmp_path)
    ask(FeatureCache(tmp_path, THREE), level="deep", view=0)
    ask(cache, level="deep", view=3)
    assert views_kept(tmp_path) == [0, 2, 3]


def test_use_counts_on_a_machine_just_started(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    cache = filled(tmp_path)
    monkeypatch.setattr(module.time, "monotonic", lambda: 1.0)
    ask(FeatureCache(tmp_path, THREE), level="deep", view=0)
    ask(cache, level="deep", view=3)
    assert views_kept(tmp_path) == [0, 2, 3]


def test_no_more_goes_than_the_new_file_needs(tmp_path: Path) -> None:
    ask(filled(tmp_path), "low", level="deep", view=3)
    assert views_kept(tmp_path) == [2, 3]
    assert bytes_kept(tmp_path) == HIGH_BYTES + LOW_BYTES


def test_what_went_is_computed_again_with_the_same_numbers(tmp_path: Path) -> None:
    ask(filled(tmp_path), level="deep", view=3)
    later = FeatureCache(tmp_path, THREE)
    assert ask(later, level="deep", view=0).tobytes() == anew(level="deep", view=0)
    assert later.ledger.extracted == COUNT
    assert views_kept(tmp_path) == [0, 2, 3]


def test_no_more_files_are_open_than_allowed_and_closed_ones_are_read_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "OPEN_FILES", 2)
    cache = FeatureCache(tmp_path)
    for view in (0, 1, 2, 0, 2):
        assert ask(cache, level="deep", view=view).tobytes() == anew(level="deep", view=view)
    assert cache.ledger.extracted == 3 * COUNT


def test_a_file_too_large_for_the_budget_is_computed_in_memory_with_the_same_numbers(tmp_path: Path) -> None:
    filled(tmp_path)
    small = FeatureCache(tmp_path, HIGH_BYTES - 1)
    for _ in range(2):
        assert ask(small, level="deep", view=9).tobytes() == anew(level="deep", view=9)
    assert small.ledger.extracted == 2 * COUNT
    assert 9 not in views_kept(tmp_path)


def test_a_file_too_large_for_the_budget_makes_nothing_go(tmp_path: Path) -> None:
    filled(tmp_path)
    ask(FeatureCache(tmp_path, HIGH_BYTES - 1), level="deep", view=9)
    assert views_kept(tmp_path) == [0, 1, 2]


def test_a_file_that_another_process_is_filling_stays(tmp_path: Path) -> None:
    cache = filled(tmp_path)
    with locked(path_of(tmp_path, 0).parent / "lock"):
        ask(cache, level="deep", view=3)
    assert views_kept(tmp_path) == [0, 2, 3]


def test_where_nothing_may_go_features_are_computed_in_memory(tmp_path: Path) -> None:
    filled(tmp_path)
    cache = FeatureCache(tmp_path, HIGH_BYTES)
    with (
        locked(path_of(tmp_path, 0).parent / "lock"),
        locked(path_of(tmp_path, 1).parent / "lock"),
        locked(path_of(tmp_path, 2).parent / "lock"),
    ):
        assert ask(cache, level="deep", view=3).tobytes() == anew(level="deep", view=3)
    assert views_kept(tmp_path) == [0, 1, 2]


def test_arrays_stay_readable_when_their_files_go(tmp_path: Path) -> None:
    cache = FeatureCache(tmp_path, HIGH_BYTES)
    array = ask(cache, level="deep", view=0)
    ask(cache, level="deep", view=1)
    assert views_kept(tmp_path) == [1]
    assert array.tobytes() == anew(level="deep", view=0)


def test_a_file_that_went_behind_the_caches_back_is_computed_again(tmp_path: Path) -> None:
    cache = FeatureCache(tmp_path)
    before = ask(cache, level="deep", view=0)
    ask(FeatureCache(tmp_path, HIGH_BYTES), level="deep", view=1)
    assert views_kept(tmp_path) == [1]
    assert not cache.holds(TOY, toy_views("deep", 0), "high")
    assert ask(cache, level="deep", view=0).tobytes() == before.tobytes() == anew(level="deep", view=0)
    assert cache.ledger.extracted == 2 * COUNT
    assert views_kept(tmp_path) == [0, 1]


def test_several_cuts_in_one_pass_stay_within_the_budget_together(tmp_path: Path) -> None:
    cache = FeatureCache(tmp_path, LOW_BYTES + HIGH_BYTES - 1)
    assert ask(cache, "high", ("low", "high")).tobytes() == anew("high")
    assert bytes_kept(tmp_path) <= cache.budget
    assert cache.holds(TOY, toy_views(), "high")


def test_a_cut_asked_for_together_that_is_too_large_leaves_the_others_kept(tmp_path: Path) -> None:
    cache = FeatureCache(tmp_path, LOW_BYTES - 1)
    ask(cache, "high", ("low", "high"))
    assert [path.name for path in tmp_path.rglob("*.f32")] == ["high.f32"]
    assert ask(cache, "low", ("low", "high")).tobytes() == anew("low")


def test_a_file_that_a_full_disk_left_unfinished_does_not_pass_the_budget(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(handle: int, offset: int, length: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    cache = FeatureCache(tmp_path, HIGH_BYTES)
    with monkeypatch.context() as patched:
        patched.setattr(os, "posix_fallocate", full)
        with pytest.raises(OSError, match="No space left"):
            ask(cache, level="deep", view=0)
    ask(cache, level="deep", view=1)
    ask(cache, level="deep", view=0)
    assert bytes_kept(tmp_path) <= cache.budget
