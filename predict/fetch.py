"""The content of an http: or https: address, within limits of time and size, from public addresses only.

The name is looked up once; every address that it has is checked, and the connection goes to one that was checked, so a
name that answers differently the second time gains nothing. Each redirect is treated so again. No proxy is used.
"""

import io
import socket
import ssl
import threading
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from http.client import HTTPConnection, HTTPException, HTTPResponse, responses
from ipaddress import IPv4Address, IPv6Address, IPv6Network, ip_address
from typing import Any
from urllib.parse import SplitResult, quote, urljoin, urlsplit

from plumbing.errors import DataError, UsageError

SECONDS = 30.0  # in all, redirects included
MOST_BYTES = 64 * 2**20  # a radiograph of 20 megapixels and 16 bits, uncompressed, has 40 MB
MOST_REDIRECTS = 5
PIECE = 64 * 1024
PORTS = {"http": 80, "https": 443}
REDIRECTS = (301, 302, 303, 307, 308)
NAT64, LOCAL_NAT64 = IPv6Network("64:ff9b::/96"), IPv6Network("64:ff9b:1::/48")


def fetch(url: str, allow_private: bool = False, seconds: float = SECONDS, most_bytes: int = MOST_BYTES) -> bytes:
    """What lies at an address.

    Args:
        allow_private: also from loopback, private, link-local and other addresses that are not public.
        seconds: for all of it together. most_bytes: of the content.
    Raises: UsageError where the address may not be fetched; DataError where fetching fails. Each is one line.
    """
    deadline, address = time.monotonic() + seconds, url.strip()
    try:
        for _ in range(MOST_REDIRECTS + 1):
            with _answer(_checked(address), allow_private, deadline) as response:
                if response.status not in REDIRECTS:
                    return _content(response, address, most_bytes)
                address = urljoin(address, response.getheader("Location") or "")
    except TimeoutError:
        raise DataError(f"{url}: not fetched within {seconds:g} s; download it first") from None
    except OSError as error:
        raise DataError(f"{url}: cannot be fetched: {error.strerror or error}; is the address right?") from None
    except (HTTPException, ValueError) as error:  # ValueError: redirected to what is no address
        raise DataError(f"{url}: no proper HTTP answer ({type(error).__name__}); is the address right?") from None
    raise DataError(f"{url}: more than {MOST_REDIRECTS} redirects; give the address of the image itself")


def is_public(address: str) -> bool:
    """Whether a numeric address belongs to the public internet, and so does an IPv4 address wrapped in it.

    >>> [is_public(each) for each in ("8.8.8.8", "10.0.0.1", "::ffff:127.0.0.1", "169.254.169.254")]
    [True, False, False, False]
    """
    ip = ip_address(address.split("%")[0])
    if isinstance(ip, IPv6Address):
        if (inner := _wrapped(ip)) is not None:
            return is_public(str(inner))
        if ip.is_site_local or ip in LOCAL_NAT64:
            return False
    barred = (ip.is_private, ip.is_loopback, ip.is_link_local, ip.is_reserved, ip.is_multicast, ip.is_unspecified)
    return ip.is_global and not any(barred)


def _wrapped(ip: IPv6Address) -> IPv4Address | None:
    """The IPv4 address that a translating network would turn it into."""
    if ip in NAT64:
        return IPv4Address(int(ip) & 0xFFFFFFFF)
    return ip.ipv4_mapped or ip.sixtofour or (ip.teredo[1] if ip.teredo else None)


def _checked(url: str) -> SplitResult:
    """Raises: UsageError where it is no http: or https: address with a host and a port that can be."""
    if not url.isprintable():
        raise UsageError(f"{url!a}: an address with control characters is not fetched")
    try:
        parts = urlsplit(url)
        parts.port  # noqa: B018  # raises where it is no port
    except ValueError as error:
        raise UsageError(f"{url}: no address: {error}; give http://HOST/PATH") from None
    if parts.scheme not in PORTS or not parts.hostname:
        raise UsageError(f"{url}: only http: and https: addresses are fetched")
    if parts.username is not None:
        raise UsageError(f"an address with a user name is not fetched from {parts.hostname}; download it first")
    return parts


@contextmanager
def _answer(parts: SplitResult, allow_private: bool, deadline: float) -> Iterator[HTTPResponse]:
    """What a checked address answers. Raises: UsageError where it is not public; OSError, HTTPException."""
    host, port = str(parts.hostname), parts.port or PORTS[parts.scheme]
    found = _resolved(host, port, deadline)
    refused = [sockaddr[0] for _, sockaddr in found if not is_public(sockaddr[0])]
    if refused and not allow_private:
        raise UsageError(
            f"{parts.geturl()}: {refused[0]} is no public address; download it first, or allow_private=True"
        )
    path = quote(parts.path or "/", safe="/%:@!$&'()*+,;=~")
    query = quote(parts.query, safe="/%:@!$&'()*+,;=~?")
    with closing(HTTPConnection(host, port)) as connection:
        connection.sock = _Timed(_connected(found, host if parts.scheme == "https" else None, deadline), deadline)
        connection.request("GET", f"{path}?{query}" if query else path, headers={"Accept-Encoding": "identity"})
        with connection.getresponse() as response:
            yield response


def _connected(found: list[tuple[socket.AddressFamily, Any]], name: str | None, deadline: float) -> socket.socket:
    """A connection to the first address that answers; with a name by TLS, to a host that proves it."""
    failure: OSError = OSError("no address found")
    for number, (family, sockaddr) in enumerate(found):
        plain = socket.socket(family, socket.SOCK_STREAM)
        try:
            plain.settimeout(_left(deadline) / (len(found) - number))  # an address that is silent leaves time to others
            plain.connect(sockaddr)
            plain.settimeout(_left(deadline))
            return plain if name is None else ssl.create_default_context().wrap_socket(plain, server_hostname=name)
        except OSError as error:
            plain.close()
            failure = error
    raise failure


def _left(deadline: float) -> float:
    """Seconds to the deadline. Raises: TimeoutError once it has passed."""
    left = deadline - time.monotonic()
    if left <= 0:
        raise TimeoutError
    return left


def _resolved(host: str, port: int, deadline: float) -> list[tuple[socket.AddressFamily, Any]]:
    """The families and addresses of a host; in a thread, because the system's lookup knows no time limit."""
    found: list[Any] = []

    def look_up() -> None:
        try:
            found.append(socket.getaddrinfo(host, port, type=socket.SOCK_STREAM))
        except (OSError, ValueError) as error:  # ValueError: a name that no host can have
            found.append(OSError(f"no host {host} is known ({error})"))

    thread = threading.Thread(target=look_up, daemon=True)
    thread.start()
    thread.join(_left(deadline))
    if not found:
        raise TimeoutError
    if isinstance(found[0], OSError):
        raise found[0]
    return [(family, sockaddr) for family, _, _, _, sockaddr in found[0]]


class _Timed:
    """A socket as `http.client` uses one, on which every wait ends at the deadline, however slowly bytes drip in."""

    def __init__(self, sock: socket.socket, deadline: float) -> None:
        self.sock, self.deadline = sock, deadline

    def sendall(self, data: bytes) -> None:
        self.sock.settimeout(_left(self.deadline))
        self.sock.sendall(data)

    def makefile(self, mode: str) -> io.BufferedReader:
        return io.BufferedReader(_TimedReader(self.sock, self.deadline))

    def close(self) -> None:
        self.sock.close()


class _TimedReader(io.RawIOBase):
    """Reads on after its socket was closed, as a socket's own files do."""

    def __init__(self, sock: socket.socket, deadline: float) -> None:
        self.sock, self.deadline, self.raw = sock, deadline, sock.makefile("rb", buffering=0)

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int | None:
        self.sock.settimeout(_left(self.deadline))
        return self.raw.readinto(buffer)

    def close(self) -> None:
        self.raw.close()
        super().close()


def _content(response: HTTPResponse, url: str, most_bytes: int) -> bytes:
    """Raises: DataError where the answer is none with content, too large or cut short; OSError, HTTPException."""
    if response.status != 200:
        raise DataError(
            f"{url}: the server answers {response.status} {responses.get(response.status, '')}; is the address right?"
        )
    told = response.length
    pieces = io.BytesIO()
    for piece in _pieces(response) if told is None or told <= most_bytes else ():
        pieces.write(piece)
        if pieces.tell() > most_bytes:
            break
    if (told or 0) > most_bytes or pieces.tell() > most_bytes:
        raise DataError(f"{url}: more than {most_bytes:,} bytes; download it first")
    if told is not None and pieces.tell() < told:
        raise DataError(f"{url}: the answer ended after {pieces.tell():,} of {told:,} bytes; try again")
    return pieces.getvalue()


def _pieces(response: HTTPResponse) -> Iterator[bytes]:
    while piece := response.read(PIECE):
        yield piece
