"""The main job's command, on small drawn data."""

import importlib.util
import json
import re
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import optuna
import pytest
from onnx import numpy_helper

from features import records
from features.onnx_graph import to_onnx
from radiographs.synthetic import draw_dataset
from search.training.fitting import TrialFailed
from spaces import ARCHITECTURES
from spaces.network import initial_head
from tests.search.conftest import Searcher

Capsys = pytest.CaptureFixture[str]


def load_study(searcher: Searcher) -> list[Any]:
    """The trials of the search's study, as Optuna finds it in the store."""
    storage = optuna.storages.RDBStorage(searcher.store)
    try:
        return optuna.load_study(study_name="XR_WRIST-optuna", storage=storage).trials
    finally:
        storage.engine.dispose()


def data_counts(searcher: Searcher) -> dict[str, int]:
    """Split -> images."""
    from results.store import Store

    store = Store.open(searcher.store)
    try:
        counts: dict[str, int] = store.searches()[0].details["counts"]
        return counts
    finally:
        store.close()


def test_last_line_tells_how_the_search_ended(searcher: Searcher, capsys: Capsys) -> None:
    ended = searcher.here(capsys, "--trials", 2)
    assert ended.code == 0
    trials = searcher.trials()
    best = max(trials, key=lambda trial: max(trial["history"]["val_auc"]))
    expected = {"search": "XR_WRIST-optuna", "trials": 2, "finished": 2, "failed": 0, "best_trial": best["trial"]}
    assert ended.summary.items() >= expected.items()
    assert ended.summary["best_value"] == max(best["history"]["val_auc"])


def test_stored_trial_has_all_that_reports_need(searcher: Searcher, capsys: Capsys, knowing: None) -> None:
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


@pytest.mark.parametrize(("frozen", "trials"), [("all", 4), ("below_last_block", 1)])
def test_invariant_3_histories_are_equal_with_and_without_the_feature_cache(
    searcher: Searcher, other: Searcher, capsys: Capsys, knowing: None, frozen: str, trials: int
) -> None:
    more = ("--trials", trials, "--epochs", 2, "--space", searcher.space(frozen=frozen, augmentation=["light", "deep"]))
    searcher.here(capsys, *more)
    other.here(capsys, *more, flags=("--no-feature-cache",))
    assert searcher.trials() == other.trials()
    assert list((searcher.runs / "features").rglob("*.f32"))
    assert not (other.runs / "features").exists()


def test_invariant_4_another_search_before_changes_nothing(
    searcher: Searcher, other: Searcher, capsys: Capsys, knowing: None
) -> None:
    quick = ("--space", searcher.space(optimizer="adam", units=0), "--epochs", 2)
    searcher.here(capsys, "--name", "before", "--seed", 9, "--trials", 1, *quick)
    searcher.here(capsys, "--trials", 2, *quick)
    other.here(capsys, "--trials", 2, *quick)
    assert [trial for trial in searcher.trials() if trial["search"] != "before"] == other.trials()


@pytest.mark.parametrize("sampler", ["random", "qmc", "nsga2"])
def test_every_sampler_resumes_to_the_same_configurations(
    searcher: Searcher, other: Searcher, capsys: Capsys, sampler: str, knowing: None
) -> None:
    more = ("--sampler", sampler, "--epochs", 1, "--space", searcher.space(frozen="all"))
    searcher.here(capsys, "--trials", 2, *more)
    searcher.here(capsys, "--trials", 6, *more)
    other.here(capsys, "--trials", 6, *more)
    assert searcher.trials() == other.trials()
    assert len({trial["config"] for trial in searcher.trials()}) == 6


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


def test_preset_goes_first(searcher: Searcher, capsys: Capsys, knowing: None) -> None:
    searcher.here(capsys, "--trials", 4, "--enqueue", "published", "--epochs", 1)
    trials = searcher.trials()
    assert [trial["augmentation"] for trial in trials[:3]] == ["no", "light", "deep"]
    assert {(trial["lr"], trial["conv_dropout"]) for trial in trials[:3]} == {(0.001, 0.2)}
    assert trials[3]["lr"] != 0.001


def test_only_the_best_models_are_kept(searcher: Searcher, capsys: Capsys, knowing: None) -> None:
    searcher.here(capsys, "--trials", 6, "--keep-models", 2, "--space", searcher.space(frozen="all"))
    values = {trial["trial"]: max(trial["history"]["val_auc"]) for trial in searcher.trials()}
    best = sorted(values, key=lambda number: (-values[number], number))[:2]
    kept = sorted(int(path.stem) for path in (searcher.runs / "models").rglob("*.keras"))
    assert kept == sorted(best)
    assert len(set(values.values())) < len(values)  # equals among them, where earlier ones come first


def _failing(numbers: set[int], reason: str) -> Callable[..., Any]:
    """`run_trial` that fails where a fixed learning rate, the number of the trial, says so."""
    import search.loop

    real = search.loop.run_trial

    def run_trial(setting: Any, task: Any, *more: Any) -> Any:
        if round(task.configuration["lr"] * 1e4) in numbers:
            raise TrialFailed(reason)
        return real(setting, task, *more)

    return run_trial


@pytest.fixture
def numbered(searcher: Searcher, tmp_path: Path) -> tuple[object, ...]:
    """Options of a search whose trial n has the learning rate (n + 1) / 10,000."""
    fixed = {"frozen": "all", "units": 0, "augmentation": "no", "batch_size": 16, "optimizer": "adam"}
    fixed |= {"weight_decay": 0.0, "class_weights": "none", "callbacks_patience": 3}
    values = {"conv_dropout": 0.0, "label_smoothing": 0.0, **fixed}
    rates = [(number + 1) / 1e4 for number in range(9)]
    configurations = [{"architecture": "efficientnet_lite0", "lr": rate, **values} for rate in rates]
    file = tmp_path / "numbered.json"
    file.write_text(json.dumps(configurations))
    return ("--space", searcher.space(lr=rates, **values), "--enqueue", file)


def test_failed_trial_is_stored_with_its_reason_and_the_search_goes_on(
    searcher: Searcher, capsys: Capsys, monkeypatch: pytest.MonkeyPatch, knowing: None, numbered: tuple[object, ...]
) -> None:
    monkeypatch.setattr("search.loop.run_trial", _failing({2, 6}, "the loss is nan"))
    ended = searcher.here(capsys, "--trials", 6, *numbered)
    assert (ended.code, ended.summary["finished"], ended.summary["failed"]) == (0, 4, 2)
    assert "failed: the loss is nan" in ended.err
    states = ["finished", "failed", "finished", "finished", "finished", "failed"]
    assert [trial["state"] for trial in searcher.trials()] == states
    study = load_study(searcher)
    assert [trial.state.name for trial in study] == ["FAIL" if each == "failed" else "COMPLETE" for each in states]


@pytest.mark.parametrize("failing", [{1, 2, 3}, {2, 3, 4}, {3, 4, 5}])
def test_three_failures_in_a_row_for_one_reason_end_the_search(
    searcher: Searcher,
    capsys: Capsys,
    monkeypatch: pytest.MonkeyPatch,
    knowing: None,
    numbered: tuple[object, ...],
    failing: set[int],
) -> None:
    """In a row by number, wherever batches begin and end."""
    monkeypatch.setattr("search.loop.run_trial", _failing(failing, "out of memory: 7 bytes"))
    ended = searcher.here(capsys, "--trials", 9, *numbered)
    assert ended.code == 1
    assert ended.err.splitlines()[-1].startswith("search.run: 3 trials in a row failed for one reason: out of memory")
    assert len(searcher.trials()) <= 8


def test_a_search_that_failures_ended_goes_on_once_their_reason_is_gone(
    searcher: Searcher, capsys: Capsys, knowing: None, numbered: tuple[object, ...]
) -> None:
    more = ("--trials", 9, *numbered)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("search.loop.run_trial", _failing({2, 3, 4}, "out of memory: 7 bytes"))
        assert searcher.here(capsys, *more).code == 1
    ended = searcher.here(capsys, *more)
    assert ended.code == 0, ended.err
    assert (ended.summary["finished"], ended.summary["failed"]) == (6, 3)


@pytest.mark.parametrize("frozen", ["all", "below_last_block"])
def test_a_loss_that_is_no_number_fails_the_trial(
    searcher: Searcher, capsys: Capsys, knowing: None, frozen: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Weights that begin as no number stand for those that became so."""
    spoiled = lambda *arguments: [array * np.float32("nan") for array in initial_head(*arguments)]  # noqa: E731
    monkeypatch.setattr("search.training.heads.initial_head", spoiled)
    monkeypatch.setattr("search.training.tails.initial_head", spoiled)
    ended = searcher.here(capsys, "--trials", 1, "--space", searcher.space(frozen=frozen))
    assert (ended.code, ended.summary["failed"], ended.summary["best_trial"]) == (0, 1, None)
    assert "the loss is nan" in ended.err
    assert "no trial finished" in ended.out


def test_with_features_ready_a_frozen_search_imports_no_tensorflow_and_its_models_load(
    searcher: Searcher, capsys: Capsys, knowing: None
) -> None:
    """A process of its own, as this one has TensorFlow."""
    frozen = ("--space", searcher.space(frozen="all"), "--trials", 5)
    tell = "import atexit, sys\natexit.register(lambda: print(sorted({'tensorflow', 'keras'} & set(sys.modules))))\n"
    ended = searcher.apart(*frozen, before=tell)
    assert ended.code == 0, ended.err
    assert ended.out.splitlines()[-1] == "[]"
    from spaces.tensorflow_runtime import keras

    kept = sorted((searcher.runs / "models").rglob("*.keras"))
    assert len(kept) == 4
    for path in kept:
        model = keras().saving.load_model(path, safe_mode=True)
        assert model.output.shape == (None, 1)
        card = json.loads(zipfile.ZipFile(path).read("card.json"))
        assert (card["trial"], card["classes"]) == (int(path.stem), ["normal", "abnormal"])
        assert set(card["thresholds"]) == {"Youden", "sensitivity 0.90"}


def test_a_network_is_built_only_by_the_search_that_knows_nothing_of_it(searcher: Searcher, capsys: Capsys) -> None:
    frozen = ("--space", searcher.space(frozen="all"), "--epochs", 1)
    assert searcher.here(capsys, *frozen, "--trials", 1).code == 0
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("features.frozen.build_backbone", None)
        ended = searcher.here(capsys, *frozen, "--trials", 3)
    assert (ended.code, ended.summary["finished"]) == (0, 3)


def test_the_line_before_the_last_tells_what_the_cache_saved(searcher: Searcher, capsys: Capsys, knowing: None) -> None:
    frozen = ("--space", searcher.space(frozen="all", augmentation="no", callbacks_patience=20), "--epochs", 2)
    trials, images = 3, 0
    ended = searcher.here(capsys, *frozen, "--trials", trials)
    counts = data_counts(searcher)
    images = sum(counts.values())
    # A trial asks for train and valid to train, train in each epoch again, for all three at its end, and for train to
    # keep what its model, among the best four here, was trained on.
    served = trials * (3 * counts["train"] + counts["valid"] + images)
    told = f"features of {served:,} images were used, {images:,} passed the frozen layers ("
    assert ended.out.splitlines()[-2].startswith(told)
    again = searcher.here(capsys, *frozen, "--trials", trials + 1)
    told = f"features of {served // trials:,} images were used, 0 passed the frozen layers: the cache saved about "
    assert again.out.splitlines()[-2].startswith(told)
    nothing = searcher.here(capsys, *frozen, "--trials", trials + 1)
    assert nothing.out.splitlines()[-2] == "no features were used"


@pytest.mark.slow
def test_two_searches_started_together_from_nothing_extract_each_image_once(searcher: Searcher) -> None:
    frozen = ("--space", searcher.space(frozen="all", augmentation="no"), "--epochs", 2, "--trials", 2)
    stores = [f"sqlite:///{searcher.folder / name}.db" for name in ("one", "other")]
    processes = [searcher.process(*frozen, "--store", store) for store in stores]
    told = [process.communicate(timeout=300)[0] for process in processes]
    assert [process.returncode for process in processes] == [0, 0]
    searcher.store = stores[0]
    passed = [int(re.search(r"used, ([\d,]+) passed", each)[1].replace(",", "")) for each in told]  # type: ignore[index]
    assert sum(passed) == sum(data_counts(searcher).values())
    found = []
    for store in stores:
        searcher.store = store
        found.append(searcher.trials())
    assert found[0] == found[1]


def perturbed(network: Any, layers: list[str], count: int) -> bytes:
    """A graph whose kernels are off."""
    model = onnx.load_from_string(to_onnx(network, layers, count))
    for constant in model.graph.initializer:
        array = numpy_helper.to_array(constant)
        if array.ndim == 4 and array.size > 1:
            constant.CopyFrom(numpy_helper.from_array(array * np.float32(1.1), constant.name))
    content: bytes = model.SerializeToString()
    return content


@pytest.mark.slow
def test_where_onnx_runtime_disagrees_the_trials_are_those_that_keras_alone_gives(
    searcher: Searcher, other: Searcher, capsys: Capsys, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The heads of the first batch ask for features at several levels while the comparison goes on."""
    more = ("--space", searcher.space(frozen="all"), "--trials", 4, "--epochs", 2)
    monkeypatch.setattr(records, "to_onnx", perturbed)
    ended = searcher.here(capsys, *more)
    assert (ended.code, ended.summary["finished"]) == (0, 4)
    assert ended.err.count("Keras computes its features instead") == 1
    monkeypatch.setattr(records, "has_gpu", lambda: True)
    assert other.here(capsys, *more).code == 0
    assert searcher.trials() == other.trials()


@pytest.mark.slow
def test_a_cache_too_small_for_a_cut_gives_the_same_trials(
    searcher: Searcher, other: Searcher, capsys: Capsys, knowing: None
) -> None:
    space = searcher.space(frozen=["below_last_block", "all"], optimizer="adam", units=0)
    more = ("--trials", 4, "--epochs", 2, "--space", space)
    assert searcher.here(capsys, *more).code == 0
    # Pooled features take 5,120 bytes an image, maps 768 at 32 px: only these fit.
    counts = data_counts(searcher)
    images = 3 * 2 * counts["train"] + sum(counts.values())  # three levels of augmentation in two views
    least = 1000 * images / 2**30
    plan = other.here(capsys, *more, "--cache-gib", least, flags=("--explain",)).out
    assert plan.count("computed anew each time") == 1
    assert "frozen all: at most" in next(line for line in plan.splitlines() if "computed anew" in line)
    assert other.here(capsys, *more, "--cache-gib", least).code == 0
    assert searcher.trials() == other.trials()
    assert {path.stem for path in (searcher.runs / "features").rglob("*.f32")} == {"below_last_block", "all"}
    assert {path.stem for path in (other.runs / "features").rglob("*.f32")} == {"below_last_block"}


def test_synthetic_is_drawn_once_under_runs(
    searcher: Searcher, capsys: Capsys, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("search.plan.draw_with_progress_bar", lambda folder: draw_dataset(folder, 70))
    ended = searcher.here(capsys, "--data", "synthetic", "--trials", 1, "--epochs", 1)
    assert ended.code == 0
    assert (searcher.runs / "synthetic" / "MURA-v1.1" / "train").is_dir()
