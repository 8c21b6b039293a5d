"""A store in a temporary folder, commands run in this process, and trials to put in."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from importlib import import_module
from typing import Any

import numpy as np
import pytest

from plumbing.command import run_command
from results.records import Measure, NewSearch, NewTrial, Search, TrialResult
from results.store import Store


@dataclass(frozen=True)
class Ended:
    """How a command ended."""

    code: int
    out: str
    err: str


@pytest.fixture
def store(url: str) -> Iterator[Store]:
    opened = Store.open(url, create=True)
    yield opened
    opened.close()


@pytest.fixture
def command(url: str, capsys: pytest.CaptureFixture[str]) -> Callable[..., Ended]:
    """Run `python -m results.NAME ARGUMENTS --store URL` in this process."""

    def run(name: str, *arguments: object, store: str | None = url) -> Ended:
        given = [str(each) for each in arguments] + (["--store", store] if store else [])
        code = run_command(f"results.{name}", import_module(f"results.{name}").main, given)
        output = capsys.readouterr()
        return Ended(code, output.out, output.err)

    return run


@pytest.fixture
def search(store: Store) -> Search:
    new = NewSearch("hand", "search", "optuna", "abc123", task="XR_HAND", objective="val_auc", seed=0, data_hash="d1")
    return store.create_search(new)


@pytest.fixture(scope="session")
def new_trial() -> Callable[..., NewTrial]:
    def make(number: int, **changes: Any) -> NewTrial:
        values: dict[str, Any] = {
            "number": number,
            "part_body": "XR_HAND",
            "architecture": "densenet121",
            "name_code": "densenet121_deep_augment_2epochs",
            "model_name": f"hand-{number}",
            "configuration": {"lr": 1e-3, "callbacks_patience": 4, "augmentation": "deep", "frozen": "all"},
            "weights": "imagenet",
            "image_size": 224,
            "seed": 7,
            "fit_epochs": 2,
            "code_version": "abc123",
        }
        return NewTrial(**(values | changes))

    return make


@pytest.fixture(scope="session")
def result() -> Callable[..., TrialResult]:
    def make(value: float = 0.75, state: str = "finished") -> TrialResult:
        return TrialResult(
            state=state,
            value=value,
            history={"loss": [0.7, 0.6], "val_auc": [0.5, value]},
            best_epoch=1,
            early_stop_at_epoch=None,
            seconds=1.5,
            accuracies={"train": 70.0, "valid": 60.25, "test": 58.91},
            measures=(Measure("test", "study", "auc", 0.7, 0.6, 0.8),),
            probabilities={"valid": np.array([[0.25], [0.5]], np.float32)},
            model_path=None,
        )

    return make
