"""A worker that must not join is refused in one line, and the search is unhurt."""

import io
import json
import shutil
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa

from plumbing.command import run_command
from plumbing.errors import UsageError
from results import schema
from results.records import FINISHED
from results.store import Store
from search.worker import main
from search.workers.joining import check_clock, code_digest
from tests.search.conftest import REPOSITORY, Ended, Searcher

Capsys = pytest.CaptureFixture[str]


@pytest.fixture
def join(searcher: Searcher, knowing: None, capsys: Capsys) -> Callable[..., Ended]:
    """Begin a search of one trial, ask for two more, and join it as a worker in this process."""
    ended = searcher.here(capsys, "--trials", 1, "--space", searcher.space(frozen="all"))
    assert ended.code == 0, ended.err

    def run(*more: object, change: dict[str, Any] | None = None, **options: object) -> Ended:
        with closing(Store.open(searcher.store)) as store:
            (search,) = store.searches()
            assert search.run is not None
            asked = {**search.run["options"], "trials": 3, **options}
            store.note_run(search.id, {**search.run, "options": asked, **(change or {})})
        given = {"--name": search.name, "--store": searcher.store, **dict(zip(more[::2], more[1::2], strict=True))}
        capsys.readouterr()
        code = run_command("search.worker", main, [str(part) for pair in given.items() for part in pair])
        output = capsys.readouterr()
        return Ended(code, output.out, output.err)

    return run


def trials(searcher: Searcher) -> list[str]:
    with closing(Store.open(searcher.store)) as store:
        return [trial.state for trial in store.trials()]


def refused(ended: Ended, searcher: Searcher) -> str:
    assert ended.code == 2, ended
    (line,) = ended.err.splitlines()
    assert trials(searcher) == [FINISHED]
    return line


def test_worker_that_joins_does_what_is_left(join: Callable[..., Ended], searcher: Searcher) -> None:
    with closing(Store.open(searcher.store)) as store:
        better = sa.update(schema.trials).values(value=0.98765)
        store.write(lambda connection: connection.execute(better))
    ended = join()
    assert ended.code == 0, ended.err
    assert trials(searcher) == [FINISHED] * 3
    assert ended.err.count("best 0.988") == 2  # another's, not its own
    *_, told, last = ended.out.splitlines()
    assert told == "search XR_WRIST-optuna has 3 of 3 trials; this worker ran 2"
    assert {name: json.loads(last)[name] for name in ("search", "trials", "finished", "ran")} == {
        "search": "XR_WRIST-optuna", "trials": 3, "finished": 3, "ran": 2,
    }  # fmt: skip


def test_search_of_no_such_name(join: Callable[..., Ended], searcher: Searcher) -> None:
    assert "--name other: the store has no such search" in refused(join("--name", "other"), searcher)


def test_other_data(join: Callable[..., Ended], searcher: Searcher, tmp_path: Path) -> None:
    data = shutil.copytree(searcher.data, tmp_path / "changed")
    one = next((data / "MURA-v1.1" if (data / "MURA-v1.1").is_dir() else data).rglob("XR_WRIST/*/*/image1.png"))
    one.write_bytes(next(data.rglob("XR_ELBOW/*/*/image1.png")).read_bytes())
    assert "was started with other data" in refused(join("--data", data), searcher)


def test_data_that_is_not_there(join: Callable[..., Ended], searcher: Searcher, tmp_path: Path) -> None:
    assert str(tmp_path / "none") in refused(join("--data", tmp_path / "none"), searcher)


def test_other_code(join: Callable[..., Ended], searcher: Searcher) -> None:
    line = refused(join(change={"code": "0123456789abcdef"}), searcher)
    assert f"runs with other code than this worker's (0123456789abcdef, here {code_digest()})" in line


def test_search_that_was_begun_before_workers_could_join(
    join: Callable[..., Ended], searcher: Searcher, capsys: Capsys
) -> None:
    with closing(Store.open(searcher.store)) as store:
        (search,) = store.searches()
        store.note_run(search.id, None)
    code = run_command("search.worker", main, ["--name", search.name, "--store", searcher.store])
    line = refused(Ended(code, "", capsys.readouterr().err), searcher)
    assert "no search that workers can join; start it once by search.run" in line


@pytest.mark.parametrize(
    "url", ["sqlite:////no/such/folder/results.db", "nonsense", "postgresql+psycopg://me:secret@127.0.0.1:1/x"]
)
def test_store_that_is_not_there(join: Callable[..., Ended], searcher: Searcher, url: str) -> None:
    line = refused(join("--store", url), searcher)
    assert "--store" in line
    assert "secret" not in line


def test_clock_that_is_hours_apart_from_the_databases(store_of_one: Store) -> None:
    check_clock(store_of_one)
    with pytest.raises(UsageError, match=r"this machine's clock is 3\.0 h ahead of the database's"):
        check_clock(store_of_one, time.time() + 3 * 3600)
    with pytest.raises(UsageError, match=r"2\.0 h behind the database's"):
        check_clock(store_of_one, time.time() - 2 * 3600)


@pytest.fixture
def store_of_one(url: str) -> Any:
    with closing(Store.open(url, create=True)) as store:
        yield store


SKEWED = """
import sys, time
true = time.time
time.time = lambda: true() + 5 * 3600
from plumbing.command import run_command
from search.worker import main
sys.exit(run_command("search.worker", main, sys.argv[1:]))
"""


@pytest.mark.slow
def test_worker_whose_clock_is_hours_ahead(join: Callable[..., Ended], searcher: Searcher) -> None:
    given = ["--name", "XR_WRIST-optuna", "--store", searcher.store]
    ended = subprocess.run(
        [sys.executable, "-c", SKEWED, *given], cwd=REPOSITORY, capture_output=True, text=True, check=False
    )
    line = refused(Ended(ended.returncode, ended.stdout, ended.stderr), searcher)
    assert "clock is 5.0 h ahead of the database's; set it right" in line


@pytest.mark.parametrize(
    ("option", "value", "told"),
    [
        ("--cpus", "99999", "'99999' are no cores to use"),
        ("--cpus", "one", "'one' are no cores to use"),
        ("--memory-gib", "0.01", "0.01 is not from 2 to 1e+06 GiB"),
        ("--memory-gib", "1e300", "1e300 is not from 2 to 1e+06 GiB"),
        ("--patience", "0", "0 is not above 0"),
    ],
)
def test_share_that_cannot_be(option: str, value: str, told: str, capsys: Capsys) -> None:
    assert run_command("search.worker", main, ["--name", "x", option, value]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert told in line


def test_standard_input_without_a_store(capsys: Capsys, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stdin", io.StringIO(""))
    assert run_command("search.worker", main, ["--name", "x", "--store", "-"]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert "standard input gave no URL" in line


def test_gpu_that_is_not_there(join: Callable[..., Ended], searcher: Searcher, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "0,2")
    assert "--gpu 7: no such GPU here; give 0 or 2" in refused(join("--gpu", 7), searcher)
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")
    assert "--gpu 0: no such GPU here; leave it out" in refused(join("--gpu", 0), searcher)
