"""Forms read piece by piece into memory: whole however they are cut, never more than the limits."""

import asyncio
from collections.abc import Iterable, Sequence
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st
from starlette.requests import ClientDisconnect, Request

from predict.page.limits import Held, Limits, Refused
from predict.page.uploads import Form, read_form
from tests.predict.serving import form

SMALL = Limits(file_bytes=1000, files=3, request_bytes=4000, held_bytes=6000, seconds=0.2)
FILES = st.lists(st.tuples(st.sampled_from(["a.png", "ä ö.dcm", ""]), st.binary(max_size=300)), min_size=1, max_size=3)


class Sender:
    """A client: `given` counts the pieces that were asked of it."""

    def __init__(self, pieces: Sequence[bytes], is_whole: bool = True) -> None:
        self.pieces, self.is_whole, self.given = pieces, is_whole, 0

    async def receive(self) -> dict[str, object]:
        if self.given == len(self.pieces):
            if not self.is_whole:
                await asyncio.sleep(60)  # stalls
            return {"type": "http.disconnect"}
        self.given += 1
        more = self.given < len(self.pieces) or not self.is_whole
        return {"type": "http.request", "body": self.pieces[self.given - 1], "more_body": more}


def read(sender: Sender, kind: str, held: Held | None = None, limits: Limits = SMALL, **headers: str) -> Form:
    """As the server reads it; on return, or when refused, it holds nothing any more."""
    named = {"content-type": kind, **headers}
    scope = {
        "type": "http",
        "method": "POST",
        "headers": [(name.encode(), value.encode()) for name, value in named.items()],
    }
    held = held or Held(limits.held_bytes)
    with held.share() as share:
        return asyncio.run(read_form(Request(scope, sender.receive), limits, share))


def cut(body: bytes, places: Iterable[int]) -> list[bytes]:
    inner = sorted({place % len(body) for place in places} - {0})
    return [body[start:end] for start, end in zip([0, *inner], [*inner, len(body)], strict=True)]


@given(FILES, st.lists(st.integers(0, 10_000), max_size=20))
def test_a_form_is_the_same_however_it_is_cut(files: list[tuple[str, bytes]], places: list[int]) -> None:
    body, kind = form(files, part="XR_HAND", study="true")
    found = read(Sender(cut(body, places)), kind)
    assert [(each.name, each.content) for each in found.files] == files
    assert found.fields == {"part": "XR_HAND", "study": "true"}


def refused(sender: Sender, kind: str, held: Held | None = None, **headers: str) -> Refused:
    with pytest.raises(Refused) as caught:
        read(sender, kind, held, **headers)
    return caught.value


@pytest.mark.parametrize(
    ("files", "line"),
    [
        ([("a.png", bytes(1001))], "a.png: more than"),
        ([("a.png", bytes(990))] * 4, "more than 3 images"),
        ([("a.png", bytes(900)), ("b.png", bytes(900)), ("c.png", bytes(2000))], "c.png: more than"),
    ],
)
def test_what_is_too_much_is_refused(files: list[tuple[str, bytes]], line: str) -> None:
    body, kind = form(files)
    error = refused(Sender(cut(body, range(0, len(body), 50))), kind)
    assert (error.status, str(error).startswith(line)) == (413, True)


def test_a_long_field_and_many_fields_are_refused() -> None:
    body, kind = form([], part="x" * 1025)
    assert refused(Sender([body]), kind).status == 413
    body, kind = form([], **{f"field{number}": "" for number in range(17)})
    assert refused(Sender([body]), kind).status == 413


def test_a_request_that_announces_too_much_is_refused_unread_where_it_asks_first() -> None:
    sender = Sender([b"x"])
    error = refused(sender, "multipart/form-data; boundary=b", expect="100-continue", **{"content-length": "4001"})
    assert (error.status, sender.given) == (413, 0)


def test_the_rest_of_a_refused_request_is_read_and_forgotten() -> None:
    body, kind = form([("a.png", bytes(3000))])
    sender = Sender(cut(body, range(0, len(body), 100)))
    held = Held(SMALL.held_bytes)
    assert refused(sender, kind, held).status == 413
    assert sender.given == len(sender.pieces)
    held.add(SMALL.held_bytes)  # raises if anything were still held


def test_requests_together_hold_no_more_than_the_server_may() -> None:
    held = Held(SMALL.held_bytes)
    body, kind = form([("a.png", bytes(900))] * 3)
    with held.share() as others:
        others.add(SMALL.held_bytes - len(body) + 1)
        assert refused(Sender([body]), kind, held).status == 503
    assert len(read(Sender([body]), kind, held).files) == 3


def test_an_upload_that_stalls_ends_and_is_let_go() -> None:
    body, kind = form([("a.png", bytes(100))])
    held = Held(SMALL.held_bytes)
    assert refused(Sender([body[:50]], is_whole=False), kind, held).status == 408
    held.add(SMALL.held_bytes)


def test_a_sender_who_falls_silent_is_not_waited_for_until_the_end() -> None:
    body, kind = form([("a.png", bytes(100))])
    limits = replace(SMALL, seconds=60.0, silence_seconds=0.1)
    with pytest.raises(Refused, match="nothing came for") as caught:
        read(Sender([body[:50]], is_whole=False), kind, limits=limits)
    assert caught.value.status == 408


def test_an_answer_takes_its_uploads_place_until_it_is_sent() -> None:
    held = Held(1000)
    with held.share() as share:
        share.add(900)
        share.become(100)
        held.add(900)  # raises if the upload still counted
        with pytest.raises(Refused):
            held.add(1)
    held.add(100)


def test_a_sender_who_leaves_is_no_refusal() -> None:
    body, kind = form([("a.png", bytes(100))])
    sender = Sender([body[:50], b""], is_whole=False)
    sender.receive = leaving(sender)  # type: ignore[method-assign]
    with pytest.raises(ClientDisconnect):
        read(sender, kind)


def leaving(sender: Sender) -> object:
    receive = sender.receive

    async def left() -> dict[str, object]:
        return {"type": "http.disconnect"} if sender.given == len(sender.pieces) else await receive()

    return left


def test_parts_without_a_name_or_with_files_elsewhere_are_refused() -> None:
    kind = "multipart/form-data; boundary=b"
    elsewhere = b'--b\r\nContent-Disposition: form-data; name="image"; filename="a"\r\n\r\nx\r\n--b--\r\n'
    assert "named files" in str(refused(Sender([elsewhere]), kind))
    nameless = b"--b\r\nContent-Type: image/png\r\n\r\nx\r\n--b--\r\n"
    assert read(Sender([nameless]), kind).fields == {"": "x"}  # no field of ours, as the API says then
