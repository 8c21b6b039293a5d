"""Checkpoints on disk: one `.npz` file a trial that another may go on from. Nothing is pickled.

A file that is gone or damaged costs time alone: the trial that needs it trains from its first epoch, to the same end.
"""

import json
import zipfile
from collections.abc import Callable, Collection
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from plumbing.files import atomic_path
from search.training.fitting import Checkpoint


@dataclass(frozen=True)
class Checkpoints:
    """The checkpoints of a search in its folder."""

    folder: Path

    def save(self, number: int, checkpoint: Checkpoint, of: str = "") -> None:
        """Keep a checkpoint.

        Args:
            of: what tells the trial from one of the same number in another search that had this folder before.
        Raises: OSError where the folder cannot be written or the disk is full.
        """
        arrays = {f"best_{index}": array for index, array in enumerate(checkpoint.best)}
        arrays |= {f"last_{index}": array for index, array in enumerate(checkpoint.last)}
        plain = {
            "history": checkpoint.history,
            "best_epoch": checkpoint.best_epoch,
            "early_stop_at_epoch": checkpoint.early_stop_at_epoch,
            "arrays": [len(checkpoint.best), len(checkpoint.last)],
            "of": of,
        }
        with atomic_path(self._path(number)) as temporary, temporary.open("wb") as file:
            np.savez(file, plain=np.array(json.dumps(plain)), **arrays)  # type: ignore[arg-type]

    def load(self, number: int, tell: Callable[[str], None], of: str = "") -> Checkpoint | None:
        """The checkpoint of that trial; None where there is no file, another's, or a damaged one, which is told."""
        path = self._path(number)
        if not path.exists():
            tell(f"{path}: gone; its trial is trained again from the first epoch")
            return None
        try:
            return _read(path, of)
        except (zipfile.BadZipFile, ValueError, KeyError, EOFError, RuntimeError, OSError) as error:
            tell(f"{path}: damaged ({error}); its trial is trained again from the first epoch")
            return None

    def keep_only(self, numbers: Collection[int], last: int) -> None:
        """Remove the checkpoints of other trials up to the last; another worker may know of those after it."""
        for path in self.folder.glob("[0-9]*.npz"):
            if int(path.stem) not in numbers and int(path.stem) <= last:
                path.unlink(missing_ok=True)

    def keep_under_way(self, number: int, of: str, checkpoint: Checkpoint) -> None:
        """Keep what a trial has come to, for whoever takes it up should this process die.

        Raises: OSError where the folder cannot be written or the disk is full.
        """
        self._under_way.save(number, checkpoint, of)

    def under_way(self, number: int, of: str, tell: Callable[[str], None]) -> Checkpoint | None:
        """What the trial had come to; None where nothing was kept of it."""
        return self._under_way.load(number, tell, of) if self._under_way._path(number).exists() else None

    def only_under_way(self, numbers: Collection[int]) -> None:
        """Remove what was kept of trials that have ended."""
        for path in self._under_way.folder.glob("[0-9]*.npz"):
            if int(path.stem) not in numbers:
                path.unlink(missing_ok=True)

    def remove_under_way(self, number: int) -> None:
        """The trial has ended."""
        self._under_way._path(number).unlink(missing_ok=True)

    @property
    def _under_way(self) -> "Checkpoints":
        return Checkpoints(self.folder / "under_way")

    def _path(self, number: int) -> Path:
        return self.folder / f"{number:04d}.npz"


def _read(path: Path, of: str) -> Checkpoint | None:
    with zipfile.ZipFile(path) as archive:
        if (damaged := archive.testzip()) is not None:  # NumPy alone misses a shape that got smaller
            raise ValueError(f"{damaged} does not hold")
    with np.load(path, allow_pickle=False) as file:
        plain = json.loads(str(file["plain"]))
        if plain.get("of", "") != of:
            return None
        best, last = plain["arrays"]
        return Checkpoint(
            history=plain["history"],
            best_epoch=plain["best_epoch"],
            early_stop_at_epoch=plain["early_stop_at_epoch"],
            best=[file[f"best_{index}"] for index in range(best)],
            last=[file[f"last_{index}"] for index in range(last)],
        )
