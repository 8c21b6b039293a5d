"""Features that travel between folders: the same bits, never twice, only where that is sooner than a pass."""

import json
import os
import shutil
import time
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from features.cache import FeatureCache
from features.exchange import Batch, Batches, Folder, Peer, fetch, wanted
from features.forward import BATCH, Forward
from plumbing import byte_locks
from plumbing.files import locked
from tests.features.participants import BATCHES, IMAGES, counts
from tests.features.toy import TOY, anew, ask, toy_run, toy_views

pytestmark = pytest.mark.skipif(not byte_locks.available(), reason="locks on bytes of a file are Linux's")


@pytest.fixture(autouse=True)
def one_thread(monkeypatch: pytest.MonkeyPatch) -> None:
    """Batches pass in their order, so that it is known what was extracted when."""
    monkeypatch.setattr("features.extractor.processors", lambda: 1)


def never() -> Forward:
    raise AssertionError("a pass, though all was there")


def begun(folder: Path, at: float = 0.0, batches: int = 0) -> Path:
    """A folder whose extraction was killed after so many batches."""
    left = iter(range(batches))

    def run(grey: NDArray[np.float32], cuts: Sequence[str]) -> list[NDArray[np.float32]]:
        if next(left, None) is None:
            raise KeyboardInterrupt
        return toy_run(grey, cuts)

    cache = FeatureCache(folder, begin_at=at)
    with pytest.raises(KeyboardInterrupt):
        cache.features(TOY, lambda: Forward(BATCH, run), toy_views(count=IMAGES), "high")
    return folder


def made(folder: Path) -> Path:
    """A folder with all features of the view."""
    ask(FeatureCache(folder), "high", ("low",), count=IMAGES)
    return folder


def fetch_all(here: Path, *peers: Peer, since: float = 0.0) -> int:
    """All that the peers have and the folder lacks; how many batches came."""
    came = 0
    while lacking := next(wanted(here, since), None):
        if not (some := fetch(here, peers, lacking)):
            break
        came += some
    return came


def asked_without_a_pass(folder: Path) -> bytes:
    return FeatureCache(folder).features(TOY, never, toy_views(count=IMAGES), "high").tobytes()


class Asked(Folder):
    """A folder that notes what is read."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self.read_batches: list[tuple[int, ...]] = []

    def read(self, offered: Batches) -> Mapping[int, Batch]:
        self.read_batches.append(offered.numbers)
        return super().read(offered)


def test_what_a_peer_has_is_fetched_and_not_made_again(tmp_path: Path) -> None:
    here, there = begun(tmp_path / "here"), made(tmp_path / "there")

    assert fetch_all(here, Folder(there)) == BATCHES
    assert asked_without_a_pass(here) == anew("high", count=IMAGES)
    assert counts(here) == []  # none was extracted here
    assert list(wanted(here, 0.0)) == []


def test_only_what_was_begun_here_is_fetched(tmp_path: Path) -> None:
    there = made(tmp_path / "there")
    assert fetch_all(tmp_path / "here", Folder(there)) == 0
    here = begun(tmp_path / "here")
    assert fetch_all(here, Folder(there)) == BATCHES
    assert [path.name for path in here.rglob("*.f32")] == ["high.f32"]


def test_files_that_nobody_is_at_are_left_alone(tmp_path: Path) -> None:
    here, there = begun(tmp_path / "here", batches=1), made(tmp_path / "there")
    (sums,) = here.rglob("high.f32.sums")
    os.utime(sums, (time.time() - 100, time.time() - 100))
    assert fetch_all(here, Folder(there), since=time.time() - 50) == 0
    begun(here, batches=1)  # goes on
    assert fetch_all(here, Folder(there), since=time.time() - 50) == BATCHES - 2


def test_two_machines_that_begin_apart_complete_one_another(tmp_path: Path) -> None:
    one = begun(tmp_path / "one", 0.0, BATCHES // 2)
    other = begun(tmp_path / "other", 0.5, BATCHES // 2)

    assert (fetch_all(one, Folder(other)), fetch_all(other, Folder(one))) == (BATCHES // 2, BATCHES // 2)

    assert counts(one) == [1] * (BATCHES // 2)
    assert counts(other) == [0] * (BATCHES // 2) + [1] * (BATCHES // 2)
    assert asked_without_a_pass(one) == asked_without_a_pass(other) == anew("high", count=IMAGES)


def test_several_peers_give_each_batch_once(tmp_path: Path) -> None:
    first, second = Asked(begun(tmp_path / "first", 0.0, BATCHES // 2)), Asked(made(tmp_path / "second"))
    assert fetch_all(begun(tmp_path / "here"), first, second) == BATCHES
    assert (first.read_batches, second.read_batches) == (
        [tuple(range(BATCHES // 2))],
        [tuple(range(BATCHES // 2, BATCHES))],
    )


def test_a_batch_that_is_damaged_there_does_not_travel(tmp_path: Path) -> None:
    here, there = begun(tmp_path / "here"), made(tmp_path / "there")
    (path,) = there.rglob("high.f32")
    content = bytearray(path.read_bytes())
    content[3 * BATCH * 16] ^= 1
    path.write_bytes(content)

    assert fetch_all(here, Folder(there)) == BATCHES - 1
    assert [each.numbers for each in wanted(here, 0.0)] == [(3,)]
    assert ask(FeatureCache(here), "high", count=IMAGES).tobytes() == anew("high", count=IMAGES)


def test_a_batch_that_is_damaged_on_its_way_is_not_written(tmp_path: Path) -> None:
    class Noisy(Folder):
        def read(self, offered: Batches) -> Mapping[int, Batch]:
            found = dict(super().read(offered))
            found[5] = replace(found[5], content=bytes(len(found[5].content)))
            return found

    here = begun(tmp_path / "here")
    (lacking,) = wanted(here, 0.0)
    assert fetch(here, [Noisy(made(tmp_path / "there"))], lacking) == BATCHES - 1
    assert [each.numbers for each in wanted(here, 0.0)] == [(5,)]


@pytest.mark.parametrize("gone", ["*.f32", "*.json", "*.sums"])
def test_a_peer_whose_files_are_gone_offers_nothing(tmp_path: Path, gone: str) -> None:
    here, there = begun(tmp_path / "here"), made(tmp_path / "there")
    (lacking,) = wanted(here, 0.0)
    for path in there.rglob(gone):
        path.unlink()

    assert Folder(there).offered(lacking).numbers == ()
    assert Folder(there).read(lacking) == {}
    assert fetch_all(here, Folder(there)) == 0


@pytest.mark.parametrize("content", ["", "{", "3", "{}", '{"images": 3, "shape": 4, "seconds_an_image": 1}'])
def test_a_torn_description_makes_nothing_fail_and_is_written_again(tmp_path: Path, content: str) -> None:
    here, there = begun(tmp_path / "here"), made(tmp_path / "there")
    for folder in (here, there):
        (path,) = folder.rglob("high.json")
        path.write_text(content)
        path.with_name(".tmp-host-1-x-high.json").write_text("")  # as a kill leaves it
    assert fetch_all(here, Folder(there)) == 0
    begun(here)
    asked_without_a_pass(there)
    assert fetch_all(here, Folder(there)) == BATCHES


def test_a_file_removed_here_meanwhile_stays_away(tmp_path: Path) -> None:
    here, there = begun(tmp_path / "here"), made(tmp_path / "there")

    class Removing(Folder):
        def read(self, offered: Batches) -> Mapping[int, Batch]:
            for path in here.rglob("high.*"):
                path.unlink()
            return super().read(offered)

    (lacking,) = wanted(here, 0.0)
    assert fetch(here, [Removing(there)], lacking) == 0
    assert list(here.rglob("*.f32")) == []


def test_features_that_are_sooner_made_than_fetched_do_not_travel(tmp_path: Path) -> None:
    """An image's 16 bytes take 0.16 microseconds over 1 Gbit/s."""
    here, there = begun(tmp_path / "here"), made(tmp_path / "there")
    (path,) = here.rglob("high.json")
    told = json.loads(path.read_text())
    assert told == {"images": IMAGES, "shape": [4], "seconds_an_image": TOY.seconds_an_image}
    for seconds, batches in ((1.5e-7, 0), (1.7e-7, BATCHES)):
        path.write_text(json.dumps(told | {"seconds_an_image": seconds}))
        assert fetch_all(here, Folder(there)) == batches


def test_large_files_come_in_portions(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("features.exchange.AT_ONCE", 5 * BATCH * 16)
    there = Asked(made(tmp_path / "there"))
    assert fetch_all(begun(tmp_path / "here"), there) == BATCHES
    assert list(map(len, there.read_batches)) == [5, 5, 5, 1]


def test_one_process_of_a_machine_fetches_at_a_time(tmp_path: Path) -> None:
    here, there = begun(tmp_path / "here"), Asked(made(tmp_path / "there"))
    with locked(here / "fetching"):
        assert fetch_all(here, there) == 0
    assert there.read_batches == []
    assert fetch_all(here, there) == BATCHES


def test_fetching_beside_an_extraction_gives_the_same_bits(tmp_path: Path) -> None:
    """Both write into the same file; each batch is left to who has it in hand."""
    here, there = tmp_path / "here", made(tmp_path / "there")
    cache, came = FeatureCache(here), list[int]()

    def run(grey: NDArray[np.float32], cuts: Sequence[str]) -> list[NDArray[np.float32]]:
        if not came:
            came.append(fetch_all(here, Folder(there)))
        return toy_run(grey, cuts)

    found = cache.features(TOY, lambda: Forward(BATCH, run), toy_views(count=IMAGES), "high")

    assert found.tobytes() == anew("high", count=IMAGES)
    extracted = counts(here)
    assert 0 < came[0] < BATCHES  # all but what was in hand
    assert came[0] + sum(extracted) == BATCHES
    assert cache.ledger.extracted == BATCH * sum(extracted)  # none of them the last one, which is shorter


def test_a_copied_folder_wants_nothing(tmp_path: Path) -> None:
    shutil.copytree(made(tmp_path / "there"), tmp_path / "here")
    assert list(wanted(tmp_path / "here", 0.0)) == []
    assert asked_without_a_pass(tmp_path / "here") == anew("high", count=IMAGES)
