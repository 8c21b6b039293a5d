"""A search killed at any instant resumes to the trials of one left alone."""

import random
import shutil
import signal
import subprocess
import time
from collections.abc import Callable
from functools import cache
from pathlib import Path

import optuna
import pytest

from search.engines.keras_tuner_engine import SAMPLERS
from tests.search.conftest import Ended, Searcher, killed
from tests.search.kills import INTERRUPTED_IN_EPOCH_2, KILL, after_epoch, before_commit, before_telling

# Trials 0 and 1 are a first batch, 2 and 3 a second.
MOMENTS = {
    "before the first batch is stored": KILL
    + """
import results.claims as c
c.store_running = lambda connection, search, new: die()
""",
    "before the second batch is stored": KILL
    + """
import results.claims as c
start = c.store_running
c.store_running = lambda db, i, new: die() if any(each.number == 2 for each in new) else start(db, i, new)
""",
    "between claim and training": KILL
    + """
import search.workers.worker as w
take = w.Worker.take
w.Worker.take = lambda self, wish: (take(self, wish), die() if 2 in wish.numbers else None)[0]
""",
    "during extraction": KILL
    + """
import features.chunks as c
write, count = c.ChunkedFile.write, iter(range(99))
c.ChunkedFile.write = lambda self, chunk, values: die() if next(count) == 3 else write(self, chunk, values)
""",
    "in epoch 2": after_epoch("self.done == 2 and e == 1"),
    "between model and commit": before_commit(2),
    "with one trial of a batch committed": before_commit(3),
    "between commit and engine": before_telling("optuna_engine", "OptunaEngine", 2),
    "in the middle of telling a batch": before_telling("optuna_engine", "OptunaEngine", 3),
    "in the middle of saving a study": KILL
    + """
import optuna
add, count = optuna.Study.add_trial, iter(range(99))
def once(self, trial):
    if type(self._storage).__name__ != "InMemoryStorage" and next(count) == 1:
        die()
    add(self, trial)
optuna.Study.add_trial = once
""",
}


# Dies while ONNX Runtime is compared with Keras, features being there already.
IN_COMPARISON = (
    KILL
    + """
import os, time
from pathlib import Path
import features.frozen as f
def checked(draft, grey):
    for _ in range(6000):
        if any(path.stat().st_size for path in Path(os.environ["RUNS"]).rglob("*.f32.sums")):
            die()
        time.sleep(0.01)
    raise AssertionError("no features were written")
f.checked = checked
"""
)


@pytest.fixture(autouse=True)
def quick(knowing: None) -> None:
    """Every search here knows its backbone."""


# Heads train side by side, tails one after another.
TAILS_TOO = ("in epoch 2", "between model and commit", "in the middle of telling a batch")
CHOSEN = [(moment, "all") for moment in MOMENTS] + [(moment, "below_last_block") for moment in TAILS_TOO]


def batches(searcher: Searcher, frozen: str) -> tuple[object, ...]:
    fixed = searcher.space(frozen=frozen, optimizer="adam", units=0)
    return ("--trials", 4, "--batch-trials", 2, "--epochs", 2, "--space", fixed)


@pytest.fixture(scope="module")
def undisturbed(
    small_data: Path, known_backbones: Path, tmp_path_factory: pytest.TempPathFactory
) -> Callable[[str], Searcher]:
    """A search that was left alone, run once for each cut."""

    @cache
    def run(frozen: str) -> Searcher:
        alone = Searcher(tmp_path_factory.mktemp("undisturbed") / "one", small_data)
        alone.know(known_backbones)
        assert alone.apart(*batches(alone, frozen)).code == 0
        return alone

    return run


@pytest.mark.slow
@pytest.mark.parametrize(("moment", "frozen"), CHOSEN)
def test_invariant_4_a_search_killed_at_a_chosen_instant_resumes_to_the_same_trials(
    searcher: Searcher,
    undisturbed: Callable[[str], Searcher],
    capsys: pytest.CaptureFixture[str],
    moment: str,
    frozen: str,
) -> None:
    other, more = undisturbed(frozen), batches(searcher, frozen)

    assert killed(searcher.apart(*more, before=MOMENTS[moment]))
    assert searcher.here(capsys, *more).code == 0

    assert searcher.trials() == other.trials()
    assert searcher.leaderboard(capsys) == other.leaderboard(capsys)
    assert studies(searcher) == studies(other)
    assert searcher.models() == other.models()


@pytest.mark.slow
def test_a_search_killed_before_its_first_features_were_found_to_hold_resumes_to_the_same_trials(
    searcher: Searcher,
    undisturbed: Callable[[str], Searcher],
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    shutil.rmtree(searcher.runs / "backbones")
    monkeypatch.setenv("RUNS", str(searcher.runs))
    more = batches(searcher, "all")

    assert killed(searcher.apart(*more, before=IN_COMPARISON))
    assert any((searcher.runs / "features").rglob("*.f32"))
    assert not any((searcher.runs / "backbones").rglob("record.json"))
    assert searcher.here(capsys, *more).code == 0

    assert searcher.trials() == undisturbed("all").trials()
    assert searcher.models() == undisturbed("all").models()


def studies(searcher: Searcher) -> list[tuple[object, ...]]:
    """Every trial of the study in the store, times left out."""
    storage = optuna.storages.RDBStorage(searcher.store)
    try:
        found = optuna.load_study(study_name="XR_WRIST-optuna", storage=storage).trials
    finally:
        storage.engine.dispose()
    return [(each.number, each.state, each.values, each.params, each.intermediate_values) for each in found]


def _await_trials(process: "subprocess.Popen[str]", count: int) -> None:
    """Wait until the process has told of that many ended trials."""
    assert process.stderr is not None
    for line in process.stderr:
        count -= line.startswith("trial ")
        if count == 0:
            return


KILLED = [
    ("optuna", "tpe", "sqlite"),
    *(("keras-tuner", sampler, "sqlite") for sampler in SAMPLERS),
    ("optuna", "tpe", "postgresql"),
    ("keras-tuner", "hyperband", "postgresql"),  # whose promotions go on from other trials
]


@pytest.mark.slow
@pytest.mark.parametrize(("engine", "sampler", "database"), KILLED)
def test_invariant_4_a_search_killed_at_five_random_instants_resumes_to_the_same_trials(
    request: pytest.FixtureRequest,
    searcher: Searcher,
    other: Searcher,
    capsys: pytest.CaptureFixture[str],
    engine: str,
    sampler: str,
    database: str,
) -> None:
    """TPE and the Bayesian oracle draw at random for their first ten trials: fourteen trials reach beyond."""
    if database == "postgresql":
        searcher.store = request.getfixturevalue("postgres_url")
    more = ("--trials", 14, "--architecture", "base_cnn", "--epochs", 3, "--batch-trials", 3)
    more += ("--engine", engine, "--sampler", sampler, "--name", "killed")
    fixed = {"blocks": 2, "filters_1": 16, "filters_2": 16, "optimizer": "adam", "label_smoothing": 0.0}
    more += ("--space", searcher.space(**fixed, weight_decay=0.0, conv_dropout=0.3, class_weights="none"))
    assert other.here(capsys, *more).code == 0

    instants = random.Random(5)
    for _ in range(5):
        with searcher.process(*more) as process:
            _await_trials(process, instants.randint(1, 2))
            time.sleep(instants.uniform(0, 0.3))  # anywhere in the next trials
            process.send_signal(signal.SIGKILL)
        assert process.returncode == -signal.SIGKILL  # else this would prove nothing
    assert searcher.here(capsys, *more).code == 0

    assert searcher.trials() == other.trials()
    assert searcher.leaderboard(capsys) == other.leaderboard(capsys)
    if engine == "keras-tuner":
        assert project(searcher) == project(other)
    if sampler == "hyperband":
        assert any(trial["continues"] is not None for trial in other.trials())


def project(searcher: Searcher) -> dict[str, str]:
    """Every file of Keras Tuner's directory, but the one that says whose it is."""
    folder = searcher.runs / "keras_tuner" / "killed"
    files = [path for path in folder.rglob("*") if path.is_file() and path.name != "search.json"]
    return {str(path.relative_to(folder)): path.read_text() for path in files}


@pytest.mark.slow
def test_invariant_5_nothing_that_was_committed_is_trained_again(
    searcher: Searcher, capsys: pytest.CaptureFixture[str]
) -> None:
    more = ("--trials", 3, "--batch-trials", 3, "--epochs", 2, "--space", searcher.space(frozen="all"))
    assert killed(searcher.apart(*more, before=MOMENTS["between commit and engine"]))
    before = {trial["trial"]: trial for trial in searcher.trials()}
    assert [trial["state"] for trial in before.values()] == ["finished"] * 3

    resumed = searcher.here(capsys, *more)  # three trials in all: none is left to do

    assert resumed.summary["finished"] == 3
    assert "trial 2" not in resumed.err
    assert [state for _, state, *_ in studies(searcher)] == [optuna.trial.TrialState.COMPLETE] * 3
    assert {trial["trial"]: trial for trial in searcher.trials()} == before


@pytest.mark.slow
def test_running_trials_of_a_batch_are_visible_after_a_kill_and_have_no_result(searcher: Searcher) -> None:
    assert killed(searcher.apart(*batches(searcher, "all"), before=MOMENTS["in epoch 2"]))
    states = [trial["state"] for trial in searcher.trials()]
    assert states == ["finished", "finished", "running", "running"]
    assert searcher.trials()[2]["valid_auc"] is None


@pytest.mark.slow
def test_temporary_files_of_a_killed_search_are_removed_by_the_next(
    searcher: Searcher, capsys: pytest.CaptureFixture[str]
) -> None:
    half_saved = KILL + "import search.models as m\nm.ModelKeeper.save = lambda self, model, path: half(path)\n"
    half_saved += """
def half(path):
    from plumbing.files import atomic_path
    with atomic_path(path) as temporary:
        temporary.write_bytes(b"half a model")
        die()
"""
    assert killed(searcher.apart("--trials", 1, before=half_saved))
    assert list(searcher.runs.rglob(".tmp-*"))
    assert searcher.here(capsys, "--trials", 1).code == 0
    assert not list(searcher.runs.rglob(".tmp-*"))


@pytest.mark.slow
@pytest.mark.parametrize("frozen", ["all", "below_last_block"])
def test_interrupt_exits_with_130_and_the_command_that_resumes(searcher: Searcher, frozen: str) -> None:
    ended = searcher.apart("--space", searcher.space(frozen=frozen), before=INTERRUPTED_IN_EPOCH_2)
    assert ended.code == 130
    (line,) = ended.err.splitlines()
    assert line.startswith("search.run: interrupted; resume with: python -m search.run --part XR_WRIST")


@pytest.mark.slow
def test_interrupt_ends_a_search_that_is_deep_in_native_code(searcher: Searcher) -> None:
    """A hash of minutes stands for a TensorFlow step of minutes: Python's own handler does not run meanwhile."""
    busy = """
import hashlib, os, signal, threading
import search.loop
def run_trial(*arguments):
    threading.Timer(0.5, os.kill, (os.getpid(), signal.SIGINT)).start()
    hashlib.pbkdf2_hmac("sha256", b"native", b"code", 2_000_000_000)
search.loop.run_trial = run_trial
"""
    with searcher.process(before=busy) as process:
        try:
            _, err = process.communicate(timeout=120)  # the hash itself takes far longer
        finally:
            process.kill()
    assert process.returncode == 130
    (line,) = err.splitlines()
    assert line.startswith("search.run: interrupted; resume with: python -m search.run --part XR_WRIST")


def test_architectures_in_another_order_are_the_same_search(
    searcher: Searcher, other: Searcher, capsys: pytest.CaptureFixture[str]
) -> None:
    both = ("--architecture", "base_cnn"), ("--architecture", "efficientnet_lite0")
    quick = ("--epochs", 1)
    assert searcher.here(capsys, "--trials", 2, *quick, *both[0], *both[1]).code == 0
    assert searcher.here(capsys, "--trials", 3, *quick, *both[1], *both[0]).code == 0
    assert other.here(capsys, "--trials", 3, *quick, *both[0], *both[1]).code == 0
    assert searcher.trials() == other.trials()


def test_the_same_search_twice_at_once_is_refused(searcher: Searcher, capsys: pytest.CaptureFixture[str]) -> None:
    from search.models import folder_of, only_one

    with only_one("XR_WRIST-optuna", folder_of("XR_WRIST-optuna", searcher.store, searcher.runs)):
        ended = searcher.here(capsys)
    assert (ended.code, len(ended.err.splitlines())) == (2, 1)
    assert "is running in another process" in ended.err


@pytest.mark.slow
def test_two_searches_started_at_once_on_a_new_store_both_end_well(searcher: Searcher) -> None:
    quick = ("--trials", 1, "--epochs", 1)
    with searcher.process("--name", "a", *quick) as one, searcher.process("--name", "b", *quick) as two:
        errors = [one.communicate()[1], two.communicate()[1]]
    assert (one.returncode, two.returncode) == (0, 0), errors
    assert sorted(trial["search"] for trial in searcher.trials()) == ["a", "b"]


def test_searches_of_one_name_in_two_stores_keep_their_own_models(
    searcher: Searcher, capsys: pytest.CaptureFixture[str]
) -> None:
    searcher.here(capsys, "--trials", 1, "--epochs", 1)
    second = f"sqlite:///{searcher.folder / 'second.db'}"
    searcher.here(capsys, "--trials", 3, "--epochs", 1, "--keep-models", 1, "--store", second)
    assert len(list((searcher.runs / "models").rglob("*.keras"))) == 2


def test_an_optuna_study_of_somebody_else_is_left_alone(searcher: Searcher, capsys: pytest.CaptureFixture[str]) -> None:
    storage = optuna.storages.RDBStorage(searcher.store)
    theirs = optuna.create_study(storage=storage, study_name="XR_WRIST-optuna")
    theirs.add_trial(optuna.trial.create_trial(value=1.0))
    storage.engine.dispose()
    ended = searcher.here(capsys)
    assert (ended.code, len(ended.err.splitlines())) == (2, 1)
    assert "not ours" in ended.err
    assert searcher.trials() == []


def test_the_same_command_with_more_trials_goes_on(
    searcher: Searcher, other: Searcher, capsys: pytest.CaptureFixture[str]
) -> None:
    heads = ("--space", searcher.space(frozen="all"))
    assert searcher.here(capsys, "--trials", 2, *heads).summary["trials"] == 2
    first = searcher.trials()
    assert searcher.here(capsys, "--trials", 6, *heads).summary["trials"] == 6
    assert searcher.trials()[:2] == first
    assert other.here(capsys, "--trials", 6, *heads).code == 0
    assert searcher.trials() == other.trials()  # also where the first command ended within a batch


def test_a_changed_setting_is_named_and_nothing_is_touched(
    searcher: Searcher, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    searcher.here(capsys, "--trials", 1)
    before = (searcher.folder / "results.db").read_bytes()
    narrowed = tmp_path / "narrow.toml"
    narrowed.write_text("[all]\nlr = 0.001\n")
    for more, named in (
        (("--seed", 1), "seed 0, now 1"),
        (("--epochs", 4), "epochs 3, now 4"),
        (("--batch-trials", 3), "batch trials 4, now 3"),
        (("--sampler", "random"), "sampler tpe, now random"),
        (("--pruner", "median"), "pruner none, now median"),
        (("--engine", "keras-tuner", "--name", "XR_WRIST-optuna"), "engine optuna, now keras-tuner"),
        (("--space", narrowed), "other space"),
        (("--data", _other_data(searcher, tmp_path)), "other data"),
    ):
        ended: Ended = searcher.here(capsys, "--trials", 2, *more)
        assert ended.code == 2
        assert named in ended.err
        assert len(ended.err.splitlines()) == 1
    assert (searcher.folder / "results.db").read_bytes() == before


def _other_data(searcher: Searcher, tmp_path: Path) -> Path:
    """The same data set with one image changed."""
    import shutil

    copy = tmp_path / "changed"
    shutil.copytree(searcher.data, copy)
    changed = sorted((copy / "train" / "XR_WRIST").rglob("*.png"))
    changed[0].write_bytes(changed[-1].read_bytes())
    return copy
