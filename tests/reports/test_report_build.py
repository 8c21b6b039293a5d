"""The folder of reports: what is written, that the page stands alone, and that names are harmless in it."""

import base64
import hashlib
import subprocess
import sys
from collections.abc import Callable
from html.parser import HTMLParser
from pathlib import Path

import pytest

from reports.build import build_report, file_names
from reports.html import page_script
from tests.reports.store_maker import HOSTILE, Ended, StoreMaker

Command = Callable[..., Ended]


class Page(HTMLParser):
    """The page's tags, attributes and text as a browser reads them."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.links: list[str] = []
        self.ids: list[str] = []
        self.handlers: list[str] = []
        self.policy = ""
        self.scripts: list[str] = []
        self.text = ""
        self.feed(text)
        self.text = " ".join(self.text.split())

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.text += " " if tag in ("td", "dd", "p", "summary", "pre") else ""
        if tag == "script":
            self.scripts.append("")
        if ("http-equiv", "Content-Security-Policy") in attrs:
            self.policy = dict(attrs)["content"] or ""
        for name, value in attrs:
            if name in ("src", "href", "srcset"):
                self.links.append(value or "")
            if name == "id":
                self.ids.append(value or "")
            if name.startswith("on"):
                self.handlers.append(name)

    def handle_data(self, data: str) -> None:
        if self.cdata_elem == "script":
            self.scripts[-1] += data
        else:
            self.text += data


def built(made: StoreMaker, out: Path) -> Page:
    build_report(made.store, out)
    return Page((out / "report.html").read_text(encoding="utf-8"))


def test_command_writes_the_files_and_prints_their_paths(made: StoreMaker, command: Command, tmp_path: Path) -> None:
    made.finish(made.search(), 0, valid_auc=0.8)
    made.images("XR_HAND", {"train": [0, 1], "valid": [0, 1], "test": [0, 1]})
    out = tmp_path / "deep" / "report"

    ended = command("build", "--out", out, "--store", made.url)

    files = {str(path) for path in out.rglob("*") if path.is_file()}
    assert ended.code == 0
    assert set(ended.out.splitlines()) == files
    assert {str(Path(file).relative_to(out)) for file in files} == {
        "leaderboard.md", "report.html", "plots/accuracy_XR_HAND.png", "plots/images_parts.png",
        "plots/history_XR_HAND.png", "plots/learning_XR_HAND.png", "tables/accuracy_XR_HAND.csv", "tables/cost.csv",
        "tables/failures.csv", "tables/history_XR_HAND.csv", "tables/images.csv", "tables/leaderboard_XR_HAND.csv",
        "tables/importances_XR_HAND.csv", "tables/learning_XR_HAND.csv",
    }  # fmt: skip


def test_page_needs_nothing_beside_it(made: StoreMaker, tmp_path: Path) -> None:
    made.finish(made.search(), 0)
    made.images("XR_HAND", {"train": [0, 1]})

    page = built(made, tmp_path / "out")

    assert "link" not in page.tags
    assert all(link.startswith(("data:image/png;base64,", "#")) for link in page.links)
    assert {link[1:] for link in page.links if link.startswith("#")} <= set(page.ids)
    assert len(page.ids) == len(set(page.ids))


def test_only_our_script_may_run(made: StoreMaker, tmp_path: Path) -> None:
    page = built(made, tmp_path / "out")

    (script,) = page.scripts
    assert script == page_script()
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    policy = dict(each.strip().split(" ", 1) for each in page.policy.split(";"))
    assert (policy["default-src"], policy["script-src"]) == ("'none'", f"'sha256-{digest}'")


def test_page_says_what_was_searched_left_out_and_how_to_repeat_it(made: StoreMaker, tmp_path: Path) -> None:
    details = {
        "command": "python -m search.run --part XR_HAND --timeout 9 --trials 3 --timeout=9 --space 'my space' "
        "--store postgresql+psycopg://me:secret@h/d",
        "left_out": [
            {"path": "train/a.png", "reason": "unreadable"},
            {"path": "train/b.png", "reason": "no such file"},
        ],
        "classes_absent": ["XR_WRIST abnormal"],
        "counts": {"train": 4321, "valid": 210, "test": 99},
    }
    search = made.search("mine", details=details, settings={"epochs": 20})
    made.finish(search, 0, valid_auc=0.87)
    made.store.fail_trial(made.start(search, 1).id, "no memory\nleft", 1.0)

    page = built(made, tmp_path / "out")

    for said in (
        "4,321 / 210 / 99", "0.87 (0.82-0.92)", "2 images or entries left out (mine)", "train/b.png no such file",
        "no images of XR_WRIST abnormal", "no memory left",
        "python -m search.run --part XR_HAND --trials 2 --space 'my space' --store",
        '"epochs": 20', "data_hash dddddddddddddddd", "not a medical device",
    ):  # fmt: skip
        assert said in page.text
    assert "secret" not in page.text


def test_hostile_names_are_text_in_the_page(made: StoreMaker, tmp_path: Path) -> None:
    hostile = [*HOSTILE, '"><img src=x onerror=alert(1)>', "{{ 7 * 7 }}"]
    for number, name in enumerate(hostile):
        details = {"command": name, "left_out": [{"path": name, "reason": name}], "classes_absent": [name]}
        search = made.search(f"{number} {name}", None, details=details, settings={name: name})
        made.finish(search, 0, part=f"{number} {name}"[:20], name=name)
        made.store.fail_trial(made.start(search, 1, name=name).id, name, 1.0)

    page = built(made, tmp_path / "out")

    assert page.scripts == [page_script()]
    assert page.handlers == []
    # Accuracies, learning curves and history of each part, and the history of XR_HAND, which has failed trials only.
    assert page.tags.count("img") == 3 * len(hostile) + 1
    assert "<script>alert(1)</script>" in page.text
    assert "{{ 7 * 7 }}" in page.text


def test_parts_of_any_name_stay_in_the_folder_with_files_of_their_own(made: StoreMaker, tmp_path: Path) -> None:
    for number, part in enumerate(("../../evil", ".. .. evil", "a/b", "A_B", "a_b")):
        made.finish(made.search(str(number), None), 0, part=part)

    names = file_names(made.trials())
    built(made, tmp_path / "deep" / "out")

    assert len({name.lower() for name in names.values()}) == 5
    assert {path.name for path in tmp_path.iterdir()} == {"deep", "results.db"}
    assert {path.name for path in (tmp_path / "deep").iterdir()} == {"out"}


def test_empty_store_makes_a_page_that_says_so(made: StoreMaker, tmp_path: Path) -> None:
    page = built(made, tmp_path / "out")

    assert "The store holds no searches yet." in page.text
    assert "The store holds no trials yet." in page.text
    assert (tmp_path / "out" / "leaderboard.md").read_text() == "# Leaderboard\n\nThe store holds no trial yet.\n"


def test_a_confirmation_that_failed_is_among_the_failures(made: StoreMaker, tmp_path: Path) -> None:
    """It was nowhere; the means are of those that finished."""
    made.finish(made.search(), 0, valid_auc=0.8)
    confirming = made.search("s-confirm", kind="confirm", settings={"confirms": "s"})
    made.store.fail_trial(made.start(confirming, 0).id, "the loss is nan", 1.0)

    page = built(made, tmp_path / "out")

    assert "the loss is nan" in page.text
    assert "s-confirm,0,XR_HAND" in (tmp_path / "out" / "tables" / "failures.csv").read_text()


def test_failed_trials_only_make_a_page_with_their_reasons(made: StoreMaker, tmp_path: Path) -> None:
    search = made.search()
    for number in range(60):
        made.store.fail_trial(made.start(search, number).id, f"reason {number}", 1.0)

    page = built(made, tmp_path / "out")

    assert "No finished trial yet. Not ranked: 60 failed." in page.text
    assert "The first 50 of 60; all are in tables/failures.csv." in page.text
    assert len((tmp_path / "out" / "tables" / "failures.csv").read_text().splitlines()) == 61


def test_search_that_began_no_trial_makes_a_page_that_says_so(made: StoreMaker, tmp_path: Path) -> None:
    made.search("mine")

    page = built(made, tmp_path / "out")

    assert "No trial has begun yet." in page.text
    assert "The store holds no trials yet." in page.text


def test_one_trial_makes_a_page_that_compares_nothing(made: StoreMaker, tmp_path: Path) -> None:
    made.images("XR_HAND", {"train": [0, 1] * 20, "valid": [0, 1] * 20, "test": [0, 1] * 20})
    made.measure(made.search(), 0, 0.5)

    page = built(made, tmp_path / "out")

    assert "1 of 1 finished trials shown." in page.text
    assert "Fewer than two trials of any part have stored probabilities" in page.text
    for compared in ("could be best", "could truly be the best", "luck taken off", "rank_95", "the best 4 trials"):
        assert compared not in page.text


def test_running_search_is_told_as_such(made: StoreMaker, tmp_path: Path) -> None:
    search = made.search()
    made.start(search, 0)

    assert "1 trial is marked running" in built(made, tmp_path / "out").text
    made.finish(search, 1, valid_auc=0.8)
    text = built(made, tmp_path / "out").text
    assert "1 trial is marked running" in text
    assert "1 of 1 finished trials shown. Not ranked: 1 running." in text


def test_building_again_replaces_files_and_leaves_others(made: StoreMaker, tmp_path: Path) -> None:
    out = tmp_path / "out"
    built(made, out)
    (out / "mine.txt").write_text("keep")
    made.finish(made.search(), 0)

    assert "1 of 1 finished trials shown." in built(made, out).text
    assert (out / "mine.txt").read_text() == "keep"
    assert not list(out.rglob(".tmp-*"))


def test_out_that_is_a_file_ends_with_one_line_and_2(made: StoreMaker, command: Command, tmp_path: Path) -> None:
    (tmp_path / "out").write_text("mine")

    ended = command("build", "--out", tmp_path / "out", "--store", made.url)

    assert (ended.code, ended.err.count("\n")) == (2, 1)
    assert (tmp_path / "out").read_text() == "mine"


def test_absent_store_ends_with_2_and_makes_nothing(command: Command, tmp_path: Path) -> None:
    ended = command("build", "--out", tmp_path / "out", "--store", f"sqlite:///{tmp_path}/none.db")

    assert (ended.code, ended.err.count("\n")) == (2, 1)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("module", ["reports.build", "reports.leaderboard"])
def test_help_loads_neither_pandas_nor_matplotlib_nor_tensorflow(module: str) -> None:
    code = (
        f"import sys; from {module} import main\n"
        "try: main(['--help'])\n"
        "except SystemExit: pass\n"
        "print(sorted({'pandas', 'matplotlib', 'jinja2', 'tensorflow', 'keras'} & set(sys.modules)))"
    )

    ended = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)

    assert ended.stdout.splitlines()[-1] == "[]"
