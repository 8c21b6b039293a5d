"""Who proposes: one file an engine. Propose and tell, nothing else."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from results.records import Trial
from spaces.declaration import Configuration, Value

# The names of `--engine`; adding one is a file here and an entry.
ENGINES = ("optuna",)


@dataclass(frozen=True)
class Proposal:
    """A configuration under its trial's number."""

    number: int
    configuration: dict[str, Value]


class Engine(Protocol):
    """Proposes configurations in batches, by number, and is told of ended trials in the order of their numbers.

    What it was not told of it proposes again, equal to the last bit, because a proposal depends on nothing but the
    search seed, the trial's number and the batches before: so a kill at any instant costs nothing.
    """

    def propose(
        self, enqueued: Sequence[Configuration], trials: int, stored: Mapping[int, Configuration]
    ) -> list[Proposal]:
        """What is left of the batch that the next trial to be told of lies in; empty where nothing is left to try.

        A batch is made knowing the results of the batches before it, so that its own trials may run side by side and
        end in any order.

        Args:
            enqueued: configurations that go first; trial n < len(enqueued) is enqueued[n].
            trials: no proposal is made beyond so many in all.
            stored: configurations of trials that were begun before; they stand, even where another machine or library
                would propose otherwise now.
        """

    def tell(self, trial: Trial, objective_by_epoch: Sequence[float]) -> None:
        """Tell the engine how the next trial ended; proposals know of it from now on.

        Args:
            objective_by_epoch: the objective, one value an epoch.
        """

    def save(self) -> None:
        """Put what was told into the engine's own storage: slow, and in no hurry."""
