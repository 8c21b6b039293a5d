"""Keeping a long search's memory flat, and Python's search for garbage short."""

import ctypes
import gc
import sys
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def loaded_things_left_alone() -> Iterator[None]:
    """Keep Python from looking for cycles in all that was loaded before, again and again: a tenth of the time."""
    gc.freeze()
    try:
        yield
    finally:
        gc.unfreeze()


def give_memory_back() -> None:
    """Free a tail's network and graphs, which refer to one another in circles, and what the allocator holds of them."""
    gc.collect()
    if sys.platform == "linux" and hasattr(libc := ctypes.CDLL(None), "malloc_trim"):  # glibc's alone
        libc.malloc_trim(0)
