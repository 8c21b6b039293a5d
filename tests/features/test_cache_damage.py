"""The cache after kills, bad bytes and a full disk: found, said, mended to the same bits."""

import errno
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from features.cache import FeatureCache
from features.forward import BATCH
from tests.features.toy import COUNT, HIGH_BYTES, anew, ask

REPOSITORY = Path(__file__).parents[2]
BATCH_BYTES = BATCH * 4 * 4

# Writes a line a batch, and dies in the last, once the first was written, where it is told to.
EXTRACT = """
import os, sys, threading, time
from pathlib import Path
from features.cache import FeatureCache
from features.forward import BATCH, Forward
from tests.features.toy import TOY, anew, toy_run, toy_views
log, one_by_one = Path(sys.argv[2]), threading.Lock()
def run(grey, cuts):
    with one_by_one:
        with log.open("a") as file:
            file.write("batch\\n")
        if sys.argv[3] == "dies" and len(log.read_text().split()) == 3:
            while sorted(path.stat().st_size for path in Path(sys.argv[1]).rglob("*.sums"))[0] < 4:
                time.sleep(0.01)
            os.kill(os.getpid(), 9)
    return toy_run(grey, cuts)
forward = Forward(BATCH, run)
print("ready", flush=True)
sys.stdin.readline()
cache = FeatureCache(Path(sys.argv[1]))
found = cache.features(TOY, lambda: forward, toy_views(), "high", ("low", "high"))
assert found.tobytes() == anew("high")
assert cache.features(TOY, lambda: forward, toy_views(), "low").tobytes() == anew("low")
assert "tensorflow" not in sys.modules
"""


def started(folder: Path, log: Path, dies: bool = False) -> subprocess.Popen[str]:
    line = [sys.executable, "-c", EXTRACT, str(folder), str(log), "dies" if dies else "lives"]
    process = subprocess.Popen(line, cwd=REPOSITORY, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    assert process.stdout.readline() == "ready\n"
    return process


def go(*processes: subprocess.Popen[str]) -> list[int]:
    for process in processes:
        assert process.stdin is not None
        process.stdin.write("go\n")
        process.stdin.flush()
    for process in processes:
        process.communicate(timeout=240)
    return [process.returncode for process in processes]


def contents(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in sorted(folder.rglob("*.f32*"))}


def undisturbed(folder: Path) -> dict[str, bytes]:
    ask(FeatureCache(folder), "high", ("low", "high"))
    return contents(folder)


def test_of_two_processes_one_computes_and_both_read(tmp_path: Path) -> None:
    log = tmp_path / "log"
    assert go(*(started(tmp_path / "features", log) for _ in range(2))) == [0, 0]
    assert log.read_text().split() == ["batch"] * 3
    assert contents(tmp_path / "features") == undisturbed(tmp_path / "undisturbed")


@pytest.mark.parametrize("caches", [1, 2])
def test_of_two_threads_one_computes_and_both_read(tmp_path: Path, caches: int) -> None:
    first = FeatureCache(tmp_path)
    second = first if caches == 1 else FeatureCache(tmp_path, ledger=first.ledger)
    barrier, found = threading.Barrier(2), []

    def work(cache: FeatureCache) -> None:
        barrier.wait()
        found.append(ask(cache).tobytes())

    threads = [threading.Thread(target=work, args=(cache,)) for cache in (first, second)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(timeout=240)
    assert found == [anew()] * 2
    assert (first.ledger.served, first.ledger.extracted) == (2 * COUNT, COUNT)


def test_an_extraction_killed_midway_goes_on_where_it_was(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder, log = tmp_path / "features", tmp_path / "log"
    assert go(started(folder, log, dies=True)) == [-signal.SIGKILL]
    log.unlink()
    cache = FeatureCache(folder)
    assert ask(cache, "high", ("low", "high")).tobytes() == anew("high")
    assert cache.ledger.extracted in (COUNT - BATCH, COUNT - 2 * BATCH)
    assert capsys.readouterr().err == ""
    assert contents(folder) == undisturbed(tmp_path / "undisturbed")


def flip(path: Path, place: int) -> None:
    content = bytearray(path.read_bytes())
    content[place] ^= 1
    path.write_bytes(content)


def sums_of(path: Path) -> Path:
    return path.with_name(f"{path.name}.sums")


def flipped_first(path: Path) -> None:
    flip(path, 0)


def flipped_last(path: Path) -> None:
    flip(path, -1)


def two_flipped(path: Path) -> None:
    flip(path, 5)
    flip(path, BATCH_BYTES)


def truncated(path: Path) -> None:
    os.truncate(path, HIGH_BYTES - 1)


def truncated_between_chunks(path: Path) -> None:
    os.truncate(path, BATCH_BYTES)


def emptied(path: Path) -> None:
    os.truncate(path, 0)


def removed(path: Path) -> None:
    path.unlink()


def flipped_sums(path: Path) -> None:
    flip(sums_of(path), 4)


def truncated_sums(path: Path) -> None:
    os.truncate(sums_of(path), 6)


def emptied_sums(path: Path) -> None:
    os.truncate(sums_of(path), 0)


def removed_sums(path: Path) -> None:
    sums_of(path).unlink()


LAST = COUNT - 2 * BATCH


@pytest.mark.parametrize(
    ("harm", "damaged", "extracted"),
    [
        (flipped_first, 1, BATCH),
        (flipped_last, 1, LAST),
        (two_flipped, 2, 2 * BATCH),
        (truncated, 1, LAST),
        (truncated_between_chunks, 2, BATCH + LAST),
        (emptied, 3, COUNT),
        (removed, 0, COUNT),
        (flipped_sums, 1, BATCH),
        (truncated_sums, 0, COUNT - BATCH),
        (emptied_sums, 0, COUNT),
        (removed_sums, 0, COUNT),
    ],
)
def test_a_harmed_file_is_found_said_and_mended_to_the_same_bits(
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    harm: Callable[[Path], None],
    damaged: int,
    extracted: int,
) -> None:
    whole = undisturbed(tmp_path)
    (path,) = tmp_path.rglob("high.f32")
    harm(path)
    assert contents(tmp_path) != whole
    cache = FeatureCache(tmp_path)
    assert ask(cache).tobytes() == anew()
    told = f"features: {path}: {damaged} of 3 pieces are damaged, computed again\n" if damaged else ""
    assert capsys.readouterr().err == told
    assert cache.ledger.extracted == extracted
    assert contents(tmp_path) == whole
    ask(FeatureCache(tmp_path))
    assert capsys.readouterr().err == ""


def test_damage_to_a_cut_asked_for_together_is_mended_when_it_is_used(tmp_path: Path) -> None:
    whole = undisturbed(tmp_path)
    for cut, place in (("high", 0), ("low", -1)):
        (path,) = tmp_path.rglob(f"{cut}.f32")
        flip(path, place)
    cache = FeatureCache(tmp_path)
    ask(cache, "high", ("low", "high"))
    assert cache.ledger.extracted == BATCH
    ask(cache, "low", ("low", "high"))
    assert cache.ledger.extracted == BATCH + LAST
    assert contents(tmp_path) == whole


# The largest file that this process may write is set below what the features need, then raised again.
LIMITED = """
import resource, sys
from pathlib import Path
from features.cache import FeatureCache
from tests.features.toy import HIGH_BYTES, anew, ask
hard = resource.getrlimit(resource.RLIMIT_FSIZE)[1]
resource.setrlimit(resource.RLIMIT_FSIZE, (HIGH_BYTES - 1, hard))
cache = FeatureCache(Path(sys.argv[1]))
try:
    ask(cache)
except OSError as error:
    print("OSError")
resource.setrlimit(resource.RLIMIT_FSIZE, (hard, hard))
assert ask(cache).tobytes() == anew() == ask(FeatureCache(Path(sys.argv[1]))).tobytes()
"""


def test_a_file_the_system_does_not_let_grow_is_an_error_and_the_cache_stays_usable(tmp_path: Path) -> None:
    line = [sys.executable, "-c", LIMITED, str(tmp_path)]
    told = subprocess.run(line, cwd=REPOSITORY, capture_output=True, text=True, check=False)
    assert (told.returncode, told.stdout, told.stderr) == (0, "OSError\n", "")


def full_disk(handle: int, offset: int, length: int) -> None:
    raise OSError(errno.ENOSPC, "No space left on device")


def test_a_full_disk_is_an_error_and_the_cache_stays_usable(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    cache = FeatureCache(tmp_path)
    kept = ask(cache, view=1, level="deep").tobytes()
    with monkeypatch.context() as patched:
        patched.setattr(os, "posix_fallocate", full_disk)
        with pytest.raises(OSError, match="No space left on device"):
            ask(cache)
        assert ask(cache, view=1, level="deep").tobytes() == kept
    assert ask(cache).tobytes() == anew() == ask(FeatureCache(tmp_path)).tobytes()
    assert capsys.readouterr().err == ""


def test_a_folder_that_cannot_be_made_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(OSError):
        ask(FeatureCache(tmp_path / "file"))
