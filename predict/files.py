"""Which files a command's arguments mean: files, folders, patterns; and what is like a file."""

import glob
import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from plumbing.errors import DataError
from radiographs.decoding import Unreadable
from radiographs.table import IMAGE_ENDINGS

ENDINGS = IMAGE_ENDINGS | {".dcm", ".dicom"}
ANY_FOLDERS = "**"


class ImageFile(Protocol):
    """A file, or what is like one: `str` of it names it in verdicts."""

    def read_bytes(self) -> bytes:
        """Its content; OSError, ValueError or Unreadable where it cannot be read."""


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


@dataclass(frozen=True)
class Unlisted:
    """A folder that cannot be listed: told as a file that cannot be read, so that what is beside it is judged."""

    path: Path
    reason: str

    def read_bytes(self) -> bytes:
        """Raises: Unreadable, always."""
        raise Unreadable(f"the folder cannot be listed: {self.reason}")

    def __str__(self) -> str:
        return str(self.path)


class Kept:
    """A file that is read once: a pipe has no second time, and another file may have changed until then."""

    def __init__(self, file: ImageFile) -> None:
        self._file, self._content = file, b""
        self._is_read = False

    def read_bytes(self) -> bytes:
        """Its content, from memory after the first time."""
        if not self._is_read:
            self._content, self._is_read = self._file.read_bytes(), True
        return self._content

    def let_go(self) -> None:
        """Free the memory: the file is read again where it is asked for once more. What is no file on disk stays."""
        if isinstance(self._file, Path) and _is_file(self._file):
            self._content, self._is_read = b"", False

    def __str__(self) -> str:
        return str(self._file)


def content_of(file: ImageFile) -> bytes:
    """A file's content.

    Raises: Unreadable, saying why.
    """
    try:
        return file.read_bytes()
    except OSError as error:
        raise Unreadable(error.strerror or "cannot be read") from None
    except ValueError as error:  # Python's word for a path with a NUL in it
        raise Unreadable(f"no path: {error}") from None


def image_files(folder: Path) -> list[ImageFile]:
    """The image files in a folder and the folders in it, by name; hidden ones, as macOS leaves them, are passed over.

    Those are known by their endings; DICOM files without one must be given by name or pattern. Links are followed, but
    each folder counts once, by its own name where it is met without a link. Links to files that are gone, and folders
    that cannot be listed, are among the files.

    Raises: DataError where it is no folder.
    """
    if not _is_folder(folder):
        raise DataError(f"{folder}: no such folder; give one with images")
    found: list[Path] = []
    unlisted: list[Unlisted] = []
    for each in _walk(folder, with_hidden=True):
        if isinstance(each, Unlisted):
            unlisted.append(each)
        else:
            found += (path for path in each.files if path.suffix.lower() in ENDINGS and not path.name.startswith("."))
    return [*sorted(found), *unlisted]


def meant(arguments: Sequence[str]) -> list[ImageFile]:
    """The files that the arguments mean, each once, in their order.

    Args:
        arguments: each a file, whatever it is called; a folder, for its image files; or a pattern as shells have them,
            `**` for any folders, where no file is called so.
    Raises: DataError where a folder holds no image file, or a pattern matches nothing.
    """
    found: list[ImageFile] = []
    for argument in arguments:
        path = Path(argument)
        if _is_folder(path):
            files = image_files(path)
        elif _is_there(path) or not glob.has_magic(argument):
            files = [path if _is_file(path) or not _is_there(path) else Kept(path)]
        else:
            files = _matches(argument)
        if not files:
            raise DataError(f"{argument}: no image file in it; give images, folders of them or a pattern")
        found += files
    return list(dict.fromkeys(found))


def _matches(pattern: str) -> list[ImageFile]:
    """The files that a pattern matches, by name, then the folders that it could not look into."""
    head, any_folders, tail = _split(pattern)
    if not any_folders:
        return [*sorted(Path(each) for each in glob.glob(pattern) if _is_file(Path(each)))]  # noqa: PTH207  # any path
    found: list[ImageFile] = []
    for start in sorted(glob.glob(head)) if head else [""]:  # noqa: PTH207
        for each in _walk(Path(start), with_hidden=False) if _is_folder(Path(start)) else ():
            if isinstance(each, Unlisted):
                found.append(each)
            else:
                found += _matches(str(Path(glob.escape(str(each.path))) / tail))
    paths = {each for each in found if isinstance(each, Path)}
    return [*sorted(paths), *dict.fromkeys(each for each in found if isinstance(each, Unlisted))]


def _split(pattern: str) -> tuple[str, bool, str]:
    """What stands before the first `**` of a pattern, whether there is one, and what stands behind.

    >>> _split("a/**/b*.png"), _split("**"), _split("/**/*.png")
    (('a', True, 'b*.png'), ('', True, '*'), ('/', True, '*.png'))
    """
    pieces = Path(pattern).parts
    if ANY_FOLDERS not in pieces:
        return pattern, False, ""
    place = pieces.index(ANY_FOLDERS)
    head, tail = pieces[:place], pieces[place + 1 :]
    return str(Path(*head)) if head else "", True, str(Path(*tail)) if tail else "*"


@dataclass(frozen=True)
class _Listed:
    """A folder, and what lies in it but folders."""

    path: Path
    files: Sequence[Path]


def _walk(top: Path, with_hidden: bool) -> Iterator[_Listed | Unlisted]:
    """A folder and those in it, that of links too, each once, linked ones last: links may lead in circles."""
    seen: set[tuple[int, int]] = set()
    own, linked = [top], list[Path]()
    while own or linked:
        here = own.pop() if own else linked.pop()
        try:
            identity = (here.stat().st_dev, here.stat().st_ino)
            inside = [] if identity in seen else sorted(here.iterdir())
        except OSError as error:
            yield Unlisted(here, error.strerror or "unknown reason")
            continue
        if identity in seen:
            continue
        seen.add(identity)
        files = []
        for each in inside:
            if _is_folder(each):
                if with_hidden or not each.name.startswith("."):
                    (linked if each.is_symlink() else own).append(each)
            # A link to a file that is gone counts: reading it tells so. A pipe does not: it would be waited for.
            elif _is_file(each) or not _is_there(each):
                files.append(each)
        yield _Listed(here, files)


# As the methods of Path, which raise OSError where a name is too long or a folder is closed to us: reading the file
# tells that of it alone.
def _is_folder(path: Path) -> bool:
    return os.path.isdir(path)  # noqa: PTH112


def _is_file(path: Path) -> bool:
    return os.path.isfile(path)  # noqa: PTH113


def _is_there(path: Path) -> bool:
    return os.path.exists(path)  # noqa: PTH110
