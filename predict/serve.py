"""A page on this machine to drop radiographs on, and the same for programs.

    python -m predict.serve [--store URL] [--port 8000]

Nothing that is sent is kept or written down. docs/page.md tells the rest.
"""

import errno
import os
import signal
import socket
import sys
from argparse import Namespace
from collections.abc import Sequence
from ipaddress import ip_address
from typing import TYPE_CHECKING

from plumbing.command import CommandParser, at_least, run_command
from plumbing.errors import UsageError
from radiographs.parts import TASKS
from results.connection import DEFAULT_URL

if TYPE_CHECKING:  # loaded where it is used: --help does not need it
    from predict.page.offered import Offered

COMMAND = "predict.serve"
LOCAL_NAME = "localhost"
PATIENCE_SECONDS = 2  # that running requests get after Ctrl-C
BACKLOG = 32  # connections that wait; asyncio takes so many at once, before one too many can be dropped


def main(arguments: Sequence[str]) -> int:
    """The command: serves until it is interrupted."""
    parser = CommandParser(COMMAND, "A page to drop radiographs on. Research use, not a medical device.")
    parser.add_argument(
        "--host", default="127.0.0.1", help="address to listen on; others than this machine's: no login"
    )
    parser.add_argument("--port", type=at_least(0, 65535), default=8000, metavar="N", help="0: one that is free")
    parser.add_argument(
        "--allow-host",
        action="append",
        default=[],
        metavar="NAME",
        help="a name that the server is called by; repeatable",
    )
    parser.add_argument(
        "--part", action="append", choices=TASKS, default=[], help="offer its model; repeatable; default: all there are"
    )
    parser.add_argument(
        "--engine", choices=("keras", "onnx"), default="keras", help="onnx: without TensorFlow, and without heat maps"
    )
    parser.add_argument("--store", default=DEFAULT_URL, metavar="URL", help="the results store")
    options = parser.parse_args(arguments)

    from predict.page.offered import offered

    found = offered(options.store, tuple(dict.fromkeys(options.part)))
    for reason in found.missing.values():
        print(f"{COMMAND}: left out: {reason}", file=sys.stderr)
    listening = _listening(options.host, options.port)
    if not _is_local(options.host):
        print(f"{COMMAND}: --host {options.host}: whoever reaches this machine can use the page; there is no login",
              file=sys.stderr)  # fmt: skip
    _serve(found, options, listening)
    return 0


def _listening(host: str, port: int) -> socket.socket:
    """A socket that listens there.

    Raises: UsageError where it cannot.
    """
    try:
        family, *_, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)[0]
    except (socket.gaierror, UnicodeError):
        raise UsageError(f"--host {host}: no such address; give 127.0.0.1, or an address of this machine") from None
    made = socket.socket(family, socket.SOCK_STREAM)
    try:
        made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        made.bind(address)
        made.listen(BACKLOG)
    except OSError as error:
        made.close()
        if error.errno == errno.EADDRINUSE:
            raise UsageError(f"--port {port}: in use by another program; give another, or 0 for a free one") from None
        raise UsageError(f"--host {host} --port {port}: {error.strerror}; give others") from None
    return made


def _is_local(host: str) -> bool:
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == LOCAL_NAME


def _serve(found: "Offered", options: Namespace, listening: socket.socket) -> None:
    """Until a signal ends it.

    Raises: KeyboardInterrupt at Ctrl-C.
    """
    import logging

    import uvicorn

    from predict.page.app import Desk, make_app
    from predict.page.asking import Asking
    from predict.page.connections import Connection, Seldom
    from predict.page.guards import Guarded

    asking = Asking(options.store, {task: offer.model for task, offer in found.offers.items()}, options.engine)
    desk = Desk(asking, {task: offer.card for task, offer in found.offers.items()}, options.engine)
    logging.getLogger("uvicorn.error").setLevel(logging.ERROR)  # its warnings are of malformed requests
    logging.getLogger("asyncio").addFilter(Seldom(COMMAND))
    config = uvicorn.Config(
        Guarded(make_app(desk), [options.host, *options.allow_host]),
        loop="asyncio",
        http=Connection,
        backlog=BACKLOG,
        ws="none",
        lifespan="off",
        log_config=None,
        access_log=False,
        server_header=False,
        timeout_graceful_shutdown=PATIENCE_SECONDS,
    )
    host, port = listening.getsockname()[:2]
    print(f"http://{f'[{host}]' if ':' in host else host}:{port}  Ctrl-C ends it. Research use, not a medical device.")
    for task, offer in found.offers.items():
        print(f"{task}: {offer.model.name}")
    sys.stdout.flush()
    sys.stderr = os.fdopen(os.dup(2), "w", buffering=1)  # our lines are heard while TensorFlow's start is kept quiet
    signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell starts what runs in its background without it
    asking.start()
    try:
        uvicorn.Server(config).run(sockets=[listening])
    finally:
        asking.close()


if __name__ == "__main__":
    code = run_command(COMMAND, main, sys.argv[1:])
    sys.stdout.flush()
    os._exit(code)  # a model that is just being loaded would be waited for; nothing here is left half-written
