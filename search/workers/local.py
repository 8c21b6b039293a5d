"""`--workers N`: processes of this machine, each `search.worker` with its share of cores and memory, or its GPU."""

import json
import os
import signal
import subprocess
import sys
import threading
from collections import deque
from collections.abc import Mapping
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Any

import search
from search.loop import SearchRun
from search.options import Options
from search.workers.coordinate import coordinate, remaining
from search.workers.limits import Share, shares

PATIENCE = 3.0  # seconds for an orderly end
TOLD_BY_COMMAND = (1, 2, 130)  # exit codes whose last line the command tells as its own, once


def run_here(run: SearchRun, options: Options) -> None:
    """Run the search by as many processes as the options say.

    Raises: SearchFailed, UserError.
    """
    of_each = shares(options.workers)
    coordinate(run, partial(_start, run, options, of_each), options.workers)


def _start(run: SearchRun, options: Options, of_each: list[Share], place: int, label: str) -> "LocalWorker":
    seconds = remaining(options.timeout, run.stopping.started)
    return LocalWorker(
        f"worker {place}", label, options.store, arguments(run.search.name, of_each[place], seconds, label)
    )


def arguments(name: str, share: Share, seconds: float | None, label: str) -> list[str]:
    """The command line of a worker that is given the store by standard input."""
    more = {
        "--cpus": ",".join(map(str, share.cpus)) or None,
        "--memory-gib": share.memory_gib,
        "--gpu": share.gpu,
        "--timeout": seconds,
    }
    given = [part for option, value in more.items() if value is not None for part in (option, str(value))]
    return ["-m", "search.worker", "--name", name, "--store", "-", "--label", label, *given]


def python_path() -> str:
    """PYTHONPATH by which another process finds our code, whatever its folder."""
    root = str(Path(str(search.__file__)).parents[1])
    return os.pathsep.join(filter(None, (root, os.environ.get("PYTHONPATH"))))


class LocalWorker:
    """A process; it ends when this one does, because its standard input does."""

    def __init__(self, name: str, label: str, store: str, given: list[str], folder: Path | None = None) -> None:
        self.label = label
        self.process = subprocess.Popen(
            [sys.executable, *given],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            cwd=folder,
            env={**os.environ, "PYTHONPATH": python_path()},
            start_new_session=True,  # Ctrl-C is for this process, which ends the others
        )
        self.lines: deque[str] = deque(maxlen=1)
        self.out = ""
        self.readers = [
            threading.Thread(target=self._relay, args=(name,), daemon=True),
            threading.Thread(target=self._read, daemon=True),
        ]
        for reader in self.readers:
            reader.start()
        assert self.process.stdin is not None
        with suppress(BrokenPipeError):  # it has died already
            self.process.stdin.write(f"{store}\n")
            self.process.stdin.flush()

    def code(self) -> int | None:
        """None while it runs."""
        code = self.process.poll()
        if code is not None:
            self._close()
        return code

    def said(self) -> str:
        """The last line of its stderr."""
        return self.lines[-1] if self.lines else ""

    def told(self) -> Mapping[str, Any] | None:
        """Its last line of stdout."""
        lines = self.out.splitlines()
        return json.loads(lines[-1]) if lines else None

    def stop(self) -> None:
        """By Ctrl-C's signal, so that it gives its trials back; then by force."""
        self.process.send_signal(signal.SIGINT)
        try:
            self.process.wait(PATIENCE)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        self._close()

    def _close(self) -> None:
        for reader in self.readers:
            reader.join()
        for pipe in (self.process.stdin, self.process.stdout, self.process.stderr):
            assert pipe is not None
            with suppress(BrokenPipeError):
                pipe.close()

    def _relay(self, name: str) -> None:
        assert self.process.stderr is not None
        for line in self.process.stderr:
            if self.lines:
                print(f"{name}: {self.lines[-1]}", file=sys.stderr)
            self.lines.append(line.rstrip("\n"))
        if self.lines and self.process.wait() not in TOLD_BY_COMMAND:
            print(f"{name}: {self.lines[-1]}", file=sys.stderr)

    def _read(self) -> None:
        assert self.process.stdout is not None
        self.out = self.process.stdout.read()
