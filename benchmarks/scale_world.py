"""Workers, searches and one store on a simulated clock.

Workers extract a search's features together, then each proposes from what has ended, claims the number that comes next,
trains, and stores. Where they take no turns, several propose at the same time: one gets the number, the others begin
anew. The store does one thing after another.
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
        waiting: for its end, or its extraction's. taken, queue: whether it is somebody's turn, who waits for theirs.
    """

    seconds: Sequence[float]
    extraction: float = 0.0
    extracting: int = 0
    workers: int = 0
    begun: int = 0
    ended: int = 0
    first_open: int = 0
    done: set[int] = field(default_factory=set)
    waiting: "list[Parked]" = field(default_factory=list)
    taken: bool = False
    queue: "list[Parked]" = field(default_factory=list)

    def work_left(self) -> float:
        """Seconds of a worker, about."""
        count = len(self.seconds)
        return self.extraction + sum(self.seconds) * (count - self.begun) / count

    def end(self, number: int) -> None:
        """Note that a trial has ended."""
        self.ended += 1
        self.done.add(number)
        while self.first_open in self.done:
            self.done.remove(self.first_open)
            self.first_open += 1


# A worker: yields when it goes on, or the list in which it waits until another lets it.
Process = Generator["float | list[Parked]", None, None]
Parked = tuple[float, Process]


class World:
    """The clock, the store, and what workers did."""

    def __init__(self, costs: Costs, workers: int, in_turns: bool) -> None:
        self.costs, self.workers, self.in_turns = costs, workers, in_turns
        self.now = self.free_at = self.busy = 0.0
        self.idle = self.lost = 0
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
            if isinstance(until, list):
                until.append((self.now, process))
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

    def pass_on(self, search: Search) -> None:
        """Whose turn it was has a number, or does not want one any more."""
        search.taken = bool(search.queue)  # it stays taken for the next
        if search.queue:
            since, process = search.queue.pop(0)
            self.phases["proposing"] += self.now - since
            self.begin(process, self.now)

    def wake(self, search: Search) -> None:
        """The search has ended: who waits for that goes on."""
        for since, process in search.waiting:
            self.phases["waiting for a search's end"] += self.now - since
            self.idle -= 1
            self.begin(process, self.now)
        search.waiting = []


def worker(world: World, searches: Sequence[Search]) -> Process:
    """At all searches one after another, waiting for the end of each."""
    for search in searches:
        yield from _join(world, search)
        if search.ended < len(search.seconds):
            world.idle += 1
            yield search.waiting


def roaming_worker(world: World, searches: Sequence[Search]) -> Process:
    """Where most is left to be begun for each worker; it leaves when all is begun."""
    while left := [each for each in searches if each.begun + each.workers < len(each.seconds)]:
        yield from _join(world, max(left, key=lambda each: each.work_left() / (each.workers + 1)))


def _join(world: World, search: Search) -> Process:
    search.workers += 1
    yield world.spend("starting", world.costs.start)
    yield from _extract(world, search)
    yield from _trials(world, search)
    search.workers -= 1


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
        yield search.waiting


def _trials(world: World, search: Search) -> Process:
    costs, heard = world.costs, 0
    while True:
        if world.in_turns:
            yield world.ask((costs.look, 1), (costs.look_a_trial, search.begun - search.first_open))
            if search.taken:
                yield search.queue
        search.taken = True
        yield world.ask((costs.look, 1), (costs.look_a_trial, search.begun - search.first_open))
        number, ended = search.begun, search.ended
        if number < len(search.seconds):
            if ended > heard:
                yield world.ask((costs.look, 1), (costs.history, ended - heard))
                heard = ended
            yield world.spend("proposing", costs.proposing(ended))
            yield world.ask((costs.claim, 1), (costs.claim_a_worker, search.workers))
        world.pass_on(search)
        if search.begun > number:
            world.lost += 1
        elif number == len(search.seconds):
            return
        else:
            search.begun += 1
            yield world.spend("training", search.seconds[number])
            yield world.ask((costs.finish, 1))
            search.end(number)
            if search.ended == len(search.seconds):
                world.wake(search)


def simulate(
    costs: Costs, workers: int, searches: Sequence[Search], roaming: bool = False, in_turns: bool = False
) -> dict[str, Any]:
    """Searches one after another; there are never more workers at one than it has trials.

    Args:
        roaming: all searches are open at once, and workers go where most is left.
        in_turns: who wants the next number looks, then waits until nobody else is about to take it: none is lost.
    """
    at_work = workers if roaming else min(workers, max(len(each.seconds) for each in searches))
    world = World(costs, at_work, in_turns)
    for _ in range(at_work):
        world.begin((roaming_worker if roaming else worker)(world, searches), 0.0)
    world.run()
    trials, spent = sum(search.ended for search in searches), sum(world.phases.values())
    return {
        "workers": workers,
        "at work": at_work,
        "hours": world.now / 3600,
        "trials an hour": 3600 * trials / world.now,
        "useful": (world.phases["extracting"] + world.phases["training"]) / (workers * world.now),
        "shares of the time at work": {phase: seconds / spent for phase, seconds in world.phases.items()},
        "store busy": world.busy / world.now,
        "proposals lost a trial": world.lost / trials,
    }
