"""Connections that do not wait for ever: a server has few of them, and each costs a file and memory."""

import errno
import logging
import sys
import time
from asyncio import BaseTransport, TimerHandle
from typing import Any

from uvicorn.protocols.http.h11_impl import H11Protocol

MOST_CONNECTIONS = 100
SILENCE_SECONDS = 10.0  # that a client may take to send a request's head, or without taking anything of its answer
LOOK_SECONDS = 1.0  # between two looks at a connection
TOLD_SECONDS = 60.0  # between two lines on the same trouble
NO_MORE = (errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM)  # what accept() fails with when all are taken


class Connection(H11Protocol):
    """One of a client. While the server is at work for it, it may wait; how fast uploads must come `uploads` watches.

    Where there are too many, the one that does nothing for longest is closed; where all do something, the new one.
    """

    def __init__(self, *given: Any, **named: Any) -> None:
        super().__init__(*given, **named)
        self._moved, self._untaken = self.loop.time(), 0
        self._look: TimerHandle | None = None

    def connection_made(self, transport: BaseTransport) -> None:
        """As asyncio has it."""
        super().connection_made(transport)  # type: ignore[arg-type]
        if len(self.connections) > MOST_CONNECTIONS:
            idle = [each for each in self.connections if isinstance(each, Connection) and not each._is_asked()]
            (min(idle, key=lambda each: each._moved) if idle else self)._drop()
        self._look = self.loop.call_later(LOOK_SECONDS, self._looked)

    def connection_lost(self, exc: Exception | None) -> None:
        """As asyncio has it."""
        if self._look is not None:
            self._look.cancel()
        super().connection_lost(exc)

    def on_response_complete(self) -> None:
        """As uvicorn has it."""
        self._moved = self.loop.time()
        super().on_response_complete()

    def _is_asked(self) -> bool:
        """Whether a request has come that has no whole answer yet."""
        return self.cycle is not None and not self.cycle.response_complete

    def _looked(self) -> None:
        untaken = self.transport.get_write_buffer_size()
        if untaken != self._untaken or (self._is_asked() and not untaken):
            self._moved, self._untaken = self.loop.time(), untaken
        if self.loop.time() - self._moved > SILENCE_SECONDS:
            self._drop()
        else:
            self._look = self.loop.call_later(LOOK_SECONDS, self._looked)

    def _drop(self) -> None:
        self.connections.discard(self)
        self.transport.abort()


class Seldom(logging.Filter):
    """Of asyncio's log: that no connection can be taken is one line a minute, not a traceback each time."""

    def __init__(self, command: str) -> None:
        super().__init__()
        self._command, self._told = command, -TOLD_SECONDS

    def filter(self, record: logging.LogRecord) -> bool:
        """As logging has it."""
        error = record.exc_info[1] if record.exc_info else None
        if not isinstance(error, OSError) or error.errno not in NO_MORE:
            return True
        if time.monotonic() - self._told >= TOLD_SECONDS:
            self._told = time.monotonic()
            print(f"{self._command}: no connection can be taken: {error.strerror}; raise the limit (ulimit -n)",
                  file=sys.stderr, flush=True)  # fmt: skip
        return False
