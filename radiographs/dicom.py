"""One DICOM file to grey pixels, as a viewer shows it first; pydicom reads it, and is loaded by the first such file.

Stored values -> modality LUT or rescale -> first VOI LUT or window -> inverted where MONOCHROME1 -> 8 bits.
Without window: 8 bits stored are spread over their possible values, more bits over the values of the image.
Padding is no part of the image: its values count for no range, and are black.
The pixels' aspect ratio, overlays and marks of the side are passed over. Only what describes pixels is read.
Source: DICOM PS3.3, C.7.6.3 (pixels), C.7.5.1.1.2 (padding), C.11.1 (modality LUT), C.11.2 (VOI LUT and windows).
"""

import io
import struct
import warnings
from textwrap import shorten
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, UnidentifiedImageError
from pydicom import Dataset, dcmread
from pydicom.encaps import generate_frames
from pydicom.errors import BytesLengthException, InvalidDicomError
from pydicom.filereader import read_dataset
from pydicom.pixels.decoders.base import get_decoder
from pydicom.pixels.processing import apply_color_lut, apply_modality_lut, apply_voi
from pydicom.pixels.utils import pixel_array
from pydicom.uid import UID, DeflatedExplicitVRLittleEndian, RLELossless

from radiographs.decoding import DICOM_META, Unreadable, bands

HEAD = 132  # bytes: the preamble and "DICM"
TOLD = 100  # characters of a text that the file holds; names of transfer syntaxes that are known are below it
Padding = tuple[int, int]  # its least and its largest value
COLOURS = ("RGB", "YBR_FULL", "YBR_FULL_422", "YBR_ICT", "YBR_RCT")
PALETTE = ("Red", "Green", "Blue")
# What pydicom and Pillow raise for damaged files: missing elements, impossible values and lengths, decoders that gave
# up, sequences nested without end.
DAMAGE = (
    *(AttributeError, LookupError, ValueError, TypeError, ArithmeticError, OSError, EOFError, RuntimeError),
    *(struct.error, BytesLengthException, InvalidDicomError, Image.DecompressionBombError),
)
NEEDED = (
    *("Rows", "Columns", "SamplesPerPixel", "PhotometricInterpretation"),
    *("BitsAllocated", "BitsStored", "PixelRepresentation"),
)
READ = (
    *NEEDED,
    *("PixelData", "HighBit", "PlanarConfiguration", "NumberOfFrames", "SharedFunctionalGroupsSequence"),
    *("PixelPaddingValue", "PixelPaddingRangeLimit"),
    *("ModalityLUTSequence", "RescaleSlope", "RescaleIntercept"),
    *("VOILUTSequence", "WindowCenter", "WindowWidth", "VOILUTFunction"),
    *(f"{colour}PaletteColorLookupTableDescriptor" for colour in PALETTE),
    *(f"{colour}PaletteColorLookupTableData" for colour in PALETTE),
    *(f"Segmented{colour}PaletteColorLookupTableData" for colour in PALETTE),
)


def grey(content: bytes, most_pixels: int) -> NDArray[np.uint8]:
    """Grey pixels (height, width) uint8 of a DICOM file's bytes.

    Raises: Unreadable, saying why: what is no single image of at most `most_pixels` is refused before it is decoded.
    """
    if content.startswith(DICOM_META):
        content = b"\0" * 128 + b"DICM" + content
    try:
        with warnings.catch_warnings(), np.errstate(all="ignore"):
            # pydicom's remarks on files that break a rule; what cannot be read raises.
            warnings.filterwarnings("ignore", module=r"(pydicom|PIL)\.")
            syntax = _transfer_syntax(content)
            image = dcmread(io.BytesIO(content), specific_tags=list(READ))
            _check(image, most_pixels)
            _check_frame(image, syntax)
            return _shown(pixel_array(image, index=0), image)
    except DAMAGE as error:
        first = shorten(str(error).split(" - ")[0], 2 * TOLD)  # what follows are pydicom's guesses
        raise Unreadable(f"damaged DICOM: {first or type(error).__name__}") from None


def _transfer_syntax(content: bytes) -> UID:
    """How the file is written, from its meta information alone: a deflated file is unpacked as soon as it is read."""
    file = io.BytesIO(content)
    file.seek(HEAD)
    meta = read_dataset(file, False, True, stop_when=lambda tag, vr, length: tag.group != 2)
    syntax = meta.get("TransferSyntaxUID")
    if not isinstance(syntax, UID):
        raise Unreadable("DICOM without a transfer syntax; write it anew (dcmconv)")
    if syntax == DeflatedExplicitVRLittleEndian:
        raise Unreadable(f"DICOM in transfer syntax {syntax.name} is not read; inflate it first (dcmconv +te)")
    try:
        known = get_decoder(syntax).is_available
    except NotImplementedError:  # pydicom's word for a syntax that it has no decoder of
        known = False
    if not known:
        raise _undecodable(syntax)
    return syntax


def _undecodable(syntax: UID) -> Unreadable:
    return Unreadable(
        f"DICOM in transfer syntax {shorten(syntax.name, TOLD)} cannot be decoded here; "
        "decompress it first (gdcmconv --raw), or install a plugin of pydicom that can"
    )


def _check(image: Dataset, most_pixels: int) -> None:
    """Raises: Unreadable where it is not one image of a kind that is read."""
    if "PixelData" not in image:
        raise Unreadable("DICOM without pixel data: no image, or cut short")
    if int(image.get("NumberOfFrames") or 1) > 1 or "SharedFunctionalGroupsSequence" in image:
        frames = int(image.get("NumberOfFrames") or 1)
        raise Unreadable(f"DICOM of a multi-frame kind (frames: {frames}); write the radiograph as a single image")
    if missing := [name for name in NEEDED if image.get(name) is None]:
        raise Unreadable(f"damaged DICOM: it does not tell {', '.join(missing)}")
    if image.Rows * image.Columns > most_pixels:
        raise Unreadable(f"{image.Columns} x {image.Rows} pixels, more than {most_pixels:,}")
    if not image.Rows * image.Columns:
        raise Unreadable(f"{image.Columns} x {image.Rows} pixels: no image")
    if not 8 <= image.BitsStored <= 16:
        raise Unreadable(f"DICOM with {image.BitsStored} bits stored; 8 to 16 are read")
    highest = image.BitsStored - 1
    if image.get("HighBit") not in (None, highest):  # values elsewhere than in the lowest bits, as was allowed once
        raise Unreadable(f"DICOM with high bit {image.HighBit} of {image.BitsStored} bits stored; {highest} is read")
    known = COLOURS if image.SamplesPerPixel == 3 else ("MONOCHROME1", "MONOCHROME2", "PALETTE COLOR")
    if image.PhotometricInterpretation not in known:
        kind = shorten(str(image.PhotometricInterpretation), TOLD)
        raise Unreadable(f"DICOM with {image.SamplesPerPixel} samples a pixel of {kind}")


def _check_frame(image: Dataset, syntax: UID) -> None:
    """Raises: Unreadable where a compressed frame is of another size than the file says, which may be a bomb."""
    if not syntax.is_compressed or syntax == RLELossless:
        return
    frame = next(generate_frames(image.PixelData, number_of_frames=1))
    try:
        with Image.open(io.BytesIO(frame), formats=("JPEG", "JPEG2000")) as inside:
            size = inside.size
    except UnidentifiedImageError:  # of 12 bits, say
        if set(get_decoder(syntax).available_plugins) <= {"pillow"}:
            raise _undecodable(syntax) from None
        return
    if size != (image.Columns, image.Rows):
        raise Unreadable(
            f"damaged DICOM: {image.Columns} x {image.Rows} pixels told, {size[0]} x {size[1]} in the compressed frame"
        )


def _shown(stored: NDArray[np.integer], image: Dataset) -> NDArray[np.uint8]:
    """(height, width) uint8 of the stored values, (height, width) or, in colour, (height, width, 3)."""
    if image.SamplesPerPixel == 3:
        return _luminance(stored, image.BitsStored)
    is_palette = image.PhotometricInterpretation == "PALETTE COLOR"
    padding = None if is_palette else _padding(image, stored.dtype)
    low, high = _ends(stored, padding)
    if image.BitsStored == 8:
        low, high = (-128, 127) if image.PixelRepresentation else (0, 255)
    if high - low > 65535:
        raise Unreadable("damaged DICOM: values of more than 16 bits")
    levels = np.arange(low, high + 1, dtype=np.int32)  # each level's shade is found once, however many pixels have it
    if is_palette:
        entries, first, bits = image.RedPaletteColorLookupTableDescriptor
        colours = apply_color_lut(_held(levels, entries, first), image)[:, :3]
        return _looked_up(stored, low, _luminance(colours[None], bits)[0])
    brightness = _brightness(levels, image)
    if image.PhotometricInterpretation == "MONOCHROME1":
        brightness = 1 - brightness
    if not np.isfinite(brightness).all():
        raise Unreadable("damaged DICOM: holds values that are not a number")
    return _looked_up(stored, low, np.rint(brightness * 255).astype(np.uint8), padding)


def _padding(image: Dataset, dtype: np.dtype[Any]) -> Padding | None:
    """What its padding is, if any; numbers written as of another sign, or with bits above those stored, are mended."""
    ends = [each for name in ("PixelPaddingValue", "PixelPaddingRangeLimit") for each in _numbers(image, name)]
    if not ends:
        return None
    above = 8 * dtype.itemsize - image.BitsStored
    stored = np.array(ends).astype(np.int64).astype(dtype) << above >> above
    return int(stored.min()), int(stored.max())


def _is_padding(values: NDArray[np.integer], padding: Padding | None) -> NDArray[np.bool_]:
    if padding is None:
        return np.zeros(values.shape, np.bool_)
    return np.asarray((values >= padding[0]) & (values <= padding[1]))


def _ends(stored: NDArray[np.integer], padding: Padding | None) -> tuple[int, int]:
    """The least and the largest value of an image (height, width)."""
    own = (stored[rows][~_is_padding(stored[rows], padding)] for rows in bands(*stored.shape))
    if not (found := [(int(each.min()), int(each.max())) for each in own if each.size]):
        raise Unreadable("DICOM of padding alone")
    return min(low for low, _ in found), max(high for _, high in found)


def _looked_up(
    stored: NDArray[np.integer], low: int, shades: NDArray[np.uint8], padding: Padding | None = None
) -> NDArray[np.uint8]:
    """(height, width) uint8: the shade of each value, `shades` beginning with that of `low`; of padding, black."""
    shown = np.empty(stored.shape, np.uint8)
    for rows in bands(*stored.shape):
        values = stored[rows].astype(np.int32) - low
        shown[rows] = np.where(_is_padding(stored[rows], padding), 0, shades[np.clip(values, 0, len(shades) - 1)])
    return shown


def _brightness(levels: NDArray[np.int32], image: Dataset) -> NDArray[np.float64]:
    """(levels,) in 0..1 of stored values, ascending; the first of several VOI LUTs or windows counts."""
    values: NDArray[np.float64] = apply_modality_lut(levels, image).astype(np.float64)
    if image.get("VOILUTSequence"):
        entries, first, bits = image.VOILUTSequence[0].LUTDescriptor
        return np.asarray(apply_voi(_held(values, entries, first), image) / (2.0**bits - 1))
    centres, widths = _numbers(image, "WindowCenter"), _numbers(image, "WindowWidth")
    if centres and widths:
        return windowed(values, centres[0], widths[0], image.get("VOILUTFunction") or "LINEAR")
    low, high = float(values.min()), float(values.max())
    return (values - low) / (high - low if high > low else 1.0)


def windowed(values: NDArray[np.float64], centre: float, width: float, function: str) -> NDArray[np.float64]:
    """What a window makes of values: brightness in 0..1, of their shape.

    Raises: Unreadable where the function is not LINEAR, LINEAR_EXACT or SIGMOID, the width is too small for it, or
        centre or width are no numbers.
    Source: DICOM PS3.3, C.11.2.1.2.1 (LINEAR), C.11.2.1.3.1 (SIGMOID), C.11.2.1.3.2 (LINEAR_EXACT).

    >>> windowed(np.array([0.0, 50.0, 200.0]), 50.0, 100.0, "LINEAR_EXACT")
    array([0. , 0.5, 1. ])
    """
    function = function.upper()
    if not np.isfinite((centre, width)).all():
        raise Unreadable(f"damaged DICOM: a window of centre {centre:g} and width {width:g}")
    if not (width >= 1 if function == "LINEAR" else width > 0):
        raise Unreadable(f"damaged DICOM: a {shorten(function, TOLD)} window of width {width:g}")
    if function == "SIGMOID":
        return 0.5 + np.tanh(2 * (values - centre) / width) / 2  # = 1 / (1 + exp(-4 (x - c) / w))
    if function == "LINEAR":
        centre, width = centre - 0.5, width - 1
    elif function != "LINEAR_EXACT":
        raise Unreadable(f"damaged DICOM: an unknown VOI LUT function, {shorten(function, TOLD)}")
    if width == 0:
        return (values > centre).astype(np.float64)
    return np.clip((values - centre) / width + 0.5, 0, 1)


def _numbers(image: Dataset, name: str) -> list[float]:
    """The values of an element that may be absent, empty, one or several."""
    value = image.get(name)
    if value is None or value == "":
        return []
    return [float(each) for each in (value if image[name].VM > 1 else [value])]


def _held(values: NDArray[np.integer] | NDArray[np.float64], entries: int, first: int) -> NDArray[np.int32]:
    """Whole numbers within what a table of `entries` (0: 65,536) from `first` on maps: values outside take its ends."""
    return np.rint(np.clip(values, first, first + (entries or 65536) - 1)).astype(np.int32)


def _luminance(colours: NDArray[np.integer], bits: int) -> NDArray[np.uint8]:
    """(height, width) uint8 of colours (height, width, 3) of that many bits."""
    eight = colours if bits == 8 else np.rint(colours * (255 / (2.0**bits - 1)))
    return np.asarray(Image.fromarray(np.ascontiguousarray(eight, np.uint8)).convert("L"))
