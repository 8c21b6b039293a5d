"""How far searches are, also while they run elsewhere: from the store, and from how their campaign last ended them.

    python -m search.status [CAMPAIGN.toml] [--store URL] [--runs DIR] [--json] [--watch]

With a campaign's file its searches, begun or not; else all searches of the store. `--watch` renews the view until all
is done or the campaign has ended. How many trials are asked for is known from the campaign, else from the command that
began the search.
"""

import json
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from plumbing.command import CommandParser, run_command
from plumbing.errors import UsageError

if TYPE_CHECKING:  # loaded where they are used: --help needs none of them
    from search.campaigns.file import Campaign
    from search.campaigns.rows import Row

COMMAND = "search.status"
RENEWED = 2.0  # seconds


def look(campaign: "Campaign | None", store: str) -> "list[Row]":
    """The searches as they are now.

    Raises: UserError where store or ledger cannot be read, or nothing of the campaign has begun.
    """
    from search.campaigns.ledger import place_of, read_ledger
    from search.campaigns.rows import rows_of
    from search.campaigns.seen import look_into, may_hold_searches

    if campaign is None:
        return rows_of(look_into(store), None, None)
    place = place_of(campaign, store)
    ledger = read_ledger(place)  # before the store, which holds all that the ledger knows to have ended
    if may_hold_searches(store):
        return rows_of(look_into(store), campaign, ledger)
    if place.exists():  # none of its searches has begun
        return rows_of({}, campaign, ledger)
    raise UsageError(
        f"{campaign.path}: not begun yet, there is no store {store}; "
        f"run python -m search.campaign {campaign.path}, or give the --store that it was given"
    )


def as_json(rows: "Sequence[Row]", campaign: "Campaign | None", store: str) -> dict[str, Any]:
    """The rows as plain data; null where something is not known."""
    from search.campaigns.rows import seconds_left

    left = seconds_left(rows)
    return {
        "store": store,
        "campaign": campaign.name if campaign else None,
        "searches": [_plain(row) for row in rows],
        "seconds_left": left if campaign or left == 0 else None,
    }


def _plain(row: "Row") -> dict[str, Any]:
    from search.campaigns.table import STATES

    seen = row.seen
    names = ("kind", "task", "engine", "objective")
    plain: dict[str, Any] = {"search": row.name, **{name: getattr(seen, name, None) for name in names}}
    plain |= {"asked": row.asked, "ended": row.ended}
    plain |= {state: seen.states.get(state, 0) if seen else 0 for state in STATES}
    return plain | {
        "best_value": seen.best if seen else None,
        "trial_seconds": seen.seconds if seen else 0.0,
        "last_trial_seconds": seen.last_seconds if seen else None,
        "last_ended": seen.last_ended if seen else None,
        "trials_an_hour": seen.pace if seen else None,
        "seconds_left": row.seconds_left,
        "workers": seen.workers if seen else 0,
        "stopped": row.end or None,
    }


def watch(look: "Callable[[], list[Row]]", one_by_one: bool) -> None:
    """Show the view in place until all is over; where stdout is no terminal, print it whenever it has changed."""
    from rich.console import Console
    from rich.live import Live
    from rich.text import Text

    from search.campaigns.table import as_text

    console = Console(highlight=False)
    if not console.is_terminal:
        _follow(look, one_by_one)
        return
    with Live(console=console, auto_refresh=False) as live:
        for rows in _looks(look):
            height = None if all(row.is_over for row in rows) else console.height  # the last view stays, whole
            text = as_text(rows, one_by_one, console.width, height)
            live.update(Text(text, no_wrap=True, overflow="ellipsis"), refresh=True)


def _follow(look: "Callable[[], list[Row]]", one_by_one: bool) -> None:
    from search.campaigns.table import as_text

    told = ""
    for rows in _looks(look):
        if (text := as_text(rows, one_by_one)) != told:
            print(f"\n{text}" if told else text, flush=True)
            told = text


def _looks(look: "Callable[[], list[Row]]") -> "Iterator[list[Row]]":
    """The rows, again and again until all are over."""
    while True:
        rows = look()
        yield rows
        if all(row.is_over for row in rows):
            return
        time.sleep(RENEWED)


def main(arguments: Sequence[str]) -> int:
    """The command; see the module's head.

    Raises: UserError where file or store cannot be read.
    """
    parser = CommandParser(COMMAND, "Shows how far searches are, from the store and a campaign's ledger.")
    add = parser.add_argument
    add("file", metavar="CAMPAIGN.toml", nargs="?", type=Path, help="a campaign's; default: all searches of the store")
    add("--store", metavar="URL", help="the results store; default: the campaign's, else sqlite:///runs/results.db")
    add("--runs", metavar="DIR", help="of the campaign, in place of the file's: how it ended stands there")
    add("--json", action="store_true", help="one JSON document")
    add("--watch", action="store_true", help="renew the view until all is done or the campaign has ended")
    options = parser.parse_args(arguments)
    if options.json and options.watch:
        raise UsageError("--json is one document, and --watch is many; give one of them")

    from results.connection import DEFAULT_URL, hide_password
    from search.campaigns.file import read_campaign
    from search.campaigns.table import as_text

    if options.runs and not options.file:
        raise UsageError("--runs is a campaign's; give its file too")
    campaign = read_campaign(options.file, {"runs": options.runs}) if options.file else None
    store = options.store or (campaign.store if campaign else None) or DEFAULT_URL
    one_by_one = campaign is not None  # only a campaign is known to run its searches one after another
    if options.watch:
        watch(lambda: look(campaign, store), one_by_one)
        return 0
    rows = look(campaign, store)
    told = json.dumps(as_json(rows, campaign, hide_password(store)), indent=2) if options.json else None
    print(told or as_text(rows, one_by_one))
    return 0


if __name__ == "__main__":
    sys.exit(run_command(COMMAND, main, sys.argv[1:]))
