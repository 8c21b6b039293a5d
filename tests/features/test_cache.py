"""Features kept on disk: the same bits as computed anew, computed once, whole after a kill."""

import signal
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from features import cache
from features.cache import FeatureCache, FrozenPart
from plumbing.files import remove_stale_temporaries
from radiographs.dataset import SizedPixels

REPOSITORY = Path(__file__).parents[2]
CUTS = [("efficientnet_lite0", "below_last_block"), ("efficientnet_lite0", "all"), ("base_cnn", "all")]

Make = Callable[[str, str], Any]

# A process without TensorFlow: its extractor writes a line a batch, and dies in the second where it is told to.
EXTRACT = """
import os, sys
from pathlib import Path
import numpy as np
from features.cache import FeatureCache, FrozenPart
from radiographs.dataset import SizedPixels
folder, log, dies = Path(sys.argv[1]), sys.argv[2], sys.argv[3] == "dies"
class Counting:
    shape = (4,)
    def batch(self, views):
        with open(log, "a") as file:
            file.write("batch\\n")
        if dies and len(Path(log).read_text().split()) == 2:
            os.kill(os.getpid(), 9)
        return views.reshape(len(views), -1)[:, :4].astype(np.float32)
names = [f"image{row}" for row in range(40)]
drawn = np.arange(40 * 16, dtype=np.uint8).reshape(40, 4, 4)
pixels = SizedPixels(4, drawn, {name: row for row, name in enumerate(names)})
print("ready", flush=True)
sys.stdin.readline()
part = FrozenPart("net", "weights", "cut", 4)
found = FeatureCache(folder).features(part, Counting(), pixels, names, "no", 0)
assert np.array_equal(found, drawn.reshape(40, -1)[:, :4])
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
        process.communicate(timeout=60)
    return [process.returncode for process in processes]


def kept(folder: Path) -> list[Path]:
    return sorted(folder.rglob("*.npy"))


@pytest.mark.parametrize(("architecture", "cut"), CUTS)
@pytest.mark.parametrize(("level", "view"), [("no", 0), ("strong", 2)])
def test_invariant_3_cached_features_equal_recomputed_ones_bit_for_bit(
    frozen: Make,
    pixels: SizedPixels,
    digests: list[str],
    tmp_path: Path,
    architecture: str,
    cut: str,
    level: str,
    view: int,
) -> None:
    part = frozen(architecture, cut)
    arguments = (part.part, part.extractor, pixels, digests, level, view)
    first = FeatureCache(tmp_path).features(*arguments)
    again = FeatureCache(tmp_path).features(*arguments)
    anew = FeatureCache(None).features(*arguments)
    assert first.shape == (len(digests), *part.extractor.shape)
    assert first.dtype == anew.dtype == np.float32
    assert first.tobytes() == again.tobytes() == anew.tobytes()
    assert len(np.unique(first)) > 1000  # not zeros


def test_kept_features_are_not_computed_again(
    frozen: Make, pixels: SizedPixels, digests: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    part = frozen("base_cnn", "all")
    arguments = (part.part, part.extractor, pixels, digests, "deep", 1)
    first = FeatureCache(tmp_path).features(*arguments)
    monkeypatch.setattr(cache, "extract", lambda *arguments: pytest.fail("computed again"))
    assert np.array_equal(FeatureCache(tmp_path).features(*arguments), first)


def test_kept_features_cannot_be_written_to(
    frozen: Make, pixels: SizedPixels, digests: list[str], tmp_path: Path
) -> None:
    part = frozen("base_cnn", "all")
    for _ in range(2):
        found = FeatureCache(tmp_path).features(part.part, part.extractor, pixels, digests, "no", 0)
        with pytest.raises(ValueError, match="read-only"):
            found[0] = 0


def test_without_a_folder_nothing_is_written(
    frozen: Make, pixels: SizedPixels, digests: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    part = frozen("base_cnn", "all")
    FeatureCache(None).features(part.part, part.extractor, pixels, digests, "no", 0)
    assert FeatureCache(None).path(part.part, digests, "no", 0) is None
    assert list(tmp_path.iterdir()) == []


def test_a_killed_extraction_leaves_no_file_and_the_next_makes_it_whole(tmp_path: Path) -> None:
    folder = tmp_path / "features"
    assert go(started(folder, tmp_path / "log", dies=True)) == [-signal.SIGKILL]
    assert [path.name[:5] for path in kept(folder)] == [".tmp-"]
    assert remove_stale_temporaries(folder) == 1
    (tmp_path / "log").unlink()
    assert go(started(folder, tmp_path / "log")) == [0]
    assert len(kept(folder)) == 1
    assert (tmp_path / "log").read_text().split() == ["batch"] * 2


def test_a_failing_extraction_leaves_nothing(frozen: Make, pixels: SizedPixels, tmp_path: Path) -> None:
    part = frozen("base_cnn", "all")
    with pytest.raises(KeyError):
        FeatureCache(tmp_path).features(part.part, part.extractor, pixels, ["no such image"], "no", 0)
    assert kept(tmp_path) == []


def test_of_two_processes_one_computes_and_both_read(tmp_path: Path) -> None:
    log = tmp_path / "log"
    assert go(*(started(tmp_path / "features", log) for _ in range(2))) == [0, 0]
    assert log.read_text().split() == ["batch"] * 2  # 40 images once: a full batch and a part of one
    assert len(kept(tmp_path / "features")) == 1


PART = FrozenPart("densenet121", "1234", "all", 224)
ASKED: dict[str, Any] = {"part": PART, "digests": ["a", "b"], "level": "deep", "view": 1}


@pytest.mark.parametrize(
    "change",
    [
        {"part": replace(PART, architecture="resnet152")},
        {"part": replace(PART, weights="5678")},
        {"part": replace(PART, cut="below_last_block")},
        {"part": replace(PART, image_size=320)},
        {"level": "light"},
        {"view": 2},
        {"digests": ["b", "a"]},
        {"digests": ["a"]},
        {"digests": ["ab"]},
    ],
    ids=str,
)
def test_a_change_of_anything_asks_for_another_file(tmp_path: Path, change: dict[str, Any]) -> None:
    store = FeatureCache(tmp_path)
    assert store.path(**ASKED) == store.path(**ASKED)
    assert store.path(**(ASKED | change)) != store.path(**ASKED)


@pytest.mark.parametrize(("name", "value"), [("DATA_SEED", 1), ("BATCH", 64), ("EXTRACTION_VERSION", 99)])
def test_a_change_of_seed_batch_or_version_asks_for_another_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, value: int
) -> None:
    before = FeatureCache(tmp_path).path(**ASKED)
    monkeypatch.setattr(cache, name, value)
    assert FeatureCache(tmp_path).path(**ASKED) != before
