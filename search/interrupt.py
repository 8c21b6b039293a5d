"""Ctrl-C ends a search within seconds, also while TensorFlow is busy.

Python raises KeyboardInterrupt only between its own instructions, and one TensorFlow step on a large network can take
minutes. The system's signal reaches a waiting thread at once; where the search has not ended by itself soon after, the
thread ends the process. That is safe at any instant, as a kill is.
"""

import os
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager

PATIENCE = 2.5  # seconds for an orderly end


@contextmanager
def prompt_interrupt(line: str) -> Iterator[None]:
    """While the block runs, SIGINT ends the process at the latest `PATIENCE` seconds later: exit code 130, one line."""
    stderr = os.dup(2)  # TensorFlow's import puts another file in its place for a while
    reader, writer = os.pipe()
    os.set_blocking(writer, False)
    ended = threading.Event()

    def watch() -> None:
        while byte := os.read(reader, 1):
            if ended.is_set():
                return
            if byte[0] == signal.SIGINT and not ended.wait(PATIENCE):
                os.write(stderr, f"{line}\n".encode())
                os._exit(130)

    thread = threading.Thread(target=watch, daemon=True)
    thread.start()
    before = signal.set_wakeup_fd(writer, warn_on_full_buffer=False)
    try:
        yield
    finally:
        signal.set_wakeup_fd(before)
        ended.set()
        os.close(writer)
        thread.join()
        os.close(reader)
        os.close(stderr)
