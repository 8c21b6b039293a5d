"""What a campaign remembers beside the store: the hours that its searches ran, how they ended, which are settled.

Nothing here decides what is done: the store does. Without the file the hours count from zero, and searches that are
complete are opened once more, a few seconds each. The hours are kept here because the store cannot tell them: the
trials' own seconds leave out what lies between trials, and from the times when they began and ended one cannot tell a
long trial from a night between two runs.
"""

import hashlib
import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path

from plumbing.errors import UsageError
from plumbing.files import write_text_atomically
from search.campaigns.file import Budget, Campaign
from search.models import folder_of

LEAST = 1.0  # seconds left of a budget that count as none


@dataclass(frozen=True)
class End:
    """How a search ended in the campaign's last run.

    Attributes:
        trials: that it was to have. ended: that had ended by then. failed: why it failed, empty where it did not.
        unfinished: whether the budget's hours cut it short or left it out.
    """

    trials: int
    ended: int
    failed: str = ""
    unfinished: bool = False


@dataclass
class Ledger:
    """One campaign's, written whole at each change.

    Attributes:
        seconds: that searches ran, over all runs of the campaign. gpu_seconds: the same times each search's workers.
        settled: search -> what `settlement` gave when it last ended well.
        ends: search -> its end; empty when a run begins, so a search that a kill cut off has none.
    """

    path: Path
    seconds: float = 0.0
    gpu_seconds: float = 0.0
    settled: dict[str, str] = field(default_factory=dict)
    ends: dict[str, End] = field(default_factory=dict)

    def begin(self) -> dict[str, End]:
        """A run of the campaign begins; the ends of the last one, which are forgotten."""
        before, self.ends = self.ends, {}
        self._write()
        return before

    def spend(self, seconds: float, workers: int) -> None:
        """Add what a search ran."""
        self.seconds += seconds
        self.gpu_seconds += seconds * workers
        self._write()

    def settle(self, name: str, settlement: str) -> None:
        """Remember that a search ended well."""
        self.settled[name] = settlement
        self._write()

    def note(self, ends: Mapping[str, End]) -> None:
        """Remember how searches ended in this run."""
        self.ends |= ends
        self._write()

    def seconds_left(self, budget: Budget, workers: int = 1) -> float:
        """What the budget leaves a search of so many workers, by the clock; infinite where nothing limits it."""
        hours = math.inf if budget.hours is None else budget.hours * 3600 - self.seconds
        gpu_hours = math.inf if budget.gpu_hours is None else (budget.gpu_hours * 3600 - self.gpu_seconds) / workers
        return min(hours, gpu_hours)

    def used_up(self, budget: Budget) -> str:
        """Which hours are used up, and the mend; empty where some are left."""
        if self.seconds_left(budget) >= LEAST:
            return ""
        key = "hours" if self.seconds_left(replace(budget, gpu_hours=None)) < LEAST else "gpu-hours"
        return f"the budget's {key} are used up; raise {key} in [budget]"

    def _write(self) -> None:
        ends = {name: asdict(end) for name, end in self.ends.items()}
        values = {"seconds": self.seconds, "gpu_seconds": self.gpu_seconds, "settled": self.settled, "ends": ends}
        write_text_atomically(self.path, json.dumps(values, indent=1))


def read_ledger(path: Path) -> Ledger:
    """The campaign's, an empty one where there is none yet.

    Raises: UsageError where the file is damaged.
    """
    try:
        values = json.loads(path.read_text(encoding="utf-8"))
        settled = {str(name): str(each) for name, each in values["settled"].items()}
        ends = {str(name): End(**each) for name, each in values.get("ends", {}).items()}
        return Ledger(path, float(values["seconds"]), float(values["gpu_seconds"]), settled, ends)
    except FileNotFoundError:
        return Ledger(path)
    except (ValueError, KeyError, TypeError, AttributeError):
        raise UsageError(
            f"{path}: no ledger of a campaign; remove it: only the hours spent so far are forgotten"
        ) from None


def place_of(campaign: Campaign, store: str) -> Path:
    """The file of a campaign's ledger; its name tells apart campaigns of one name in different stores."""
    return campaign.runs / "campaigns" / f"{folder_of(campaign.name, store, campaign.runs).name}.json"


def settlement(arguments: Sequence[str], ended: int, files: Mapping[str, Path]) -> str:
    """A digest of all that must be the same for a search to be passed over: its command, its files, its ended trials.

    Args:
        ended: trials that the store holds. files: that the command names.
    """
    contents = {name: hashlib.blake2b(path.read_bytes(), digest_size=16).hexdigest() for name, path in files.items()}
    text = json.dumps([list(arguments), ended, contents], sort_keys=True)
    return hashlib.blake2b(text.encode(), digest_size=16).hexdigest()
