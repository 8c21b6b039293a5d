"""A campaign over MURA by 1 to 1,000 workers, simulated from measured times: where is the knee, what breaks first.

Eight tasks, six architectures, a search each. Workers extract a search's features together, then each proposes from
what has ended, claims the number that comes next, trains, stores. Of workers that propose at the same time one gets the
number, the others begin anew. A search of a campaign begins when the one before has ended; several campaigns side by
side have several at once. The store does one thing after another. All draws are seeded.

What is put in is read from benchmarks/results/scale.json, scaling.json and extraction.json. Assumed, since nothing here
measured it: images are what makes trials longer, in proportion; an epoch of a trained last block takes `TAIL` times the
extraction of its images; base_cnn is as fast as efficientnet_lite0; other architectures' heads are as fast as its.

    python -m benchmarks.scale_simulation
"""

import heapq
import itertools
import json
from collections import deque
from collections.abc import Generator, Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from benchmarks.common import REPOSITORY, RESULTS, save
from benchmarks.report_store import IMAGES

WORKERS = (1, 3, 10, 30, 100, 300, 1000)
TRIALS = 100  # a search
PASSES = 13  # over train: a plain view, four each of three levels of augmentation
EPOCHS, TAIL = 20, 1.2
PIECE = 60.0  # seconds of extraction that a worker takes on at once
BEAT_SECONDS, POLL_SECONDS, RETRY_SECONDS = 15.0, 1.0, 2.0
MOST_BACKGROUND = 0.95  # of the store's time that signs of life and polls may take in the simulation
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
        proposal: seconds by how many trials it knows, ascending; between and beyond them in a straight line.
        start: seconds until a new worker first asks the store.
    """

    claim: Operation = Operation(0)
    claim_a_worker: Operation = Operation(0)
    look: Operation = Operation(0)
    look_a_trial: Operation = Operation(0)
    finish: Operation = Operation(0)
    beat: Operation = Operation(0)
    proposal: Sequence[tuple[float, float]] = ((0, 0.0),)
    start: float = 0.0

    def proposing(self, known: int) -> float:
        """Seconds."""
        (low, first), *_, (high, last) = self.proposal[0], *self.proposal
        if known > high and len(self.proposal) > 1:
            (before, then), slope = self.proposal[-2], 0.0
            slope = (last - then) / (high - before)
            return last + slope * (known - high)
        return float(np.interp(known, *zip(*self.proposal, strict=True))) if known > low else first


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
        """When the store has answered: operations with how often each, one after another, behind what was asked before."""
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
    costs = world.costs
    while True:
        yield world.ask((costs.look, 1), (costs.look_a_trial, search.begun - search.first_open))
        number = search.begun
        if number == len(search.seconds):
            return
        yield world.spend("proposing", costs.proposing(search.ended))
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
        "shares of workers' time": {phase: seconds / spent for phase, seconds in world.phases.items()},
        "of which useful": (world.phases["extracting"] + world.phases["training"]) / (workers * world.now),
        "store busy": world.busy / world.now,
        "proposals lost a trial": world.lost / trials,
    }


def campaign(trials: int, tails: float, extract: bool, inputs: "Inputs") -> list[Search]:
    """The searches, the largest task first.

    Args:
        tails: the share of trials that train the last block.
    """
    generator = np.random.default_rng(0)
    searches = []
    for task, (train, other) in sorted(images().items(), key=lambda item: -sum(item[1])):
        for architecture, speed in inputs.images_a_second.items():
            head = inputs.head_seconds + inputs.head_seconds_an_image * (train + other)
            tail = EPOCHS * train * TAIL / speed
            kinds = np.where(generator.random(trials) < tails, tail, head)
            seconds = kinds * generator.uniform(0.5, 1, trials)  # epochs that early stopping leaves
            frozen = extract and architecture != "base_cnn"
            extraction = (PASSES * train + other) / speed if frozen else 0.0
            searches.append(Search(seconds.tolist(), extraction))
            assert task
    return searches


def images() -> dict[str, tuple[int, int]]:
    """Task -> images of train, and of valid and test; a tenth of MURA's train is our valid."""
    found = {}
    for part, (train, test) in IMAGES.items():
        valid = round(0.1 * sum(train))
        found[part] = sum(train) - valid, valid + sum(test)
    return found | {"all_parts": (sum(each[0] for each in found.values()), sum(each[1] for each in found.values()))}


@dataclass(frozen=True)
class Inputs:
    """What was measured.

    Attributes:
        images_a_second: of a worker with two cores, by architecture, at its native size.
        head_seconds, head_seconds_an_image: of a trial with all frozen, features ready, on two cores.
    """

    costs: Costs
    images_a_second: dict[str, float]
    head_seconds: float
    head_seconds_an_image: float


def measured() -> Inputs:
    """Read from benchmarks/results."""
    scale, scaling, extraction = (
        json.loads((RESULTS / f"{name}.json").read_text()) for name in ("scale", "scaling", "extraction")
    )
    speeds = {name: max(each["2 images a thread"]) for name, each in extraction["native sizes, images/s"].items()}
    small, large = (scaling[IMAGES_LINE][f"{count} images"]["features ready"] for count in (231, 5080))
    an_image = (large - small) / 20 / (5080 - 231)
    seconds = scaling["trials, DenseNet121 at 224 px, XR_HAND, features ready"]["a trial of 51 to 200"]
    return Inputs(
        costs_of(scale),
        {"base_cnn": speeds["efficientnet_lite0"], **speeds},
        seconds - 652 * an_image,
        an_image,
    )


IMAGES_LINE = "images, EfficientNet-Lite0 at 128 px, drawn all_parts, 20 trials"


def costs_of(scale: dict[str, Any]) -> Costs:
    """An operation's latency by one client, of which the store's own share is what 64 clients at once leave of it."""
    ours, one = scale["store"]["ours"], scale["one client"]
    alone = {name: ms[0] / 1e3 for name, ms in ours["1 clients"]["ms, median and 99th percentile"].items()}
    share = min(1 / ours["64 clients"]["a second"] / (alone["claim"] + alone["finish"]), 1.0)

    def operation(seconds: float) -> Operation:
        return Operation(share * seconds, (1 - share) * seconds)

    claim, claim_a_worker = _line(one["claim, ms by workers of the search"])
    look, look_a_trial = _line(one["look, ms by trials read"])
    return Costs(
        claim=operation(claim),
        claim_a_worker=operation(claim_a_worker),
        look=operation(look),
        look_a_trial=operation(look_a_trial),
        finish=operation(alone["finish"]),
        beat=operation(alone["sign of life"]),
        proposal=[(int(known), ms / 1e3) for known, ms in scale["proposal, ms by known trials"].items()],
        start=json.loads((RESULTS / "overhead.json").read_text())["seconds until a worker's first claim"],
    )


def _line(ms: dict[str, float]) -> tuple[float, float]:
    """Seconds at nothing, and for each one more, through the first and the last of what was measured."""
    (first, low), *_, (last, high) = ((int(count), value / 1e3) for count, value in ms.items())
    slope = max((high - low) / (last - first), 0.0)
    return max(low - slope * first, 0.0), slope
