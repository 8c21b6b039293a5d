"""The searches of a campaign one after another, within its budget.

What is done the store tells, so a kill at any instant costs nothing but what was under way. Trials are shared out
before anything starts (`search.campaigns.shares`); time goes to the highest priority first, and among equals each gets
an equal share of what is left, so that what one does not need passes on to the others.
"""

import math
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from itertools import groupby
from pathlib import Path

from plumbing.files import locked_if_free
from results.connection import hide_password
from search.campaigns.checked import arguments_of
from search.campaigns.child import run_search
from search.campaigns.file import Campaign, Item
from search.campaigns.ledger import Ledger, settlement
from search.campaigns.seen import Seen, seen_so_far
from search.campaigns.shares import share_seconds
from search.models import folder_of

LEAST = 1.0  # seconds left of a budget that count as none
POLL = 1.0  # seconds between looks at a search that another process runs


@dataclass
class Work:
    """A campaign at work.

    Attributes:
        workers: search -> processes that train for it. tell: takes a line for the user.
        failed: search -> why it failed in this run.
        unfinished: searches that the budget's hours cut short or left out.
    """

    campaign: Campaign
    store: str
    ledger: Ledger
    workers: Mapping[str, int]
    tell: Callable[[str], None]
    failed: dict[str, str] = field(default_factory=dict)
    unfinished: list[str] = field(default_factory=list)

    def seen(self) -> dict[str, Seen]:
        """The store's searches by name."""
        return seen_so_far(self.store)

    def ended(self) -> dict[str, int]:
        """Trials of each search that need not be run any more."""
        seen = self.seen()
        return {item.name: seen[item.name].ended for item in self.campaign.items if item.name in seen}


def run_searches(work: Work) -> None:
    """Run all searches that are not settled; what failed, and what is unfinished, is then in `work`."""
    settled = settled_ones(work)
    for _, equals in groupby(work.campaign.items, key=lambda item: item.priority):
        _run_equals(work, [item for item in equals if item.name not in settled])


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
        if _seconds_left(work) < LEAST:
            work.unfinished += [each.name for each in items if each in waiting or each in cut_short]
            return
        item = _next(work, waiting)
        left = _seconds_left(work, work.workers[item.name])
        seconds = None if left == math.inf else max(share_seconds(left, len(waiting) + 1), LEAST)
        if _is_cut_short(work, item, seconds):
            cut_short.append(item)
        if not waiting:
            waiting, cut_short = cut_short, []


def _seconds_left(work: Work, workers: int = 1) -> float:
    """What the budget leaves a search of so many workers, by the clock; infinite where nothing limits it."""
    budget, ledger = work.campaign.budget, work.ledger
    hours = math.inf if budget.hours is None else budget.hours * 3600 - ledger.seconds
    gpu_hours = math.inf if budget.gpu_hours is None else (budget.gpu_hours * 3600 - ledger.gpu_seconds) / workers
    return min(hours, gpu_hours)


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
    limit = "" if seconds is None else f", for {seconds / 60:.3g} min"
    place = campaign.items.index(item) + 1
    work.tell(f"[{place}/{len(campaign.items)}] {item.name}: {item.trials} trials{there}{limit}")
    arguments = arguments_of(item, "-", campaign.runs, seconds)
    ended = run_search(
        arguments, work.store, work.tell, lambda spent: work.ledger.spend(spent, work.workers[item.name])
    )
    if ended.code != 0:
        work.failed[item.name] = ended.reason
        work.tell(f"{item.name} failed (exit code {ended.code}): {ended.reason}; the others go on")
        return False
    count = work.seen()[item.name].ended
    if seconds is not None and ended.seconds >= seconds and (count < item.trials or "confirm" in item.options):
        return True
    work.ledger.settle(item.name, _settlement(work, item, count))
    return False
