"""Addresses fetched from a real server on this machine; what may not be fetched is refused."""

import socket
import ssl
import subprocess
import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

import predict
from plumbing.errors import DataError, UsageError
from predict.fetch import MOST_REDIRECTS, fetch, is_public

CONTENT = bytes(range(256)) * 1000
DRIPPED = b"HTTP/1.0 200 OK\r\nContent-Length: 80\r\n\r\n" + bytes(80)  # in 6 seconds


class Handler(BaseHTTPRequestHandler):
    """Answers by path, and remembers what it was asked for."""

    def do_GET(self) -> None:
        asked.append(self.path)
        name, _, value = self.path[1:].partition("/")
        if name == "redirect":
            self.answer(302, b"", Location=value)
        elif name == "nowhere":
            self.answer(302, b"", Location="http://[")
        elif name == "nonsense":
            self.wfile.write(b"\x1b[31mSSH-2.0\r\n")
        elif name == "drip":
            self.drip()
        elif name == "short":
            self.answer(200, CONTENT[:10], **{"Content-Length": "99"})
        elif name == "endless":
            self.endless()
        elif name == "image":
            self.answer(200, (images / value).read_bytes())
        else:
            self.answer(200 if name == "good" else 404, CONTENT, **{"Content-Length": str(len(CONTENT))})

    def answer(self, status: int, content: bytes, **headers: str) -> None:
        self.send_response(status)
        for header, value in headers.items():
            self.send_header(header, value)
        self.end_headers()
        self.wfile.write(content)

    def drip(self) -> None:
        """A whole answer, a byte now and then: no single wait is long, all of them are."""
        for byte in DRIPPED:
            self.wfile.write(bytes([byte]))
            if ended.wait(0.05):
                return

    def endless(self) -> None:
        self.answer(200, b"")
        while not ended.is_set():
            self.wfile.write(CONTENT)

    def log_message(self, *_: object) -> None:
        pass


class Server(ThreadingHTTPServer):
    def handle_error(self, request: object, client_address: object) -> None:
        """That the client left is what some tests are about."""


asked: list[str] = []
ended = threading.Event()
images = Path()


@contextmanager
def serving(context: ssl.SSLContext | None = None) -> Iterator[str]:
    ended.clear()
    asked.clear()
    with Server(("127.0.0.1", 0), Handler) as server:
        if context is not None:
            server.socket = context.wrap_socket(server.socket, server_side=True)
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        yield f"{'https' if context else 'http'}://localhost:{server.server_port}"
        ended.set()
        server.shutdown()
        thread.join()


@pytest.fixture
def server() -> Iterator[str]:
    with serving() as address:
        yield address


def test_the_content_of_an_address_is_fetched_through_redirects(server: str) -> None:
    assert fetch(f"{server}/good/x y?a=é b#part", allow_private=True) == CONTENT
    assert asked == ["/good/x%20y?a=%C3%A9%20b"]
    assert fetch(f"{server}/redirect//redirect/{server}/good", allow_private=True) == CONTENT


def test_addresses_of_this_machine_are_refused_unless_allowed(server: str) -> None:
    port = server.rsplit(":", 1)[1]
    for host in ("127.0.0.1", "localhost", "2130706433", "0x7f.1", "0.0.0.0"):
        with pytest.raises(UsageError, match="is no public address; download it first"):
            fetch(f"http://{host}:{port}/good")
    with pytest.raises(UsageError, match="is no public address"):
        predict.calculate_binary("best", "XR_HAND", f"{server}/good", store="sqlite:///absent.db")
    assert asked == []


@pytest.mark.parametrize("turned", [False, True])
def test_a_host_that_also_has_an_address_of_this_machine_is_refused(
    server: str, monkeypatch: pytest.MonkeyPatch, turned: bool
) -> None:
    addresses = [("127.0.0.1", int(server.rsplit(":", 1)[1])), ("8.8.8.8", 1)]
    resolve_to(monkeypatch, *(reversed(addresses) if turned else addresses))
    with pytest.raises(UsageError, match=r"127\.0\.0\.1 is no public address"):
        fetch("http://two.addresses/good", seconds=4)
    assert asked == []


@pytest.mark.parametrize(
    "address",
    [
        *(
            "10.1.2.3",
            "172.16.0.1",
            "192.168.1.1",
            "100.64.0.1",
            "127.0.0.2",
            "169.254.169.254",
            "0.0.0.0",
            "224.0.0.1",
        ),
        *("240.0.0.1", "255.255.255.255", "192.0.2.1", "::", "::1", "fe80::1%eth0", "fc00::1", "ff02::1", "fec0::1"),
        *("::ffff:10.0.0.1", "::ffff:127.0.0.1", "64:ff9b::7f00:1", "64:ff9b:1::1", "2002:7f00:1::", "2001:db8::1"),
    ],
)
def test_an_address_that_is_not_public_is_told_apart(address: str) -> None:
    assert not is_public(address)


@pytest.mark.parametrize("address", ["8.8.8.8", "2606:4700::1111", "::ffff:8.8.8.8", "64:ff9b::808:808"])
def test_a_public_address_is_public(address: str) -> None:
    assert is_public(address)


def test_a_redirect_to_an_address_that_is_not_public_is_refused(server: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing but this machine can be reached by a test: it is taken for public until it has answered once."""
    with pytest.raises(UsageError, match="is no public address"):
        fetch(f"{server}/redirect/http://127.0.0.1:1/secret")
    monkeypatch.setattr("predict.fetch.is_public", lambda address: not asked)
    with pytest.raises(UsageError, match=r"http://127\.0\.0\.1:1/secret: 127\.0\.0\.1 is no public address"):
        fetch(f"{server}/redirect/http://127.0.0.1:1/secret")
    assert asked == ["/redirect/http://127.0.0.1:1/secret"]


def test_the_connection_goes_to_the_address_that_was_checked(server: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """A name is looked up once: one that answers otherwise the next time (DNS rebinding) is not asked again."""
    look_up, looked_up = socket.getaddrinfo, []

    def once(host: str, *rest: object, **options: object) -> object:
        looked_up.append(host)
        return look_up("127.0.0.1" if len(looked_up) == 1 else "absent.invalid", *rest, **options)  # type: ignore[arg-type]

    monkeypatch.setattr(socket, "getaddrinfo", once)
    assert fetch(f"http://a.name:{server.rsplit(':', 1)[1]}/good", allow_private=True) == CONTENT
    assert looked_up == ["a.name"]


@pytest.mark.parametrize(
    ("path", "reason"),
    [
        ("absent", "answers 404 Not Found"),
        ("short", "ended after 10 of 99 bytes"),
        ("nonsense", r"no proper HTTP answer \(BadStatusLine\)"),
        ("nowhere", "no proper HTTP answer"),
        ("redirect/", f"more than {MOST_REDIRECTS} redirects"),
    ],
)
def test_what_cannot_be_had_is_told(server: str, path: str, reason: str) -> None:
    with pytest.raises(DataError, match=reason) as raised:
        fetch(f"{server}/{path}", allow_private=True)
    assert str(raised.value).isprintable()


def test_redirects_in_a_circle_end(server: str) -> None:
    with pytest.raises(DataError, match="redirects"):
        fetch(f"{server}/redirect/", allow_private=True)
    assert len(asked) == MOST_REDIRECTS + 1


@pytest.mark.parametrize("target", ["file:///etc/passwd", "ftp://localhost/x", "data:text/plain,x"])
def test_a_redirect_to_another_kind_of_address_is_refused(server: str, target: str) -> None:
    with pytest.raises(UsageError, match="only http: and https: addresses are fetched"):
        fetch(f"{server}/redirect/{target}", allow_private=True)


@pytest.mark.parametrize(
    ("url", "reason"),
    [
        ("ftp://8.8.8.8/x.png", "only paths and file:, http: and https:"),
        ("file://elsewhere/x.png", "of another machine"),
        ("file://[/x.png", "of another machine"),
        ("http://", "only http: and https:"),
        ("http://[::1/x.png", "no address"),
        ("http://localhost:99999/x.png", "no address"),
        ("http://user:secret@localhost/x.png", "with a user name is not fetched"),
        ("http://localhost/\x1b[31m.png", "control characters"),
    ],
)
def test_addresses_that_cannot_be_fetched_are_one_line(url: str, reason: str) -> None:
    with pytest.raises(UsageError, match=reason) as raised:
        predict.calculate_binary("best", "XR_HAND", url, store="sqlite:///absent.db", allow_private=True)
    assert str(raised.value).isprintable()
    assert "secret" not in str(raised.value)


@pytest.mark.parametrize("host", ["a..b", "x" * 70])
def test_a_name_that_no_host_can_have_is_told(host: str) -> None:
    with pytest.raises(DataError, match="no host"):
        fetch(f"http://{host}/x.png", allow_private=True)


def test_too_much_is_refused_whether_told_before_or_not(server: str) -> None:
    assert fetch(f"{server}/good", allow_private=True, most_bytes=len(CONTENT)) == CONTENT
    for path in ("good", "endless"):
        with pytest.raises(DataError, match="more than 255,999 bytes"):
            fetch(f"{server}/{path}", allow_private=True, most_bytes=len(CONTENT) - 1)


@pytest.mark.parametrize("seconds", [1, 3])  # while the head drips in, and the content
def test_a_server_that_drips_is_left_at_the_time_limit(server: str, seconds: float) -> None:
    with pytest.raises(DataError, match=rf"not fetched within {seconds} s"):
        fetch(f"{server}/drip", allow_private=True, seconds=seconds)
    assert asked == ["/drip"]  # else it was left for another reason


def test_a_lookup_that_takes_long_is_left_at_the_time_limit(server: str, monkeypatch: pytest.MonkeyPatch) -> None:
    look_up, answered = socket.getaddrinfo, threading.Event()

    def late(host: str, *rest: object, **options: object) -> object:
        ended.wait(10)
        answered.set()
        return look_up(host, *rest, **options)  # type: ignore[arg-type]

    monkeypatch.setattr(socket, "getaddrinfo", late)
    with pytest.raises(DataError, match=r"not fetched within 0\.2 s"):
        fetch(f"{server}/good", allow_private=True, seconds=0.2)
    assert not answered.is_set()


def test_an_address_that_is_silent_leaves_time_for_the_next(server: str, monkeypatch: pytest.MonkeyPatch) -> None:
    with silent() as port:
        resolve_to(monkeypatch, ("127.0.0.1", port), ("127.0.0.1", int(server.rsplit(":", 1)[1])))
        assert fetch("http://two.addresses/good", allow_private=True, seconds=4) == CONTENT
        resolve_to(monkeypatch, ("127.0.0.1", port))
        with pytest.raises(DataError, match=r"not fetched within 0\.5 s"):
            fetch("http://silent/good", allow_private=True, seconds=0.5)


@contextmanager
def silent() -> Iterator[int]:
    """A port whose queue is full: connections to it are neither made nor refused."""
    with ExitStack() as stack:
        listening = stack.enter_context(socket.create_server(("127.0.0.1", 0), backlog=0))
        for _ in range(4):
            waiting = stack.enter_context(socket.socket())
            waiting.setblocking(False)
            waiting.connect_ex(listening.getsockname())
        yield listening.getsockname()[1]


def resolve_to(monkeypatch: pytest.MonkeyPatch, *addresses: tuple[str, int]) -> None:
    """Let any name have these addresses."""
    found = [(socket.AF_INET, socket.SOCK_STREAM, 6, "", address) for address in addresses]
    monkeypatch.setattr(socket, "getaddrinfo", lambda *_, **__: found)


def test_a_server_that_is_gone_is_told() -> None:
    with serving() as server:
        pass
    with pytest.raises(DataError, match=r"cannot be fetched: Connection refused"):
        fetch(f"{server}/good", allow_private=True)


def test_a_host_must_prove_its_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    command = (
        "openssl req -x509 -newkey rsa:2048 -nodes -days 2 -subj /CN=localhost -addext subjectAltName=DNS:localhost"
    )
    try:
        subprocess.run(
            [*command.split(), "-keyout", "key", "-out", "cert"], cwd=tmp_path, check=True, capture_output=True
        )
    except FileNotFoundError:
        pytest.skip("no openssl command to make a certificate with")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(tmp_path / "cert", tmp_path / "key")
    with serving(context) as server:
        with pytest.raises(DataError, match="certificate verify failed"):
            fetch(f"{server}/good", allow_private=True)
        monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "cert"))
        assert fetch(f"{server}/good", allow_private=True) == CONTENT
        with pytest.raises(DataError, match="certificate verify failed"):
            fetch(f"{server.replace('localhost', '127.0.0.1')}/good", allow_private=True)


def test_the_published_function_judges_an_address_as_the_file(
    url: str, hands: list[Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(globals(), "images", hands[0].parent)
    with serving() as server:
        fetched = f"{server}/image/{hands[0].name}"
        said = predict.calculate_binary("best", "XR_HAND", fetched, store=url, allow_private=True)
        with pytest.raises(DataError, match=r"not an image of a known kind: .* are read; give the address of an image"):
            predict.calculate_binary("best", "XR_HAND", f"{server}/good", store=url, allow_private=True)
    assert said == predict.calculate_binary("best", "XR_HAND", hands[0].as_uri(), store=url)
    for same in (f"file:{hands[0]}", f"FILE://localhost{hands[0]}"):
        assert predict.calculate_binary("best", "XR_HAND", same, store=url) == said
    with pytest.raises(DataError, match="No such file or directory; give an image"):
        predict.calculate_binary("best", "XR_HAND", f"{hands[0].as_uri()}.gone", store=url)
