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

    def save(self, number: int, checkpoint: Checkpoint) -> None:
        """Raises: OSError where the folder cannot be written or the disk is full."""
        arrays = {f"best_{index}": array for index, array in enumerate(checkpoint.best)}
        arrays |= {f"last_{index}": array for index, array in enumerate(checkpoint.last)}
        plain = {
            "history": checkpoint.history,
            "best_epoch": checkpoint.best_epoch,
            "early_stop_at_epoch": checkpoint.early_stop_at_epoch,
            "arrays": [len(checkpoint.best), len(checkpoint.last)],
        }
        with atomic_path(self._path(number)) as temporary, temporary.open("wb") as file:
            np.savez(file, plain=np.array(json.dumps(plain)), **arrays)  # type: ignore[arg-type]

    def load(self, number: int, tell: Callable[[str], None]) -> Checkpoint | None:
        """The checkpoint of that trial; None where there is no file, or a damaged one, which is told."""
        path = self._path(number)
        if not path.exists():
            tell(f"{path}: gone; its trial is trained again from the first epoch")
            return None
        try:
            return _read(path)
        except (zipfile.BadZipFile, ValueError, KeyError, EOFError, RuntimeError, OSError) as error:
            tell(f"{path}: damaged ({error}); its trial is trained again from the first epoch")
            return None

    def keep_only(self, numbers: Collection[int]) -> None:
        """Remove the checkpoints of other trials."""
        for path in self.folder.glob("[0-9]*.npz"):
            if int(path.stem) not in numbers:
                path.unlink(missing_ok=True)

    def keep_under_way(self, number: int, checkpoint: Checkpoint) -> None:
        """Keep what a trial has come to, for whoever takes it up should this process die.

        Raises: OSError where the folder cannot be written or the disk is full.
        """
        self._under_way.save(number, checkpoint)

    def under_way(self, number: int, tell: Callable[[str], None]) -> Checkpoint | None:
        """What the trial had come to; None where nothing was kept."""
        return self._under_way.load(number, tell) if self._under_way._path(number).exists() else None

    def remove_under_way(self, number: int) -> None:
        """The trial has ended."""
        self._under_way._path(number).unlink(missing_ok=True)

    @property
    def _under_way(self) -> "Checkpoints":
        return Checkpoints(self.folder / "under_way")

    def _path(self, number: int) -> Path:
        return self.folder / f"{number:04d}.npz"


def _read(path: Path) -> Checkpoint:
    with zipfile.ZipFile(path) as archive:
        if (damaged := archive.testzip()) is not None:  # NumPy alone misses a shape that got smaller
            raise ValueError(f"{damaged} does not hold")
    with np.load(path, allow_pickle=False) as file:
        plain = json.loads(str(file["plain"]))
        best, last = plain["arrays"]
        return Checkpoint(
            history=plain["history"],
            best_epoch=plain["best_epoch"],
            early_stop_at_epoch=plain["early_stop_at_epoch"],
            best=[file[f"best_{index}"] for index in range(best)],
            last=[file[f"last_{index}"] for index in range(last)],
        )
