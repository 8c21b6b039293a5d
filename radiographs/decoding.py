"""One image file to grey pixels of a fixed size: the one place where files are decoded.

The resize is Pillow's `image.resize((size, size), Resampling.BILINEAR)` on 8-bit grey, sides squashed as published;
Pillow averages over all source pixels when it shrinks.
"""

import io
import struct
import warnings

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps, UnidentifiedImageError

# Radiographs are below 20 megapixels; more is a bomb or a mistake.
MOST_PIXELS = 100_000_000


class Unreadable(Exception):
    """The file is no image that can be used; the message says why."""


def decode(content: bytes, size: int) -> NDArray[np.uint8]:
    """Grey pixels (size, size) uint8 of an image file's bytes.

    16-bit images are scaled to 8 bits, not cut; EXIF turns are applied; colour becomes luminance.

    Raises: Unreadable, saying why.
    """
    if not content:
        raise Unreadable("empty file")
    try:
        with warnings.catch_warnings():
            # Pillow's remarks on odd files (palettes, EXIF) are of no use here; too large ones are found below.
            warnings.filterwarnings("ignore", module=r"PIL\.")
            image = Image.open(io.BytesIO(content))
            if image.width * image.height > MOST_PIXELS:
                raise Unreadable(f"{image.width} x {image.height} pixels, more than {MOST_PIXELS:,}")
            grey = _to_grey(ImageOps.exif_transpose(image))
            return np.asarray(grey.resize((size, size), Image.Resampling.BILINEAR))
    except UnidentifiedImageError:
        raise Unreadable("not an image of a known kind") from None
    except Image.DecompressionBombError as error:
        raise Unreadable(str(error)) from None
    # Pillow's decoders raise these for damaged files: OSError and EOFError where they are cut short, SyntaxError for
    # broken PNG chunks, ValueError for impossible sizes, the others for EXIF and TIFF tags of the wrong type.
    except (OSError, EOFError, SyntaxError, ValueError, TypeError, IndexError, KeyError, struct.error) as error:
        raise Unreadable(f"damaged: {error}") from None


def _to_grey(image: Image.Image) -> Image.Image:
    if image.mode.startswith("I") or image.mode == "F":
        values = np.asarray(image, np.float64)
        if np.isnan(values).any():
            raise Unreadable("holds values that are not a number")
        most = 65535.0 if values.max(initial=0.0) > 255 else 255.0
        return Image.fromarray(np.clip(np.rint(values * (255 / most)), 0, 255).astype(np.uint8))
    return image.convert("L")
