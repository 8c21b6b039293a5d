"""One image file to grey pixels of a fixed size: the one place where files are decoded.

The resize is Pillow's `image.resize((size, size), Resampling.BILINEAR)` on 8-bit grey, sides squashed as published;
Pillow averages over all source pixels when it shrinks.
"""

import io
import struct
import warnings
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps, UnidentifiedImageError

# A DICOM file without preamble begins with the length of its meta information: group 2, element 0, a UL of 4 bytes.
DICOM_META = b"\x02\0\0\0UL\x04\0"
# Radiographs are below 20 megapixels; more is a bomb or a mistake.
MOST_PIXELS = 100_000_000


class Unreadable(Exception):
    """The file is no image that can be used; the message says why."""


def decode(content: bytes, size: int | None) -> NDArray[np.uint8]:
    """Grey pixels (size, size) uint8 of an image file's bytes; without a size (height, width), its own.

    16-bit images are scaled to 8 bits, not cut; EXIF turns are applied; colour becomes luminance; of several frames the
    first counts. DICOM is shown as `radiographs.dicom` says.

    Raises: Unreadable, saying why.
    """
    if not content:
        raise Unreadable("empty file")
    if content[128:132] == b"DICM" or content.startswith(DICOM_META):
        from radiographs.dicom import grey  # here: pydicom is loaded by the first such file

        return _resized(Image.fromarray(grey(content, MOST_PIXELS)), size)
    try:
        with warnings.catch_warnings():
            # Pillow's remarks on odd files (palettes, EXIF) are of no use here; too large ones are found below.
            warnings.filterwarnings("ignore", module=r"PIL\.")
            image = Image.open(io.BytesIO(content))
            if image.width * image.height > MOST_PIXELS:
                raise Unreadable(f"{image.width} x {image.height} pixels, more than {MOST_PIXELS:,}")
            return _resized(_to_grey(ImageOps.exif_transpose(image)), size)
    except UnidentifiedImageError:
        raise Unreadable("not an image of a known kind") from None
    except Image.DecompressionBombError as error:
        raise Unreadable(str(error)) from None
    # Pillow's decoders raise these for damaged files: OSError and EOFError where they are cut short, SyntaxError for
    # broken PNG chunks, ValueError for impossible sizes, the others for EXIF and TIFF tags of the wrong type.
    except (OSError, EOFError, SyntaxError, ValueError, TypeError, IndexError, KeyError, struct.error) as error:
        raise Unreadable(f"damaged: {error}") from None


def from_array(pixels: NDArray[Any], size: int) -> NDArray[np.uint8]:
    """Grey pixels (size, size) uint8 of an image in memory, as `decode` makes them of its file.

    Args:
        pixels: (height, width) uint8, uint16 or other whole numbers, or floats, above 255 scaled as 16 bits; or
            (height, width, 3) or (height, width, 4) uint8, colours in the order red, green, blue.
    Raises: Unreadable, saying why.
    """
    colours = pixels.ndim == 3 and pixels.shape[2] in (3, 4) and pixels.dtype == np.uint8
    if not (pixels.ndim == 2 or colours) or 0 in pixels.shape or pixels.dtype.kind not in "uif":
        raise Unreadable(
            f"an array {pixels.shape} of {pixels.dtype} is no image: give (height, width) or uint8 colours"
        )
    if pixels.shape[0] * pixels.shape[1] > MOST_PIXELS:
        raise Unreadable(f"{pixels.shape[1]} x {pixels.shape[0]} pixels, more than {MOST_PIXELS:,}")
    if pixels.dtype == np.uint8:
        return _resized(Image.fromarray(pixels).convert("L"), size)
    return _resized(_scaled(pixels.astype(np.float64)), size)


def _resized(grey: Image.Image, size: int | None) -> NDArray[np.uint8]:
    return np.asarray(grey if size is None else grey.resize((size, size), Image.Resampling.BILINEAR))


def _to_grey(image: Image.Image) -> Image.Image:
    if image.mode.startswith("I") or image.mode == "F":
        return _scaled(np.asarray(image, np.float64))
    return image.convert("L")


def _scaled(values: NDArray[np.float64]) -> Image.Image:
    if np.isnan(values).any():
        raise Unreadable("holds values that are not a number")
    most = 65535.0 if values.max(initial=0.0) > 255 else 255.0
    return Image.fromarray(np.clip(np.rint(values * (255 / most)), 0, 255).astype(np.uint8))
