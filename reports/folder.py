"""The folder that a report is written into: each file whole or absent, other files left alone."""

from collections.abc import Mapping
from pathlib import Path

from plumbing.errors import UsageError
from plumbing.files import atomic_path

Content = str | bytes  # of a file; text is written as UTF-8


def check_folder(out: Path) -> None:
    """Raises: UsageError where the folder, or one that reports have in it, is a file."""
    for folder in (out, out / "plots", out / "tables", out / "cards"):
        if folder.exists() and not folder.is_dir():
            raise UsageError(f"--out {out}: {folder} is a file; give another folder")


class Written:
    """A folder whose files are written again where they changed."""

    def __init__(self, out: Path) -> None:
        self._out = out
        self._known: dict[str, Content] = {}

    def write(self, files: Mapping[str, Content]) -> None:
        """Write name -> content, each file whole, those left out that were written the same before.

        Raises: OSError where the folder cannot be written.
        """
        for name, content in files.items():
            if self._known.pop(name, None) != content:  # not known while it is written: Ctrl-C may come
                with atomic_path(self._out / name) as temporary:
                    temporary.write_bytes(content.encode() if isinstance(content, str) else content)
            self._known[name] = content


def write_all(out: Path, files: Mapping[str, Content]) -> list[Path]:
    """Write name -> content; the paths, in the order of their writing.

    Raises: OSError where the folder cannot be written.
    """
    Written(out).write(files)
    return [out / name for name in files]
