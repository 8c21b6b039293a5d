"""Pixels are decoded once, whoever asks, and whole after a kill."""

import json
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from plumbing.errors import DataError
from radiographs import pixels
from radiographs.decoding import UNKNOWN, decode
from radiographs.pixels import DIGEST_BYTES, PixelStore, digest_of
from radiographs.table import scan
from tests.radiographs.conftest import Mura

REPOSITORY = Path(__file__).parents[2]
SIZE = 8

BUILD = """
import os, sys
from pathlib import Path
from radiographs import pixels
from radiographs.decoding import decode
from radiographs.table import scan
root, folder, log, dies_at = Path(sys.argv[1]), Path(sys.argv[2]), sys.argv[3], int(sys.argv[4])
handle = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
def counted(content, size):
    os.write(handle, (pixels.digest_of(content) + "\\n").encode())
    if dies_at and os.lseek(handle, 0, os.SEEK_END) // 33 > dies_at:
        os.kill(os.getpid(), 9)
    return decode(content, size)
pixels.decode, pixels.BATCH = counted, 5
print("ready", flush=True)
sys.stdin.readline()
store = pixels.PixelStore(folder)
digests = store.digests(root, scan(root).images["path"].tolist())
assert store.decode_missing(root, digests, 8) == {}
"""


def builder(root: Path, folder: Path, log: Path, dies_at: int = 0) -> subprocess.Popen[str]:
    """A process that will build the store of `folder` when it is told to, noting each decode in `log`."""
    line = [sys.executable, "-c", BUILD, *map(str, (root, folder, log, dies_at))]
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


def paths_of(root: Path) -> list[str]:
    return [str(path) for path in scan(root).images["path"]]


def build(root: Path, folder: Path, size: int = SIZE) -> tuple[dict[str, np.ndarray], dict[str, str]]:
    """Path -> pixels from the store, and path -> digest; all must be readable."""
    store = PixelStore(folder)
    digests = store.digests(root, paths_of(root))
    assert store.decode_missing(root, digests, size) == {}
    rows = store.pixels(size)[store.rows(list(digests.values()), size)]
    return dict(zip(digests, rows, strict=True)), digests


def assert_right(root: Path, found: dict[str, np.ndarray], size: int = SIZE) -> None:
    assert found
    for path, image in found.items():
        assert np.array_equal(image, decode((root / path).read_bytes(), size))


@pytest.fixture
def decoded(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, int]]:
    """Digest and size of each image decoded in this process from here on."""
    seen: list[tuple[str, int]] = []

    def counted(content: bytes, size: int) -> np.ndarray:
        seen.append((digest_of(content), size))
        return decode(content, size)

    monkeypatch.setattr(pixels, "decode", counted)
    return seen


def test_invariant_2_each_image_is_decoded_once_per_size(
    small: Mura, tmp_path: Path, decoded: list[tuple[str, int]]
) -> None:
    for size in (8, 12, 8, 12):
        found, digests = build(small.root, tmp_path / "pixels", size)
        assert_right(small.root, found, size)
    assert sorted(decoded) == sorted((digest, size) for digest in digests.values() for size in (8, 12))


@pytest.mark.parametrize("processes", [2, 4])
def test_invariant_2_holds_for_several_processes_at_once(small: Mura, tmp_path: Path, processes: int) -> None:
    folder, log = tmp_path / "pixels", tmp_path / "decoded"
    assert go(*(builder(small.root, folder, log) for _ in range(processes))) == [0] * processes
    found, digests = build(small.root, folder)
    assert sorted(log.read_text().split()) == sorted(digests.values())
    assert_right(small.root, found)


@pytest.mark.parametrize("dies_at", [1, 12])
def test_a_killed_decoding_goes_on_with_what_is_missing(
    small: Mura, tmp_path: Path, dies_at: int, decoded: list[tuple[str, int]]
) -> None:
    folder = tmp_path / "pixels"
    assert go(builder(small.root, folder, tmp_path / "log", dies_at)) == [-signal.SIGKILL]
    whole = (folder / str(SIZE) / "digests").stat().st_size // DIGEST_BYTES if dies_at > 5 else 0
    assert whole == dies_at // 5 * 5  # batches of five: else this would prove nothing
    found, _ = build(small.root, folder)
    assert len(decoded) == 24 - whole
    assert_right(small.root, found)


@pytest.mark.parametrize("tail", [b"x", b"x" * DIGEST_BYTES, b"x" * (SIZE * SIZE + 3)])
def test_a_torn_tail_of_pixels_is_cut_off(small: Mura, tmp_path: Path, tail: bytes) -> None:
    folder = tmp_path / "pixels"
    build(small.root, folder)
    with (folder / str(SIZE) / "pixels.u8").open("ab") as file:
        file.write(tail)
    small.study("train", "XR_HAND", "00090", 0, images=3)
    small.write_lists()
    found, _ = build(small.root, folder)
    assert len(found) == 27
    assert_right(small.root, found)
    assert (folder / str(SIZE) / "pixels.u8").stat().st_size == 27 * SIZE * SIZE


def test_a_torn_tail_of_digests_is_cut_off(small: Mura, tmp_path: Path, decoded: list[tuple[str, int]]) -> None:
    folder = tmp_path / "pixels"
    build(small.root, folder)
    names = folder / str(SIZE) / "digests"
    os.truncate(names, names.stat().st_size - 3)
    decoded.clear()
    found, _ = build(small.root, folder)
    assert len(decoded) == 1
    assert_right(small.root, found)


def test_digests_without_their_pixels_do_not_count(small: Mura, tmp_path: Path) -> None:
    folder = tmp_path / "pixels"
    build(small.root, folder)
    os.truncate(folder / str(SIZE) / "pixels.u8", 5 * SIZE * SIZE + 1)
    found, _ = build(small.root, folder)
    assert_right(small.root, found)


@pytest.mark.parametrize("move", [shutil.move, shutil.copytree])
def test_moved_or_copied_folders_are_not_decoded_again(
    small: Mura, tmp_path: Path, decoded: list[tuple[str, int]], move: Callable[[Path, Path], object]
) -> None:
    before, _ = build(small.root, tmp_path / "pixels")
    decoded.clear()
    move(small.root, tmp_path / "elsewhere")
    after, _ = build(tmp_path / "elsewhere", tmp_path / "pixels")
    assert decoded == []
    assert {path: image.tobytes() for path, image in after.items()} == {
        path: image.tobytes() for path, image in before.items()
    }


def test_equal_pictures_share_a_row(small: Mura, tmp_path: Path) -> None:
    remove = small.root / "train/XR_HAND/patient00000/study1_negative/image2.png"
    shutil.copy(remove.with_name("image1.png"), remove)
    found, digests = build(small.root, tmp_path / "pixels")
    assert len(found) == 24
    assert len(PixelStore(tmp_path / "pixels").pixels(SIZE)) == len(set(digests.values())) == 23


def test_a_changed_file_is_read_and_decoded_again(small: Mura, tmp_path: Path, decoded: list[tuple[str, int]]) -> None:
    build(small.root, tmp_path / "pixels")
    decoded.clear()
    changed = "train/XR_HAND/patient00000/study1_negative/image1.png"
    small.image(changed, size=20)
    found, digests = build(small.root, tmp_path / "pixels")
    assert decoded == [(digests[changed], SIZE)]
    assert_right(small.root, found)


def test_unchanged_files_are_not_read_for_their_digests(
    small: Mura, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = PixelStore(tmp_path / "pixels")
    before = store.digests(small.root, paths_of(small.root))

    def refuse(content: bytes) -> str:
        raise RuntimeError("read again")

    monkeypatch.setattr(pixels, "digest_of", refuse)
    assert store.digests(small.root, paths_of(small.root)) == before


def test_digests_remember_more_than_the_last_folder(small: Mura, tmp_path: Path) -> None:
    store = PixelStore(tmp_path / "pixels")
    store.digests(small.root, paths_of(small.root)[:3])
    store.digests(small.root, paths_of(small.root)[3:])
    assert len(json.loads((tmp_path / "pixels" / "digests.json").read_text())) == 24


def test_unreadable_images_are_told_and_the_others_decoded(small: Mura, tmp_path: Path) -> None:
    broken = [
        "train/XR_HAND/patient00000/study1_negative/image1.png",
        "valid/XR_HAND/patient00008/study1_negative/image2.png",
    ]
    (small.root / broken[0]).write_bytes(b"")
    (small.root / broken[1]).write_bytes(b"no image")
    store = PixelStore(tmp_path / "pixels")
    digests = store.digests(small.root, paths_of(small.root))
    expected = {digests[broken[0]]: "empty file", digests[broken[1]]: UNKNOWN}
    for _ in range(2):  # the second time nothing else is left to decode
        assert store.decode_missing(small.root, digests, SIZE) == expected
    assert len(store.pixels(SIZE)) == 22


def test_a_store_without_one_readable_image_is_empty(small: Mura, tmp_path: Path) -> None:
    store = PixelStore(tmp_path / "pixels")
    assert store.pixels(SIZE).shape == (0, SIZE, SIZE)
    file = small.root / paths_of(small.root)[0]
    file.write_bytes(b"no image")
    digests = store.digests(small.root, paths_of(small.root)[:1])
    assert len(store.decode_missing(small.root, digests, SIZE)) == 1
    assert store.pixels(SIZE).shape == (0, SIZE, SIZE)


def test_a_listed_file_that_cannot_be_opened_is_one_line_naming_it(small: Mura, tmp_path: Path) -> None:
    file = small.root / paths_of(small.root)[0]
    paths = paths_of(small.root)
    file.unlink()
    file.symlink_to(tmp_path / "nowhere")
    with pytest.raises(DataError, match="cannot be read: No such file or directory") as raised:
        PixelStore(tmp_path / "pixels").digests(small.root, paths)
    assert str(file) in str(raised.value)


def test_shared_rows_cannot_be_written_to(small: Mura, tmp_path: Path) -> None:
    build(small.root, tmp_path / "pixels")
    with pytest.raises(ValueError, match="read-only"):
        PixelStore(tmp_path / "pixels").pixels(SIZE)[0] = 0
