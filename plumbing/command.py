"""How a command of ours ends: exit 0 done; 2 bad usage or input, one line; 130 interrupted; 1 anything else."""

import argparse
import atexit
import codecs
import errno
import gc
import io
import os
import sys
from collections.abc import Callable, Sequence
from typing import NoReturn

from plumbing.errors import SearchFailed, UsageError, UserError
from plumbing.text import printable

# What the surroundings refuse (disk full, no permission, a file where a folder should be): the user mends it.
MENDABLE = frozenset(
    {
        errno.ENOSPC,
        errno.EDQUOT,
        errno.EFBIG,
        errno.EACCES,
        errno.EPERM,
        errno.EROFS,
        errno.ENOTDIR,
        errno.EISDIR,
        errno.EEXIST,
        errno.ENOENT,
        errno.ENAMETOOLONG,
    }
)


class Interrupted(KeyboardInterrupt):
    """Ctrl-C, with the line that tells how to go on."""


class _HelpFormatter(argparse.ArgumentDefaultsHelpFormatter):
    """Tells defaults, but not `(default: None)` and the like."""

    def _get_help_string(self, action: argparse.Action) -> str | None:
        plain = action.default is None or isinstance(action.default, bool)
        return action.help if plain else super()._get_help_string(action)


class CommandParser(argparse.ArgumentParser):
    """An argument parser whose errors are one line, without the usage text."""

    def __init__(self, command: str, description: str) -> None:
        super().__init__(
            prog=f"python -m {command}",
            description=description,
            formatter_class=_HelpFormatter,
            allow_abbrev=False,
        )

    def error(self, message: str) -> NoReturn:
        raise UsageError(f"{message}; --help lists the options")


def one_line(text: str) -> str:
    """The text with line breaks and runs of white space folded into single spaces."""
    return " ".join(text.split())


def surroundings(error: OSError) -> str:
    """What to tell of a file that could not be read or written.

    >>> surroundings(OSError(errno.ENOSPC, "No space left on device", "/runs"))
    '/runs: No space left on device; free it or give another place'
    """
    return f"{error.filename or 'a file'}: {error.strerror}; free it or give another place"


def _make_writable() -> None:
    """Let no text end a command that is only told: not where stdout or stderr is closed, nor by a name in it.

    A file name that is no UTF-8 is written as its own bytes; what stdout's encoding lacks, as Python writes it.
    """
    # Closed ones are None, and the next file opened would take their number, and what libraries write there.
    if sys.stdout is None:
        sys.stdout = open(os.devnull, "w")  # noqa: PTH123, SIM115  # for the rest of the process
    if sys.stderr is None:
        sys.stderr = open(os.devnull, "w")  # noqa: PTH123, SIM115
    if isinstance(sys.stdout, io.TextIOWrapper) and sys.stdout.errors == "strict":
        is_utf_8 = codecs.lookup(sys.stdout.encoding).name == "utf-8"
        sys.stdout.reconfigure(errors="surrogateescape" if is_utf_8 else "backslashreplace")


def _tell(command: str, text: str) -> None:
    print(printable(f"{command}: {one_line(text)}"), file=sys.stderr)


def run_command(command: str, main: Callable[[Sequence[str]], int], arguments: Sequence[str]) -> int:
    """Run `main(arguments)` and turn its errors into one line on stderr and an exit code."""
    _make_writable()
    try:
        code = main(arguments)
        sys.stdout.flush()
        atexit.register(gc.freeze)  # at its end Python would look for cycles in all that was loaded, half a second
        return code
    except UserError as error:
        _tell(command, str(error))
        return 2
    except SearchFailed as error:
        _tell(command, str(error))
        return 1
    except KeyboardInterrupt as interrupt:
        _tell(command, f"interrupted; {interrupt}" if str(interrupt) else "interrupted")
        return 130
    except BrokenPipeError:
        # The reader of our output left (`| head`): Python would complain once more while closing stdout.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except OSError as error:
        if error.errno not in MENDABLE:
            raise
        _tell(command, surroundings(error))
        return 2


def positive(text: str) -> float:
    """An argparse type: a number above 0."""
    try:
        number = float(text)
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text!r} is not a number") from None
    if not 0 < number < float("inf"):
        raise argparse.ArgumentTypeError(f"{text} is not above 0; give a number above 0")
    return number


def not_negative(text: str) -> float:
    """An argparse type: a number of at least 0."""
    return 0.0 if text.strip() in ("0", "0.0") else positive(text)


def at_least(least: int, most: int | None = None) -> Callable[[str], int]:
    """An argparse type: a whole number of at least `least`, at most `most` where it is given."""

    def parse(text: str) -> int:
        try:
            number = int(text)
        except ValueError:
            raise argparse.ArgumentTypeError(f"{text!r} is not a whole number") from None
        if number < least:
            raise argparse.ArgumentTypeError(f"{number} is below {least}; give {least} or more")
        if most is not None and number > most:
            raise argparse.ArgumentTypeError(f"{number} is above {most}; give {most} or less")
        return number

    return parse
