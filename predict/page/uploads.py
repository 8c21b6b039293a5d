"""A request's form with its files, read piece by piece into memory: nothing goes to disk, nothing beyond the limits."""

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING

from python_multipart.exceptions import FormParserError
from python_multipart.multipart import MultipartParser, parse_options_header
from starlette.requests import ClientDisconnect, Request

from predict.files import Content
from predict.page.limits import MIB, Limits, Refused, Share

if TYPE_CHECKING:
    from python_multipart.multipart import MultipartCallbacks

FORM, FILES = "multipart/form-data", "files"
MOST_FIELDS, FIELD_BYTES = 16, 1024  # of fields that are no files
LINGER_SECONDS = 5.0  # that a refused upload is read on and forgotten: who still sends does not hear the answer


@dataclass(frozen=True)
class Form:
    """What was sent: files in their order, and the other fields, of several of one name the last."""

    files: list[Content]
    fields: Mapping[str, str]


async def read_form(request: Request, limits: Limits, share: Share) -> Form:
    """The request's form.

    Raises: Refused where it is none, or goes beyond a limit; ClientDisconnect where its sender left.
    """
    body = _Body(request, limits, share)
    try:
        async with asyncio.timeout(limits.seconds):
            return await _read(request, limits, body)
    except TimeoutError:
        if body.is_silent:
            raise Refused(408, f"nothing came for {limits.silence_seconds:.0f} seconds; send the images anew") from None
        raise Refused(408, f"the upload took more than {limits.seconds:.0f} seconds; send fewer images") from None
    except Refused:
        await body.forget()
        raise


async def _read(request: Request, limits: Limits, body: "_Body") -> Form:
    kind, options = parse_options_header(request.headers.get("content-type"))
    if kind != FORM.encode() or not options.get(b"boundary"):
        raise Refused(415, f"send images as {FORM}, in fields named {FILES}")
    reader = _Reader(limits)
    try:
        parser = MultipartParser(options[b"boundary"], reader.callbacks())
        async for piece in body.pieces():
            parser.write(piece)
    except FormParserError as error:
        raise Refused(400, f"no form: {error}; send images as {FORM}") from None
    if not reader.is_whole:
        raise Refused(400, "the form has no end; send all of it")
    return Form(reader.files, reader.fields)


class _Body:
    """What comes in."""

    def __init__(self, request: Request, limits: Limits, share: Share) -> None:
        self._request, self._limits, self._share = request, limits, share
        self._is_begun = self._is_ended = False
        self.is_silent = False  # whether too long nothing came

    async def pieces(self) -> AsyncIterator[bytes]:
        """Its bytes as they come.

        Raises: Refused where they are too many; before the first one is read, where the request announces so.
        """
        announced = self._request.headers.get("content-length", "0")
        arrived = 0
        if not announced.isdecimal() or int(announced) > self._limits.request_bytes:
            raise self._too_large()
        while not self._is_ended:
            piece = await self._soon()
            arrived += len(piece)
            if arrived > self._limits.request_bytes:
                raise self._too_large()
            self._share.add(len(piece))
            yield piece

    async def forget(self) -> None:
        """Read on for a while, keeping nothing; not where the sender waits to be asked for the body."""
        waits = self._request.headers.get("expect", "").lower() == "100-continue" and not self._is_begun
        with suppress(TimeoutError, ClientDisconnect):
            async with asyncio.timeout(LINGER_SECONDS):
                while not (waits or self._is_ended):
                    await self._next()

    async def _soon(self) -> bytes:
        """Raises: TimeoutError where nothing comes for too long."""
        try:
            async with asyncio.timeout(self._limits.silence_seconds):
                return await self._next()
        except TimeoutError:
            self.is_silent = True
            raise

    async def _next(self) -> bytes:
        self._is_begun = True
        message = await self._request.receive()
        if message["type"] == "http.disconnect":
            raise ClientDisconnect
        self._is_ended = not message.get("more_body", False)
        found: bytes = message.get("body", b"")
        return found

    def _too_large(self) -> Refused:
        return Refused(413, f"more than {self._limits.request_bytes // MIB} MiB in one request; send fewer images")


class _Reader:
    """What the parser calls as it meets the parts of a form."""

    def __init__(self, limits: Limits) -> None:
        self._limits = limits
        self.files: list[Content] = []
        self.fields: dict[str, str] = {}
        self.is_whole = False
        self._header, self._value, self._content = bytearray(), bytearray(), bytearray()
        self._disposition = b""
        self._name, self._file = "", ""  # of the part; of its file, empty for a field
        self._is_file = False

    def callbacks(self) -> "MultipartCallbacks":
        return {
            "on_part_begin": self._begin,
            "on_header_field": lambda data, start, end: self._header.extend(data[start:end]),
            "on_header_value": lambda data, start, end: self._value.extend(data[start:end]),
            "on_header_end": self._end_header,
            "on_headers_finished": self._end_headers,
            "on_part_data": self._add,
            "on_part_end": self._end,
            "on_end": self._end_all,
        }

    def _begin(self) -> None:
        self._disposition = b""

    def _end_header(self) -> None:
        if self._header.lower() == b"content-disposition":
            self._disposition = bytes(self._value)
        self._header.clear()
        self._value.clear()

    def _end_headers(self) -> None:
        _, options = parse_options_header(self._disposition)
        self._is_file = b"filename" in options
        self._name, self._file = _text(options.get(b"name", b"")), _text(options.get(b"filename", b""))
        if self._is_file and self._name != FILES:
            raise Refused(422, f"a file in a field that is not named {FILES}; name it so")
        if self._is_file and len(self.files) == self._limits.files:
            raise Refused(413, f"more than {self._limits.files} images in one request; send fewer images")
        if not self._is_file and len(self.fields) == MOST_FIELDS:
            raise Refused(413, f"more than {MOST_FIELDS} fields in one request; send images as files")

    def _add(self, data: bytes, start: int, end: int) -> None:
        length = len(self._content) + end - start
        if self._is_file and length > self._limits.file_bytes:
            raise Refused(413, f"{self._file}: more than {self._limits.file_bytes // MIB} MiB; send a smaller image")
        if not self._is_file and length > FIELD_BYTES:
            raise Refused(413, f"a field of more than {FIELD_BYTES} bytes; send images as files")
        self._content += data[start:end]

    def _end(self) -> None:
        if self._is_file:
            self.files.append(Content(self._file, bytes(self._content)))
        else:
            self.fields[self._name] = _text(bytes(self._content))
        self._content.clear()

    def _end_all(self) -> None:
        self.is_whole = True


def _text(given: bytes) -> str:
    return given.decode("utf-8", "replace")
