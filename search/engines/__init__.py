"""Who proposes: one file an engine. Propose and tell, nothing else."""

import importlib
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from results.records import Trial
from search.engines.tried import Allowed, everything
from search.own_model import OwnModel
from spaces.declaration import Configuration, Space, Value

# The names of `--engine` and the modules behind them; adding one is a file here and a line. A module has SAMPLERS (the
# first is the default), `check(sampler, pruner)`, `check_one_by_one(sampler)` and `make(request)`.
ENGINES = {"optuna": "search.engines.optuna_engine", "keras-tuner": "search.engines.keras_tuner_engine"}


def engine_module(name: str) -> Any:
    """The module of an engine; loaded when asked for, since Keras Tuner's loads TensorFlow."""
    return importlib.import_module(ENGINES[name])


@dataclass(frozen=True)
class Request:
    """What an engine is made for.

    Attributes:
        url: the store's database. folder: below the runs folder, for an engine's own files.
        name: of the search. batch_trials: how many proposals are made at once. epochs: most of a trial.
        enqueued: configurations that go first, in their order. allowed: no other configurations are proposed.
        ended: how many of the search's trials ended in earlier runs.
        fresh: the search is new, so what an engine finds under its name would be somebody else's.
        own_model: a user's, whose space is Keras Tuner's; `space` then holds its name alone.
    """

    url: str
    folder: Path
    name: str
    space: Space
    sampler: str
    pruner: str
    objective: str
    search_seed: int
    batch_trials: int
    epochs: int
    fresh: bool
    ended: int = 0
    enqueued: Sequence[Configuration] = ()
    allowed: Allowed = everything
    own_model: OwnModel | None = None


@dataclass(frozen=True)
class Proposal:
    """A configuration under its trial's number.

    Attributes:
        epochs: most that it may train; None: as many as the search allows.
        continues: number of the trial whose end it begins at.
        resumable: whether a later trial may begin at its end.
    """

    number: int
    configuration: dict[str, Value]
    epochs: int | None = None
    continues: int | None = None
    resumable: bool = False


class Engine(Protocol):
    """Proposes configurations by number, and is told of ended trials.

    A search takes one of two ways. In batches (`propose`) trials are told in the order of their numbers, and their set
    is the same for any number of workers. One by one (`propose_one`) a trial knows what has ended when its worker is
    free; trials are told in any order, each once, and those that the engine found in its own storage may be told again.

    What it was not told of it proposes again, equal to the last bit, because a proposal depends on nothing but the
    search seed, the trial's number, what it may know, and the configurations before it: so a kill at any instant costs
    nothing, and any process that was told the same proposes the same.
    """

    def propose(self, trials: int, stored: Mapping[int, Configuration]) -> list[Proposal]:
        """What is left of the batch that the next trial to be told of lies in; empty where nothing is left to try.

        A batch is made knowing the results of the batches before it, so that its own trials may run side by side and
        end in any order.

        Args:
            trials: no proposal is made beyond so many in all.
            stored: configurations of trials that were begun before; they stand, even where another machine or library
                would propose otherwise now.
        """

    def propose_one(self, number: int, knows: Collection[int], begun: Mapping[int, Configuration]) -> Proposal | None:
        """The trial of that number, made from the results of some trials and the parameters alone of all others before.

        None where nothing is left to try.

        Args:
            knows: numbers of the trials whose results it may use; all were told, and go before it.
            begun: configurations of trials that were begun; its own stands, as in `propose`.
        Raises: ValueError where a trial that it is to know was not told, or one before it was neither told nor begun.
            UsageError where the engine or its sampler proposes in batches only.
        """

    def prunes(self, number: int, values: Sequence[float]) -> bool:
        """Whether the trial of that number is to stop in these epochs, by what it knew when it was proposed.

        Asked from any thread. A worker that takes a trial over asks with all its epochs so far.

        Args:
            values: the objective, one value an epoch.
        """

    def tell(self, trial: Trial, objective_by_epoch: Sequence[float]) -> None:
        """Tell the engine how a trial ended, in batches the next one; proposals may know of it from now on.

        Args:
            objective_by_epoch: the objective, one value an epoch.
        """

    def may_go_on(self) -> Collection[int]:
        """Numbers of the trials that a later one may continue: their checkpoints are kept."""

    def save(self, last: bool = True) -> None:
        """Put what was told into the engine's own storage: slow, and in no hurry.

        Args:
            last: nothing is saved after. Else what a lost connection or another process that saves stands in the way
                of is left to the next time, without an error.
        Raises: StoreError where it cannot be written.
        """

    def close(self) -> None:
        """Give back what it holds open."""
