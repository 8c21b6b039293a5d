"""Searches as `search.status` shows them: from the store, and for a campaign's from how it last ended them."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from search.campaigns.file import Campaign
from search.campaigns.ledger import Ledger
from search.campaigns.seen import Seen


@dataclass(frozen=True)
class Row:
    """A search as it is shown.

    Attributes:
        asked: trials in all; None where nothing tells. seen: None where it was not begun yet.
        seconds_left: about; None where nothing has ended yet, or `asked` is not known.
        end: why the campaign ended it before it was done, empty where it ended well; None where it did not end it, or
            somebody went on with it since.
    """

    name: str
    asked: int | None
    seen: Seen | None
    seconds_left: float | None
    end: str | None = None

    @property
    def ended(self) -> int:
        """Trials that ended."""
        return self.seen.ended if self.seen else 0

    @property
    def is_done(self) -> bool:
        """Whether it ended well, or has as many trials as are known to be asked for."""
        return not self.end if self.end is not None else self.asked is not None and self.ended >= self.asked

    @property
    def is_over(self) -> bool:
        """Whether nothing more is to be awaited of it; so too where nobody works on it and nobody knows what was asked
        for."""
        if self.seen is not None and self.seen.workers:
            return False
        return self.end is not None or self.asked is None or self.ended >= self.asked


def rows_of(seen: Mapping[str, Seen], campaign: Campaign | None, ledger: Ledger | None) -> list[Row]:
    """The searches of a campaign with their confirmations, or all of a store."""
    if campaign is None or ledger is None:
        return [_row(name, each.asked, each, None) for name, each in seen.items()]
    rows, ends = [], _ends(campaign, ledger, seen)
    for item in campaign.items:
        rows.append(_row(item.name, item.trials, seen.get(item.name), ends.get(item.name)))
        if confirming := seen.get(f"{item.name}-confirm"):
            rows.append(_row(confirming.name, None, confirming, None))
    return rows


def _ends(campaign: Campaign, ledger: Ledger, seen: Mapping[str, Seen]) -> dict[str, str]:
    """Search -> how the campaign last ended it, unless the file has given it more trials or hours since, or somebody
    goes or went on with it."""
    used_up, ends = ledger.used_up(campaign.budget), {}
    for item in campaign.items:
        end, now = ledger.ends.get(item.name), seen.get(item.name)
        went_on = now is not None and (now.workers > 0 or (end is not None and now.ended != end.ended))
        if end is not None and not went_on and end.trials == item.trials and (used_up or not end.unfinished):
            ends[item.name] = f"failed: {end.failed}" if end.failed else used_up if end.unfinished else ""
    return ends


def _row(name: str, asked: int | None, seen: Seen | None, end: str | None) -> Row:
    if asked is not None and seen is not None:
        asked = max(asked, seen.ended)
    if end is not None:
        return Row(name, asked, seen, 0.0, end)
    if seen is None or asked is None:
        return Row(name, asked, seen, None)
    left = asked - seen.ended
    return Row(name, asked, seen, 0.0 if not left else left * 3600 / seen.pace if seen.pace else None)


def seconds_left(rows: Sequence[Row]) -> float | None:
    """Until all is done, one search after another; those not begun taken to be as fast as the others are on average."""
    counted = [row for row in rows if row.asked is not None]
    if counted and all(row.is_over for row in rows):
        return 0.0
    known = [row.seen.pace for row in rows if row.seen and row.seen.pace]
    if not known:
        return None
    average = sum(3600 / pace for pace in known) / len(known)
    return sum(
        ((row.asked or 0) - row.ended) * average if row.seconds_left is None else row.seconds_left for row in counted
    )
