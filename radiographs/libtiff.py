"""Errors of libtiff, which Pillow reads compressed TIFFs by, heard instead of written.

Of its own accord libtiff writes a line to file descriptor 2 for each, past Python, and for some compressions (fax,
LZMA) goes on with wrong pixels, of which Pillow hears nothing. The handler is the process's; libtiff calls it in the
thread that decodes, so each thread counts its own.
"""

import ctypes
import threading

from PIL import _imaging

_heard = threading.local()


def errors_heard() -> int:
    """How many errors libtiff has had in this thread so far."""
    return int(getattr(_heard, "errors", 0))


def _hear(module: bytes | None, form: bytes | None, arguments: int | None) -> None:
    _heard.errors = errors_heard() + 1


# Kept here: libtiff keeps the address alone. TIFFErrorHandler takes a module, a format and its arguments, a va_list.
_HANDLER = ctypes.CFUNCTYPE(None, ctypes.c_char_p, ctypes.c_char_p, ctypes.c_void_p)(_hear)
# The libtiff that Pillow is linked to is found through Pillow; one built without libtiff reads no such TIFF at all.
if hasattr(_pillow := ctypes.CDLL(_imaging.__file__), "TIFFSetErrorHandler"):
    _pillow.TIFFSetErrorHandler.restype = ctypes.c_void_p  # the handler before
    _pillow.TIFFSetErrorHandler(_HANDLER)
