"""DICOM files, written by pydicom, to grey pixels or a reason."""

import io
import struct
import subprocess
import sys
from contextlib import suppress
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image
from pydicom import Dataset, FileMetaDataset
from pydicom.encaps import encapsulate
from pydicom.pixels.processing import apply_modality_lut, apply_windowing
from pydicom.uid import (
    MPEG2MPML,
    UID,
    DeflatedExplicitVRLittleEndian,
    ExplicitVRBigEndian,
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
    JPEG2000Lossless,
    JPEGBaseline8Bit,
    JPEGLosslessSV1,
    RLELossless,
)

from plumbing.seeds import generator_of
from radiographs import decoding
from radiographs.decoding import DICOM_META, Unreadable, decode

TWELVE = generator_of("DICOM").integers(0, 4096, (24, 24), np.uint16)
EIGHT = (TWELVE >> 4).astype(np.uint8)
COLOUR = generator_of("DICOM in colour").integers(0, 256, (24, 24, 3), np.uint8)


def dataset(pixels: np.ndarray, bits: int, syntax: UID = ExplicitVRLittleEndian, **elements: object) -> Dataset:
    image = Dataset()
    image.file_meta = FileMetaDataset()
    image.file_meta.TransferSyntaxUID = syntax
    image.SOPClassUID, image.SOPInstanceUID = "1.2.840.10008.5.1.4.1.1.1.1", "1.2.3"
    image.Rows, image.Columns = pixels.shape[:2]
    image.SamplesPerPixel, image.PhotometricInterpretation = (3, "RGB") if pixels.ndim == 3 else (1, "MONOCHROME2")
    if pixels.ndim == 3:
        image.PlanarConfiguration = 0
    image.BitsAllocated, image.BitsStored, image.HighBit = 8 * pixels.dtype.itemsize, bits, bits - 1
    image.PixelRepresentation = int(pixels.dtype.kind == "i")
    image.PixelData = pixels.astype(pixels.dtype.newbyteorder(">" if syntax == ExplicitVRBigEndian else "<")).tobytes()
    image["PixelData"].VR = "OB" if pixels.dtype.itemsize == 1 else "OW"
    for name, value in elements.items():
        setattr(image, name, value)
    return image


def written(image: Dataset) -> bytes:
    file = io.BytesIO()
    image.save_as(file, enforce_file_format=True)
    return file.getvalue()


def dicom(pixels: np.ndarray, bits: int, syntax: UID = ExplicitVRLittleEndian, **elements: object) -> bytes:
    return written(dataset(pixels, bits, syntax, **elements))


def compressed(pixels: np.ndarray, syntax: UID, kind: str, **elements: object) -> bytes:
    frame = io.BytesIO()
    Image.fromarray(pixels).save(frame, kind, **({"quality": 95} if kind == "JPEG" else {"irreversible": False}))
    image = dataset(pixels, 8 * pixels.dtype.itemsize, syntax, **elements)
    image.PixelData = encapsulate([frame.getvalue()])
    image["PixelData"].VR = "OB"
    return written(image)


def spread(values: np.ndarray, low: float, high: float) -> np.ndarray:
    """Values to 8 bits, `low` black and `high` white, by the plain formula."""
    return np.clip(np.rint((values.astype(float) - low) / (high - low) * 255), 0, 255).astype(np.uint8)


@pytest.mark.parametrize("syntax", [ImplicitVRLittleEndian, ExplicitVRLittleEndian, ExplicitVRBigEndian, RLELossless])
@pytest.mark.parametrize("photometric", ["MONOCHROME1", "MONOCHROME2"])
def test_eight_bits_are_shown_as_they_are_and_monochrome1_inverted(syntax: UID, photometric: str) -> None:
    image = dataset(EIGHT, 8, ExplicitVRLittleEndian if syntax == RLELossless else syntax)
    image.PhotometricInterpretation = photometric
    if syntax == RLELossless:
        image.compress(RLELossless, encoding_plugin="pydicom")
    assert np.array_equal(decode(written(image), 24), EIGHT if photometric == "MONOCHROME2" else 255 - EIGHT)


def test_a_dicom_file_is_resized_as_the_same_pixels_in_a_png() -> None:
    png = io.BytesIO()
    Image.fromarray(EIGHT[:17]).save(png, "PNG")
    assert np.array_equal(decode(dicom(EIGHT[:17], 8), 9), decode(png.getvalue(), 9))


@pytest.mark.parametrize("bits", [9, 10, 12, 14, 16])
def test_more_bits_without_a_window_spread_over_the_values_of_the_image(bits: int) -> None:
    values = (TWELVE.astype(np.uint32) * (2**bits - 200) // 4096 + 100).astype(np.uint16)
    assert np.array_equal(decode(dicom(values, bits), 24), spread(values, values.min(), values.max()))


@pytest.mark.parametrize(("dtype", "bits"), [(np.int16, 12), (np.int16, 16), (np.int8, 8)])
def test_signed_values_are_read(dtype: type, bits: int) -> None:
    values = (TWELVE.astype(np.int32) - 2048 if bits > 8 else EIGHT.astype(np.int32) - 128).astype(dtype)
    low, high = (values.min(), values.max()) if bits > 8 else (-128, 127)
    assert np.array_equal(decode(dicom(values, bits), 24), spread(values, low, high))


def test_bits_above_those_stored_are_not_seen() -> None:
    dirty = TWELVE | np.uint16(0xA000)  # an old overlay
    assert np.array_equal(decode(dicom(dirty, 12), 24), decode(dicom(TWELVE, 12), 24))


@pytest.mark.parametrize("syntax", [ImplicitVRLittleEndian, ExplicitVRLittleEndian])
@pytest.mark.parametrize(
    ("padding", "bits", "elements"),
    [
        (65535, 16, {"PixelPaddingValue": 65535}),
        (60000, 16, {"PixelPaddingValue": 65535, "PixelPaddingRangeLimit": 59000}),
        (-2000, 16, {"PixelPaddingValue": -2000}),
        (4095, 12, {"PixelPaddingValue": 65535}),  # of it 12 bits are stored
    ],
)
@pytest.mark.parametrize("photometric", ["MONOCHROME1", "MONOCHROME2"])
def test_padding_is_black_and_does_not_count_for_the_range(
    syntax: UID, padding: int, bits: int, elements: dict[str, int], photometric: str
) -> None:
    """One pixel of 65535 made an image of twelve bits nearly black."""
    values = np.clip(TWELVE.astype(np.int32), 1, 4094)
    inside = np.arange(values.size).reshape(values.shape) % 50 > 0
    padded = np.where(inside, values, padding).astype(np.int16 if padding < 0 else np.uint16)
    found = decode(dicom(padded, bits, syntax, PhotometricInterpretation=photometric, **elements), 24)
    ends = values[inside].min(), values[inside].max()
    shown = spread(values, *ends) if photometric == "MONOCHROME2" else spread(-values, -ends[1], -ends[0])
    assert np.array_equal(found, np.where(inside, shown, 0))


@pytest.mark.parametrize("function", [None, "LINEAR", "LINEAR_EXACT", "SIGMOID"])
@pytest.mark.parametrize(("slope", "intercept"), [(None, None), (1, 0), (2, -1024), (0.25, 10.5)])
def test_windows_are_pydicoms_after_the_rescale(function: str | None, slope: float, intercept: float) -> None:
    elements = {"WindowCenter": [700, 5], "WindowWidth": [900, 2]}
    if slope is not None:
        elements |= {"RescaleSlope": slope, "RescaleIntercept": intercept}
    if function is not None:
        elements |= {"VOILUTFunction": function}
    image = dataset(TWELVE, 12, **elements)
    theirs = apply_windowing(apply_modality_lut(TWELVE, image), image)
    ends = np.array([0, 4095]) * (slope or 1) + (intercept or 0)
    found = decode(written(image), 24)
    assert np.abs(found.astype(int) - spread(theirs, *ends)).max() <= (function == "SIGMOID")
    assert np.array_equal(decode(written(image), 24), found)


def test_a_linear_window_is_the_standards_example() -> None:
    """PS3.3, C.11.2.1.2.1: centre 2048 and width 4096 show 0 black and 4095 white; width 1 is a step at the centre."""
    assert np.array_equal(decode(dicom(TWELVE, 12, WindowCenter=2048, WindowWidth=4096), 24), spread(TWELVE, 0, 4095))
    step = decode(dicom(TWELVE, 12, WindowCenter=2048, WindowWidth=1), 24)
    assert np.array_equal(step, np.where(TWELVE > 2047.5, 255, 0))


def test_a_window_inverts_with_monochrome1() -> None:
    window = {"WindowCenter": 1000, "WindowWidth": 801, "VOILUTFunction": "LINEAR_EXACT"}
    found = decode(dicom(TWELVE, 12, PhotometricInterpretation="MONOCHROME1", **window), 24)
    assert np.array_equal(found, spread(-TWELVE.astype(float), -1400.5, -599.5))


def test_a_negative_slope_turns_the_shades() -> None:
    for bits, values, plain in ((8, EIGHT, 255 - EIGHT), (12, TWELVE, spread(-TWELVE.astype(float), -4095, 0))):
        ends = values.copy()
        ends[0, :2] = 0, 2**bits - 1
        expected = plain.copy()
        expected[0, :2] = 255, 0
        assert np.array_equal(decode(dicom(ends, bits, RescaleSlope=-1, RescaleIntercept=7), 24), expected)


def table(entries: np.ndarray, first: int, bits: int) -> Dataset:
    item = Dataset()
    item.add_new("LUTDescriptor", "US", [len(entries) % 65536, first, bits])
    item.add_new("LUTData", "OW", entries.astype("<u2").tobytes())
    return item


def test_a_voi_table_counts_before_a_window_and_holds_at_its_ends() -> None:
    entries = np.rint(np.linspace(0, 1, 2001) ** 2 * 1023)
    image = dataset(TWELVE, 12, VOILUTSequence=[table(entries, 1000, 10)], WindowCenter=5, WindowWidth=2)
    expected = entries[np.clip(TWELVE.astype(int) - 1000, 0, 2000)]
    assert np.array_equal(decode(written(image), 24), spread(expected, 0, 1023))


def test_a_modality_table_maps_before_the_window() -> None:
    entries = np.arange(4096)[::-1] * 2
    image = dataset(TWELVE, 12, ModalityLUTSequence=[table(entries, 0, 16)])
    image.WindowCenter, image.WindowWidth, image.VOILUTFunction = 4000, 6000, "LINEAR_EXACT"
    assert np.array_equal(decode(written(image), 24), spread(entries[TWELVE], 1000, 7000))


def test_rgb_becomes_luminance() -> None:
    expected = np.asarray(Image.fromarray(COLOUR).convert("L"))
    assert np.array_equal(decode(dicom(COLOUR, 8), 24), expected)
    planes = dataset(COLOUR, 8, PlanarConfiguration=1, PixelData=np.moveaxis(COLOUR, 2, 0).tobytes())
    assert np.array_equal(decode(written(planes), 24), expected)
    assert np.array_equal(decode(dicom(COLOUR.astype(np.uint16) * 257, 16), 24), expected)


def test_ybr_becomes_its_first_channel() -> None:
    coloured = np.stack([np.clip(EIGHT, 90, 160), *[np.full_like(EIGHT, each) for each in (120, 140)]], axis=2)
    found = decode(dicom(coloured, 8, PhotometricInterpretation="YBR_FULL"), 24)
    assert np.abs(found.astype(int) - coloured[..., 0]).max() <= 1


@pytest.mark.parametrize("bits", [8, 16])
def test_a_palette_becomes_luminance(bits: int) -> None:
    palette = generator_of("palette").integers(0, 256, (256, 3), np.uint8)
    image = dataset(EIGHT, 8, PhotometricInterpretation="PALETTE COLOR")
    for channel, name in enumerate(("Red", "Green", "Blue")):
        entries = palette[:, channel] if bits == 8 else palette[:, channel].astype("<u2") * 257
        image.add_new(f"{name}PaletteColorLookupTableDescriptor", "US", [256, 0, bits])
        image.add_new(f"{name}PaletteColorLookupTableData", "OW", entries.tobytes())
    assert np.array_equal(decode(written(image), 24), np.asarray(Image.fromarray(palette[EIGHT]).convert("L")))


def test_jpeg_frames_are_what_pillow_makes_of_them() -> None:
    smooth = np.add.outer(np.arange(24), np.arange(24)).astype(np.uint8) * 5
    frame = io.BytesIO()
    Image.fromarray(smooth).save(frame, "JPEG", quality=95)
    assert np.array_equal(decode(compressed(smooth, JPEGBaseline8Bit, "JPEG"), 24), decode(frame.getvalue(), 24))
    colour = np.repeat(smooth[..., None], 3, axis=2)
    found = decode(compressed(colour, JPEGBaseline8Bit, "JPEG", PhotometricInterpretation="YBR_FULL_422"), 24)
    assert np.abs(found.astype(int) - smooth).max() <= 3


def test_lossless_jpeg_2000_is_read() -> None:
    assert np.array_equal(decode(compressed(EIGHT, JPEG2000Lossless, "JPEG2000"), 24), EIGHT)


def test_a_file_without_preamble_is_known_by_its_meta_information() -> None:
    bare = dicom(EIGHT, 8)[132:]
    assert bare.startswith(DICOM_META)
    assert np.array_equal(decode(bare, 24), EIGHT)
    with pytest.raises(Unreadable, match="not an image of a known kind"):
        decode(bare[12:], 24)  # nor the length: pydicom would have to guess


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (dicom(EIGHT, 8, JPEGLosslessSV1, PixelData=encapsulate([b"1234"])), "JPEG Lossless.*decompress it first"),
        (dicom(EIGHT, 8, MPEG2MPML, PixelData=encapsulate([b"1234"])), "MPEG2 .* cannot be decoded here"),
        (dicom(np.zeros((12, 24), np.uint8), 8, NumberOfFrames=2, Rows=6), "multi-frame kind .frames: 2"),
        (dicom(EIGHT, 8, SharedFunctionalGroupsSequence=[Dataset()]), "multi-frame"),
        (dicom(EIGHT, 8, Rows=0), "24 x 0 pixels"),
        (dicom(EIGHT, 8, Columns=None), "it does not tell Columns"),
        (dicom(TWELVE.astype(np.uint32), 32), "32 bits stored"),
        (dicom(EIGHT, 8, PhotometricInterpretation="HSV"), "1 samples a pixel of HSV"),
        (dicom(EIGHT, 8, WindowCenter=5, WindowWidth=0), "window of width 0"),
        (dicom(EIGHT, 8, WindowCenter=np.nan, WindowWidth=9), "window of centre nan and width 9"),
        (dicom(EIGHT, 8, WindowCenter=5, WindowWidth=np.inf), "window of centre 5 and width inf"),
        (dicom(TWELVE << 4, 12, HighBit=15), "high bit 15 of 12 bits stored; 11 is read"),
        (dicom(TWELVE, 16, PixelPaddingValue=0, PixelPaddingRangeLimit=4095), "padding alone"),
        (
            dicom(EIGHT, 8, PhotometricInterpretation="ABC_31").replace(b"ABC_31", b"A\x1b[31m"),
            r"1 samples a pixel of A\\x1b\[31m",
        ),
        (dicom(EIGHT, 8, WindowCenter=5, WindowWidth=9, VOILUTFunction="CUBIC"), "unknown VOI LUT function, CUBIC"),
        (dicom(EIGHT, 8).replace(b"\x02\0\x10\0UI", b"\x02\0\x10\0FD"), "damaged DICOM"),  # 20 bytes of 8 each
        (dicom(EIGHT, 8)[:-50], "damaged DICOM"),
        (dicom(EIGHT, 8)[:200], "DICOM"),
        (b"\0" * 128 + b"DICM", "without a transfer syntax"),
        (compressed(EIGHT, JPEGBaseline8Bit, "JPEG")[:-300], "cut short"),
    ],
)
def test_what_cannot_be_shown_is_unreadable_with_a_reason(content: bytes, reason: str) -> None:
    with pytest.raises(Unreadable, match=reason) as raised:
        decode(content, 8)
    assert "\n" not in str(raised.value)


def with_text(content: bytes, tag: bytes, text: str) -> bytes:
    """The file with another text in an element, which pydicom would not write."""
    start = content.index(tag) + len(tag) + 2
    (length,) = struct.unpack("<H", content[start : start + 2])
    return content[:start] + struct.pack("<H", len(text)) + text.encode() + content[start + 2 + length :]


@pytest.mark.parametrize(
    ("tag", "reason"),
    [
        (b"\x02\0\x10\0", r"transfer syntax \[\.\.\.\] cannot be decoded here; decompress it first"),
        (b"\x28\0\x04\0", r"1 samples a pixel of \[\.\.\.\]"),
        (b"\x28\0\x56\x10", r"an unknown VOI LUT function, \[\.\.\.\]"),
    ],
)
def test_no_text_of_a_file_fills_the_line(tag: bytes, reason: str) -> None:
    whole = dicom(EIGHT, 8, WindowCenter=5, WindowWidth=9, VOILUTFunction="LINEAR")
    with pytest.raises(Unreadable, match=reason):
        decode(with_text(whole, tag, "1.2." + "3" * 500), 8)


def test_a_file_without_pixels_is_told() -> None:
    image = dataset(EIGHT, 8)
    del image.PixelData
    with pytest.raises(Unreadable, match="without pixel data"):
        decode(written(image), 8)


def test_too_many_pixels_are_refused_before_they_are_decoded(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(Unreadable, match="20000 x 20000 pixels, more than 100,000,000"):
        decode(dicom(EIGHT, 8, Rows=20000, Columns=20000), 8)
    monkeypatch.setattr(decoding, "MOST_PIXELS", EIGHT.size - 1)
    with pytest.raises(Unreadable, match="24 x 24 pixels, more than 575"):
        decode(dicom(EIGHT, 8), 8)


def test_a_compressed_frame_larger_than_told_is_refused() -> None:
    with pytest.raises(Unreadable, match="8 x 8 pixels told, 24 x 24 in the compressed frame"):
        decode(compressed(EIGHT, JPEGBaseline8Bit, "JPEG", Rows=8, Columns=8), 8)


def test_a_deflated_file_is_refused_before_it_is_unpacked() -> None:
    whole = dicom(EIGHT, 8, DeflatedExplicitVRLittleEndian)
    for content in (whole, whole[:-200] + b"no zlib stream"):
        with pytest.raises(Unreadable, match=r"Deflated .* inflate it first"):
            decode(content, 8)


def test_sequences_nested_without_end_are_damage() -> None:
    opened = b"\x08\0\x40\x11SQ\0\0\xff\xff\xff\xff\xfe\xff\0\xe0\xff\xff\xff\xff"
    head = dicom(EIGHT, 8)
    start = head.index(b"\x08\0\x16\0UI")
    with pytest.raises(Unreadable, match="DICOM"):
        decode(head[:start] + opened * 5000, 8)


WHOLE = dicom(TWELVE, 12, RescaleSlope=1, RescaleIntercept=0, WindowCenter=700, WindowWidth=900)
DAMAGEABLE = {
    "grey": WHOLE,
    "jpeg": compressed(EIGHT, JPEGBaseline8Bit, "JPEG"),
    "jpeg 2000": compressed(EIGHT, JPEG2000Lossless, "JPEG2000"),
    "table": written(dataset(TWELVE, 12, VOILUTSequence=[table(np.arange(4096), 0, 12)])),
}


@settings(max_examples=500)
@given(st.sampled_from(sorted(DAMAGEABLE)), st.lists(st.tuples(st.integers(0, 900), st.integers(0, 255)), max_size=4))
def test_a_damaged_file_gives_pixels_or_a_reason_and_nothing_else(kind: str, changes: list[tuple[int, int]]) -> None:
    content = bytearray(DAMAGEABLE[kind])
    for place, value in changes:
        content[132 + place % (len(content) - 132)] = value
    with suppress(Unreadable):
        assert decode(bytes(content), 8).shape == (8, 8)


def test_odd_but_readable_files_are_read_without_a_word(
    recwarn: pytest.WarningsRecorder, capfd: pytest.CaptureFixture[str]
) -> None:
    padded = dataset(EIGHT, 8)
    padded.PixelData += b"\0" * 64
    padded["PixelData"].VR = "OB"
    assert np.array_equal(decode(written(padded), 24), EIGHT)
    assert list(recwarn) == []
    assert capfd.readouterr() == ("", "")


def test_pydicom_is_loaded_by_the_first_dicom_file_only(tmp_path: Path) -> None:
    png = io.BytesIO()
    Image.fromarray(EIGHT).save(png, "PNG")
    (tmp_path / "a").write_bytes(png.getvalue())
    (tmp_path / "b").write_bytes(dicom(EIGHT, 8))
    code = (
        "import sys\nfrom pathlib import Path\nfrom radiographs.decoding import decode\n"
        "for path in sys.argv[1:]:\n    decode(Path(path).read_bytes(), 8)\n    print('pydicom' in sys.modules)"
    )
    ended = subprocess.run(
        [sys.executable, "-c", code, tmp_path / "a", tmp_path / "b"],
        capture_output=True,
        text=True,
        check=True,
        cwd=Path(__file__).parents[2],
    )
    assert ended.stdout.split() == ["False", "True"]
