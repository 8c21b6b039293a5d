"""Who proposes: one file an engine. Propose and tell, nothing else; resume is theirs too, since proposals are."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from results.records import Trial
from spaces.declaration import Configuration, Value

# The names of `--engine`; adding one is a file here and an entry.
ENGINES = ("optuna",)


@dataclass(frozen=True)
class Proposal:
    """A configuration under its trial's number, kept by the engine before any training."""

    number: int
    configuration: dict[str, Value]


class Engine(Protocol):
    """Proposes configurations; its own storage is complete after each call."""

    def catch_up(self, trials: Sequence[Trial], objective_by_epoch: Mapping[int, Sequence[float]]) -> None:
        """Tell the engine of trials that our store knows as ended and a kill kept from it.

        Args:
            objective_by_epoch: trial id -> the objective, one value an epoch.
        """

    def propose(self, enqueued: Sequence[Configuration], trials: int) -> list[Proposal]:
        """The next batch: what a kill left unfinished of it, and new proposals up to its end.

        Empty where every configuration was tried. A batch is made knowing the results of the trials before it, so that
        its own trials may run side by side and end in any order.

        Args:
            enqueued: configurations that go first; trial n < len(enqueued) is enqueued[n].
            trials: no proposal is made beyond so many in all.
        """

    def tell(self, trial: Trial, objective_by_epoch: Sequence[float]) -> None:
        """Tell the engine how a trial ended."""
