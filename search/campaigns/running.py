"""The searches of a campaign one after another, within its budget.

What is done the store tells, so a kill at any instant costs nothing but what was under way. Trials are shared out
before anything starts (`search.campaigns.shares`); time goes to the highest priority first, and among equals each gets
an equal share of what is left, so that what one does not need passes on to the others.
"""

import math
import re
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import groupby
from pathlib import Path

from plumbing.errors import DataError
from plumbing.files import locked_if_free
from results.connection import hide_password
from search.campaigns.checked import arguments_of
from search.campaigns.child import run_search
from search.campaigns.data import told_unusable, unusable
from search.campaigns.file import Campaign, Item
from search.campaigns.ledger import LEAST, End, Ledger, settlement
from search.campaigns.seen import Seen, seen_so_far
from search.campaigns.shares import share_seconds
from search.campaigns.words import counted
from search.models import folder_of
from search.options import Options
from search.progress import duration

POLL = 1.0  # seconds between looks at a search that another process runs
TIMED_OUT = re.compile(  # as search.run says it
    r"--timeout (\S+ s )?is over; the same command goes on( confirming)?"
)


@dataclass
class Work:
    """A campaign at work.

    Attributes:
        options: search -> what its command means. tell: takes a line for the user.
        waiting: searches that this run has still to run, or to go on with.
        failed: search -> why it failed in this run.
        unfinished: searches that the budget's hours cut short or left out.
    """

    campaign: Campaign
    store: str
    ledger: Ledger
    options: Mapping[str, Options]
    tell: Callable[[str], None]
    waiting: set[str] = field(default_factory=set)
    failed: dict[str, str] = field(default_factory=dict)
    unfinished: list[str] = field(default_factory=list)

    def seen(self) -> dict[str, Seen]:
        """The store's searches by name."""
        return seen_so_far(self.store)

    def ended(self) -> dict[str, int]:
        """Trials of each search that need not be run any more."""
        seen = self.seen()
        return {item.name: seen[item.name].ended for item in self.campaign.items if item.name in seen}

    def seconds_left(self, workers: int = 1) -> float:
        """What the budget leaves a search of so many workers."""
        return self.ledger.seconds_left(self.campaign.budget, workers)

    def fail(self, item: Item, reason: str) -> None:
        """Note that a search failed in this run."""
        self.waiting.discard(item.name)
        self.failed[item.name] = reason
        self.note([item], failed=reason)

    def note(self, items: Sequence[Item], failed: str = "", unfinished: bool = False) -> None:
        """Remember how searches ended, for `search.status`."""
        ended = self.ended()
        self.ledger.note({each.name: End(each.trials, ended.get(each.name, 0), failed, unfinished) for each in items})


def run_searches(work: Work) -> None:
    """Run all searches that are not settled; what failed, and what is unfinished, is then in `work`.

    Raises: DataError where a folder is none of radiographs; nothing has begun then.
    """
    before, settled = work.ledger.begin(), settled_ones(work)
    open_ones = {name: each for name, each in work.options.items() if name not in settled}
    try:
        reasons = unusable(open_ones)
    except DataError:
        work.ledger.note(before)
        raise
    for line in told_unusable(open_ones, reasons):
        work.tell(line)
    work.waiting = open_ones.keys() - reasons.keys()
    for item in work.campaign.items:
        if item.name in reasons:
            work.fail(item, reasons[item.name])
    work.note([item for item in work.campaign.items if item.name in settled])
    for _, equals in groupby(work.campaign.items, key=lambda item: item.priority):
        _run_equals(work, [item for item in equals if item.name in work.waiting])


def settled_ones(work: Work) -> set[str]:
    """Names of the searches that ended well and are the same since: they need not be opened."""
    seen = work.seen()
    return {
        item.name
        for item in work.campaign.items
        if item.name in seen and work.ledger.settled.get(item.name) == _settlement(work, item, seen[item.name].ended)
    }


def _settlement(work: Work, item: Item, ended: int) -> str:
    texts = {key: value.partition(":")[0] for key, value in item.options.items() if isinstance(value, str)}
    files = {key: Path(text) for key, text in texts.items() if text and Path(text).is_file()}
    return settlement(arguments_of(item, hide_password(work.store), work.campaign.runs), ended, files)


def _run_equals(work: Work, items: list[Item]) -> None:
    """Run searches of one priority, those that their share of time cut short again in what is left of it."""
    waiting, cut_short = list(items), list[Item]()
    while waiting:
        if work.seconds_left() < LEAST:
            _leave(work, [each for each in items if each in waiting or each in cut_short])
            return
        item = _next(work, waiting)
        left = work.seconds_left(work.options[item.name].workers)
        seconds = None if left == math.inf else max(share_seconds(left, len(waiting) + 1), LEAST)
        if _is_cut_short(work, item, seconds):
            cut_short.append(item)
        if not waiting:
            waiting, cut_short = cut_short, []


def _leave(work: Work, items: list[Item]) -> None:
    """Note the searches that the hours leave unfinished."""
    work.unfinished += [item.name for item in items]
    work.note(items, unfinished=True)


def _next(work: Work, waiting: list[Item]) -> Item:
    """Take the first search that no other process runs; wait where all of them are run by others."""
    told = False
    while True:
        for item in waiting:
            if not _runs_elsewhere(work, item):
                waiting.remove(item)
                return item
        if not told:
            work.tell(f"{waiting[0].name} runs in another process: waiting for it")
            told = True
        time.sleep(POLL)


def _runs_elsewhere(work: Work, item: Item) -> bool:
    lock = folder_of(item.name, work.store, work.campaign.runs) / "lock"
    if not lock.exists():
        return False
    with locked_if_free(lock) as free:
        return not free


def _is_cut_short(work: Work, item: Item, seconds: float | None) -> bool:
    """Run a search; whether its time ended it."""
    campaign, before = work.campaign, work.seen().get(item.name)
    there = f", {before.ended} of them there" if before and before.ended else ""
    limit = "" if seconds is None else f", for {duration(seconds)}"
    place = campaign.items.index(item) + 1
    work.tell(f"[{place}/{len(campaign.items)}] {item.name}: {counted(item.trials, 'trial')}{there}{limit}")
    ended = run_search(
        arguments_of(item, "-", campaign.runs, seconds),
        work.store,
        lambda line: work.tell(TIMED_OUT.sub("its share of the hours is over", line)),
        lambda spent: work.ledger.spend(spent, work.options[item.name].workers),
    )
    if ended.code != 0:
        work.fail(item, ended.reason)
        others = "; the others go on" if work.waiting and work.seconds_left() >= LEAST else ""
        work.tell(f"{item.name} failed (exit code {ended.code}): {ended.reason}{others}")
        return False
    count = work.seen()[item.name].ended
    if seconds is not None and ended.seconds >= seconds and (count < item.trials or "confirm" in item.options):
        return True
    work.waiting.discard(item.name)
    work.ledger.settle(item.name, _settlement(work, item, count))
    work.note([item])
    return False
