"""How much a server takes at once, and what it says to who sends more."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

MIB = 2**20


class Refused(Exception):
    """A request that gets no answer but this line.

    Attributes:
        status: of HTTP.
    """

    def __init__(self, status: int, line: str) -> None:
        super().__init__(line)
        self.status = status


@dataclass(frozen=True)
class Limits:
    """What is taken at most.

    Attributes:
        file_bytes: of a file. files, request_bytes, pixels: of a request in all. held_bytes: of all requests together,
            from their first byte until their answer is sent. seconds: until a request has arrived. silence_seconds:
            between two pieces of it.
    """

    file_bytes: int = 64 * MIB
    files: int = 64
    request_bytes: int = 128 * MIB
    pixels: int = 400_000_000
    held_bytes: int = 512 * MIB
    seconds: float = 120.0
    silence_seconds: float = 10.0


class Held:
    """The uploads and answers that a server has in memory at the moment."""

    def __init__(self, most: int) -> None:
        """Args: most: bytes."""
        self._most, self._now = most, 0

    @contextmanager
    def share(self) -> Iterator["Share"]:
        """A request's own part of it, given back at the end of the block."""
        own = Share(self)
        try:
            yield own
        finally:
            own.become(0)

    def add(self, number: int) -> None:
        """Raises: Refused where that would be too much."""
        if self._now + number > self._most:
            raise Refused(503, "too much at once; try again in a moment")
        self._now += number

    def let_go(self, number: int) -> None:
        """So many bytes are in memory no more."""
        self._now -= number


class Share:
    """One request's bytes in memory."""

    def __init__(self, held: Held) -> None:
        self._held, self.bytes = held, 0

    def add(self, number: int) -> None:
        """Raises: Refused where the server holds too much already."""
        self._held.add(number)
        self.bytes += number

    def become(self, number: int) -> None:
        """Other bytes in place of those: an answer, which is there already, in place of its upload."""
        self._held.let_go(self.bytes - number)
        self.bytes = number
