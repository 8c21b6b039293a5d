"""Features that travel between folders: the same bits, never twice, only where that is sooner than a pass."""

import json
import shutil
import threading
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from features.cache import FeatureCache
from features.exchange import Batches, Folder, fetch, wanted
from features.forward import BATCH, Forward
from plumbing import byte_locks
from tests.features.participants import BATCHES, IMAGES, counts
from tests.features.toy import TOY, anew, ask, toy_run, toy_views

pytestmark = pytest.mark.skipif(not byte_locks.available(), reason="locks on bytes of a file are Linux's")


def never() -> Forward:
    raise AssertionError("a pass, though all was there")


def begun(folder: Path, at: float = 0.0, batches: int = 0, cut: str = "high") -> Path:
    """A folder whose extraction was killed after so many batches."""
    left = iter(range(batches))

    def run(grey: NDArray[np.float32], cuts: Sequence[str]) -> list[NDArray[np.float32]]:
        if next(left, None) is None:
            raise KeyboardInterrupt
        return toy_run(grey, cuts)

    cache = FeatureCache(folder, begin_at=at)
    with pytest.raises(KeyboardInterrupt):
        cache.features(TOY, lambda: Forward(BATCH, run), toy_views(count=IMAGES), cut)
    return folder


def made(folder: Path, count: int = IMAGES) -> Path:
    """A folder with all features of the view."""
    ask(FeatureCache(folder), "high", ("low",), count=count)
    return folder


def asks_without_a_pass(folder: Path) -> bytes:
    return FeatureCache(folder).features(TOY, never, toy_views(count=IMAGES), "high").tobytes()


def test_what_a_peer_has_is_fetched_and_not_made_again(tmp_path: Path) -> None:
    here, there = begun(tmp_path / "here"), made(tmp_path / "there")

    assert fetch(here, lambda: [Folder(there)]) == BATCHES
    assert asks_without_a_pass(here) == anew("high", count=IMAGES)
    assert sum(counts(here) or [0]) == 0  # none was extracted here
    assert list(wanted(here)) == []
    assert fetch(here, lambda: [Folder(there)]) == 0


def test_only_what_is_asked_for_here_is_fetched(tmp_path: Path) -> None:
    assert fetch(tmp_path / "here", lambda: [Folder(made(tmp_path / "there"))]) == 0
    here = begun(tmp_path / "here")
    fetch(here, lambda: [Folder(tmp_path / "there")])
    assert [path.name for path in here.rglob("*.f32")] == ["high.f32"]


def test_two_machines_that_begin_apart_fetch_one_another_halves(tmp_path: Path) -> None:
    one = begun(tmp_path / "one", 0.0, BATCHES // 2)
    other = begun(tmp_path / "other", 0.5, BATCHES // 2)

    came = fetch(one, lambda: [Folder(other)]), fetch(other, lambda: [Folder(one)])

    extracted = [BATCHES - each for each in came]
    assert sum(extracted) <= BATCHES + 2  # an extractor that is killed may have had another batch written
    assert min(extracted) > 0
    assert asks_without_a_pass(one) == asks_without_a_pass(other) == anew("high", count=IMAGES)


def test_several_peers_give_each_batch_once(tmp_path: Path) -> None:
    first, second = begun(tmp_path / "first", 0.0, BATCHES // 2), made(tmp_path / "second")
    given: list[int] = []

    class Told(Folder):
        def read(self, offered: Batches) -> Mapping[int, bytes]:
            given.extend(offered.numbers)
            return super().read(offered)

    fetch(begun(tmp_path / "here"), lambda: [Told(first), Told(second)])
    assert sorted(given) == list(range(BATCHES))


def test_a_damaged_batch_does_not_travel(tmp_path: Path) -> None:
    here, there = begun(tmp_path / "here"), made(tmp_path / "there")
    (path,) = there.rglob("high.f32")
    content = bytearray(path.read_bytes())
    content[3 * BATCH * 16] ^= 1
    path.write_bytes(content)

    assert fetch(here, lambda: [Folder(there)]) == BATCHES - 1
    assert [each.numbers for each in wanted(here)] == [(3,)]
    assert ask(FeatureCache(here), "high", count=IMAGES).tobytes() == anew("high", count=IMAGES)


@pytest.mark.parametrize("gone", ["*.f32", "*.json", "*.sums"])
def test_a_peer_whose_files_are_gone_offers_nothing(tmp_path: Path, gone: str) -> None:
    here, there = begun(tmp_path / "here"), made(tmp_path / "there")
    (asked,) = wanted(here)
    for path in there.rglob(gone):
        path.unlink()

    assert Folder(there).offered(asked).numbers == ()
    assert Folder(there).read(asked) == {}
    assert fetch(here, lambda: [Folder(there)]) == 0


def test_a_file_removed_here_meanwhile_stays_away(tmp_path: Path) -> None:
    here, there = begun(tmp_path / "here"), made(tmp_path / "there")

    class Removing(Folder):
        def read(self, offered: Batches) -> Mapping[int, bytes]:
            for path in here.rglob("high.*"):
                path.unlink()
            return super().read(offered)

    assert fetch(here, lambda: [Removing(there)]) == 0
    assert list(here.rglob("*.f32")) == []


def test_features_that_are_sooner_made_than_fetched_do_not_travel(tmp_path: Path) -> None:
    """An image's 16 bytes take 0.16 microseconds over 1 Gbit/s."""
    here = begun(tmp_path / "here")
    (path,) = here.rglob("high.json")
    told = json.loads(path.read_text())
    assert told == {"images": IMAGES, "shape": [4], "seconds_an_image": TOY.seconds_an_image}
    for seconds, batches in ((1.5e-7, 0), (1.7e-7, BATCHES)):
        path.write_text(json.dumps(told | {"seconds_an_image": seconds}))
        assert fetch(here, lambda: [Folder(made(tmp_path / "there"))]) == batches


def test_large_files_come_in_portions(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("features.exchange.AT_ONCE", 5 * BATCH * 16)
    given: list[int] = []

    class Told(Folder):
        def read(self, offered: Batches) -> Mapping[int, bytes]:
            given.append(len(offered.numbers))
            return super().read(offered)

    fetch(begun(tmp_path / "here"), lambda: [Told(made(tmp_path / "there"))])
    assert given == [5, 5, 5, 1]


def test_fetching_beside_an_extraction_gives_the_same_bits(tmp_path: Path) -> None:
    """Both write into the same file; each batch is left to who has it in hand."""
    here, there = tmp_path / "here", made(tmp_path / "there")
    fetched, cache = threading.Event(), FeatureCache(here)

    def run(grey: NDArray[np.float32], cuts: Sequence[str]) -> list[NDArray[np.float32]]:
        if not fetched.is_set():
            came = fetch(here, lambda: [Folder(there)])
            assert 0 < came < BATCHES  # not what is in hand
            fetched.set()
        return toy_run(grey, cuts)

    found = cache.features(TOY, lambda: Forward(BATCH, run), toy_views(count=IMAGES), "high")

    assert found.tobytes() == anew("high", count=IMAGES)
    assert 0 < cache.ledger.extracted < IMAGES
    assert cache.ledger.extracted == sum(min(BATCH, IMAGES - BATCH * batch) for batch in here_extracted(here))


def here_extracted(folder: Path) -> list[int]:
    return [batch for batch, times in enumerate(counts(folder)) if times]


def test_a_copied_folder_wants_nothing(tmp_path: Path) -> None:
    shutil.copytree(made(tmp_path / "there"), tmp_path / "here")
    assert list(wanted(tmp_path / "here")) == []
    assert asks_without_a_pass(tmp_path / "here") == anew("high", count=IMAGES)
