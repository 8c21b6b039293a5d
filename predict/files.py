"""Which files a command's arguments mean: files, folders, patterns; and what is a file in memory."""

import glob
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from plumbing.errors import DataError
from radiographs.table import IMAGE_ENDINGS

ENDINGS = IMAGE_ENDINGS | {".dcm", ".dicom"}


class ImageFile(Protocol):
    """A file, or what is like one: `str` of it names it in verdicts."""

    def read_bytes(self) -> bytes:
        """Its content; OSError where it cannot be read."""


@dataclass(frozen=True)
class Content:
    """A file's content in memory, under the name that verdicts call it by."""

    name: str
    content: bytes

    def read_bytes(self) -> bytes:
        """The content."""
        return self.content

    def __str__(self) -> str:
        return self.name


def image_files(folder: Path) -> list[Path]:
    """The image files in a folder and the folders in it, by name; hidden ones, as macOS leaves them, are passed over.

    Those are known by their endings; DICOM files without one must be given by name or pattern.

    Raises: DataError where it is no folder.
    """
    if not folder.is_dir():
        raise DataError(f"{folder}: no such folder; give one with images")
    files = (path for path in folder.rglob("*") if path.suffix.lower() in ENDINGS)
    return sorted(path for path in files if not path.name.startswith(".") and path.is_file())


def meant(arguments: Sequence[str]) -> list[Path]:
    """The files that the arguments mean, each once, in their order.

    Args:
        arguments: each a file, whatever it is called; a folder, for its image files; or a pattern as shells have them,
            `**` for any folders, where no file is called so.
    Raises: DataError where a folder holds no image file, or a pattern matches nothing.
    """
    found: list[Path] = []
    for argument in arguments:
        path = Path(argument)
        if path.is_dir():
            files = image_files(path)
        elif path.exists() or not glob.has_magic(argument):
            files = [path]
        else:
            matches = sorted(glob.glob(argument, recursive=True))  # noqa: PTH207  # Path.glob takes no absolute ones
            files = [Path(each) for each in matches if Path(each).is_file()]
        if not files:
            raise DataError(f"{argument}: no image file in it; give images, folders of them or a pattern")
        found += files
    return list(dict.fromkeys(found))
