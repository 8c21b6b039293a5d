"""A search as the campaign sees it: a process, its lines, and how it ended.

A process each keeps memory flat, and what breaks in one search stays there.
"""

import json
import os
import select
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

TICK = 5.0  # seconds: what a kill of the campaign may lose of the hours spent
PATIENCE = 10.0  # seconds for an orderly end after Ctrl-C
ERROR = "search.run: "  # how its one line of error begins, and what it says besides
WIDE = "500"  # columns: its lines are folded for the terminal here, not by it


@dataclass(frozen=True)
class Ended:
    """How a search ended.

    Attributes:
        code: its exit code; negative: the signal that ended it. reason: why it failed, empty where it did not.
        seconds: that it ran.
    """

    code: int
    reason: str
    seconds: float


def run_search(
    arguments: Sequence[str], store: str, tell: Callable[[str], None], spend: Callable[[float], None]
) -> Ended:
    """Run a search to its end; whatever ends this call ends the search too.

    Args:
        arguments: of `search.run`, the last two being `--store -`. store: in its place.
        tell: is given its lines, but not the one that says why it failed.
        spend: is told of seconds that it ran, every `TICK` of them.
    """
    begun = told = time.monotonic()
    held, last = "", ""
    process = subprocess.Popen(
        [sys.executable, "-m", "search.campaigns.item", *arguments],
        stdin=subprocess.PIPE,  # closes when this process is gone; see search.campaigns.item
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        bufsize=0,  # nothing is kept back that closing a broken pipe would fail to write
        start_new_session=True,
        env=os.environ | {"COLUMNS": WIDE},
    )
    with process:
        try:
            _write_line(process, store)
            for line in _lines(process):
                if held and line:
                    tell(held)
                    held = ""
                if line.startswith(ERROR):
                    held = line
                elif line and not _is_summary(line):
                    tell(line)
                last = line or last
                if time.monotonic() - told >= TICK:
                    spend(time.monotonic() - told)
                    told = time.monotonic()
            code = process.wait()
        except KeyboardInterrupt:
            _interrupt(process)
            raise
        finally:
            if process.poll() is None:
                _kill_group(process)
            spend(time.monotonic() - told)
    if held and code == 0:
        tell(held)
    return Ended(code, _reason(code, last), time.monotonic() - begun)


def _lines(process: "subprocess.Popen[bytes]") -> Iterator[str]:
    """Its lines as they come; an empty one after a second without."""
    assert process.stdout is not None
    pipe, rest = process.stdout.fileno(), b""
    while True:
        if not select.select([pipe], [], [], 1.0)[0]:
            if process.poll() is not None:  # it ended: what it started holds the pipe open
                _kill_group(process)
            yield ""
            continue
        if not (chunk := os.read(pipe, 2**16)):
            break
        *lines, rest = (rest + chunk).split(b"\n")
        yield from (line.decode(errors="replace") for line in lines)
    yield rest.decode(errors="replace")


def _write_line(process: "subprocess.Popen[bytes]", text: str) -> None:
    """To its stdin, which stays open."""
    assert process.stdin is not None
    with suppress(BrokenPipeError):  # it ended already, and its code says how
        process.stdin.write(f"{text}\n".encode())
        process.stdin.flush()


def _is_summary(line: str) -> bool:
    if not line.startswith('{"search"'):
        return False
    with suppress(ValueError):
        found: Any = json.loads(line)
        return isinstance(found, dict)
    return False


def _reason(code: int, last: str) -> str:
    if code == 0:
        return ""
    if code < 0:
        return f"ended by {signal.Signals(-code).name}: killed, or out of memory"
    return last.removeprefix(ERROR) or f"exit code {code}"


def _interrupt(process: "subprocess.Popen[bytes]") -> None:
    """Ctrl-C for all of its group, as a terminal would give it."""
    with suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGINT)
    with suppress(subprocess.TimeoutExpired):
        process.wait(PATIENCE)


def _kill_group(process: "subprocess.Popen[bytes]") -> None:
    """End what is left of its group: safe at any instant, as a kill of a search is."""
    with suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
