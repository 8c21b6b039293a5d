"""Keras Tuner's directory of a search, RUNS/keras_tuner/NAME: made from ended trials, each file whole or absent.

    from search.engines.keras_tuner_project import open_tuner
    tuner = open_tuner("XR_ELBOW-keras-tuner")
    tuner.results_summary()
    model = tuner.get_best_models(1)[0]

Keras Tuner writes these files in place while a trial runs; here they show ended trials alone, so that a kill between
two of them leaves nothing running for ever. Models are not kept twice: those of the best trials are the search's own.
"""

import json
import shutil
from pathlib import Path
from typing import Any

from plumbing.errors import StoreError, UsageError
from plumbing.files import write_text_atomically
from search.engines import Request
from search.models import folder_of, model_path, models_of
from spaces.tensorflow_runtime import keras, keras_tuner

OWNER, ORACLE, TUNER = "search.json", "oracle.json", "tuner0.json"


class Project:
    """The directory, written from what an oracle knows when no trial is under way."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._oracle: str | None = None
        self._trials: dict[str, str] = {}
        self._written: set[str] = set()

    def claim(self, request: Request) -> None:
        """Take the directory for the search.

        Raises: StoreError where it belongs to another program, or to a search of that name in another store.
        """
        models = folder_of(request.name, request.url, request.folder).name
        owner = json.dumps({"models": models, "objective": request.objective})
        path = self.folder / OWNER
        if path.exists() and path.read_text() == owner:
            return
        if self.folder.exists() and any(self.folder.iterdir()):
            raise StoreError(f"{self.folder} is not of this search; move it away, or give another --name or --runs")
        write_text_atomically(path, owner)

    def snapshot(self, oracle: Any) -> None:
        """Note what the oracle knows now, no trial being under way."""
        state = oracle.get_state()
        state["tried_so_far"] = sorted(state["tried_so_far"])  # a set, whose order is another in each process
        self._oracle = json.dumps(state)
        for number in oracle.end_order[len(self._trials) :]:
            self._trials[number] = json.dumps(oracle.trials[number].get_state())

    def write(self) -> None:
        """Write what was noted, and remove trials that are not of this search.

        Raises: StoreError where the directory cannot be written.
        """
        if self._oracle is None:
            return
        try:
            for number, text in self._trials.items():
                if number not in self._written:
                    write_text_atomically(self.folder / f"trial_{number}" / "trial.json", text)
                    self._written.add(number)
            write_text_atomically(self.folder / ORACLE, self._oracle)
            write_text_atomically(self.folder / TUNER, "{}")
        except OSError as error:
            raise StoreError(f"{self.folder}: cannot be written: {error.strerror}; free it and resume") from None
        for left in self.folder.glob("trial_*"):
            if left.name.removeprefix("trial_") not in self._trials:
                shutil.rmtree(left)


class EndedTrials(keras_tuner().Oracle):  # type: ignore[misc]
    """What a directory holds, to look at: among equals the earlier trial first, as the search ranks them."""

    def reload(self) -> None:
        super().reload()
        self.trials: dict[str, Any] = dict(sorted(self.trials.items()))

    def get_best_trials(self, num_trials: int = 1) -> list[Any]:
        """The best completed trials; not those that another went on from, whose models are the same, further on."""
        completed = [trial for trial in self.trials.values() if trial.status == "COMPLETED"]
        continued = {trial.hyperparameters.values.get("tuner/trial_id") for trial in completed}
        left = [trial for trial in completed if trial.trial_id not in continued]
        return sorted(left, key=lambda trial: -float(trial.score))[:num_trials]


class SearchTuner(keras_tuner().Tuner):  # type: ignore[misc]
    """Keras Tuner's tuner on a search's directory, to look at and to load models from."""

    def __init__(self, oracle: Any, models: Path, **where: Any) -> None:
        self._models = models
        super().__init__(oracle=oracle, **where)

    def run_trial(self, trial: Any, *arguments: Any, **more: Any) -> Any:
        """Raises: UsageError: trials are run by the command alone, which stores them."""
        raise UsageError("searching goes on with the command, python -m search.run --engine keras-tuner, not from here")

    def load_model(self, trial: Any) -> Any:
        """The trial's whole Keras model, grey pixels in 0..255 to probabilities.

        Raises: UsageError where the model was not kept.
        """
        path = model_path(self._models, int(trial.trial_id))
        if not path.exists():
            raise UsageError(f"the model of trial {trial.trial_id} is not kept; give search.run a larger --keep-models")
        return keras().models.load_model(path)


def open_tuner(name: str, runs: str | Path = "runs") -> SearchTuner:
    """The tuner of a search, with all its ended trials, in a notebook.

    Raises: UsageError where there is no such directory.
    """
    folder = Path(runs) / "keras_tuner" / name
    if not (folder / TUNER).exists():
        raise UsageError(f"{folder}: no search of Keras Tuner with an ended trial; give its name and --runs folder")
    owner = json.loads((folder / OWNER).read_text())
    oracle = EndedTrials(keras_tuner().Objective(owner["objective"], "max"))
    models = models_of(Path(runs), owner["models"])
    return SearchTuner(oracle, models, directory=str(folder.parent), project_name=name)
