"""Workers, searches and one store on a simulated clock.

Workers extract a search's features together, then each proposes from what has ended, claims the number that comes next,
trains, and stores. Of workers that propose at the same time one gets the number, the others begin anew. The store does
one thing after another.
"""

import heapq
import itertools
from collections.abc import Generator, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

PIECE = 60.0  # seconds of extraction that a worker takes on at once
BEAT_SECONDS, POLL_SECONDS, RETRY_SECONDS = 15.0, 1.0, 2.0  # as results.claims, search.loop, search.workers.feeds
MOST_BACKGROUND = 0.95  # of the store's time, that signs of life and polls can take here
PHASES = ("extracting", "training", "proposing", "store", "waiting for a search's end", "starting")


@dataclass(frozen=True)
class Operation:
    """Seconds of the store's own time, in which it does nothing else, and seconds besides."""

    store: float
    besides: float = 0.0


@dataclass(frozen=True)
class Costs:
    """What an operation takes; `a_worker` and `a_trial` are added for each worker of the search, each trial read.

    Attributes:
        history: of an ended trial that a worker has not heard of.
        proposal: seconds by how many trials it knows, ascending; between and beyond them in a straight line.
        start: seconds until a new worker first asks the store.
    """

    claim: Operation = Operation(0)
    claim_a_worker: Operation = Operation(0)
    look: Operation = Operation(0)
    look_a_trial: Operation = Operation(0)
    history: Operation = Operation(0)
    finish: Operation = Operation(0)
    beat: Operation = Operation(0)
    proposal: Sequence[tuple[float, float]] = ((0, 0.0),)
    start: float = 0.0

    def proposing(self, known: int) -> float:
        """Seconds."""
        counts, seconds = np.array(self.proposal, float).T
        if known <= counts[-1] or len(counts) == 1:
            return float(np.interp(known, counts, seconds))
        slope = (seconds[-1] - seconds[-2]) / (counts[-1] - counts[-2])
        return float(seconds[-1] + slope * (known - counts[-1]))


@dataclass
class Search:
    """A search under way.

    Attributes:
        seconds: of training, by trial. extraction: worker seconds to be done before.
    """

    seconds: Sequence[float]
    extraction: float = 0.0
    extracting: int = 0
    begun: int = 0
    ended: int = 0
    first_open: int = 0
    done: set[int] = field(default_factory=set)
    waiting: list[Any] = field(default_factory=list)

    def end(self, number: int) -> None:
        """Note that a trial has ended."""
        self.ended += 1
        self.done.add(number)
        while self.first_open in self.done:
            self.done.remove(self.first_open)
            self.first_open += 1


Process = Generator["float | Search", None, None]


class World:
    """The clock, the store, and what workers did."""

    def __init__(self, costs: Costs, workers: int) -> None:
        self.costs, self.workers = costs, workers
        self.now = self.free_at = self.busy = 0.0
        self.idle = self.lost = self.claimed = 0
        self.phases = dict.fromkeys(PHASES, 0.0)
        self.order, self.agenda = itertools.count(), list[tuple[float, int, Process]]()

    def begin(self, process: Process, at: float) -> None:
        """Let a worker go on at that time."""
        heapq.heappush(self.agenda, (at, next(self.order), process))

    def run(self) -> None:
        """Until nobody has anything to do."""
        while self.agenda:
            self.now, _, process = heapq.heappop(self.agenda)
            try:
                until = next(process)
            except StopIteration:
                continue
            if isinstance(until, Search):
                until.waiting.append((self.now, process))
            else:
                self.begin(process, until)

    def spend(self, phase: str, seconds: float) -> float:
        """When that phase of a worker ends."""
        self.phases[phase] += seconds
        return self.now + seconds

    def ask(self, *operations: tuple[Operation, float]) -> float:
        """When the store has answered.

        Args:
            operations: each with how often; they come after all that was asked before.
        """
        service = sum(each.store * times for each, times in operations) / (1 - self.background())
        self.free_at = max(self.now, self.free_at) + service
        self.busy += service
        answered = self.free_at + sum(each.besides * times for each, times in operations)
        self.phases["store"] += answered - self.now
        return answered

    def background(self) -> float:
        """The share of the store's time that signs of life and the polls of idle workers take."""
        poll = 2 * self.costs.look.store / POLL_SECONDS + self.costs.claim.store / RETRY_SECONDS
        return min(self.workers * self.costs.beat.store / BEAT_SECONDS + self.idle * poll, MOST_BACKGROUND)

    def wake(self, search: Search) -> None:
        """The search has ended: who waits for that goes on."""
        for since, process in search.waiting:
            self.phases["waiting for a search's end"] += self.now - since
            self.idle -= 1
            self.begin(process, self.now)
        search.waiting = []


def worker(world: World, searches: Sequence[Search], team: int) -> Process:
    """One of a team at searches one after another."""
    for search in searches:
        yield world.spend("starting", world.costs.start)
        yield from _extract(world, search)
        yield from _trials(world, search, team)
        if search.ended < len(search.seconds):
            world.idle += 1
            yield search


def _extract(world: World, search: Search) -> Process:
    while search.extraction > 0:
        piece = min(PIECE, search.extraction)
        search.extraction -= piece
        search.extracting += 1
        yield world.spend("extracting", piece)
        search.extracting -= 1
        if not search.extraction and not search.extracting:
            world.wake(search)
    if search.extracting:  # the last pieces are under way elsewhere
        world.idle += 1
        yield search


def _trials(world: World, search: Search, team: int) -> Process:
    costs, heard = world.costs, 0
    while True:
        yield world.ask((costs.look, 1), (costs.look_a_trial, search.begun - search.first_open))
        number, ended = search.begun, search.ended
        if number == len(search.seconds):
            return
        if ended > heard:
            yield world.ask((costs.look, 1), (costs.history, ended - heard))
            heard = ended
        yield world.spend("proposing", costs.proposing(ended))
        yield world.ask((costs.claim, 1), (costs.claim_a_worker, team))
        if search.begun > number:
            world.lost += 1
            continue
        search.begun += 1
        world.claimed += 1
        yield world.spend("training", search.seconds[number])
        yield world.ask((costs.finish, 1))
        search.end(number)
        if search.ended == len(search.seconds):
            world.wake(search)


def simulate(costs: Costs, workers: int, searches: Sequence[Search], at_once: int) -> dict[str, Any]:
    """Searches in so many lanes, in each one after another, with the workers divided among the lanes.

    No more workers are at a search than it has trials; the others are not counted as wasted, but are not there.
    """
    lanes = [searches[lane::at_once] for lane in range(at_once)]
    teams = [
        min(len(range(lane, workers, at_once)), max(len(each.seconds) for each in lanes[lane]))
        for lane in range(at_once)
    ]
    world = World(costs, sum(teams))
    for lane, team in zip(lanes, teams, strict=True):
        for _ in range(team):
            world.begin(worker(world, lane, team), 0.0)
    world.run()
    trials = sum(search.ended for search in searches)
    spent = sum(world.phases.values())
    return {
        "workers": workers,
        "at work": world.workers,
        "hours": world.now / 3600,
        "trials an hour": 3600 * trials / world.now,
        "shares of the time at work": {phase: seconds / spent for phase, seconds in world.phases.items()},
        "useful": (world.phases["extracting"] + world.phases["training"]) / (workers * world.now),
        "store busy": world.busy / world.now,
        "proposals lost a trial": world.lost / trials,
    }
