"""How far searches are, as the store tells it."""

import json
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
        for number, value in enumerate(values):
            trial = NewTrial(number, "XR_HAND", "net", "net", "m", {"lr": 0.1}, "random", 32, 0, 2, "0.1.0")
            begun = self.store.start_trial(search.id, trial)
            if value == "failed":
                self.store.fail_trial(begun.id, "reason", 60.0)
            elif value != "running":
                state, best = ("pruned", 0.99) if value == "pruned" else ("finished", float(value))
                result = TrialResult(state, best, {"val_auc": [best]}, 0, None, 60.0, {}, (), {}, None)
                self.store.finish_trial(begun.id, result)
        return search.id

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
        "trials_an_hour": 60.0, "seconds_left": 120.0, "workers": 0,
    }  # fmt: skip
    assert (confirming["search"], confirming["asked"], confirming["ended"]) == ("XR_HAND-optuna-confirm", None, 1)
    assert wrist == {
        "search": "XR_WRIST-optuna", "kind": None, "task": None, "engine": None, "objective": None,
        "asked": 3, "ended": 0, "finished": 0, "pruned": 0, "failed": 0, "running": 0, "best_value": None,
        "trial_seconds": 0.0, "last_trial_seconds": None, "last_ended": None,
        "trials_an_hour": None, "seconds_left": None, "workers": 0,
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


def test_an_empty_store_has_no_searches_yet(searches: Searches, command: Command) -> None:
    assert command().out == "no searches yet\n"
    assert document(command("--json"))["searches"] == []


def test_a_store_that_is_not_there_is_told_and_not_made(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    code = run_command("search.status", status.main, ["--store", f"sqlite:///{tmp_path}/no.db"])
    err = capsys.readouterr().err
    assert (code, err.count("\n")) == (2, 1)
    assert "no such store" in err
    assert not list(tmp_path.iterdir())


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


def watching(url: str, *more: str) -> "subprocess.Popen[str]":
    signals = "import signal\nsignal.signal(signal.SIGINT, signal.default_int_handler)\n"
    code = f"{signals}import sys\nfrom plumbing.command import run_command\nfrom search.status import main\n"
    code += "def told(arguments):\n    print('watching', file=sys.stderr, flush=True)\n    return main(arguments)\n"
    code += "sys.exit(run_command('search.status', told, sys.argv[1:]))"
    return subprocess.Popen(
        [sys.executable, "-c", code, "--watch", "--store", url, *more],
        cwd=REPOSITORY, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip


def test_watch_ends_when_all_is_done(searches: Searches, url: str) -> None:
    searches.add("hand", [0.5, "running"], asked=2)
    with watching(url) as process:
        await_line(process, "watching")
        result = TrialResult("finished", 0.75, {}, 0, None, 60.0, {}, (), {}, None)
        searches.store.finish_trial(2, result)
        out, err = process.communicate()
    assert (process.returncode, err) == (0, "")
    assert "0.7500" in out
    assert "1 of 1 searches done, 2 of 2 trials" in out


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
