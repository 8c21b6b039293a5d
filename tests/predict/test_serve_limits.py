"""What one client does or leaves undone costs the others nothing: who leaves, stalls, waits, or sends bombs."""

import asyncio
import errno
import io
import logging
import os
import socket
import time
from collections.abc import Iterator, MutableMapping
from contextlib import suppress
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import numpy as np
import pytest
from PIL import Image

from predict.networks import ONNX
from predict.page.app import Desk, make_app
from predict.page.asking import Asking
from predict.page.connections import MOST_CONNECTIONS, Seldom
from predict.page.heads import DEFLATED, pixels
from predict.page.limits import Limits
from predict.page.offered import offered
from radiographs.decoding import MOST_PIXELS
from tests.predict.serving import PATIENCE, Server, form, serving
from tests.predict.test_serve import HAND
from tests.radiographs.test_dicom import dicom

FILES = 256  # that a server may have open: macOS' default
FEW_FILES = f"import resource; resource.setrlimit(resource.RLIMIT_NOFILE, ({FILES}, {FILES}))"


@pytest.fixture(scope="module")
def limited(url: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    written = tmp_path_factory.mktemp("limited") / "written.txt"
    with serving(written, "--store", url, "--part", HAND, "--engine", "onnx", before=FEW_FILES) as server:
        yield server


def png(width: int, height: int, seed: int | None = None) -> bytes:
    """Black, or noise."""
    grey = np.zeros((height, width), np.uint8)
    if seed is not None:
        grey = np.random.default_rng(seed).integers(0, 256, grey.shape, np.uint8)
    file = io.BytesIO()
    Image.fromarray(grey).save(file, "PNG", compress_level=1)
    return file.getvalue()


def opened(server: Server) -> socket.socket:
    place = urlsplit(server.url)
    made = socket.create_connection((str(place.hostname), place.port or 0), timeout=PATIENCE)
    made.settimeout(PATIENCE)
    return made


def asked(server: Server, body: bytes, kind: str) -> socket.socket:
    """A connection whose request was sent and begun."""
    made = opened(server)
    head = (
        f"POST /v1/predict HTTP/1.1\r\nHost: localhost\r\nContent-Type: {kind}\r\nContent-Length: {len(body)}\r\n\r\n"
    )
    made.sendall(head.encode() + body)
    for _ in range(3):  # the server has turned to its connections meanwhile
        assert server.get("/v1/parts").status == 200
    return made


def worked(server: Server) -> float:
    """Seconds of all cores that the process has had."""
    fields = Path(f"/proc/{server.process.pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def test_little_is_done_for_clients_who_have_left(limited: Server) -> None:
    body, kind = form([(f"{number}.png", png(3000, 3000)) for number in range(40)], part=HAND, heat="true")
    small = [("small.png", png(64, 64))]
    limited.post(small, part=HAND)
    before = worked(limited)
    assert limited.send(body, {"Content-Type": kind}).status == 200
    for_one = worked(limited) - before

    before = worked(limited)
    for _ in range(4):
        asked(limited, body, kind).close()
    assert limited.post(small, part=HAND).status == 200
    assert worked(limited) - before < 2 * for_one  # all four were served in full


def test_connections_that_do_nothing_keep_nobody_out(limited: Server) -> None:
    idle = []
    for _ in range(2 * FILES):
        idle.append(opened(limited))
        idle[-1].sendall(b"GET / HTTP/1.1\r\n")  # no whole head
    assert limited.get("/healthz").status == 200
    assert len(os.listdir(f"/proc/{limited.process.pid}/fd")) < FILES  # noqa: PTH208  # names alone
    for each in idle:
        each.close()
    assert limited.get("/healthz").status == 200
    assert "Traceback" not in limited.told()
    assert "open files" not in limited.told()
    assert 2 * MOST_CONNECTIONS < FILES


def test_a_head_that_does_not_come_is_not_waited_for(limited: Server) -> None:
    with opened(limited) as silent, opened(limited) as dribbling:
        dribbling.sendall(b"GET / HTTP/1.1\r\nX: ")
        for each in (silent, dribbling):
            assert is_ended(each)


def is_ended(connection: socket.socket) -> bool:
    """By the other side; waits for it."""
    try:
        return connection.recv(1) == b""
    except ConnectionResetError:
        return True


def test_an_answer_that_is_not_taken_is_let_go(limited: Server) -> None:
    noise = png(1000, 1000, seed=1)
    body, kind = form([(f"{number}.png", noise) for number in range(40)], part=HAND, heat="true")
    whole = len(limited.send(body, {"Content-Type": kind}).body)
    with asked(limited, body, kind) as connection:
        assert is_soon(lambda: not has_connection(limited, connection))
        assert taken(connection) < whole
    assert whole > 8 * 2**20  # more than the machine's own buffers take


def taken(connection: socket.socket) -> int:
    """How many bytes come until the other side ends it."""
    number = 0
    with suppress(ConnectionResetError):
        while piece := connection.recv(2**20):
            number += len(piece)
    return number


def has_connection(server: Server, connection: socket.socket) -> bool:
    """Whether the server still has its end open."""
    port = f":{connection.getsockname()[1]:04X}"
    lines = [each.split() for each in Path("/proc/net/tcp").read_text().splitlines()[1:]]
    inodes = {each[9] for each in lines if each[2].endswith(port)}
    links = [str(each.readlink()) for each in Path(f"/proc/{server.process.pid}/fd").iterdir() if each.is_symlink()]
    return any(f"socket:[{inode}]" in links for inode in inodes - {"0"})


def is_soon(holds: Any) -> bool:
    """Whether it comes to hold while a test can wait."""
    until = time.monotonic() + PATIENCE
    while time.monotonic() < until:
        if holds():
            return True
        time.sleep(0.2)
    return False


def test_an_answer_counts_until_it_is_sent(url: str, hands: list[Path]) -> None:
    body, kind = form(hands[:1], part=HAND, heat="true")
    held = 2 * len(body)
    found = offered(url, (HAND,)).offers
    asking = Asking(url, {HAND: found[HAND].model}, ONNX)
    app = make_app(Desk(asking, {HAND: found[HAND].card}, ONNX, Limits(held_bytes=held)))
    large, _ = form([("a.png", bytes(held - 300))], part=HAND)
    large_kind = large.split(b"\r\n", 1)[0][2:].decode()

    async def run() -> list[int]:
        taken = asyncio.Event()
        first = asyncio.create_task(status(app, body, kind, taken))
        while not started:
            await asyncio.sleep(0.01)
        return [await status(app, large, f"multipart/form-data; boundary={large_kind}"), finish(taken), await first]

    started: list[int] = []

    async def status(app: Any, body: bytes, kind: str, taken: asyncio.Event | None = None) -> int:
        """Of the answer, whose body is taken when the event comes."""
        found: list[int] = []
        given = False

        async def receive() -> MutableMapping[str, Any]:
            nonlocal given
            if given:
                await asyncio.sleep(PATIENCE)
            given = True
            return {"type": "http.request", "body": body, "more_body": False}

        async def send(message: MutableMapping[str, Any]) -> None:
            if message["type"] == "http.response.start":
                found.append(message["status"])
            elif taken is not None:
                started.append(1)
                await taken.wait()

        scope = {"type": "http", "asgi": {"version": "3.0", "spec_version": "2.3"}, "http_version": "1.1",
                 "method": "POST", "path": "/v1/predict", "raw_path": b"/v1/predict", "query_string": b"",
                 "headers": [(b"content-type", kind.encode())], "root_path": "", "scheme": "http"}  # fmt: skip
        await app(scope, receive, send)
        return found[0]

    def finish(taken: asyncio.Event) -> int:
        taken.set()
        return 0

    try:
        assert asyncio.run(run()) == [503, 0, 200]
    finally:
        asking.close()


def test_images_of_too_many_pixels_are_refused_before_they_are_decoded(limited: Server) -> None:
    bomb = png(10_000, 9_000)
    answer = limited.post([(f"{number}.png", bomb) for number in range(5)], part=HAND)
    assert answer.status == 413
    assert answer.json == {"error": "more than 400 million pixels in one request; send fewer images"}


def test_pixels_are_told_by_the_head() -> None:
    assert pixels(png(30, 20)) == 600
    assert pixels(png(30, 20)[:60]) == 600
    for content in (b"", b"no image", png(10_001, 10_000)):  # refused later, undecoded
        assert pixels(content) == 0


def test_pixels_of_dicom_are_told_by_its_head() -> None:
    content = dicom(np.zeros((20, 30), np.uint8), 8)
    assert pixels(content) == 600
    assert pixels(content[:200]) == 0
    assert pixels(content + DEFLATED) == MOST_PIXELS  # it may be one that unpacks to anything: not looked into


def test_that_no_connection_can_be_taken_is_told_once_a_minute(capsys: pytest.CaptureFixture[str]) -> None:
    seldom = Seldom("predict.serve")
    for number, is_told in ((errno.EMFILE, False), (errno.EMFILE, False), (errno.EIO, True)):
        error = OSError(number, os.strerror(number))
        record = logging.LogRecord("asyncio", logging.ERROR, "", 0, "accept", (), (OSError, error, None))
        assert seldom.filter(record) == is_told
    assert capsys.readouterr().err == (
        "predict.serve: no connection can be taken: Too many open files; raise the limit (ulimit -n)\n"
    )
