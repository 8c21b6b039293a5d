"""How far searches are, as the store tells it, and how their campaign ended them."""

import json
import os
import pty
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa

from plumbing.command import run_command
from results import claims, schema
from results.records import CONFIRM, SEARCH, NewSearch, NewTrial, TrialResult
from results.store import Store
from search import status
from search.campaigns.file import read_campaign
from search.campaigns.ledger import End, place_of, read_ledger
from search.campaigns.rows import Row, rows_of
from search.campaigns.seen import look_into
from search.campaigns.table import as_text
from tests.search.campaigning import Campaigner, await_line, eventually
from tests.search.conftest import REPOSITORY, Ended, Searcher

Command = Callable[..., Ended]


@dataclass(frozen=True)
class Searches:
    """A store and a short way to put searches into it."""

    store: Store
    url: str

    def add(self, name: str, values: list[float | str], asked: int | None = None, kind: str = SEARCH) -> int:
        """A search whose trials have these values, or states in their place; each took a minute; its id."""
        details = {} if asked is None else {"command": f"python -m search.run --part XR_HAND --trials {asked} --seed 0"}
        new = NewSearch(name, kind, "optuna", "0.1.0", task="XR_HAND", objective="val_auc", details=details)
        search = self.store.create_search(new)
        self.more(search.id, 0, values)
        return search.id

    def more(self, search_id: int, first: int, values: list[float | str]) -> None:
        """More trials of a search."""
        for number, value in enumerate(values, first):
            trial = NewTrial(number, "XR_HAND", "net", "net", "m", {"lr": 0.1}, "random", 32, 0, 2, "0.1.0")
            begun = self.store.start_trial(search_id, trial)
            if value == "failed":
                self.store.fail_trial(begun.id, "reason", 60.0)
            elif value != "running":
                state, best = ("pruned", 0.99) if value == "pruned" else ("finished", float(value))
                result = TrialResult(state, best, {"val_auc": [best]}, 0, None, 60.0, {}, (), {}, None)
                self.store.finish_trial(begun.id, result)

    def date(self, search_id: int, begun: str, ends: list[str]) -> None:
        """When its trials began, all at once, and ended."""
        table = schema.trials
        with self.store.engine.begin() as connection:
            own = sa.update(table).where(table.c.search_id == search_id)
            connection.execute(own.values(created=f"2026-01-{begun}+00:00"))
            for number, end in enumerate(ends):
                connection.execute(own.where(table.c.number == number).values(finished=f"2026-01-{end}+00:00"))


@pytest.fixture
def searches(url: str) -> Iterator[Searches]:
    store = Store.open(url, create=True)
    yield Searches(store, url)
    store.close()


@pytest.fixture
def command(url: str, capsys: pytest.CaptureFixture[str]) -> Command:
    def run(*arguments: object) -> Ended:
        capsys.readouterr()
        code = run_command("search.status", status.main, [*map(str, arguments), "--store", url])
        output = capsys.readouterr()
        return Ended(code, output.out, output.err)

    return run


def document(ended: Ended) -> dict[str, Any]:
    assert ended.code == 0, ended.err
    found: dict[str, Any] = json.loads(ended.out)
    return found


def test_counts_best_pace_and_time_left_come_from_the_store(searches: Searches, command: Command) -> None:
    search_id = searches.add("hand", [0.7, "failed", 0.8, "pruned", "running"], asked=10)
    searches.date(search_id, "01T00:00:00", ["01T00:15:00", "01T00:30:00", "01T00:45:00", "01T01:00:00"])
    ended = command()
    rows = [line.split("  ") for line in ended.out.splitlines()]
    assert [each.strip() for each in rows[1] if each] == [
        "hand", "4/10", "66 min", "0.8000", "5.45", "60.0 s", "0", "1", "1", "1", "2",
    ]  # fmt: skip
    assert rows[2] == ["0 of 1 searches done, 4 of 10 trials"]


def test_a_night_between_two_runs_is_no_slowness(searches: Searches, command: Command) -> None:
    search_id = searches.add("hand", [0.5, 0.6, 0.7], asked=4)
    searches.date(search_id, "01T00:00:00", ["01T00:01:00", "01T00:02:00", "02T00:00:00"])
    (row,) = document(command("--json"))["searches"]
    assert row["trials_an_hour"] == pytest.approx(3 * 3600 / (60 + 60 + 60 + 600))  # the minute that it took, and ten
    assert row["seconds_left"] == pytest.approx(260)


def test_the_document_tells_all_with_null_where_nothing_is_known(
    searches: Searches, command: Command, tmp_path: Path
) -> None:
    file = tmp_path / "night.toml"
    file.write_text("[defaults]\ntrials = 3\n[[search]]\npart = ['XR_HAND', 'XR_WRIST']\n")
    search_id = searches.add("XR_HAND-optuna", [0.5, "running"], asked=2)
    searches.date(search_id, "01T00:00:00", ["01T00:01:00"])
    searches.add("XR_HAND-optuna-confirm", [0.4], kind=CONFIRM)
    searches.add("another", [0.9], asked=1)

    found = document(command(file, "--json"))

    assert {key: value for key, value in found.items() if key != "searches"} == {
        "store": searches.store.engine.url.render_as_string(hide_password=True),
        "campaign": "night",
        "seconds_left": pytest.approx(2 * 60 + 3 * 60),
    }
    hand, confirming, wrist = found["searches"]
    assert hand == {
        "search": "XR_HAND-optuna", "kind": "search", "task": "XR_HAND", "engine": "optuna", "objective": "val_auc",
        "asked": 3, "ended": 1, "finished": 1, "pruned": 0, "failed": 0, "running": 1, "best_value": 0.5,
        "trial_seconds": 60.0, "last_trial_seconds": 60.0, "last_ended": "2026-01-01T00:01:00+00:00",
        "trials_an_hour": 60.0, "seconds_left": 120.0, "workers": 0, "stopped": None,
    }  # fmt: skip
    assert (confirming["search"], confirming["asked"], confirming["ended"]) == ("XR_HAND-optuna-confirm", None, 1)
    assert wrist == {
        "search": "XR_WRIST-optuna", "kind": None, "task": None, "engine": None, "objective": None,
        "asked": 3, "ended": 0, "finished": 0, "pruned": 0, "failed": 0, "running": 0, "best_value": None,
        "trial_seconds": 0.0, "last_trial_seconds": None, "last_ended": None,
        "trials_an_hour": None, "seconds_left": None, "workers": 0, "stopped": None,
    }  # fmt: skip


def test_trials_asked_for_are_those_of_the_last_command(searches: Searches, command: Command) -> None:
    search_id = searches.add("hand", [0.5, 0.6], asked=2)
    searches.store.note_run(search_id, {"options": {"trials": 8}, "code": "x"})
    searches.add("unknown", [0.5])
    rows = {row["search"]: row for row in document(command("--json"))["searches"]}
    assert (rows["hand"]["asked"], rows["unknown"]["asked"]) == (8, None)
    assert "1 so far" in command().out


def test_workers_that_live_are_counted(searches: Searches, command: Command) -> None:
    search_id = searches.add("hand", [0.5], asked=2)
    with searches.store.engine.begin() as connection:
        first, _ = (claims.join(connection, search_id) for _ in range(2))
        claims.leave(connection, first)
        silent = claims.join(connection, search_id, patience=-1.0)  # silent for longer already
    assert silent != first
    assert document(command("--json"))["searches"][0]["workers"] == 1


def test_a_campaign_of_which_nothing_was_begun_has_all_before_it(
    searches: Searches, command: Command, tmp_path: Path
) -> None:
    file = tmp_path / "night.toml"
    file.write_text("[budget]\ntrials = 5\n[defaults]\ntrials = 9\n[[search]]\npart = ['XR_HAND', 'XR_WRIST']\n")
    lines = command(file).out.splitlines()
    assert [line.split()[:2] for line in lines[1:3]] == [["XR_HAND-optuna", "0/3"], ["XR_WRIST-optuna", "0/2"]]
    assert lines[3] == "0 of 2 searches done, 0 of 5 trials"


@pytest.fixture
def night(searches: Searches, tmp_path: Path) -> Path:
    """A campaign's file; one of its searches has ended well with fewer trials than asked for, one failed."""
    file = tmp_path / "night.toml"
    parts = ["XR_HAND", "XR_WRIST", "XR_ELBOW"]
    file.write_text(f"runs = '{tmp_path}/runs'\n[defaults]\ntrials = 3\n[[search]]\npart = {parts}\n")
    search_id = searches.add("XR_HAND-optuna", [0.5], asked=3)
    searches.date(search_id, "01T00:00:00", ["01T00:01:00"])
    ledger = read_ledger(place_of(read_campaign(file), searches.url))
    ledger.note({"XR_HAND-optuna": End(3, 1), "XR_WRIST-optuna": End(3, 0, failed="no images of XR_WRIST")})
    return file


def test_no_time_is_counted_for_what_the_campaign_ended(night: Path, command: Command) -> None:
    found = document(command(night, "--json"))
    assert found["seconds_left"] == pytest.approx(3 * 60)  # of the third alone
    assert [(row["seconds_left"], row["stopped"]) for row in found["searches"]] == [
        (0.0, None), (0.0, "failed: no images of XR_WRIST"), (None, None),
    ]  # fmt: skip
    lines = command(night).out.splitlines()
    assert [line.split()[:3] for line in lines[1:4]] == [
        ["XR_HAND-optuna", "1/3", "done"], ["XR_WRIST-optuna", "0/3", "stopped"], ["XR_ELBOW-optuna", "0/3", "-"],
    ]  # fmt: skip
    assert lines[4:] == [
        "XR_WRIST-optuna: failed: no images of XR_WRIST",
        "1 of 3 searches done, 1 stopped, 1 of 9 trials, about 3 min left",
    ]


def test_more_trials_in_the_file_are_awaited_again(night: Path, command: Command) -> None:
    night.write_text(night.read_text().replace("trials = 3", "trials = 4"))
    assert command(night).out.splitlines()[-1] == "0 of 3 searches done, 1 of 12 trials, about 11 min left"


def test_a_search_that_somebody_goes_on_with_is_awaited_again(
    night: Path, searches: Searches, command: Command
) -> None:
    by_hand = searches.add("XR_WRIST-optuna", [], asked=3)
    assert command(night).out.splitlines()[2].split()[:3] == ["XR_WRIST-optuna", "0/3", "stopped"]
    worker = searches.store.write(lambda connection: claims.join(connection, by_hand))
    assert "stopped" not in command(night).out
    searches.store.write(lambda connection: claims.leave(connection, worker))
    assert "1 stopped" in command(night).out
    searches.more(by_hand, 0, [0.6, 0.7, 0.8])
    assert command(night).out.splitlines()[2].split()[:3] == ["XR_WRIST-optuna", "3/3", "done"]


def test_more_trials_than_the_file_asks_for_are_all_counted(night: Path, searches: Searches, command: Command) -> None:
    night.write_text(night.read_text().replace("trials = 3", "trials = 1"))
    searches.add("XR_ELBOW-optuna", [0.6, 0.7])
    assert command(night).out.splitlines()[-1].startswith("2 of 3 searches done, 3 of 4 trials")


def test_a_search_that_still_confirms_is_not_over(searches: Searches, url: str) -> None:
    searches.add("hand", [0.5], asked=1)
    confirming = searches.add("hand-confirm", [0.5], kind=CONFIRM)
    assert [row.is_over for row in rows_of(look_into(url), None, None)] == [True, True]
    searches.store.write(lambda connection: claims.join(connection, confirming))
    assert [row.is_over for row in rows_of(look_into(url), None, None)] == [True, False]


def test_a_store_whose_tables_are_being_made_has_no_searches_yet(
    night: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "new.db").touch()
    url = f"sqlite:///{tmp_path / 'new.db'}"
    read_ledger(place_of(read_campaign(night), url)).begin()
    assert run_command("search.status", status.main, [str(night), "--store", url]) == 0
    assert "0 of 3 searches done" in capsys.readouterr().out


def test_the_ends_are_read_where_the_campaign_was_told_to_leave_them(
    night: Path, command: Command, tmp_path: Path
) -> None:
    night.write_text(night.read_text().replace(f"{tmp_path}/runs", "elsewhere"))
    assert "stopped" not in command(night).out
    assert "1 stopped" in command(night, "--runs", tmp_path / "runs").out
    assert command("--runs", tmp_path).err == "search.status: --runs is a campaign's; give its file too\n"


@pytest.fixture
def rows(searches: Searches, night: Path) -> list[Row]:
    """Of a campaign whose names are long, one of them failed for a long reason."""
    more = "trials = 9\narchitecture = 'inception_v3'\nseed = [0, 1]"
    night.write_text(night.read_text().replace("trials = 3", more))
    campaign = read_campaign(night)
    searches.add(campaign.items[0].name, [0.5, "failed", "failed", "pruned", "running"], asked=9)
    ledger = read_ledger(place_of(campaign, searches.url))
    reason = "--data /somewhere: no images in the folder of the wrist" * 2
    ledger.note({campaign.items[1].name: End(9, 0, failed=reason)})
    return rows_of(look_into(searches.url), campaign, ledger)


@pytest.mark.parametrize("width", [60, 80, 140])
def test_a_narrow_terminal_loses_no_count_and_no_reason(rows: list[Row], width: int) -> None:
    text = as_text(rows, True, width)
    assert max(map(len, text.splitlines())) <= width
    for told in ("XR_H", "eed1", "4/9", "0.5000", "failed: "):
        assert told in text
    assert "0 of 6 searches done, 1 stopped, 4 of 54 trials" in text
    folded = "  workers 0, running 1, failed 2, pruned 1, finished 1\n" in text
    assert folded == (width < 100)
    assert " ".join(text.split()).count("of the wrist") == 2


def test_where_rows_outnumber_the_lines_those_under_way_are_shown(rows: list[Row]) -> None:
    text = as_text(rows, True, 200, 6)
    assert text.count("\n") < 5
    assert "under way; 0 of 6 searches done" in text


def test_an_empty_store_has_no_searches_yet(searches: Searches, command: Command) -> None:
    assert command().out == "no searches yet\n"
    assert document(command("--json"))["searches"] == []


def test_a_store_that_is_not_there_is_told_and_not_made(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    code = run_command("search.status", status.main, ["--store", f"sqlite:///{tmp_path}/no.db"])
    err = capsys.readouterr().err
    assert (code, err.count("\n")) == (2, 1)
    assert "no such store" in err
    assert not list(tmp_path.iterdir())


def test_a_campaign_that_was_not_begun_is_told_with_the_command_that_begins_it(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "night.toml"
    file.write_text("[defaults]\ntrials = 3\n[[search]]\npart = 'XR_HAND'\n")
    code = run_command("search.status", status.main, [str(file), "--store", f"sqlite:///{tmp_path}/no.db"])
    err = capsys.readouterr().err
    assert (code, err.count("\n")) == (2, 1)
    assert f"run python -m search.campaign {file}, or give the --store" in err
    assert list(tmp_path.iterdir()) == [file]


def test_nothing_is_left_where_all_is_done(searches: Searches, command: Command) -> None:
    searches.add("hand", [0.5], asked=1)
    assert document(command("--json"))["seconds_left"] == 0.0
    searches.add("wrist", [0.5], asked=2)
    assert document(command("--json"))["seconds_left"] is None  # they may run at the same time


def test_a_wrong_campaign_and_options_that_do_not_go_together_are_told(
    command: Command, searches: Searches, tmp_path: Path
) -> None:
    file = tmp_path / "night.toml"
    file.write_text("[[search]]\n")
    for arguments, told in (
        ((file,), f"search.status: {file}: [[search]] 1: no part; give it there or in [defaults]\n"),
        ((tmp_path / "no.toml",), f"search.status: {tmp_path}/no.toml: no such file; docs/campaign.toml is one\n"),
        (("--json", "--watch"), "search.status: --json is one document, and --watch is many; give one of them\n"),
    ):  # fmt: skip
        ended = command(*arguments)
        assert (ended.code, ended.err) == (2, told)


def test_status_loads_nothing_that_is_slow(searches: Searches, url: str) -> None:
    searches.add("hand", [0.5], asked=2)
    slow = ("tensorflow", "keras", "keras_tuner", "optuna", "pandas", "scipy", "sklearn", "matplotlib", "numba")
    code = "import sys\nfrom search.status import main\nmain(sys.argv[1:])\n"
    code += f"print([each for each in {slow} if each in sys.modules])"
    file = REPOSITORY / "docs" / "campaign.toml"
    for arguments in ([], [str(file)]):
        ended = subprocess.run(
            [sys.executable, "-c", code, *arguments, "--store", url],
            cwd=REPOSITORY, capture_output=True, text=True, check=True,
        )  # fmt: skip
        assert ended.stdout.splitlines()[-1] == "[]"


def watching(url: str, stdout: int = subprocess.PIPE, **environment: str) -> "subprocess.Popen[str]":
    signals = "import signal\nsignal.signal(signal.SIGINT, signal.default_int_handler)\n"
    code = f"{signals}import sys\nfrom plumbing.command import run_command\nfrom search.status import main\n"
    code += "def told(arguments):\n    print('watching', file=sys.stderr, flush=True)\n    return main(arguments)\n"
    code += "sys.exit(run_command('search.status', told, sys.argv[1:]))"
    return subprocess.Popen(
        [sys.executable, "-c", code, "--watch", "--store", url],
        cwd=REPOSITORY, env=os.environ | environment, stdout=stdout, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip


def finish(searches: Searches, trial: int) -> None:
    searches.store.finish_trial(trial, TrialResult("finished", 0.75, {}, 0, None, 60.0, {}, (), {}, None))


def test_watch_into_a_pipe_prints_each_change_at_once_and_ends_when_all_is_done(searches: Searches, url: str) -> None:
    searches.add("hand", [0.5, "running"], asked=2)
    with watching(url) as process:
        assert process.stdout is not None
        first = [process.stdout.readline() for _ in range(3)]
        finish(searches, 2)
        out, err = process.communicate()
    assert (process.returncode, err) == (0, "watching\n")
    assert first[2] == "0 of 1 searches done, 1 of 2 trials\n"
    assert out.startswith("\nsearch ")
    assert out.count("searches done") == 1
    assert "0.7500" in out
    assert out.endswith("1 of 1 searches done, 2 of 2 trials\n")


def test_watch_ends_quietly_where_nobody_reads_it_any_more(searches: Searches, url: str) -> None:
    searches.add("hand", [0.5, "running", "running"], asked=3)
    with watching(url) as process:
        assert process.stdout is not None
        process.stdout.readline()
        process.stdout.close()
        finish(searches, 2)
        assert process.wait(60) == 0
        assert process.stderr is not None
        assert process.stderr.read() == "watching\n"


def test_watch_in_a_narrow_terminal_shows_all_counts(searches: Searches, url: str) -> None:
    searches.add("hand-with-a-name-that-is-rather-long", [0.5, "failed"], asked=2)
    own, its = pty.openpty()
    with watching(url, its, COLUMNS="80", LINES="24", TERM="xterm") as process:
        os.close(its)
        assert process.wait(60) == 0
    shown = os.read(own, 2**16).decode()
    os.close(own)
    assert "workers 0, running 0, failed 1, pruned 0, finished 1" in shown


def test_watch_ends_by_interrupt(searches: Searches, url: str) -> None:
    searches.add("hand", ["running"], asked=2)
    with watching(url) as process:
        await_line(process, "watching")
        process.send_signal(signal.SIGINT)
        _, err = process.communicate()
    assert (process.returncode, err) == (130, "search.status: interrupted\n")


@pytest.mark.slow
def test_a_campaign_is_seen_from_another_process_while_it_runs(searcher: Searcher, knowing: None) -> None:
    campaign = Campaigner(searcher, '[[search]]\npart = "XR_WRIST"', trials=60)

    def seen() -> dict[str, Any]:
        command = [sys.executable, "-m", "search.status", str(campaign.file), "--json"]
        ended = subprocess.run(command, cwd=REPOSITORY, capture_output=True, text=True, check=True)
        (row,) = json.loads(ended.stdout)["searches"]
        found: dict[str, Any] = row
        return found

    with campaign.process() as process:
        await_line(process, "trial ")
        row = seen()
        process.send_signal(signal.SIGINT)
        process.communicate()
    assert process.returncode == 130
    assert (row["search"], row["asked"], row["workers"]) == ("XR_WRIST-efficientnet_lite0-optuna", 60, 1)
    assert 0 < row["ended"] < 60
    assert row["seconds_left"] > 0
    assert eventually(lambda: seen()["workers"] == 0)
