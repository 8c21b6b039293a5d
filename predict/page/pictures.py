"""An image and its heat map, as a browser shows them one over the other."""

import base64
import io

from PIL import Image

from predict.heat import Heat, layer
from predict.page import answers
from radiographs.decoding import Unreadable, decode

MOST_SHOWN = 1024  # pixels of a picture's longer side
MOST_LAYER = 256  # of a heat map's, which is smooth: a network's last map has some 7 pixels a side
QUALITY = 90  # of JPEG


def picture(content: bytes) -> answers.Picture | None:
    """An image file's pixels in grey, made smaller where they are more than a page shows; None where it is no image."""
    try:
        grey = Image.fromarray(decode(content, None))
    except Unreadable:
        return None
    sides, file = _within(grey.size, MOST_SHOWN), io.BytesIO()
    grey.resize(sides, Image.Resampling.BILINEAR).save(file, "JPEG", quality=QUALITY)
    return answers.Picture(width=sides[0], height=sides[1], data=_url("image/jpeg", file.getvalue()))


def heat(made: Heat, shown: str, of: answers.Picture) -> answers.Heat:
    """A heat map to be laid over a picture.

    Args:
        shown: what it speaks for.
    """
    png = layer(made, *_within((of.width, of.height), MOST_LAYER))
    return answers.Heat(speaks_for=shown, is_empty=not made.any(), layer=_url("image/png", png))


def _within(sides: tuple[int, int], most: int) -> tuple[int, int]:
    """Width and height, made smaller where one is larger than `most`.

    >>> _within((2000, 500), 1000), _within((30, 20), 1000), _within((10000, 10), 1000)
    ((1000, 250), (30, 20), (1000, 1))
    """
    part = min(1, most / max(sides))
    return max(1, round(sides[0] * part)), max(1, round(sides[1] * part))


def _url(kind: str, content: bytes) -> str:
    return f"data:{kind};base64,{base64.b64encode(content).decode('ascii')}"
