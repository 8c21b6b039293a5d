"""Comparing searches: what is told, drawn and refused."""

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from plumbing.command import run_command
from results.records import FAILED, NewSearch, NewTrial, TrialResult
from results.store import Store
from search import compare
from search.comparison import side_of
from tests.search.conftest import Ended


@dataclass(frozen=True)
class Searches:
    """A store and a short way to put searches into it."""

    store: Store
    url: str

    def add(self, name: str, values: list[float | None], **changes: Any) -> None:
        """A search whose trials have these values, None: failed; each of two epochs and three seconds."""
        more: dict[str, Any] = {"seed": 0, "task": "XR_HAND", "objective": "val_auc", "data_hash": "d" * 16}
        more |= {"settings": {"epochs": 2, "sampler": "tpe"}} | changes
        search = self.store.create_search(NewSearch(name, "search", "optuna", "0.1.0", **more))
        for number, value in enumerate(values):
            configuration = {"architecture": "net", "lr": 0.1}
            new = NewTrial(number, "XR_HAND", "net", "net", "m", configuration, "random", 32, 0, 2, "0.1.0")
            trial = self.store.start_trial(search.id, new)
            if value is None:
                self.store.fail_trial(trial.id, FAILED, 3.0)
            else:
                history = {"val_auc": [value / 2, value]}
                result = TrialResult("finished", value, history, 1, None, 3.0, {}, (), {}, None)
                self.store.finish_trial(trial.id, result)

    def add_repeats(self, prefix: str, finals: list[float], **changes: Any) -> None:
        for seed, final in enumerate(finals):
            self.add(f"{prefix}-s{seed}", [0.5, 0.5, None, final], seed=seed, **changes)


@pytest.fixture
def searches(tmp_path: Path) -> Iterator[Searches]:
    url = f"sqlite:///{tmp_path}/results.db"
    store = Store.open(url, create=True)
    yield Searches(store, url)
    store.close()


@pytest.fixture
def command(searches: Searches, capsys: pytest.CaptureFixture[str]) -> Callable[..., Ended]:
    def run(*arguments: object) -> Ended:
        code = run_command("search.compare", compare.main, [*map(str, arguments), "--store", searches.url])
        output = capsys.readouterr()
        return Ended(code, output.out, output.err)

    return run


Command = Callable[..., Ended]


def rows(text: str) -> dict[str, list[str]]:
    """The table's rows: after -> A, B, A - B."""
    lines = [line.strip("| ").split(" | ") for line in text.splitlines() if line.startswith("| ")]
    return {cells[0]: cells[1:] for cells in lines[1:]}


def test_single_searches_are_compared_at_their_ends_and_at_shares_of_the_smaller(
    searches: Searches, command: Command
) -> None:
    searches.add("a", [0.5, 0.6, 0.55, 0.9, 0.7, 0.95])
    searches.add("b", [0.4, None, 0.8, 0.6])

    ended = command("a", "b")

    assert ended.code == 0
    assert rows(ended.out) == {
        "all of each": ["0.9500", "0.8000", "+0.1500"],
        "1 trial (25 %)": ["0.5000", "0.4000", "+0.1000"],
        "2 trials (50 %)": ["0.6000", "0.4000", "+0.2000"],
        "4 trials (100 %)": ["0.9000", "0.8000", "+0.1000"],
        "1 epoch (25 %)": ["none yet", "none yet", "none yet"],
        "3 epochs (50 %)": ["0.5000", "0.4000", "+0.1000"],
        "6 epochs (100 %)": ["0.6000", "0.8000", "-0.2000"],
        "3 seconds (25 %)": ["0.5000", "0.4000", "+0.1000"],
        "6 seconds (50 %)": ["0.6000", "0.4000", "+0.2000"],
        "12 seconds (100 %)": ["0.9000", "0.8000", "+0.1000"],
    }
    assert "No interval for A - B: without repeats under other seeds of A and B there is none." in ended.out
    assert "Warning" not in ended.out


def test_repeats_are_averaged_with_an_interval_that_tells_apart_what_differs(
    searches: Searches, command: Command
) -> None:
    searches.add_repeats("tpe", [0.88, 0.90, 0.92, 0.89, 0.91])
    searches.add_repeats("random", [0.70, 0.72, 0.74, 0.71, 0.73])

    document = json.loads(command("tpe-s*", "random-s*", "--json").out)

    (whole, *_) = document["points"]
    assert whole["difference"]["mean"] == pytest.approx(0.18)
    assert 0.15 < whole["difference"]["low"] < 0.18 < whole["difference"]["high"] < 0.21
    assert 0.88 < whole["a"]["low"] < 0.9 < whole["a"]["high"] < 0.92
    assert document["a"]["searches"] == [f"tpe-s{seed}" for seed in range(5)]
    assert (document["warnings"], document["plot"]) == ([], None)
    curve = document["curves"]["trials"]["a"]
    assert [each["at"] for each in curve] == [1, 2, 3, 4]
    assert curve[-1] == pytest.approx({"at": 4} | whole["a"])


def test_a_comma_list_names_repeats_and_one_sided_repeats_give_no_interval_of_the_difference(
    searches: Searches, command: Command
) -> None:
    searches.add_repeats("tpe", [0.88, 0.90, 0.92])
    searches.add("alone", [0.5, 0.6])

    ended = command("tpe-s0, tpe-s2", "alone")

    assert rows(ended.out)["all of each"] == ["0.9000 (0.8800 to 0.9200)", "0.6000", "+0.3000"]
    assert "No interval for A - B: without repeats under other seeds of B there is none." in ended.out
    assert "Warning: A has 2 repeats: intervals of fewer than 5 are too narrow." in ended.out


@pytest.mark.parametrize(
    ("changes", "line"),
    [
        ({"data_hash": "e" * 16}, "data differ: a: dddddddddddd, b: eeeeeeeeeeee."),
        ({"settings": {"epochs": 9, "sampler": "tpe"}}, "most epochs a trial differ: a: 2, b: 9."),
    ],
)
def test_what_makes_sides_unlike_is_warned_of(
    searches: Searches, command: Command, changes: dict[str, Any], line: str
) -> None:
    searches.add("a", [0.5])
    searches.add("b", [0.6], **changes)

    assert f"Warning: {line}\n" in command("a", "b").out
    assert json.loads(command("a", "b", "--json").out)["warnings"] == [line]


def test_searches_that_are_no_repeats_of_one_another_are_warned_of(searches: Searches, command: Command) -> None:
    searches.add("one", [0.5])
    searches.add("two", [0.6], settings={"epochs": 2, "sampler": "random"})
    searches.add("b", [0.6])

    told = json.loads(command("one,two", "b", "--json").out)["warnings"]

    assert "A's searches differ in sampler: they are no repeats of one another." in told
    assert "A's searches share seeds: they do not vary as repeats would." in told


@pytest.mark.parametrize(
    ("a", "b", "line"),
    [
        ("a", "nope*", "nope*: no such search in the store, which holds a, wrist, kappa, empty, old"),
        ("a", "wrist", "searches of different tasks cannot be compared: a: XR_HAND, wrist: XR_WRIST; leave some out"),
        ("a", "kappa", "searches of different objectives cannot be compared: a: val_auc, kappa: val_kappa; leave some"),
        ("a", "empty", "empty has no finished trial; let it run, or leave it out"),
        ("old", "a", "old is of kind import, whose trials were not searched for; give searches"),
        ("a", "*", "empty has no finished trial"),
        ("a", "a", "a: on both sides; give each search to one"),
        (",", "a", "',' names no search; give a name, a pattern or a comma list"),
    ],
)
def test_what_cannot_be_compared_ends_with_one_line_and_2(
    searches: Searches, command: Command, a: str, b: str, line: str
) -> None:
    searches.add("a", [0.5])
    searches.add("wrist", [0.5], task="XR_WRIST")
    searches.add("kappa", [0.5], objective="val_kappa")
    searches.add("empty", [None])
    searches.store.import_search(NewSearch("old", "import", "published", "published"), [], [])

    ended = command(a, b)

    assert (ended.code, ended.out, ended.err.count("\n")) == (2, "", 1)
    assert ended.err.startswith(f"search.compare: {line}")


def test_the_picture_is_written_whole_with_a_panel_a_unit(searches: Searches, command: Command, tmp_path: Path) -> None:
    from search.compare_figure import compare_figure

    searches.add_repeats("tpe", [0.88, 0.90])
    searches.add("alone $x$", [None, 0.6])
    out = tmp_path / "plots" / "cmp.png"

    ended = command("tpe-s*", "alone $x$", "--out", out)
    sides = [side_of(searches.store, label) for label in ("tpe-s*", "alone $x$")]
    figure = compare_figure(*sides)

    assert ended.out.splitlines()[-1] == str(out)
    assert out.read_bytes().startswith(b"\x89PNG")
    assert [path.name for path in out.parent.iterdir()] == ["cmp.png"]
    assert [axes.get_xlabel() for axes in figure.axes] == ["trials", "epochs trained", "seconds of trials, summed"]
    labels = [text.get_text() for text in figure.legends[0].get_texts()]
    assert labels == ["A: tpe-s* (mean of 2, 95 %)", "B: alone $x$"]


@pytest.mark.parametrize("out", ["plot.pdf", "folder.png"])
def test_a_plot_that_cannot_be_a_png_file_is_refused_before_anything(
    searches: Searches, command: Command, tmp_path: Path, out: str
) -> None:
    (tmp_path / "folder.png").mkdir()

    ended = command("a", "b", "--out", tmp_path / out)

    line = f"search.compare: --out {tmp_path / out}: give the name of a file that ends in .png\n"
    assert (ended.code, ended.err) == (2, line)
