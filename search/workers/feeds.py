"""What a worker may train next.

By batches: all workers make the same batch from the results of earlier ones, share its trials, and wait for its end;
so the trials are the same for any number of workers. Asynchronously: a worker that is free proposes the next trial
from the results that are there, all others counting by their parameters alone; whose results it knew is stored.
"""

import math
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Protocol

from plumbing.errors import SearchFailed
from results.claims import Claim, Wish
from results.records import FAILED, RUNNING, NewTrial, Trial
from results.store import Store
from search.engines import Engine, Proposal
from search.models import better
from search.stopping import Clock
from search.workers.known import compact, expanded, first_missing
from search.workers.worker import Worker
from spaces.declaration import Configuration

FAILURES_IN_A_ROW = 3
RETRY_SECONDS = 2.0  # how often what others have under way is asked for, to see whether they died
ALL_TRIED = "every configuration of the space was tried"


@dataclass(frozen=True)
class Work:
    """A trial that this process has claimed, and the proposal behind it."""

    proposal: Proposal
    claim: Claim


@dataclass(frozen=True)
class Source:
    """What a feed works with.

    Attributes:
        trials: so many in all. objective: the metric that engines are told by epoch.
        row: of a proposal, the trial to be stored. order: by which a batch is claimed, the smallest first; above 0 are
            those that train one after another.
        reason_to_stop: of the trials that a new proposal may know, why none is to be made.
        tidy: called when trials of this process have ended. told: when the engine knows of them, with the last number.
        alone: no other workers are expected. ends_on_failures: whether three failures in a row for one reason end it.
    """

    store: Store
    search_id: int
    worker: Worker
    engine: Engine
    clock: Clock
    trials: int
    objective: str
    row: Callable[[Proposal], NewTrial]
    order: Callable[[Proposal], float]
    reason_to_stop: Callable[[Sequence[Trial]], str | None]
    tidy: Callable[[], None]
    told: Callable[[int], None]
    ends_on_failures: bool
    alone: bool


class Feed(Protocol):
    """Gives work until there is none."""

    why: str | None  # why it ended before there were as many trials as asked for
    over: bool
    ended: dict[int, Trial]
    best: float | None  # of their values

    def next(self, most: int) -> list[Work]:
        """Work for this process; empty where it is over, or where all that is left is under way.

        Raises: SearchFailed after three failures in a row for one reason.
        """

    def note(self, work: Work, trial: Trial | None) -> None:
        """Note how this process's work ended; None where it was taken over."""

    def has_lost(self, work: Work) -> bool:
        """Whether it is known to have been taken over by another worker."""


class _Known:
    """The search's trials as far as this process has seen them."""

    def __init__(self, source: Source, trials: Sequence[Trial]) -> None:
        self.source = source
        self.begun: dict[int, Configuration] = {}
        self.ended: dict[int, Trial] = {}
        self.knows: dict[int, Mapping[str, object] | None] = {}
        self.mine: dict[int, Work] = {}  # under way in this process
        self.fresh: set[int] = set()  # ended in this process
        self.over, self.why, self.best = False, None, None
        self._retry_at = 0.0
        self.see(trials)

    why: str | None
    best: float | None

    def may_claim(self) -> bool:
        """Whether asking for what is begun may give anything: something has changed, or some time has passed."""
        if time.monotonic() < self._retry_at:
            return False
        self._retry_at = time.monotonic() + RETRY_SECONDS
        return True

    def see(self, trials: Sequence[Trial]) -> bool:
        """Take in what the store holds; whether it is more than was known."""
        before = len(self.begun), len(self.ended)
        for trial in trials:
            self.begun[trial.number] = trial.configuration
            self.knows[trial.number] = trial.knows
            if trial.state != RUNNING:
                self.ended[trial.number] = trial
                self.best = better(self.best, trial)
        if before == (len(self.begun), len(self.ended)):
            return False
        self._retry_at = 0.0
        return True

    def look(self, first: int) -> bool:
        """Read the trials from a number on; whether there is more than was known."""
        return self.see(self.source.store.trials(self.source.search_id, first=first))

    def note(self, work: Work, trial: Trial | None) -> None:
        del self.mine[work.proposal.number]
        self._retry_at = 0.0
        if trial is not None:
            self.fresh.add(trial.number)
            self.look(first_missing(self.ended))  # with what others ended

    def take(
        self, numbers: Sequence[int], new: Sequence[NewTrial], most: int, all_if_alone: bool = False
    ) -> list[Claim]:
        """Claim trials; none beside one that workers died of."""
        if any(work.claim.suspect for work in self.mine.values()):
            return []
        return self.source.worker.take(Wish(numbers, new, most, all_if_alone, idle=not self.mine))

    def has_lost(self, work: Work) -> bool:
        return self.source.worker.has_lost(work.claim)

    def work(self, claims: Sequence[Claim], proposals: Mapping[int, Proposal]) -> list[Work]:
        """The claimed trials as this process's work."""
        found = [Work(proposals[claim.trial.number], claim) for claim in claims]
        self.mine |= {each.proposal.number: each for each in found}
        return found

    def tell(self, numbers: Sequence[int]) -> None:
        """Tell the engine how these trials ended, in their order."""
        trials = [self.ended[number] for number in numbers]
        histories = objectives(self.source.store, trials, self.source.objective)
        with self.source.clock:
            for trial in trials:
                self.source.engine.tell(trial, histories[trial.id])

    def check_failures(self, numbers: Sequence[int]) -> None:
        """Raises: SearchFailed where one of these trials of this process is the third in a row to fail alike."""
        fresh = [number for number in numbers if number in self.fresh]
        if self.source.ends_on_failures and (failure := failures_in_a_row(self.ended, fresh)):
            self.source.engine.save()
            raise SearchFailed(failure)


class BatchFeed(_Known):
    """Work from batches that all workers share."""

    def __init__(self, source: Source, trials: Sequence[Trial]) -> None:
        super().__init__(source, trials)
        self._batch: list[Proposal] = []

    def next(self, most: int) -> list[Work]:
        while not self.over:
            if not self._batch and not self._propose():
                break
            left = [each for each in self._batch if each.number not in self.ended]
            others = [each for each in left if each.number not in self.mine]
            if not left:
                self._end()
            elif not others:
                break
            elif work := self._claim(others, most) if self.may_claim() else []:
                return work
            elif not self.look(self._batch[0].number):
                break
        return []

    def _propose(self) -> bool:
        """Make the next batch; whether there is one."""
        source = self.source
        with source.clock:
            batch = source.engine.propose(source.trials, self.begun)
        if not batch:
            self.over, self.why = True, None if len(self.ended) >= source.trials else ALL_TRIED
        elif any(each.number not in self.ended for each in batch):
            before = [trial for number, trial in sorted(self.ended.items()) if number < batch[0].number]
            self.why = source.reason_to_stop(before)
            self.over = self.why is not None
        self._batch = [] if self.over else batch
        return not self.over

    def _claim(self, left: Sequence[Proposal], most: int) -> list[Work]:
        """Claim of what is left of the batch."""
        wanted = sorted(left, key=self.source.order)
        if not self.source.alone and self.source.order(wanted[0]) > 0:
            most = 1  # of those that train one after another
        new = [self.source.row(each) for each in self._batch if each.number not in self.begun]
        claims = self.take([each.number for each in wanted], new, most, self.source.alone)
        self.see([claim.trial for claim in claims])
        self._let_stored_stand()
        return self.work(claims, {each.number: each for each in self._batch})

    def _let_stored_stand(self) -> None:
        """Where another machine proposed otherwise, and stored it first, have the engine propose that."""
        if any(self.begun.get(each.number, each.configuration) != each.configuration for each in self._batch):
            with self.source.clock:
                self._batch = self.source.engine.propose(self.source.trials, self.begun)

    def _end(self) -> None:
        """Tell the engine of the batch, all of whose trials have ended."""
        self._let_stored_stand()
        numbers = [each.number for each in self._batch]
        fresh = any(number in self.fresh for number in numbers)
        if fresh:
            self.source.tidy()
        self.tell(numbers)
        if fresh:  # an engine that is still being told what ended before knows of fewer
            self.source.told(numbers[-1])
        self._batch = []
        self.check_failures(numbers)


class AsynchronousFeed(_Known):
    """Work proposed one by one, each from what has ended by then."""

    def __init__(self, source: Source, trials: Sequence[Trial]) -> None:
        super().__init__(source, trials)
        self._told: set[int] = set()

    def next(self, most: int) -> list[Work]:
        found: list[Work] = []
        while not self.over and len(found) < most:
            self._learn()
            work = self._taken_over(most - len(found)) or self._proposed()
            found += work
            if not work and not self.look(first_missing(self.ended)):  # nobody was quicker: there is nothing to propose
                break
        return found

    def _learn(self) -> None:
        """Read what has changed, and tell the engine what has ended."""
        self.look(first_missing(self.ended))
        numbers = sorted(set(self.ended) - self._told)
        if not numbers:
            return
        self.tell(numbers)
        self._told |= set(numbers)
        if self.fresh & set(numbers):
            self.source.tidy()
        self.check_failures(numbers)

    def _taken_over(self, most: int) -> list[Work]:
        """Trials that were begun, and that nobody has under way any more."""
        running = [number for number in sorted(self.begun) if number not in self.ended and number not in self.mine]
        claims = self.take(running, [], most) if running and self.may_claim() else []
        return self.work(claims, {claim.trial.number: self._again(claim.trial.number) for claim in claims})

    def _again(self, number: int) -> Proposal:
        knows = self.knows[number]
        with self.source.clock:
            proposal = self.source.engine.propose_one(number, expanded(knows or {"below": 0, "also": []}), self.begun)
        assert proposal is not None  # what was begun stands
        return proposal

    def _proposed(self) -> list[Work]:
        """The next trial, proposed by this process; none where another was quicker, or where there is none."""
        if self._begins_no_more():
            return []
        with self.source.worker.turn():
            self._learn()  # what others claimed meanwhile
            return [] if self._begins_no_more() else self._claimed_next()

    def _begins_no_more(self) -> bool:
        """Whether no more trials are to be begun; then why, and whether all is over, are noted."""
        if max(self.begun, default=-1) + 1 >= self.source.trials:
            self.over = len(self.ended) >= self.source.trials
            return True
        self.why = self.source.reason_to_stop([trial for _, trial in sorted(self.ended.items())])
        self.over = self.why is not None and not self.mine
        return self.why is not None

    def _claimed_next(self) -> list[Work]:
        source, number, known = self.source, max(self.begun, default=-1) + 1, set(self.ended)
        with source.clock:
            proposal = source.engine.propose_one(number, known, self.begun)
        if proposal is None:
            self.over, self.why = len(self.ended) == len(self.begun), ALL_TRIED
            return []
        row = replace(source.row(proposal), knows=compact(known))
        claims = self.take([number], [row], 1)
        self.see([claim.trial for claim in claims])
        as_made = all(claim.trial.knows == row.knows for claim in claims)
        return self.work(claims, {number: proposal if as_made else self._again(number)} if claims else {})


def objectives(store: Store, trials: Sequence[Trial], objective: str) -> dict[int, list[float]]:
    """Each trial's objective by epoch, by its id; NaN, which no database keeps alike, where it was not defined."""
    found = store.histories([trial.id for trial in trials])
    return {
        trial.id: [math.nan if value is None else value for value in found.get(trial.id, {}).get(objective, ())]
        for trial in trials
    }


def failures_in_a_row(ended: Mapping[int, Trial], fresh: Sequence[int]) -> str | None:
    """What to say where a trial of this process is the third in a row to fail for the same reason, else None."""
    for number in fresh:
        last = [ended[each] for each in range(number - FAILURES_IN_A_ROW + 1, number + 1) if each in ended]
        reasons = {(trial.reason or "").split(":")[0] for trial in last}
        if len(last) == FAILURES_IN_A_ROW and all(trial.state == FAILED for trial in last) and len(reasons) == 1:
            return f"{FAILURES_IN_A_ROW} trials in a row failed for one reason: {last[-1].reason}; narrow the --space"
    return None
