"""Client processes that claim and finish trials as fast as a store lets them: ours and Optuna's own.

A trial of ours is a claim and a result, each one transaction: the trial's row, the claim; then 20 epochs of 5 metrics,
32 measures with intervals, the probabilities of 400 images. A trial of Optuna's is what `optuna.Study` writes for the
same: a new trial, 8 parameters, 20 intermediate values, the end; it keeps no measures and no probabilities.
"""

import multiprocessing
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from typing import Any, Protocol

import numpy as np
import optuna
from optuna.distributions import BaseDistribution, CategoricalDistribution, FloatDistribution
from optuna.storages import RDBStorage
from optuna.study import StudyDirection
from optuna.trial import TrialState

from results import claims
from results.evaluation import METRICS
from results.reading import Reading
from results.records import FINISHED, Measure, NewSearch, NewTrial, TrialResult
from results.store import Store
from results.turns import turn

SEARCH = "scale"
EPOCHS, IMAGES = 20, {"valid": 100, "test": 300}
HISTORY = ("loss", "accuracy", "val_loss", "val_accuracy", "val_auc")
READINGS = 15
TRIALS_A_BEAT = 10  # a beat is due every 15 seconds; here the trials are empty
PATIENCE = 120.0  # seconds that clients may take longer than they should
CONFIGURATION = {
    "architecture": "densenet121", "lr": 0.001, "augmentation": "deep", "conv_dropout": 0.3, "callbacks_patience": 6,
    "frozen": "all", "batch_size": 32, "units": 128,
}  # fmt: skip
PARAMETERS: dict[str, tuple[float, BaseDistribution]] = {
    **{name: (0.25, FloatDistribution(0, 1)) for name in ("lr", "conv_dropout", "weight_decay", "smoothing")},
    **{name: (1, CategoricalDistribution(("a", "b"))) for name in ("architecture", "augmentation", "frozen", "units")},
}  # fmt: skip


@dataclass
class Told:
    """What a client process did: trials that it finished, its own processor time, milliseconds of each operation."""

    trials: int = 0
    processor_seconds: float = 0.0
    milliseconds: dict[str, list[float]] = field(default_factory=dict)

    @contextmanager
    def timed(self, operation: str) -> Iterator[None]:
        """Note how long the block takes."""
        start = time.perf_counter()
        yield
        self.milliseconds.setdefault(operation, []).append(1e3 * (time.perf_counter() - start))


class Client(Protocol):
    """Works on one store."""

    def trial(self, told: Told) -> None:
        """Claim a trial, and end it where it was had; one that another was quicker at counts for nothing."""

    def close(self) -> None:
        """Give the connections back."""


class Ours:
    """A worker of our store, whose trials have numbers that no other asks for, as those of a batch have."""

    def __init__(self, url: str, place: int, width: int) -> None:
        self.store, self.next, self.width = Store.open(url), place, width
        search = self.store.search(SEARCH)
        assert search is not None
        self.search_id = search.id
        self.worker = self.store.write(lambda connection: claims.join(connection, self.search_id))
        self.done = 0

    def trial(self, told: Told) -> None:
        if claim := self._claim(told):
            with told.timed("finish"):
                self.store.finish_trial(claim.trial.id, RESULT, claim)
            told.trials += 1
        if self.done % TRIALS_A_BEAT == 0:
            with told.timed("sign of life"):
                self.store.write(lambda connection: claims.beat(connection, self.worker))
        self.done += 1

    def _claim(self, told: Told) -> claims.Claim | None:
        number, self.next = self.next, self.next + self.width
        with told.timed("claim"):
            return self.take(number)

    def take(self, number: int) -> claims.Claim | None:
        """Claim the trial of that number, stored as it is claimed; None where another was quicker."""
        wish = claims.Wish([number], [new_trial(number)])
        take = partial(claims.take, worker_id=self.worker, search_id=self.search_id, wish=wish)
        return next(iter(self.store.write(take)), None)

    def close(self) -> None:
        self.store.write(lambda connection: claims.leave(connection, self.worker))
        self.store.close()


class NextNumber(Ours):
    """Workers that all want the next number, as they do where each proposes for itself: they look, wait for their turn,
    look again, and claim."""

    first = 0

    def _claim(self, told: Told) -> claims.Claim | None:
        with told.timed("look"):
            self._next_number()
        start = time.perf_counter()
        with turn(self.store.engine, self.search_id):
            told.milliseconds.setdefault("wait for a turn", []).append(1e3 * (time.perf_counter() - start))
            return self._claim_next(told)

    def _next_number(self) -> int:
        seen = self.store.trials(self.search_id, first=self.first)
        running = [trial.number for trial in seen if trial.state != FINISHED]
        number = max((trial.number + 1 for trial in seen), default=self.first)
        self.first = min(running, default=number)
        return number

    def _claim_next(self, told: Told) -> claims.Claim | None:
        with told.timed("look"):
            number = self._next_number()
        start = time.perf_counter()
        claim = self.take(number)
        told.milliseconds.setdefault("claim" if claim else "claim lost", []).append(1e3 * (time.perf_counter() - start))
        return claim


class WithoutTurns(NextNumber):
    """The same, but nobody waits: one gets the number, the others looked and claimed for nothing."""

    def _claim(self, told: Told) -> claims.Claim | None:
        return self._claim_next(told)


class Optunas:
    """Optuna's own storage, asked as its study asks it."""

    def __init__(self, url: str, place: int, width: int) -> None:
        optuna.logging.set_verbosity(optuna.logging.ERROR)
        self.storage = RDBStorage(url, engine_kwargs={"pool_size": 1})
        self.study = self.storage.get_study_id_from_name(SEARCH)

    def trial(self, told: Told) -> None:
        with told.timed("claim"):
            trial = self.storage.create_new_trial(self.study)
        with told.timed("8 parameters"):
            for name, (value, distribution) in PARAMETERS.items():
                self.storage.set_trial_param(trial, name, value, distribution)
        with told.timed("20 epochs"):
            for epoch in range(EPOCHS):
                self.storage.set_trial_intermediate_value(trial, epoch, 0.5 + epoch / 100)
        with told.timed("finish"):
            self.storage.set_trial_state_values(trial, TrialState.COMPLETE, [0.7])
        told.trials += 1

    def close(self) -> None:
        self.storage.remove_session()
        self.storage.engine.dispose()


class Beating(Ours):
    """Signs of life and nothing else."""

    def trial(self, told: Told) -> None:
        with told.timed("sign of life"):
            self.store.write(lambda connection: claims.beat(connection, self.worker))
        told.trials += 1


SIDES: dict[str, Callable[[str, int, int], Client]] = {
    "ours": Ours,
    "Optuna's RDBStorage": Optunas,
    "ours, all wanting the next number": NextNumber,
    "the same without turns": WithoutTurns,
    "signs of life": Beating,
}


def prepare(url: str, side: str) -> None:
    """An empty search in an empty database."""
    if SIDES[side] is Optunas:
        storage = RDBStorage(url)
        storage.create_new_study([StudyDirection.MAXIMIZE], SEARCH)
        storage.remove_session()
        storage.engine.dispose()
    else:
        store = Store.open(url, create=True)
        store.create_search(NewSearch(SEARCH, "search", "optuna", "0.1.0", "XR_HAND", "val_auc", 0, "0" * 16))
        store.close()


def measure(
    url: str, side: str, width: int, seconds: float, server_seconds: Callable[[], float]
) -> tuple[float, float, list[Told]]:
    """So many clients at once for so long, after a trial each to warm up.

    Returns: how long it took, the server's processor time meanwhile, and what each client did.
    """
    context = multiprocessing.get_context("fork")  # else each of 64 would load all modules, on few cores
    together, answers, go = context.Barrier(width + 1), context.Queue(), context.Event()
    clients = [
        context.Process(target=work, args=(url, side, place, width, seconds, together, answers, go), daemon=True)
        for place in range(width)
    ]
    for client in clients:
        client.start()
    together.wait(PATIENCE)
    start, used = time.perf_counter(), server_seconds()
    told = [answers.get(timeout=seconds + PATIENCE) for _ in clients]
    taken, used = time.perf_counter() - start, server_seconds() - used
    go.set()
    for client in clients:
        client.join()
        if client.exitcode != 0:
            raise RuntimeError(f"{side}, {width} clients: one ended with {client.exitcode}; its error is above")
    return taken, used, told


def work(url: str, side: str, place: int, width: int, seconds: float, together: Any, answers: Any, go: Any) -> None:
    """A client process; it keeps its connection until it may go, so that the server's processes can be asked."""
    client = SIDES[side](url, place, width)
    client.trial(Told())
    together.wait(PATIENCE)
    told, until, used = Told(), time.perf_counter() + seconds, time.process_time()
    while time.perf_counter() < until:
        client.trial(told)
    told.processor_seconds = time.process_time() - used
    answers.put(told)
    go.wait(PATIENCE)
    client.close()


def new_trial(number: int) -> NewTrial:
    """A trial as a search proposes it."""
    knows = {"below": max(number - 64, 0), "also": []}
    return NewTrial(
        number, "XR_HAND", "densenet121", "densenet121_deep_augment_20epochs", f"{SEARCH}_{number:04d}", CONFIGURATION,
        "imagenet", 224, 0, EPOCHS, "0.1.0", None, knows,
    )  # fmt: skip


def _result() -> TrialResult:
    generator = np.random.default_rng(0)
    levels = [(split, level, name) for split in IMAGES for level in ("image", "study") for name in METRICS]
    return TrialResult(
        state=FINISHED,
        value=0.7,
        history={name: generator.random(EPOCHS).tolist() for name in HISTORY},
        best_epoch=12,
        early_stop_at_epoch=None,
        seconds=1.0,
        accuracies={"train": 80.0, "valid": 75.0, "test": 74.0},
        measures=tuple(Measure(*each, 0.7, 0.6, 0.8) for each in levels),
        probabilities={split: generator.random((count, 1), np.float32) for split, count in IMAGES.items()},
        model_path="runs/models/scale/0001.keras",
    )


RESULT = _result()


def reading_milliseconds(
    store: Reading, search_id: int, rows: Sequence[int]
) -> tuple[dict[int, float], dict[int, float]]:
    """Median times to read the last so many trials of a search, and so many histories; it has at least as many."""
    known = store.trials(search_id)
    looks, histories = Told(), Told()
    for count in rows:
        ids = [trial.id for trial in known[-count:]]
        for _ in range(READINGS):
            with looks.timed(str(count)):
                assert len(store.trials(search_id, first=known[-count].number)) == count
            with histories.timed(str(count)):
                assert len(store.histories(ids)) == count
    return _medians(looks), _medians(histories)


def _medians(told: Told) -> dict[int, float]:
    return {int(name): round(float(np.median(each)), 2) for name, each in told.milliseconds.items()}
