"""`--explain`: what will be extracted, what is there, how long it takes; nothing is made for it."""

import re
from pathlib import Path

import pytest

from features.cache import Ledger
from search.explain import saved
from tests.search.conftest import Searcher

Capsys = pytest.CaptureFixture[str]
FROZEN = r"  frozen (\w+): at most ([\d,]+) images' features, ([\d.]+ [MG]iB); (.+)"
PASSES = r"at most ([\d,]+) passes more, about .+ at \d+ images/s "
NAIVE = r"without a cache, each trial and epoch anew: ([\d,]+) passes of whole backbones, about .+"


def frozen_lines(text: str) -> dict[str, tuple[int, str, str]]:
    """Cut -> images, size, what becomes of them."""
    return {cut: (int(n.replace(",", "")), size, fate) for cut, n, size, fate in re.findall(FROZEN, text)}


def passes(text: str) -> tuple[int, int]:
    """Passes more, and those of the naive way."""
    (more,), (naive,) = re.findall(PASSES, text), re.findall(NAIVE, text)
    return int(more.replace(",", "")), int(naive.replace(",", ""))


def counts_of(text: str) -> dict[str, int]:
    return {split: int(count) for count, split in re.findall(r"(\d+) (train|valid|test)", text)}


def test_explain_makes_nothing_and_imports_no_tensorflow(searcher: Searcher) -> None:
    modules = "print(sorted({'tensorflow', 'keras', 'onnxruntime'} & set(sys.modules)))"
    before = f"import atexit, sys\natexit.register(lambda: {modules})\nsys.argv.append('--explain')"
    ended = searcher.apart(before=before)
    assert (ended.code, ended.err) == (0, "")
    assert "lr: a number from 1e-05 to 0.01" in ended.out
    assert ended.out.splitlines()[-1] == "[]"
    assert not searcher.folder.exists()


def test_explain_tells_images_bytes_and_what_the_naive_way_would_cost(searcher: Searcher, capsys: Capsys) -> None:
    ended = searcher.here(capsys, "--trials", 50, "--epochs", 3, flags=("--explain",))
    counts, cuts = counts_of(ended.out), frozen_lines(ended.out)
    images = sum(counts.values()) + 3 * 2 * counts["train"]  # light, deep and strong in two views
    assert cuts["all"] == (images, f"{images * 5120 / 2**20:.1f} MiB", "0 of them there already")
    assert cuts["below_last_block"][::2] == (images, "0 of them there already")
    assert passes(ended.out) == (images, 50 * 3 * (counts["train"] + counts["valid"]))
    assert "in batches of 4" in ended.out
    assert re.search(r"features may take [\d.]+ [MG]iB in ", ended.out)


def test_explain_tells_what_is_trained_again(searcher: Searcher, capsys: Capsys) -> None:
    ended = searcher.here(capsys, "--confirm", 2, flags=("--explain",))
    assert "seed 0, then the best 2 again under fresh seeds\n" in ended.out
    assert "again" not in searcher.here(capsys, flags=("--explain",)).out


def test_explain_tells_what_is_there_already(searcher: Searcher, capsys: Capsys, knowing: None) -> None:
    space = searcher.space(frozen="all", augmentation=["no", "light", "deep"])
    more = ("--epochs", 2, "--space", space)
    assert searcher.here(capsys, *more, "--enqueue", "published", "--trials", 1).code == 0  # without augmentation
    before = sorted(searcher.folder.rglob("*"))
    ended = searcher.here(capsys, *more, "--trials", 9, flags=("--explain",))
    counts, cuts = counts_of(ended.out), frozen_lines(ended.out)
    there, images = sum(counts.values()), sum(counts.values()) + 2 * 2 * counts["train"]
    assert cuts["all"][0] == images
    assert cuts["all"][2] == f"{there:,} of them there already"
    assert passes(ended.out)[0] == images - there
    assert sorted(searcher.folder.rglob("*")) == before


@pytest.mark.parametrize("flags", [("--explain", "--no-feature-cache"), ("--explain", "--cache-gib", "0.000001")])
def test_explain_tells_that_nothing_is_kept(searcher: Searcher, capsys: Capsys, flags: tuple[str, ...]) -> None:
    ended = searcher.here(capsys, flags=flags)
    cuts = frozen_lines(ended.out)
    assert {fate for *_, fate in cuts.values()} == {"not kept, computed anew each time"}
    assert ("features may take" in ended.out) == ("--no-feature-cache" not in flags)


def test_a_search_that_freezes_nothing_has_no_passes(searcher: Searcher, capsys: Capsys) -> None:
    ended = searcher.here(capsys, "--space", searcher.space(frozen="none"), flags=("--explain",))
    assert ended.code == 0
    assert frozen_lines(ended.out) == {}
    assert "passes" not in ended.out


def test_an_explained_search_can_be_run_and_extracts_no_more_than_was_told(
    searcher: Searcher, capsys: Capsys, knowing: None, tmp_path: Path
) -> None:
    more = ("--epochs", 2, "--trials", 6, "--space", searcher.space(frozen="all"))
    most, _ = passes(searcher.here(capsys, *more, flags=("--explain",)).out)
    line = searcher.here(capsys, *more).out.splitlines()[-2]
    (extracted,) = re.findall(r"used, ([\d,]+) passed", line)
    assert 0 < int(extracted.replace(",", "")) <= most


@pytest.mark.parametrize(
    ("served", "extracted", "seconds", "told"),
    [
        (0, 0, 0.0, "no features were used"),
        (
            1200,
            0,
            0.0,
            "features of 1,200 images were used, 0 passed the frozen layers: the cache saved about 2 min",
        ),
        (
            1200,
            200,
            20.0,
            "features of 1,200 images were used, 200 passed the frozen layers (20 s, 10.0 images/s): "
            "the cache saved about 2 min",
        ),
        (
            200,
            200,
            20.0,
            "features of 200 images were used, 200 passed the frozen layers (20 s, 10.0 images/s): "
            "the cache saved about 0 s",
        ),
    ],
)
def test_saved_is_what_all_uses_would_have_taken_less_what_was_spent(
    served: int, extracted: int, seconds: float, told: str
) -> None:
    ledger = Ledger()
    ledger.add(served=served, seconds_anew=0.1 * served)
    ledger.add(extracted=extracted, seconds=seconds)
    assert saved(ledger) == told


def test_explain_leaves_a_damaged_record_to_the_search(searcher: Searcher, capsys: Capsys, knowing: None) -> None:
    records = sorted(searcher.runs.glob("backbones/efficientnet_lite0-*/record.json"))
    assert records
    for path in records:
        path.write_text("{")
    before = sorted(searcher.folder.rglob("*"))
    ended = searcher.here(capsys, flags=("--explain",))
    assert ended.code == 0
    assert {fate for *_, fate in frozen_lines(ended.out).values()} == {"0 of them there already"}
    assert sorted(searcher.folder.rglob("*")) == before
