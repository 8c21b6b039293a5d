"""What a notebook does with a search: Keras Tuner's tuner, Optuna's study, Optuna's dashboard."""

import json
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import optuna
import pytest

from plumbing.errors import UsageError
from tests.search.conftest import Searcher

HEADS = {"frozen": "all", "units": 0, "augmentation": "no"}


@pytest.fixture(autouse=True)
def quick(knowing: None) -> None:
    """Every search here knows its backbone."""


@pytest.mark.parametrize("sampler", ["random", "hyperband"])
def test_keras_tuner_reads_a_search_in_a_notebook(
    searcher: Searcher, capsys: pytest.CaptureFixture[str], sampler: str
) -> None:
    fixed = searcher.space(**HEADS)
    more = ("--engine", "keras-tuner", "--sampler", sampler, "--trials", 6, "--space", fixed, "--keep-models", 2)
    summary = searcher.here(capsys, *more).summary

    from search.engines.keras_tuner_project import open_tuner

    tuner = open_tuner("XR_WRIST-keras-tuner", searcher.runs)
    tuner.reload()
    tuner.results_summary()
    assert f"Score: {summary['best_value']}" in capsys.readouterr().out
    assert tuner.get_best_hyperparameters()[0].get("frozen") == "all"
    model = tuner.get_best_models(1)[0]
    grey = np.zeros((3, 32, 32, 1), np.float32)
    assert model.predict(grey, verbose=0).shape == (3, 1)
    with pytest.raises(UsageError, match=r"is not kept; give search\.run a larger --keep-models"):
        tuner.get_best_models(6)
    with pytest.raises(UsageError, match="searching goes on with the command"):
        tuner.run_trial(None)


def test_the_best_model_of_the_tuner_gives_the_stored_probabilities(
    searcher: Searcher, capsys: pytest.CaptureFixture[str]
) -> None:
    searcher.here(capsys, "--engine", "keras-tuner", "--sampler", "random", "--space", searcher.space(**HEADS))
    from PIL import Image

    from search.engines.keras_tuner_project import open_tuner

    tuner = open_tuner("XR_WRIST-keras-tuner", searcher.runs)
    best = int(tuner.oracle.get_best_trials()[0].trial_id)
    stored = next(trial for trial in searcher.trials() if trial["trial"] == best)
    paths = sorted((searcher.data / "valid" / "XR_WRIST").rglob("*.png"))
    images = [Image.open(path).convert("L").resize((32, 32), Image.Resampling.BILINEAR) for path in paths]
    found = tuner.get_best_models()[0].predict(np.stack([np.asarray(each) for each in images])[..., None], verbose=0)
    assert sorted(found[:, 0]) == pytest.approx(sorted(each[0] for each in stored["test_probabilities"]), abs=0.02)


def test_a_notebook_without_such_a_search_is_told(tmp_path: Path) -> None:
    from search.engines.keras_tuner_project import open_tuner

    with pytest.raises(UsageError, match="no search of Keras Tuner with an ended trial"):
        open_tuner("none", tmp_path)


@pytest.fixture
def pruned(searcher: Searcher, capsys: pytest.CaptureFixture[str]) -> Searcher:
    """A search of twelve trials with a pruner."""
    more = ("--trials", 12, "--epochs", 6, "--pruner", "median", "--space", searcher.space(**HEADS))
    assert searcher.here(capsys, *more).code == 0
    return searcher


@pytest.mark.filterwarnings("ignore::optuna.exceptions.ExperimentalWarning", "ignore:Target and region quantiles")
def test_optuna_loads_the_study_and_ranks_its_parameters(pruned: Searcher) -> None:
    import matplotlib.pyplot as plt

    storage = optuna.storages.RDBStorage(pruned.store)
    study = optuna.load_study(study_name="XR_WRIST-optuna", storage=storage)
    assert len(study.trials) == 12
    axes = optuna.visualization.matplotlib.plot_param_importances(study)
    assert "lr" in [label.get_text() for label in axes.get_yticklabels()]
    plt.close("all")
    storage.engine.dispose()


@contextmanager
def dashboard(store: str) -> Iterator[str]:
    """optuna-dashboard, started for real; its address."""
    port = 18080
    command = [str(Path(sys.executable).with_name("optuna-dashboard")), store, "--port", str(port)]
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as process:
        try:
            yield f"http://127.0.0.1:{port}"
        finally:
            process.terminate()


def fetched(address: str) -> Any:
    """What the address gives, once the server answers."""
    for _ in range(300):
        try:
            with urllib.request.urlopen(address) as answer:
                return answer.read().decode()
        except ConnectionError:
            time.sleep(0.1)
        except urllib.error.URLError as error:
            if not isinstance(error.reason, ConnectionError):
                raise
            time.sleep(0.1)
    raise AssertionError(f"{address} did not answer")


@pytest.mark.slow
def test_optuna_dashboard_serves_the_store(pruned: Searcher) -> None:
    states = [trial["state"] for trial in pruned.trials()]
    with dashboard(pruned.store) as address:
        assert "Optuna Dashboard" in fetched(f"{address}/dashboard/")
        (study,) = json.loads(fetched(f"{address}/api/studies"))["study_summaries"]
        assert study["study_name"] == "XR_WRIST-optuna"
        trials = json.loads(fetched(f"{address}/api/studies/{study['study_id']}"))["trials"]
    assert [trial["state"] for trial in trials] == [
        {"finished": "Complete", "pruned": "Pruned"}[state] for state in states
    ]
    assert len(trials) == 12
