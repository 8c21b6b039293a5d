"""How many pixels an image file says it has, before it is decoded: a small file may unpack to a hundred million."""

import io
import struct
import warnings

from PIL import Image

from radiographs.decoding import DICOM_META, KINDS, MOST_PIXELS, is_dicom

DEFLATED = b"1.2.840.10008.1.2.1.99"  # pydicom unpacks such a file as soon as it is read
# What Pillow raises for files that are none of its kinds, or damaged; `radiographs.decoding` tells what is wrong.
DAMAGE = (
    OSError,
    EOFError,
    SyntaxError,
    ValueError,
    TypeError,
    LookupError,
    struct.error,
    Image.DecompressionBombError,
)


def pixels(content: bytes) -> int:
    """Width times height, read from the file's head; 0 where it is refused before it is decoded, as too large or no
    image.
    """
    if is_dicom(content):
        found = _of_dicom(content)
    else:
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # remarks on odd files
                width, height = Image.open(io.BytesIO(content), formats=KINDS).size
                found = width * height
        except DAMAGE:
            return 0
    return found if found <= MOST_PIXELS else 0


def _of_dicom(content: bytes) -> int:
    from pydicom import dcmread  # here: pydicom is loaded by the first such file

    from radiographs.dicom import DAMAGE as DICOM_DAMAGE

    if DEFLATED in content:
        return MOST_PIXELS
    if content.startswith(DICOM_META):
        content = b"\0" * 128 + b"DICM" + content
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            head = dcmread(io.BytesIO(content), stop_before_pixels=True, specific_tags=["Rows", "Columns"])
        return int(head.Rows) * int(head.Columns)
    except DICOM_DAMAGE:
        return 0
