"""The models of a search's best trials, kept below the runs folder; the others' are removed."""

import hashlib
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

from plumbing.errors import UsageError
from plumbing.files import atomic_path, locked_if_free
from results.claims import Claim
from results.connection import hide_password, sqlite_path
from results.records import FINISHED, RUNNING, Search, Trial
from results.store import Store


def best_trials(trials: Sequence[Trial], count: int) -> list[Trial]:
    """The best finished trials of a search by objective, earlier ones first among equals.

    A trial that another went on from is not among them: the other's model is the same training, further on.
    """
    continued = {trial.continues for trial in trials if trial.state == FINISHED}
    finished = [
        trial
        for trial in trials
        if trial.state == FINISHED and trial.value is not None and trial.number not in continued
    ]
    return sorted(finished, key=lambda trial: (-_value(trial), trial.number))[:count]


def better(best: float | None, trial: Trial) -> float | None:
    """The best value of finished trials, this one among them."""
    if trial.state != FINISHED or trial.value is None:
        return best
    return trial.value if best is None else max(best, trial.value)


def _value(trial: Trial) -> float:
    assert trial.value is not None
    return trial.value


def folder_of(name: str, store: str, runs: Path) -> Path:
    """Where a search's models are kept.

    The folder's name holds a digest of the store, so that searches of one name in different stores that share a runs
    folder keep apart.
    """
    database = sqlite_path(store)
    place = str(database.resolve()) if database else hide_password(store)
    digest = hashlib.blake2b(place.encode(), digest_size=4).hexdigest()
    return models_of(runs, f"{name}-{digest}")


def models_of(runs: Path, folder: str) -> Path:
    """The folder of that name among those of models."""
    return runs / "models" / folder


@contextmanager
def only_one(name: str, folder: Path) -> Iterator[None]:
    """Refuse a search that another process runs with the same store and runs folder.

    Raises: UsageError.
    """
    with locked_if_free(folder / "lock") as free:
        if not free:
            raise UsageError(
                f"search {name} is running in another process; wait for it, add to it by search.worker --name {name}, "
                "or give another --name"
            )
        yield


def model_path(folder: Path, number: int, attempt: int = 1) -> Path:
    """The file of a trial's model in a search's folder."""
    return folder / (f"{number:04d}.keras" if attempt == 1 else f"{number:04d}-{attempt}.keras")


class ModelKeeper:
    """Keeps the models of the best `count` trials of a search in its folder."""

    def __init__(self, store: Store, search: Search, folder: Path, count: int) -> None:
        self.store, self.search, self.folder, self.count = store, search, folder, count

    def path_for(self, claim: Claim, value: float) -> Path | None:
        """Where the model of a trial that ends now with that value belongs, None where it is not among the best.

        Where a worker that is only thought to be dead may still write the trial's file, this attempt has its own.
        """
        trial = claim.trial
        others = [other for other in self.store.trials(self.search.id) if other.number != trial.number]
        best = best_trials([*others, replace(trial, state=FINISHED, value=value)], self.count)
        if trial.number not in {each.number for each in best}:
            return None
        return model_path(self.folder, trial.number, claim.attempt if claim.shared else 1)

    def save(self, write: Callable[[Path], None], path: Path) -> None:
        """Raises: OSError where the folder cannot be written or the disk is full."""
        with atomic_path(path) as temporary:
            write(temporary)

    def lost(self) -> list[str]:
        """The files of kept models that are not there."""
        paths = [trial.model_path for trial in self.store.trials(self.search.id) if trial.model_path is not None]
        return [path for path in paths if not Path(path).exists()]

    def tidy(self) -> None:
        """Remove the models of trials that are no longer, or never became, among the best.

        The file of a trial under way stays: a worker may have written it, and be about to store its result.
        """
        files = list(self.folder.glob("[0-9]*.keras"))  # before the trials: none of one that is begun after
        trials = self.store.trials(self.search.id)
        best = {trial.number for trial in best_trials(trials, self.count)}
        for trial in trials:
            if trial.model_path is not None and trial.number not in best:
                self.store.forget_model(trial.id)
        under_way = {trial.number for trial in trials if trial.state == RUNNING}
        kept = {Path(trial.model_path).name for trial in trials if trial.model_path and trial.number in best}
        for path in files:
            if path.name not in kept and int(path.stem.partition("-")[0]) not in under_way:
                path.unlink(missing_ok=True)
