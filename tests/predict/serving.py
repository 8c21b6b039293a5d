"""A real server in a process of its own, asked over real HTTP."""

import http.client
import json
import signal
import subprocess
import sys
import time
import urllib.request
import uuid
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.error import HTTPError
from urllib.parse import urlsplit

REPOSITORY = Path(__file__).resolve().parents[2]
PATIENCE = 120  # seconds, for a machine that has much else to do
File = tuple[str, bytes]


@dataclass(frozen=True)
class Answer:
    """What came back."""

    status: int
    headers: Mapping[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)


@dataclass(frozen=True)
class Server:
    """A server that runs."""

    url: str
    process: "subprocess.Popen[str]"
    written: Path

    def get(self, path: str, **headers: str) -> Answer:
        return ask(urllib.request.Request(self.url + path, headers=headers))

    def post(self, files: Sequence[File | Path], headers: Mapping[str, str] | None = None, **fields: str) -> Answer:
        """Files and fields as a browser's form."""
        body, kind = form(files, **fields)
        return self.send(body, {"Content-Type": kind, **(headers or {})})

    def send(self, body: Any, headers: Mapping[str, str]) -> Answer:
        return ask(urllib.request.Request(f"{self.url}/v1/predict", body, dict(headers)))

    def connection(self) -> http.client.HTTPConnection:
        return http.client.HTTPConnection(str(urlsplit(self.url).netloc), timeout=PATIENCE)

    def told(self) -> str:
        """All that it has written so far."""
        return self.written.read_text()


def ask(request: urllib.request.Request) -> Answer:
    try:
        with urllib.request.urlopen(request, timeout=PATIENCE) as response:
            return Answer(response.status, dict(response.headers), response.read())
    except HTTPError as refused:
        with refused:
            return Answer(refused.code, dict(refused.headers), refused.read())


def form(files: Sequence[File | Path], **fields: str) -> tuple[bytes, str]:
    """A body of multipart/form-data, and its content type."""
    boundary = uuid.uuid4().hex
    parts = [(f'name="{name}"', value.encode()) for name, value in fields.items()]
    named = [(each.name, each.read_bytes()) if isinstance(each, Path) else each for each in files]
    parts += [(f'name="files"; filename="{name}"', content) for name, content in named]
    whole = [
        f"--{boundary}\r\nContent-Disposition: form-data; {head}\r\n\r\n".encode() + content + b"\r\n"
        for head, content in parts
    ]
    return b"".join([*whole, f"--{boundary}--\r\n".encode()]), f"multipart/form-data; boundary={boundary}"


@contextmanager
def serving(written: Path, *arguments: object, before: str = "", is_awaited: bool = True) -> Iterator[Server]:
    """A server, ready, that ends with the block.

    Args:
        written: file for what it writes. before: Python that runs in its process first. is_awaited: until it is ready;
            else until it has told its address.
    """
    code = f"{before}\nimport runpy, sys\nsys.argv[0] = 'serve'\nrunpy.run_module('predict.serve', run_name='__main__')"
    command = [sys.executable, "-c", code, "--port", "0", *map(str, arguments)]
    with written.open("w") as file:
        process = subprocess.Popen(command, cwd=REPOSITORY, stdout=file, stderr=subprocess.STDOUT, text=True)
    try:
        server = Server(_address(process, written), process, written)
        while is_awaited and server.get("/healthz").status != 200:
            assert process.poll() is None, written.read_text()
            time.sleep(0.1)
        yield server
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait(PATIENCE)


def _address(process: "subprocess.Popen[str]", written: Path) -> str:
    while not written.read_text().partition("http://")[2].partition("\n")[1]:
        assert process.poll() is None, written.read_text()
        time.sleep(0.05)
    return "http://" + written.read_text().partition("http://")[2].split()[0]
