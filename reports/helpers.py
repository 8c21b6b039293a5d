"""Processes that draw and reckon beside this one, for as long as a report is watched.

They are started afresh (spawn), not forked: that is the same on Linux and macOS, and safe beside threads.
"""

import multiprocessing
import os
import signal
from collections.abc import Iterator
from concurrent.futures import Executor, ProcessPoolExecutor
from contextlib import contextmanager
from threading import Thread

MOST = 3  # a part has eight plots, and a helper needs some 200 MB


@contextmanager
def helpers() -> Iterator[Executor]:
    """One for each core but this process', one to `MOST`; what they have not come to by the block's end is left."""
    number = min(MOST, max(1, (os.cpu_count() or 1) - 1))
    pool = ProcessPoolExecutor(number, multiprocessing.get_context("spawn"), _begin)
    heard = signal.signal(signal.SIGINT, signal.SIG_IGN)  # processes started now do not hear Ctrl-C while they load
    for _ in range(number):
        pool.submit(os.getpid)
    signal.signal(signal.SIGINT, heard)
    try:
        yield pool
    finally:
        pool.shutdown(wait=False, cancel_futures=True)
        for process in multiprocessing.active_children():
            process.terminate()


def _begin() -> None:
    """Of each helper: Ctrl-C is its parent's, with whom it ends, however that ends."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    Thread(target=_end_with_parent, daemon=True).start()


def _end_with_parent() -> None:
    parent = multiprocessing.parent_process()
    assert parent is not None
    parent.join()
    os._exit(1)
