"""The main job's command, on small drawn data."""

import importlib.util
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import optuna
import pytest

from radiographs.synthetic import draw_dataset
from search.training.fitting import TrialFailed
from spaces import ARCHITECTURES
from tests.search.conftest import Searcher

Capsys = pytest.CaptureFixture[str]


def test_last_line_tells_how_the_search_ended(searcher: Searcher, capsys: Capsys) -> None:
    ended = searcher.here(capsys, "--trials", 2)
    assert ended.code == 0
    trials = searcher.trials()
    best = max(trials, key=lambda trial: max(trial["history"]["val_auc"]))
    expected = {"search": "XR_WRIST-optuna", "trials": 2, "finished": 2, "failed": 0, "best_trial": best["trial"]}
    assert ended.summary.items() >= expected.items()
    assert ended.summary["best_value"] == max(best["history"]["val_auc"])


def test_stored_trial_has_all_that_reports_need(searcher: Searcher, capsys: Capsys) -> None:
    searcher.here(capsys, "--trials", 1)
    (trial,) = searcher.trials()
    config = json.loads(trial["config"])
    assert trial["name_code"] == f"efficientnet_lite0_{config['augmentation']}_augment_3epochs"
    assert set(trial["history"]) == {"loss", "val_loss", "val_accuracy", "val_auc", "val_kappa"}
    assert trial["epochs_trained"] == 3
    assert 0 <= trial["test_auc_low"] <= trial["test_auc"] <= trial["test_auc_high"] <= 1
    assert all(0 <= trial[f"{split}_accuracy_eval"] <= 100 for split in ("train", "valid", "test"))


@pytest.mark.slow
@pytest.mark.parametrize("architecture", [each.name for each in ARCHITECTURES])
def test_each_architecture_completes_two_trials(
    searcher: Searcher, capsys: Capsys, architecture: str, tmp_path: Path
) -> None:
    size = max(32, next(each.least_size for each in ARCHITECTURES if each.name == architecture))
    more = ("--trials", 2, "--epochs", 1, "--image-size", size, "--architecture", architecture)
    ended = searcher.here(capsys, *more)
    assert (ended.code, ended.summary["finished"]) == (0, 2)


def test_14_class_task_stores_a_probability_for_each_class(searcher: Searcher, capsys: Capsys) -> None:
    ended = searcher.here(capsys, "--trials", 1, "--part", "all_parts", "--epochs", 1)
    assert ended.code == 0
    (trial,) = searcher.trials()
    assert {len(row) for row in trial["test_probabilities"]} == {14}
    assert sum(trial["test_probabilities"][0]) == pytest.approx(1, abs=1e-5)


def test_invariant_3_histories_are_equal_with_and_without_the_feature_cache(
    searcher: Searcher, other: Searcher, capsys: Capsys
) -> None:
    searcher.here(capsys)
    other.here(capsys, flags=("--no-feature-cache",))
    assert searcher.trials() == other.trials()
    assert list((searcher.runs / "features").rglob("*.npy"))
    assert not (other.runs / "features").exists()


def test_invariant_4_another_search_before_changes_nothing(searcher: Searcher, other: Searcher, capsys: Capsys) -> None:
    searcher.here(capsys, "--name", "before", "--seed", 9, "--trials", 1)
    searcher.here(capsys, "--trials", 2)
    other.here(capsys, "--trials", 2)
    assert [trial for trial in searcher.trials() if trial["search"] != "before"] == other.trials()


def test_optuna_opens_the_study_with_its_values_and_epochs(searcher: Searcher, capsys: Capsys) -> None:
    searcher.here(capsys, "--trials", 2)
    study = optuna.load_study(study_name="XR_WRIST-optuna", storage=searcher.store)
    for trial, stored in zip(study.trials, searcher.trials(), strict=True):
        assert trial.state == optuna.trial.TrialState.COMPLETE
        assert list(trial.intermediate_values.values()) == stored["history"]["val_auc"]
        assert trial.value == max(stored["history"]["val_auc"])
    study._storage.remove_session()


@pytest.mark.parametrize("sampler", ["random", "qmc", "nsga2"])
def test_every_sampler_resumes_to_the_same_configurations(
    searcher: Searcher, other: Searcher, capsys: Capsys, sampler: str
) -> None:
    more = ("--sampler", sampler, "--epochs", 1, "--architecture", "base_cnn")
    searcher.here(capsys, "--trials", 2, *more)
    searcher.here(capsys, "--trials", 4, *more)
    other.here(capsys, "--trials", 4, *more)
    assert searcher.trials() == other.trials()
    assert len({trial["config"] for trial in searcher.trials()}) == 4


@pytest.mark.skipif(importlib.util.find_spec("torch") is not None, reason="torch is installed, so gp works")
def test_gp_without_torch_says_what_to_install(searcher: Searcher, capsys: Capsys) -> None:
    ended = searcher.here(capsys, "--sampler", "gp")
    assert (ended.code, len(ended.err.splitlines())) == (2, 1)
    assert "pip install torch" in ended.err


def test_no_configuration_is_trained_twice_and_a_small_space_ends_the_search(
    searcher: Searcher, capsys: Capsys, tmp_path: Path
) -> None:
    space = tmp_path / "small.toml"
    fixed = (
        "conv_dropout = 0.2",
        "callbacks_patience = 3",
        'augmentation = "no"',
        'frozen = "all"',
        'optimizer = "adam"',
    )
    fixed += ("weight_decay = 0.0", "label_smoothing = 0.0", 'class_weights = "none"', "batch_size = 32", "units = 0")
    space.write_text("\n".join(["[all]", "lr = [0.001, 0.01, 0.0001]", *fixed]))
    ended = searcher.here(capsys, "--trials", 9, "--space", space, "--epochs", 1)
    assert ended.code == 0
    assert "every configuration of the space was tried" in ended.err
    assert sorted(trial["lr"] for trial in searcher.trials()) == [0.0001, 0.001, 0.01]


def test_preset_goes_first(searcher: Searcher, capsys: Capsys) -> None:
    searcher.here(capsys, "--trials", 4, "--enqueue", "published", "--epochs", 1)
    trials = searcher.trials()
    assert [trial["augmentation"] for trial in trials[:3]] == ["no", "light", "deep"]
    assert {(trial["lr"], trial["conv_dropout"]) for trial in trials[:3]} == {(0.001, 0.2)}
    assert trials[3]["lr"] != 0.001


def test_only_the_best_models_are_kept(searcher: Searcher, capsys: Capsys) -> None:
    searcher.here(capsys, "--trials", 4, "--keep-models", 2)
    values = {trial["trial"]: max(trial["history"]["val_auc"]) for trial in searcher.trials()}
    best = sorted(values, key=lambda number: (-values[number], number))[:2]
    kept = sorted(int(path.stem) for path in (searcher.runs / "models").rglob("*.keras"))
    assert kept == sorted(best)


def _failing(numbers: set[int], reason: str) -> Callable[..., Any]:
    """`run_trial` that fails for some trials."""
    import search.loop

    real, count = search.loop.run_trial, iter(range(100))

    def run_trial(*arguments: Any) -> Any:
        if next(count) in numbers:
            raise TrialFailed(reason)
        return real(*arguments)

    return run_trial


def test_failed_trial_is_stored_with_its_reason_and_the_search_goes_on(
    searcher: Searcher, capsys: Capsys, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("search.loop.run_trial", _failing({1}, "the loss is nan"))
    ended = searcher.here(capsys, "--trials", 3)
    assert (ended.code, ended.summary["finished"], ended.summary["failed"]) == (0, 2, 1)
    assert "failed: the loss is nan" in ended.err
    assert [trial["state"] for trial in searcher.trials()] == ["finished", "failed", "finished"]


def test_three_failures_in_a_row_for_one_reason_end_the_search(
    searcher: Searcher, capsys: Capsys, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("search.loop.run_trial", _failing({0, 1, 2}, "out of memory: 7 bytes"))
    ended = searcher.here(capsys, "--trials", 9)
    assert ended.code == 1
    assert ended.err.splitlines()[-1].startswith("search.run: 3 trials in a row failed for one reason: out of memory")
    assert len(searcher.trials()) == 3


def test_a_loss_that_is_no_number_fails_the_trial(searcher: Searcher, capsys: Capsys, tmp_path: Path) -> None:
    import search.training.fitting as fitting

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(fitting, "_epoch", lambda *arguments: float("nan"))
        ended = searcher.here(capsys, "--trials", 1)
    assert ended.summary["failed"] == 1
    assert "the loss is nan" in ended.err


def test_weights_that_end_as_no_number_fail_the_trial(
    searcher: Searcher, capsys: Capsys, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The last update of an epoch can spoil the weights after its loss was computed."""
    import search.training.fitting as fitting

    real = fitting.make_step

    def make_step(tail: Any, *rest: Any) -> Any:
        step = real(tail, *rest)

        def spoil(*batch: Any) -> Any:
            loss = step(*batch)
            tail.set_weights([array * float("nan") for array in tail.get_weights()])
            return loss

        return spoil

    monkeypatch.setattr(fitting, "make_step", make_step)
    ended = searcher.here(capsys, "--trials", 1, "--space", _big_batches(searcher))
    assert (ended.code, ended.summary["failed"]) == (0, 1)
    assert "output is not a number" in ended.err or "the loss is nan" in ended.err


def _big_batches(searcher: Searcher) -> Path:
    path = searcher.data.parent / "big.toml"
    path.write_text("[all]\nbatch_size = 64\n")
    return path


def test_explain_tells_the_plan_and_makes_nothing(searcher: Searcher, capsys: Capsys) -> None:
    ended = searcher.here(capsys, flags=("--explain",))
    assert ended.code == 0
    assert "frozen all: at most" in ended.out
    assert "lr: a number from 1e-05 to 0.01" in ended.out
    assert not searcher.folder.exists()


def test_synthetic_is_drawn_once_under_runs(
    searcher: Searcher, capsys: Capsys, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("search.plan.draw_with_progress_bar", lambda folder: draw_dataset(folder, 70))
    ended = searcher.here(capsys, "--data", "synthetic", "--trials", 1, "--epochs", 1)
    assert ended.code == 0
    assert (searcher.runs / "synthetic" / "MURA-v1.1" / "train").is_dir()
