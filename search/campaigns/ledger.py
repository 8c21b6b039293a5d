"""What a campaign remembers beside the store: the hours that its searches ran, and which are settled.

Nothing here decides what is done: the store does. Without the file the hours count from zero, and searches that are
complete are opened once more, a few seconds each. The hours are kept here because the store cannot tell them: the
trials' own seconds leave out what lies between trials, and from the times when they began and ended one cannot tell a
long trial from a night between two runs.
"""

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from plumbing.errors import UsageError
from plumbing.files import write_text_atomically


@dataclass
class Ledger:
    """One campaign's, written whole at each change.

    Attributes:
        seconds: that searches ran, over all runs of the campaign. gpu_seconds: the same times each search's workers.
        settled: search -> what `settlement` gave when it last ended well.
    """

    path: Path
    seconds: float = 0.0
    gpu_seconds: float = 0.0
    settled: dict[str, str] = field(default_factory=dict)

    def spend(self, seconds: float, workers: int) -> None:
        """Add what a search ran."""
        self.seconds += seconds
        self.gpu_seconds += seconds * workers
        self._write()

    def settle(self, name: str, settlement: str) -> None:
        """Remember that a search ended well."""
        self.settled[name] = settlement
        self._write()

    def _write(self) -> None:
        values = {"seconds": self.seconds, "gpu_seconds": self.gpu_seconds, "settled": self.settled}
        write_text_atomically(self.path, json.dumps(values, indent=1))


def read_ledger(path: Path) -> Ledger:
    """The campaign's, an empty one where there is none yet.

    Raises: UsageError where the file is damaged.
    """
    try:
        values = json.loads(path.read_text(encoding="utf-8"))
        settled = {str(name): str(each) for name, each in values["settled"].items()}
        return Ledger(path, float(values["seconds"]), float(values["gpu_seconds"]), settled)
    except FileNotFoundError:
        return Ledger(path)
    except (ValueError, KeyError, TypeError, AttributeError):
        raise UsageError(
            f"{path}: no ledger of a campaign; remove it: only the hours spent so far are forgotten"
        ) from None


def settlement(arguments: Sequence[str], ended: int, files: Mapping[str, Path]) -> str:
    """A digest of all that must be the same for a search to be passed over: its command, its files, its ended trials.

    Args:
        ended: trials that the store holds. files: that the command names.
    """
    contents = {name: hashlib.blake2b(path.read_bytes(), digest_size=16).hexdigest() for name, path in files.items()}
    text = json.dumps([list(arguments), ended, contents], sort_keys=True)
    return hashlib.blake2b(text.encode(), digest_size=16).hexdigest()
