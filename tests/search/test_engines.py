"""Every sampler and pruner of both engines on real radiographs; one code path trains for all."""

import importlib.util
import json
from pathlib import Path

import pytest

from search.engines import ENGINES, engine_module
from search.engines.optuna_engine import PRUNERS
from tests.search.conftest import Searcher

CASES = [(engine, sampler, "none") for engine in ENGINES for sampler in engine_module(engine).SAMPLERS]
CASES += [("optuna", "tpe", pruner) for pruner in PRUNERS if pruner != "none"]


@pytest.fixture(scope="module")
def on_real(shared: Path, tmp_path_factory: pytest.TempPathFactory) -> Searcher:
    """Searches that share a folder, and so features."""
    return Searcher(tmp_path_factory.mktemp("real") / "one", shared / "radiographs" / "MURA-v1.1")


@pytest.mark.slow
@pytest.mark.parametrize(("engine", "sampler", "pruner"), CASES)
def test_twelve_trials_on_real_radiographs(
    on_real: Searcher,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    engine: str,
    sampler: str,
    pruner: str,
) -> None:
    if sampler == "gp" and importlib.util.find_spec("torch") is None:
        pytest.skip("--sampler gp needs torch")
    space = tmp_path / "space.toml"
    space.write_text('[all]\nfrozen = "all"\naugmentation = "no"\ncallbacks_patience = 20\n')
    more = ("--part", "XR_HAND", "--weights", "imagenet", "--image-size", 64, "--epochs", 6, "--trials", 12)
    more += ("--engine", engine, "--sampler", sampler, "--pruner", pruner, "--space", space)
    ended = on_real.here(capsys, *more, "--name", f"{engine}-{sampler}-{pruner}")
    assert ended.code == 0, ended.err
    own = [trial for trial in on_real.trials() if trial["search"] == ended.summary["search"]]
    states = [trial["state"] for trial in own]
    assert set(states) <= {"finished", "pruned"}
    assert states.count("finished") == ended.summary["finished"]
    assert [trial["trial"] for trial in own] == list(range(12))
    assert len({trial["config"] for trial in own if trial["continues"] is None}) == len(
        [trial for trial in own if trial["continues"] is None]
    )
    if pruner != "none":
        assert "pruned" in states
    for trial in own:
        assert (trial["test_auc"] is None) == (trial["state"] == "pruned")
        assert len(trial["history"]["val_auc"]) == trial["epochs_trained"]


def test_the_same_configuration_has_the_same_history_on_both_engines(
    searcher: Searcher, knowing: None, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    """A head and a tail, enqueued."""
    assert searcher.here(capsys, "--trials", 1, "--space", searcher.space(frozen="all")).code == 0
    head = json.loads(searcher.trials()[0]["config"])
    file = tmp_path / "both.json"
    file.write_text(json.dumps([head, {**head, "frozen": "below_last_block"}]))
    for engine, sampler in (("optuna", "tpe"), ("keras-tuner", "random"), ("keras-tuner", "bayesian")):
        name = ("--name", f"{engine}-{sampler}")
        more = ("--engine", engine, "--sampler", sampler, "--enqueue", file, "--trials", 2)
        assert searcher.here(capsys, *more, *name).code == 0
    trials = [trial for trial in searcher.trials() if trial["search"] != "XR_WRIST-optuna"]
    for number in (0, 1):
        first, *others = [trial for trial in trials if trial["trial"] == number]
        assert len(others) == 2
        for other in others:
            for column in ("config", "history", "valid_probabilities", "test_probabilities", "train_accuracy_eval"):
                assert other[column] == first[column]
