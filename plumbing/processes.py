"""Which process a worker is, so that another of the same machine can see that it has died."""

import os
import socket
from pathlib import Path

PROC = Path("/proc")
UNSEEN = "unseen"


def identity() -> str:
    """This process among all that this boot of this machine has run; empty where the system does not tell (no /proc).

    Boot, namespace of process numbers, number and start: a number that is used again later is another process.
    """
    machine = _machine()
    started = _started(os.getpid())
    return f"{machine} {os.getpid()} {started}" if machine and started else ""


def is_gone(other: str) -> bool:
    """Whether the process of that `identity` has surely ended; False where it lives, or where it cannot be seen here.

    >>> is_gone(identity()), is_gone("another machine 1 2 3")
    (False, False)
    """
    machine = _machine()
    if not machine or not other.startswith(f"{machine} "):
        return False
    number, started = other.removeprefix(f"{machine} ").split()
    return _started(int(number)) not in (started, UNSEEN)


def host() -> str:
    """This machine's name."""
    return socket.gethostname()


def _machine() -> str:
    """This boot, and the namespace within which process numbers mean something; empty without /proc."""
    try:
        boot = (PROC / "sys/kernel/random/boot_id").read_text(encoding="ascii").strip()
        return f"{boot} {(PROC / 'self/ns/pid').readlink()}"
    except OSError:
        return ""


def _started(number: int) -> str:
    """When a process began, in the kernel's ticks; empty where there is none, or only what its parent has not reaped.

    UNSEEN where the system does not let us look.

    Source: proc_pid_stat(5): after the name in brackets come the state (field 3) and, as field 22, the start.
    """
    try:
        told = (PROC / str(number) / "stat").read_text(encoding="utf-8", errors="replace")
    except (FileNotFoundError, ProcessLookupError):  # with hidepid other users' processes are not there either
        return "" if (PROC / "1" / "stat").exists() else UNSEEN
    except OSError:
        return UNSEEN
    fields = told.rpartition(")")[2].split()
    return "" if fields[0] in "ZX" else fields[19]
