"""Several processes fill the files of a view together: each batch once, the same bits, whoever dies or stops."""

import re
import signal
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict
from pathlib import Path

import pytest

from features.cache import FeatureCache
from plumbing import byte_locks
from tests.features.networks import lively_onnx
from tests.features.participants import BATCHES, CUTS, IMAGES, Participant, counts
from tests.features.toy import TOY, anew, ask, toy_forward, toy_views

pytestmark = pytest.mark.skipif(not byte_locks.available(), reason="locks on bytes of a file are Linux's")

Join = Callable[..., Participant]


@pytest.fixture
def join(tmp_path: Path) -> Iterator[Join]:
    """Starts a process; none outlives the test."""
    started: list[Participant] = []

    def start(**told: object) -> Participant:
        started.append(Participant(tmp_path, **told))
        return started[-1]

    yield start
    for each in started:
        each.process.kill()
        each.process.communicate()


def go(*participants: Participant) -> None:
    for each in participants:
        each.go()


def contents(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in sorted(folder.rglob("*.f32*"))}


def await_counts(folder: Path, batches: int) -> None:
    """Wait until so many batches of the view whose files lie there were extracted."""
    for _ in range(6000):
        if any(folder.rglob("batches")) and sum(counts(folder)) >= batches:
            return
        time.sleep(0.01)
    raise AssertionError(f"{batches} batches were not extracted")


def alone(folder: Path) -> dict[str, bytes]:
    """What one process writes that nothing disturbs."""
    ask(FeatureCache(folder), "high", CUTS, count=IMAGES)
    return contents(folder)


@pytest.mark.parametrize("processes", [2, 4])
def test_invariant_3_processes_that_fill_a_view_together_write_what_one_alone_writes_each_batch_once(
    tmp_path: Path, join: Join, processes: int
) -> None:
    together = [join(everyone=processes) for _ in range(processes)]
    go(*together)
    extracted, said = zip(*(each.ended() for each in together), strict=True)
    assert min(extracted) > 0  # all took part
    assert sum(extracted) == IMAGES
    assert counts(tmp_path / "features") == [1] * BATCHES
    assert set(said) == {""}
    assert contents(tmp_path / "features") == alone(tmp_path / "alone")


def test_invariant_3_a_real_network_gives_the_same_bits_to_processes_of_one_core_and_of_several(
    tmp_path: Path, join: Join
) -> None:
    lite, model = lively_onnx("efficientnet_lite0"), tmp_path / "lite.onnx"
    model.write_bytes(lite.model)
    known = {"network": asdict(lite.known), "model": str(model), "size": 32, "images": 100, "level": "strong"}
    asked = {"cut": "all", "together": list(lite.known.shapes), "everyone": 2, **known}
    together = [join(cores=1, **asked), join(**asked)]
    go(*together)
    assert sum(each.ended()[0] for each in together) == 100
    assert counts(tmp_path / "features") == [1] * 4
    views = toy_views("strong", count=100, size=32)
    cache = FeatureCache(tmp_path / "alone")
    cache.features(lite.known, lambda: lite.forward, views, "all", list(lite.known.shapes))
    assert contents(tmp_path / "features") == contents(tmp_path / "alone")


def test_processes_that_ask_for_other_cuts_of_a_view_get_the_same_bits(tmp_path: Path, join: Join) -> None:
    one, other = join(everyone=2, cut="high", together=("high",)), join(everyone=2, cut="low", together=CUTS)
    go(one, other)
    assert one.ended()[0] + other.ended()[0] in range(IMAGES + 1, 2 * IMAGES + 1)
    assert contents(tmp_path / "features") == alone(tmp_path / "alone")


@pytest.mark.parametrize("dies_in", ["layers", 1, 2, 3, 4])
def test_what_a_killed_process_had_in_hand_is_taken_over_by_the_others(
    tmp_path: Path, join: Join, dies_in: object
) -> None:
    """1 to 4: in the middle of writing a batch's numbers or sums, of its first or second cut."""
    killed, other = join(everyone=2, dies_in=dies_in), join(everyone=2)
    go(killed, other)
    extracted, _ = other.ended()
    assert killed.process.wait() == -signal.SIGKILL
    assert extracted == IMAGES
    assert sum(counts(tmp_path / "features")) == BATCHES + (dies_in != "layers")
    assert contents(tmp_path / "features") == alone(tmp_path / "alone")


def test_kills_at_any_instant_leave_what_others_complete_to_the_same_bits(tmp_path: Path, join: Join) -> None:
    for enough in (2, 4, 6):
        together = [join(seconds_a_piece=0.02) for _ in range(3)]
        go(*together)
        await_counts(tmp_path / "features", enough)
        for each in together:
            each.process.kill()
        for each in together:
            assert each.process.wait() == -signal.SIGKILL
    cache = FeatureCache(tmp_path / "features")
    ask(cache, "high", CUTS, count=IMAGES)
    assert 0 < cache.ledger.extracted < IMAGES
    assert contents(tmp_path / "features") == alone(tmp_path / "alone")


@pytest.mark.parametrize("then", [signal.SIGCONT, signal.SIGKILL])
def test_a_stopped_process_holds_up_only_what_it_has_in_hand(tmp_path: Path, join: Join, then: signal.Signals) -> None:
    (tmp_path / "held").touch()
    stopped = join()
    go(stopped)
    stopped.has_begun()
    stopped.process.send_signal(signal.SIGSTOP)
    (tmp_path / "held").unlink()
    waiting = join()
    go(waiting)

    (folder,) = (tmp_path / "features").glob("toy/no-0-*")
    told = "2 of 16 pieces; if it does not go on, a process that was stopped has them"
    assert waiting.said() == f"waiting for another process that extracts into {folder}: {told}\n"
    assert sum(counts(tmp_path / "features")) == BATCHES - 2
    cache = FeatureCache(tmp_path / "features")
    assert cache.keep(TOY, lambda: toy_forward, toy_views(count=IMAGES), "high", CUTS, wait=False) is None
    assert ask(cache, level="deep", view=1).tobytes() == anew(level="deep", view=1)
    assert waiting.process.poll() is None

    stopped.process.send_signal(then)
    extracted, said = waiting.ended()
    assert said == ""  # nothing a second time
    if then == signal.SIGCONT:
        extracted += stopped.ended()[0]
    assert extracted == IMAGES
    assert counts(folder) == [1] * BATCHES
    assert {name: content for name, content in contents(tmp_path / "features").items() if "no-0" in name} == alone(
        tmp_path / "alone"
    )


def test_nobody_waits_for_what_others_have_in_hand_of_another_cut(tmp_path: Path, join: Join) -> None:
    ask(FeatureCache(tmp_path / "features"), "high", count=IMAGES)
    (tmp_path / "held").touch()
    other, cache = join(cut="low", together=("low",)), FeatureCache(tmp_path / "features")
    go(other)
    other.has_begun()
    assert ask(cache, "high", CUTS, count=IMAGES).tobytes() == anew(count=IMAGES)
    assert not cache.holds(TOY, toy_views(count=IMAGES), "low")
    (tmp_path / "held").unlink()
    assert ask(cache, "low", CUTS, count=IMAGES).tobytes() == anew("low", count=IMAGES)
    assert cache.ledger.extracted + other.ended()[0] == IMAGES


def test_a_thread_that_waits_for_another_process_lets_others_of_its_own_extract(tmp_path: Path, join: Join) -> None:
    (tmp_path / "held").touch()
    other, cache = join(), FeatureCache(tmp_path / "features")
    go(other)
    other.has_begun()
    found: list[bytes] = []
    thread = threading.Thread(target=lambda: found.append(ask(cache, "high", CUTS, count=IMAGES).tobytes()))
    thread.start()
    await_counts(tmp_path / "features", BATCHES - 2)
    assert ask(cache, level="deep", view=1).tobytes() == anew(level="deep", view=1)
    assert thread.is_alive()
    (tmp_path / "held").unlink()
    thread.join(timeout=240)
    assert found == [anew(count=IMAGES)]
    other.ended()


def test_threads_with_caches_of_their_own_share_the_work_with_another_process(tmp_path: Path, join: Join) -> None:
    (tmp_path / "held").touch()
    other, caches = join(), [FeatureCache(tmp_path / "features") for _ in range(3)]
    go(other)
    other.has_begun()
    threads = [threading.Thread(target=ask, args=(cache, "high", CUTS), kwargs={"count": IMAGES}) for cache in caches]
    for thread in threads:
        thread.start()
    await_counts(tmp_path / "features", BATCHES - 2)
    (tmp_path / "held").unlink()
    for thread in threads:
        thread.join(timeout=240)
    assert sum(cache.ledger.extracted for cache in caches) + other.ended()[0] == IMAGES
    assert counts(tmp_path / "features") == [1] * BATCHES
    assert contents(tmp_path / "features") == alone(tmp_path / "alone")


@pytest.mark.parametrize("processes", [2, 4])
def test_of_several_processes_one_says_and_mends_a_damaged_piece(tmp_path: Path, join: Join, processes: int) -> None:
    whole = alone(tmp_path / "features")
    (path,) = (tmp_path / "features").rglob("high.f32")
    content = bytearray(path.read_bytes())
    for chunk in (3, 7):
        content[chunk * 512] ^= 1
    path.write_bytes(content)
    together = [join() for _ in range(processes)]
    go(*together)
    extracted, said = zip(*(each.ended() for each in together), strict=True)
    assert sum(extracted) == 2 * 32
    told = re.findall(r"(\d) of 16 pieces are damaged, computed again\n", "".join(said))
    assert sum(map(int, told)) == 2
    assert contents(tmp_path / "features") == whole
    assert counts(tmp_path / "features") == [1 + (batch in (3, 7)) for batch in range(BATCHES)]


def test_what_any_process_is_filling_stays_whatever_the_budget_and_goes_after(tmp_path: Path, join: Join) -> None:
    (tmp_path / "held").touch()
    together = [join(everyone=2), join(everyone=2)]
    go(*together)
    for each in together:
        each.has_begun()
    together.pop().process.kill()
    small = FeatureCache(tmp_path / "features", IMAGES * 4 * 4)
    ask(small, count=IMAGES, level="deep", view=1)
    assert not small.holds(TOY, toy_views("deep", 1, IMAGES), "high")
    (tmp_path / "held").unlink()
    assert together[0].ended()[0] == IMAGES
    ask(small, count=IMAGES, level="deep", view=1)
    assert small.holds(TOY, toy_views("deep", 1, IMAGES), "high")
    assert not small.holds(TOY, toy_views(count=IMAGES), "high")


def test_without_locks_on_bytes_one_process_extracts_and_the_others_read(tmp_path: Path, join: Join) -> None:
    (tmp_path / "held").touch()
    first, second = join(byte_locks=False), join()
    go(first)
    first.has_begun()
    go(second)
    assert second.said().startswith("waiting for another process that extracts into ")
    (tmp_path / "held").unlink()
    assert (first.ended()[0], second.ended()[0]) == (IMAGES, 0)
    assert contents(tmp_path / "features") == alone(tmp_path / "alone")
