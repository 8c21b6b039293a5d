"""The models of a search's best trials, kept below the runs folder; the others' are removed."""

import hashlib
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from plumbing.files import atomic_path
from results.records import FINISHED, Search, Trial
from results.store import Store


def best_trials(trials: Sequence[Trial], count: int) -> list[Trial]:
    """The best finished trials by objective, earlier ones first among equals."""
    finished = [trial for trial in trials if trial.state == FINISHED and trial.value is not None]
    return sorted(finished, key=lambda trial: (-_value(trial), trial.number))[:count]


def _value(trial: Trial) -> float:
    assert trial.value is not None
    return trial.value


class ModelKeeper:
    """Keeps the models of the best `count` trials of a search.

    The folder's name holds a digest of the search's settings, so that searches of one name in different stores that
    share a runs folder do not overwrite each other's models.
    """

    def __init__(self, store: Store, search: Search, runs: Path, count: int) -> None:
        settings = json.dumps(search.settings, sort_keys=True).encode()
        digest = hashlib.blake2b(settings, digest_size=4).hexdigest()
        self.folder = runs / "models" / f"{search.name}-{digest}"
        self.store, self.search, self.count = store, search, count

    def path_for(self, number: int, value: float) -> Path | None:
        """Where the model of a trial that ends now belongs, None where it is not among the best."""
        better = [
            trial for trial in best_trials(self.store.trials(self.search.id), self.count) if _value(trial) >= value
        ]
        return self.folder / f"{number:04d}.keras" if len(better) < self.count else None

    def save(self, model: Any, path: Path) -> None:
        """Raises: OSError where the folder cannot be written or the disk is full."""
        with atomic_path(path) as temporary:
            model.save(temporary)

    def tidy(self) -> None:
        """Remove the models of trials that are no longer, or never became, among the best."""
        trials = self.store.trials(self.search.id)
        best = {trial.number for trial in best_trials(trials, self.count)}
        for trial in trials:
            if trial.model_path is not None and trial.number not in best:
                self.store.forget_model(trial.id)
                Path(trial.model_path).unlink(missing_ok=True)
