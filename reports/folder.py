"""The folder that a report is written into: each file whole or absent, other files left alone."""

from collections.abc import Mapping
from pathlib import Path

from plumbing.errors import UsageError
from plumbing.files import atomic_path, write_text_atomically


def check_folder(out: Path) -> None:
    """Raises: UsageError where the folder, or one that reports have in it, is a file."""
    for folder in (out, out / "plots", out / "tables"):
        if folder.exists() and not folder.is_dir():
            raise UsageError(f"--out {out}: {folder} is a file; give another folder")


def write_all(out: Path, files: Mapping[str, str | bytes]) -> list[Path]:
    """Write name -> content; the paths, in the order of their writing.

    Raises: OSError where the folder cannot be written.
    """
    for name, content in files.items():
        if isinstance(content, str):
            write_text_atomically(out / name, content)
        else:
            with atomic_path(out / name) as temporary:
                temporary.write_bytes(content)
    return [out / name for name in files]
