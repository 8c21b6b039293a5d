"""One image file to grey pixels of a fixed size: the one place where files are decoded.

The resize is Pillow's `image.resize((size, size), Resampling.BILINEAR)` on 8-bit grey, sides squashed as published;
Pillow averages over all source pixels when it shrinks.

Which values of more than 8 bits are black and which white, no file tells. So whole numbers are taken to be of 8, 16 or
32 bits, the fewest that hold all values of the image (a TIFF of 9 to 15 bits: of 8, or as many as it tells), signed
where one of them is negative: the least of that range is black, the largest white. Floats are from 0 to 1 where none is
larger, else from 0 to 255, else from 0 to 65535; other ones are refused, also where the largest lies between 1 and 2:
those overshot 1, and would be black as 8 bits. A TIFF whose white is zero (tag 262) is inverted within its range.
"""

import io
import struct
import warnings
from collections.abc import Callable, Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import DTypeLike, NDArray
from PIL import Image, ImageOps, UnidentifiedImageError
from PIL.TiffImagePlugin import BITSPERSAMPLE, PHOTOMETRIC_INTERPRETATION, SAMPLEFORMAT, TiffImageFile

from plumbing.text import printable
from radiographs.libtiff import errors_heard

# A DICOM file without preamble begins with the length of its meta information: group 2, element 0, a UL of 4 bytes.
DICOM_META = b"\x02\0\0\0UL\x04\0"
# Radiographs are below 20 megapixels; more is a bomb or a mistake.
MOST_PIXELS = 100_000_000
# Pillow's names of what radiographs come in; of the rest it knows, some decoders start programs or fail in ways of
# their own when a file is damaged.
KINDS = ("PNG", "JPEG", "TIFF", "GIF", "BMP", "WEBP", "JPEG2000", "PPM")
UNKNOWN = "not an image of a known kind: PNG, JPEG, TIFF, GIF, BMP, WebP, JPEG 2000, PPM and DICOM are read"
UNKNOWN_TIFF = "a TIFF cut short, or of a layout that is not read; write it in 8 or 16 bits, black at zero"
TIFF_HEADS = (b"II*\0", b"MM\0*")
WIDTHS = (8, 16, 32)  # bits
BAND = 2**20  # pixels that are scaled at once
Bands = Callable[[], Iterator[NDArray[Any]]]  # an image's values from its upper to its lower edge, a band at a time


class Unreadable(Exception):
    """The file is no image that can be used; the message says why, in one line that a terminal shows as it is."""

    def __init__(self, reason: str) -> None:
        super().__init__(printable(reason))


class _Wide(NamedTuple):
    """What Pillow's pixels of more than 8 bits, or of signed ones, are.

    Attributes:
        dtype: to view them as; None: as NumPy finds them. widths: bits that they may be of.
    """

    dtype: DTypeLike | None
    widths: Sequence[int]
    white_is_zero: bool


def decode(content: bytes, size: int | None) -> NDArray[np.uint8]:
    """Grey pixels (size, size) uint8 of an image file's bytes; without a size (height, width), its own.

    More than 8 bits are scaled, not cut, as the head of this module says; EXIF turns are applied; colour becomes
    luminance; of several frames the first counts. DICOM is shown as `radiographs.dicom` says.

    Raises: Unreadable, saying why.
    """
    if not content:
        raise Unreadable("empty file")
    if content[128:132] == b"DICM" or content.startswith(DICOM_META):
        from radiographs import dicom  # here: pydicom is loaded by the first such file

        return _resized(Image.fromarray(dicom.grey(content, MOST_PIXELS)), size)
    try:
        with warnings.catch_warnings():
            # Pillow's remarks on odd files (palettes, EXIF) are of no use here; too large ones are found below.
            warnings.filterwarnings("ignore", module=r"PIL\.")
            image = Image.open(io.BytesIO(content), formats=KINDS)
            if image.width * image.height > MOST_PIXELS:
                raise Unreadable(f"{image.width} x {image.height} pixels, more than {MOST_PIXELS:,}")
            before, grey = errors_heard(), _to_grey(image)
            if errors_heard() > before:
                raise Unreadable("damaged: its compressed pixels cannot all be unpacked")
            return _resized(grey, size)
    except UnidentifiedImageError:
        raise Unreadable(UNKNOWN_TIFF if content[:4] in TIFF_HEADS else UNKNOWN) from None
    except Image.DecompressionBombError as error:
        raise Unreadable(str(error)) from None
    # Pillow's decoders raise these for damaged files: OSError and EOFError where they are cut short, SyntaxError for
    # broken PNG chunks, ValueError for impossible sizes, the others for EXIF and TIFF tags of the wrong type.
    except (OSError, EOFError, SyntaxError, ValueError, TypeError, IndexError, KeyError, struct.error) as error:
        raise Unreadable(f"damaged: {error}") from None


def is_dicom(content: bytes) -> bool:
    """Whether a file's bytes begin as a DICOM file does, with its preamble or without."""
    return content[128:132] == b"DICM" or content.startswith(DICOM_META)


def from_array(pixels: NDArray[Any], size: int) -> NDArray[np.uint8]:
    """Grey pixels (size, size) uint8 of an image in memory, as `decode` makes them of its file.

    Args:
        pixels: (height, width) uint8, or other whole numbers or floats, scaled as the head of this module says; or
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
    height, width = pixels.shape
    return _resized(_scaled(lambda: (pixels[rows] for rows in bands(height, width)), height, width), size)


def bands(height: int, width: int) -> Iterator[slice]:
    """The rows of an image, some `BAND` pixels at a time, so that what is computed of them stays small.

    >>> list(bands(5, BAND // 2))
    [slice(0, 2, None), slice(2, 4, None), slice(4, 5, None)]
    """
    rows = max(1, BAND // width)
    return (slice(top, min(top + rows, height)) for top in range(0, height, rows))


def _resized(grey: Image.Image, size: int | None) -> NDArray[np.uint8]:
    return np.asarray(grey if size is None else grey.resize((size, size), Image.Resampling.BILINEAR))


def _to_grey(image: Image.Image) -> Image.Image:
    """In 8 bits, its EXIF turn applied."""
    wide = _wide(image)
    ImageOps.exif_transpose(image, in_place=True)
    if wide is None:
        return image.convert("L")

    def values() -> Iterator[NDArray[Any]]:
        for rows in bands(image.height, image.width):
            band = np.asarray(image.crop((0, rows.start, image.width, rows.stop)))
            yield band if wide.dtype is None else band.view(wide.dtype)

    scaled = _scaled(values, image.height, image.width, wide.widths)
    return ImageOps.invert(scaled) if wide.white_is_zero else scaled


def _wide(image: Image.Image) -> _Wide | None:
    """What its pixels are where Pillow's "L" is not what they mean; None where it is.

    Pillow inverts white at zero in 8 bits alone, and takes unsigned 32 bits as signed and signed 8 as unsigned.
    """
    is_wide = image.mode.startswith("I") or image.mode == "F"
    if not isinstance(image, TiffImageFile):
        return _Wide(None, WIDTHS, False) if is_wide else None
    (kind, *_), (bits, *_) = image.tag_v2.get(SAMPLEFORMAT, (1,)), image.tag_v2.get(BITSPERSAMPLE, (1,))
    if image.mode == "L" and kind == 2:
        return _Wide(np.int8, WIDTHS, False)
    if not is_wide:
        return None
    widths = (8, bits) if 8 < bits < 16 else WIDTHS
    dtype = np.uint32 if image.mode == "I" and kind == 1 else None
    return _Wide(dtype, widths, image.tag_v2.get(PHOTOMETRIC_INTERPRETATION) == 0)


def _scaled(values: Bands, height: int, width: int, widths: Sequence[int] = WIDTHS) -> Image.Image:
    """Values (height, width), a band at a time, in 8 bits.

    Raises: Unreadable where it cannot be known which are black and which white.
    """
    ends = np.array([(float(band.min()), float(band.max())) for band in values()])
    is_whole = next(values()).dtype.kind != "f"
    black, white = _range(float(ends[:, 0].min()), float(ends[:, 1].max()), is_whole, widths)
    shades = np.empty((height, width), np.uint8)
    for rows, band in zip(bands(height, width), values(), strict=True):
        shades[rows] = np.rint((band.astype(np.float64) - black) * (255 / (white - black)))
    return Image.fromarray(shades)


def _range(low: float, high: float, is_whole: bool, widths: Sequence[int]) -> tuple[float, float]:
    """Which value is black, and which white, of an image whose values lie between `low` and `high`."""
    if not np.isfinite((low, high)).all():
        raise Unreadable("holds values that are not a number")
    if is_whole:
        for bits in widths:
            black = -(2.0 ** (bits - 1)) if low < 0 else 0.0
            white = black + 2.0**bits - 1
            if black <= low and high <= white:
                return black, white
        raise Unreadable(f"holds values from {low:.0f} to {high:.0f}: more than {widths[-1]} bits")
    if low >= 0 and not 1 < high < 2:
        for white in (1.0, 255.0, 65535.0):
            if high <= white:
                return 0.0, white
    raise Unreadable(
        f"holds floats from {low:g} to {high:g}: what is black and what white cannot be known; "
        "make them 0 to 1, 0 to 255 or 0 to 65535"
    )
