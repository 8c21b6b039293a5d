"""Keras Tuner's proposals: the same after any kill, nothing twice, and a directory that Keras Tuner itself reads."""

import json
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from plumbing.errors import StoreError, UsageError
from results.records import Trial
from search.engines.keras_tuner_engine import SAMPLERS, KerasTunerEngine, check
from search.engines.tried import key_of
from tests.search.conftest import REPOSITORY
from tests.search.proposing import EPOCHS, FEW, SMALL, SPACE, request_of, run, stored_trial

BY_SAMPLER = pytest.mark.parametrize("sampler", SAMPLERS)


@pytest.fixture(scope="module")
def pattern(tmp_path_factory: pytest.TempPathFactory) -> Trial:
    return stored_trial(tmp_path_factory.mktemp("pattern"))


def engine_of(folder: Path, sampler: str, **more: Any) -> KerasTunerEngine:
    space = FEW if sampler == "bayesian" else SPACE
    return KerasTunerEngine(request_of(folder, sampler, **({"space": space} | more)))


@BY_SAMPLER
@pytest.mark.parametrize("told", [3, 8, 13, 16])
def test_an_engine_told_again_what_ended_proposes_as_one_that_was_never_stopped(
    tmp_path: Path, pattern: Trial, sampler: str, told: int
) -> None:
    """Stopped before, within and after a batch; a failed trial among those that ended."""
    fails = {2, 9}
    whole = run(engine_of(tmp_path, sampler), pattern, 17, fails)
    assert len(whole) == 17
    again = run(engine_of(tmp_path, sampler), pattern, 17, fails, stored=whole[:told])
    assert again == whole


@BY_SAMPLER
def test_a_search_that_ended_within_a_batch_goes_on_as_if_it_had_not(
    tmp_path: Path, pattern: Trial, sampler: str
) -> None:
    whole = run(engine_of(tmp_path, sampler), pattern, 16)
    first = run(engine_of(tmp_path, sampler), pattern, 14)
    assert first == whole[:14]
    assert run(engine_of(tmp_path, sampler), pattern, 16, stored=first) == whole


def test_telling_the_bayesian_oracle_again_fits_no_gaussian_process(
    tmp_path: Path, pattern: Trial, monkeypatch: pytest.MonkeyPatch
) -> None:
    from sklearn.gaussian_process import GaussianProcessRegressor

    whole = run(engine_of(tmp_path, "bayesian"), pattern, 16)
    fits = []
    fit = GaussianProcessRegressor.fit
    monkeypatch.setattr(GaussianProcessRegressor, "fit", lambda self, x, y: fits.append(len(x)) or fit(self, x, y))
    assert run(engine_of(tmp_path, "bayesian"), pattern, 18, stored=whole)[:16] == whole
    assert fits == [16, 17]  # the new ones alone; those of the batch itself by a guess of their results


def test_the_bayesian_oracle_learns(tmp_path: Path, pattern: Trial) -> None:
    """The made-up objective is highest at a learning rate of 1e-3."""
    found = run(engine_of(tmp_path, "bayesian", batch_trials=1), pattern, 18)
    off = [abs(np.log10(float(each.configuration["lr"])) + 3) for each in found]
    assert np.mean(off[12:]) < np.mean(off[:10])


@pytest.mark.parametrize("sampler", ["random", "bayesian", "hyperband"])
def test_zero_is_a_seed_and_each_seed_has_its_own_trials(tmp_path: Path, pattern: Trial, sampler: str) -> None:
    zero, again, one = (run(engine_of(tmp_path, sampler, search_seed=seed), pattern, 6) for seed in (0, 0, 1))
    assert zero == again
    assert not {key_of(each.configuration) for each in zero} & {key_of(each.configuration) for each in one}


@BY_SAMPLER
def test_a_small_space_is_tried_whole_nothing_twice_and_then_ends(tmp_path: Path, pattern: Trial, sampler: str) -> None:
    found = run(engine_of(tmp_path, sampler, space=SMALL, batch_trials=2), pattern, 99)
    begun = [key_of(each.configuration) for each in found if each.continues is None]
    assert len(begun) == len(set(begun)) == 9
    assert EPOCHS in {each.epochs or EPOCHS for each in found}  # Hyperband promotes out of rounds that cannot fill


@pytest.mark.parametrize("sampler", ["random", "bayesian", "hyperband"])
def test_enqueued_configurations_go_first_and_are_not_proposed_again(
    tmp_path: Path, pattern: Trial, sampler: str
) -> None:
    """Twelve: more than a first round of Hyperband holds, so that promotions come between."""
    source = engine_of(tmp_path, "random", name="source", search_seed=99, space=FEW)
    enqueued = [each.configuration for each in run(source, pattern, 12)]
    found = run(engine_of(tmp_path, sampler, space=FEW, enqueued=enqueued), pattern, 20)
    begun = [key_of(each.configuration) for each in found if each.continues is None]
    assert begun[:12] == [key_of(each) for each in enqueued]
    assert len(begun) == len(set(begun))


@pytest.mark.parametrize("sampler", ["random", "bayesian", "hyperband"])
def test_what_is_not_allowed_is_never_proposed(tmp_path: Path, pattern: Trial, sampler: str) -> None:
    found = run(
        engine_of(tmp_path, sampler, space=SMALL, allowed=lambda configuration: configuration["a"] != 2), pattern, 99
    )
    assert {each.configuration["a"] for each in found} == {1, 3}
    assert len({key_of(each.configuration) for each in found}) == 6


# Hyperband


def test_hyperband_promotes_the_best_of_a_round_to_go_on_where_they_ended(tmp_path: Path, pattern: Trial) -> None:
    engine = engine_of(tmp_path, "hyperband")
    found = run(engine, pattern, 23)  # one whole Hyperband of nine epochs
    begun = [each for each in found if each.continues is None]
    promoted = [each for each in found if each.continues is not None]
    assert {each.epochs for each in begun} == {1, 3, 9}
    for each in promoted:
        parent = found[each.continues or 0]
        assert parent.configuration == each.configuration
        assert parent.resumable
        assert (parent.epochs, each.epochs) in {(1, 3), (3, 9)}
    assert all(each.resumable == (each.epochs != 9) for each in found)
    assert len({each.continues for each in promoted}) == len(promoted)


def test_checkpoints_are_kept_of_those_alone_that_may_still_be_promoted(tmp_path: Path, pattern: Trial) -> None:
    engine = engine_of(tmp_path, "hyperband", batch_trials=1)
    whole = run(engine_of(tmp_path, "hyperband", batch_trials=1), pattern, 30)
    for number in range(29):
        run(engine, pattern, number + 1)
        kept = engine.may_go_on()
        assert kept <= {each.number for each in whole[: number + 1] if each.resumable}
        following = {each.continues for each in whole[number + 1 :]} & set(range(number + 1))
        assert following - {None} <= kept
    assert kept < {each.number for each in whole if each.resumable}


def hyperband_of_keras_tuner(fails: set[int]) -> list[tuple[int, int]]:
    """Bracket and epochs of the trials that plain Keras Tuner runs in one Hyperband, nothing of ours in it."""
    import keras_tuner

    space = keras_tuner.HyperParameters()
    space.Float("lr", 1e-4, 1e-1, sampling="log")
    oracle = keras_tuner.oracles.HyperbandOracle(
        keras_tuner.Objective("val_auc", "max"), max_epochs=9, hyperparameters=space, seed=3
    )
    oracle.verbose, oracle.save, oracle._save_trial = 0, lambda: None, lambda trial: None
    found = []
    while (trial := oracle.create_trial("one")).status == "RUNNING":
        values = trial.hyperparameters.values
        found.append((values["tuner/bracket"], values["tuner/epochs"]))
        oracle.update_trial(trial.trial_id, {"val_auc": values["lr"]})
        trial.status = "FAILED" if len(found) - 1 in fails else "COMPLETED"
        oracle.end_trial(trial)
    return found


@pytest.mark.filterwarnings("ignore:(currentThread|getName)\\(\\) is deprecated:DeprecationWarning")
def test_one_failed_trial_costs_keras_tuners_own_hyperband_promotions_and_ours_none(
    tmp_path: Path, pattern: Trial
) -> None:
    undisturbed, failed = hyperband_of_keras_tuner(set()), hyperband_of_keras_tuner({0})
    assert len(failed) < len(undisturbed)  # the defect is still there; were it gone, our mend could go too
    ours, mended = (
        [each.epochs for each in run(engine_of(tmp_path, "hyperband", batch_trials=1), pattern, 23, fails)]
        for fails in ((), {0})
    )
    assert sorted(map(str, ours)) == sorted(map(str, mended))


# The directory


def plain_tuner(folder: Path, name: str) -> Any:
    """Keras Tuner's own tuner on the directory, with nothing of ours."""
    import keras_tuner

    class Look(keras_tuner.Tuner):  # type: ignore[misc]
        def run_trial(self, trial: Any) -> None:
            raise AssertionError

    oracle = keras_tuner.Oracle(keras_tuner.Objective("val_auc", "max"))
    return Look(oracle=oracle, directory=str(folder / "keras_tuner"), project_name=name)


@BY_SAMPLER
def test_the_directory_reloads_in_plain_keras_tuner_with_every_ended_trial(
    tmp_path: Path, pattern: Trial, sampler: str, capsys: pytest.CaptureFixture[str]
) -> None:
    engine = engine_of(tmp_path, sampler)
    found = run(engine, pattern, 9, fails={4})
    engine.propose(12, {})  # a batch is under way while the directory is written
    engine.save()
    tuner = plain_tuner(tmp_path, "one")
    tuner.reload()
    tuner.results_summary()
    assert "Score" in capsys.readouterr().out
    trials = [tuner.oracle.trials[f"{each.number:04d}"] for each in found]
    assert [trial.status for trial in trials].count("FAILED") == 1
    assert len(tuner.oracle.trials) == 9
    assert tuner.oracle.ongoing_trials == {}
    scores = [trial.score for trial in trials if trial.status == "COMPLETED"]
    assert tuner.oracle.get_best_trials()[0].score == max(scores)
    best = tuner.get_best_hyperparameters()[0]
    assert best.get("architecture") in ("efficientnet_lite0", "base_cnn", "few")


def test_a_kill_while_the_directory_is_written_leaves_what_keras_tuner_reads(tmp_path: Path, pattern: Trial) -> None:
    """Nine trials are told; the process dies at the fifth of the files."""
    code = """
import os, signal, sys
from pathlib import Path
import search.engines.keras_tuner_project as p
from search.engines.keras_tuner_engine import KerasTunerEngine
from tests.search.proposing import request_of, run, stored_trial
folder = Path(sys.argv[1])
engine = KerasTunerEngine(request_of(folder, "random"))
pattern = stored_trial(folder)
run(engine, pattern, 4)
engine.save()
run(engine, pattern, 12)
write, count = p.write_text_atomically, iter(range(99))
def dying(path, text):
    if next(count) == 5:
        os.kill(os.getpid(), signal.SIGKILL)
    write(path, text)
p.write_text_atomically = dying
engine.save()
"""
    ended = subprocess.run([sys.executable, "-c", code, str(tmp_path)], cwd=REPOSITORY, capture_output=True, text=True)
    assert ended.returncode == -signal.SIGKILL, ended.stderr
    tuner = plain_tuner(tmp_path, "one")
    tuner.reload()
    assert {"0000", "0003"} <= set(tuner.oracle.trials)
    engine = engine_of(tmp_path, "random")
    run(engine, pattern, 12)
    engine.save()
    tuner = plain_tuner(tmp_path, "one")
    assert sorted(tuner.oracle.trials) == [f"{number:04d}" for number in range(12)]


def test_a_directory_of_another_program_is_refused_and_left_alone(tmp_path: Path) -> None:
    theirs = tmp_path / "keras_tuner" / "one"
    theirs.mkdir(parents=True)
    (theirs / "oracle.json").write_text(json.dumps({"theirs": True}))
    with pytest.raises(StoreError, match="is not of this search"):
        engine_of(tmp_path, "random")
    assert [path.name for path in theirs.iterdir()] == ["oracle.json"]


def test_an_engine_told_of_fewer_trials_than_ended_leaves_the_directory_as_it_is(
    tmp_path: Path, pattern: Trial
) -> None:
    """A smaller --trials, or a resumed search that is still being told of its past."""
    first = engine_of(tmp_path, "random")
    run(first, pattern, 12)
    first.save()
    again = engine_of(tmp_path, "random", ended=12)
    run(again, pattern, 4)
    again.save()
    assert len(list((tmp_path / "keras_tuner" / "one").glob("trial_*"))) == 12


def test_trials_that_are_not_of_the_search_are_removed_from_its_directory(tmp_path: Path, pattern: Trial) -> None:
    engine = engine_of(tmp_path, "random")
    left = tmp_path / "keras_tuner" / "one" / "trial_0099"
    left.mkdir()
    run(engine, pattern, 4)
    engine.save()
    assert not left.exists()


@pytest.mark.parametrize(
    ("sampler", "pruner", "told"),
    [("tpe", "none", "--sampler tpe is not one of keras-tuner's"), ("random", "median", "Keras Tuner has no pruners")],
)
def test_what_does_not_go_together_is_refused(sampler: str, pruner: str, told: str) -> None:
    with pytest.raises(UsageError, match=told):
        check(sampler, pruner)
