"""How far searches are, also while they run elsewhere: from the store alone.

    python -m search.status [CAMPAIGN.toml] [--store URL] [--json] [--watch]

With a campaign's file its searches, begun or not; else all searches of the store. `--watch` renews the view until all
is done. How many trials are asked for is known from the campaign, else from the command that began the search.
"""

import json
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from plumbing.command import CommandParser, run_command
from plumbing.errors import UsageError

if TYPE_CHECKING:  # loaded where they are used: --help needs none of them
    from search.campaigns.file import Campaign
    from search.campaigns.seen import Seen

COMMAND = "search.status"
RENEWED = 2.0  # seconds
STATES = ("running", "failed", "pruned", "finished")
# What matters most first: a narrow terminal cuts the rest off while it watches.
HEADER = ("search", "trials", "left", "best", "trials/h", "last trial", "workers", *STATES)


@dataclass(frozen=True)
class Row:
    """A search as it is shown.

    Attributes:
        asked: trials in all; None where nothing tells. seen: None where it was not begun yet.
        seconds_left: about; None where nothing has ended yet, or `asked` is not known.
    """

    name: str
    asked: int | None
    seen: "Seen | None"
    seconds_left: float | None

    @property
    def ended(self) -> int:
        """Trials that ended."""
        return self.seen.ended if self.seen else 0

    @property
    def is_done(self) -> bool:
        """Whether it has as many trials as are known to be asked for."""
        return self.asked is not None and self.ended >= self.asked


def rows_of(seen: "dict[str, Seen]", campaign: "Campaign | None") -> list[Row]:
    """The searches of a campaign with their confirmations, or all of a store."""
    if campaign is None:
        return [_row(name, each.asked, each) for name, each in seen.items()]
    rows = []
    for item in campaign.items:
        rows.append(_row(item.name, item.trials, seen.get(item.name)))
        if confirming := seen.get(f"{item.name}-confirm"):
            rows.append(_row(confirming.name, None, confirming))
    return rows


def _row(name: str, asked: int | None, seen: "Seen | None") -> Row:
    if seen is None or asked is None:
        return Row(name, asked, seen, None)
    asked = max(asked, seen.ended)
    left = asked - seen.ended
    return Row(name, asked, seen, 0.0 if not left else left * 3600 / seen.pace if seen.pace else None)


def seconds_left(rows: Sequence[Row]) -> float | None:
    """Until all is done, one search after another; those not begun taken to be as fast as the others are on average."""
    known = [row for row in rows if row.seen and row.seen.pace]
    if not known:
        return None
    average = sum(3600 / row.seen.pace for row in known if row.seen and row.seen.pace) / len(known)
    return sum(
        (row.asked - row.ended) * average if row.seconds_left is None else row.seconds_left
        for row in rows
        if row.asked is not None
    )


def as_text(rows: Sequence[Row], campaign: "Campaign | None") -> str:
    """The searches as aligned text, and all of them in a line."""
    from results.list import aligned

    if not rows:
        return "no searches yet"
    return f"{aligned([HEADER, *(_cells(row) for row in rows)])}\n{_all(rows, campaign)}"


def _cells(row: Row) -> tuple[str, ...]:
    from search.progress import duration

    if row.seen is None:
        return (row.name, f"0/{row.asked}", *("-" for _ in HEADER[2:]))
    seen = row.seen
    left = "done" if row.is_done else "-" if row.seconds_left is None else duration(row.seconds_left)
    return (
        row.name,
        f"{row.ended}/{row.asked}" if row.asked is not None else f"{row.ended} so far",
        left,
        "-" if seen.best is None else f"{seen.best:.4f}",
        "-" if seen.pace is None else f"{seen.pace:.3g}" if seen.pace < 100 else f"{seen.pace:.0f}",
        "-" if seen.last_seconds is None else f"{seen.last_seconds:.1f} s",
        str(seen.workers),
        *(str(seen.states.get(state, 0)) for state in STATES),
    )


def _all(rows: Sequence[Row], campaign: "Campaign | None") -> str:
    from search.progress import duration

    searches = [row for row in rows if not row.seen or row.seen.kind == "search"]
    done = sum(row.is_done for row in searches)
    ended, asked = sum(row.ended for row in searches), sum(row.asked or row.ended for row in searches)
    line = f"{done} of {len(searches)} searches done, {ended} of {asked} trials"
    left = seconds_left(searches)
    # Only a campaign is known to run its searches one after another.
    return f"{line}, about {duration(left)} left" if campaign and left else line


def as_json(rows: Sequence[Row], campaign: "Campaign | None", store: str) -> dict[str, Any]:
    """The same as plain data; null where something is not known."""
    return {
        "store": store,
        "campaign": campaign.name if campaign else None,
        "searches": [_plain(row) for row in rows],
        "seconds_left": seconds_left(rows) if campaign else None,
    }


def _plain(row: Row) -> dict[str, Any]:
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
    }


def watch(look: Callable[[], Sequence[Row]], campaign: "Campaign | None") -> None:
    """Show the view in place until all is done."""
    from rich.console import Console
    from rich.live import Live
    from rich.text import Text

    console = Console(highlight=False)

    def shown(rows: Sequence[Row]) -> Text:
        fitting = rows if len(rows) < console.height - 4 else [row for row in rows if row.seen and not row.is_done]
        text = as_text(fitting, campaign) if fitting is rows else f"{_folded(fitting)}{_all(rows, campaign)}"
        return Text(text, no_wrap=True, overflow="ellipsis")

    rows = look()
    with Live(shown(rows), console=console, auto_refresh=False) as live:
        while not all(row.is_done for row in rows if row.asked is not None):
            time.sleep(RENEWED)
            rows = look()
            live.update(shown(rows), refresh=True)


def _folded(rows: Sequence[Row]) -> str:
    """Those under way: the screen holds no more."""
    from results.list import aligned

    return f"{aligned([HEADER, *(_cells(row) for row in rows)])}\nunder way; " if rows else ""


def main(arguments: Sequence[str]) -> int:
    """The command; see the module's head.

    Raises: UserError where file or store cannot be read.
    """
    parser = CommandParser(COMMAND, "Shows how far searches are, from the store alone.")
    add = parser.add_argument
    add("file", metavar="CAMPAIGN.toml", nargs="?", type=Path, help="a campaign's; default: all searches of the store")
    add("--store", metavar="URL", help="the results store; default: the campaign's, else sqlite:///runs/results.db")
    add("--json", action="store_true", help="one JSON document")
    add("--watch", action="store_true", help="renew the view until all is done")
    options = parser.parse_args(arguments)
    if options.json and options.watch:
        raise UsageError("--json is one document, and --watch is many; give one of them")

    from results.connection import DEFAULT_URL, hide_password
    from search.campaigns.file import read_campaign
    from search.campaigns.seen import look_into

    campaign = read_campaign(options.file) if options.file else None
    store = options.store or (campaign.store if campaign else None) or DEFAULT_URL
    if options.watch:
        watch(lambda: rows_of(look_into(store), campaign), campaign)
        return 0
    rows = rows_of(look_into(store), campaign)
    told = json.dumps(as_json(rows, campaign, hide_password(store)), indent=2) if options.json else None
    print(told or as_text(rows, campaign))
    return 0


if __name__ == "__main__":
    sys.exit(run_command(COMMAND, main, sys.argv[1:]))
