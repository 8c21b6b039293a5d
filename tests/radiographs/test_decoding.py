"""Files of every kind to grey pixels, or a reason."""

import io
import struct
import tracemalloc
import zlib
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from plumbing.seeds import generator_of
from radiographs import decoding
from radiographs.decoding import Unreadable, decode, from_array

GREY = generator_of("test of decoding").integers(0, 256, (24, 40), np.uint8)
COLOUR = generator_of("colour").integers(0, 256, (24, 40, 3), np.uint8)


def encoded(image: Image.Image, kind: str = "PNG", **options: object) -> bytes:
    file = io.BytesIO()
    image.save(file, kind, **options)
    return file.getvalue()


def plain(image: Image.Image, size: int) -> np.ndarray:
    """The plain Pillow call that decoding promises."""
    return np.asarray(image.convert("L").resize((size, size), Image.Resampling.BILINEAR))


def turned(image: Image.Image, orientation: int, kind: str = "PNG") -> bytes:
    exif = Image.Exif()
    exif[0x0112] = orientation
    return encoded(image, kind, exif=exif)


def png_of_size(width: int, height: int) -> bytes:
    """A PNG whose head claims a size, and which holds nothing."""
    head = struct.pack(">II5B", width, height, 8, 0, 0, 0, 0)
    chunks = (b"IHDR" + head, b"IDAT", b"IEND")
    body = b"".join(
        struct.pack(">I", len(chunk) - 4) + chunk + struct.pack(">I", zlib.crc32(chunk)) for chunk in chunks
    )
    return b"\x89PNG\r\n\x1a\n" + body


@pytest.mark.parametrize("kind", ["PNG", "BMP", "TIFF", "JPEG"])
@pytest.mark.parametrize("size", [8, 24, 64])
def test_grey_files_are_what_pillow_makes_of_them(kind: str, size: int) -> None:
    content = encoded(Image.fromarray(GREY), kind)
    found = decode(content, size)
    assert (found.shape, found.dtype) == ((size, size), np.uint8)
    assert np.array_equal(found, plain(Image.open(io.BytesIO(content)), size))


@pytest.mark.parametrize("mode", ["RGB", "RGBA", "LA", "P", "1", "CMYK", "YCbCr"])
def test_colour_palette_alpha_and_cmyk_become_luminance(mode: str) -> None:
    kind = {"CMYK": "TIFF", "YCbCr": "JPEG"}.get(mode, "PNG")
    content = encoded(Image.fromarray(COLOUR).convert(mode), kind)
    assert np.array_equal(decode(content, 16), plain(Image.open(io.BytesIO(content)), 16))


def test_cmyk_jpeg_is_read() -> None:
    content = encoded(Image.fromarray(COLOUR).convert("CMYK"), "JPEG")
    assert np.array_equal(decode(content, 16), plain(Image.open(io.BytesIO(content)), 16))


def test_a_palette_with_transparency_is_read_without_a_word(recwarn: pytest.WarningsRecorder) -> None:
    image = Image.fromarray(GREY).convert("P")
    assert np.array_equal(decode(encoded(image, transparency=bytes(range(200))), 16), plain(image, 16))
    assert list(recwarn) == []


@pytest.mark.parametrize("most", [300, 4095, 65535])
def test_sixteen_bits_are_scaled_not_cut(most: int) -> None:
    values = np.linspace(0, most, 24 * 40).reshape(24, 40).astype(np.uint16)
    found = decode(encoded(Image.fromarray(values)), 24)
    eight = Image.fromarray(np.rint(values / 257).astype(np.uint8))
    assert np.array_equal(found, plain(eight, 24))


def test_eight_bits_in_a_sixteen_bit_file_stay_as_they_are() -> None:
    found = decode(encoded(Image.fromarray(GREY.astype(np.uint16))), 24)
    assert np.array_equal(found, plain(Image.fromarray(GREY), 24))


def tiff(values: np.ndarray, bits: int | None = None, white_is_zero: bool = False, big: bool = False) -> bytes:
    """A plain TIFF of values (height, width), which Pillow does not write of every kind."""
    order, kind = ">" if big else "<", {"u": 1, "i": 2, "f": 3}[values.dtype.kind]
    data = values.astype(values.dtype.newbyteorder(order)).tobytes()
    height, width = values.shape
    tags = {256: width, 257: height, 258: bits or 8 * values.dtype.itemsize, 259: 1, 262: int(not white_is_zero)}
    tags |= {273: 8, 277: 1, 278: height, 279: len(data), 339: kind}
    entries = b"".join(struct.pack(f"{order}HHII", tag, 4, 1, value) for tag, value in tags.items())
    head = (b"MM\0*" if big else b"II*\0") + struct.pack(f"{order}I", 8 + len(data))
    return head + data + struct.pack(f"{order}H", len(tags)) + entries + bytes(4)


@pytest.mark.parametrize("big", [False, True])
@pytest.mark.parametrize(
    "values",
    [
        GREY.astype(np.uint16) * 257,
        (GREY.astype(np.int32) * 257 - 32768).astype(np.int16),
        (GREY.astype(np.int32) - 128).astype(np.int8),
        (GREY.astype(np.int64) * 16843009 - 2**31).astype(np.int32),
        GREY.astype(np.int32) * 257 - 32768,
        (GREY / 255).astype(np.float32),
        GREY.astype(np.float32),
        GREY.astype(np.float32) * 257,
    ],
    ids=["u2", "i2", "i1", "i4", "i4 of 16 bits", "0 to 1", "0 to 255", "0 to 65535"],
)
def test_the_least_value_of_a_tiffs_range_is_black_and_the_largest_white(values: np.ndarray, big: bool) -> None:
    """Signed values below zero were black, floats from 0 to 1 all black."""
    assert {0, 255} <= set(GREY.ravel().tolist())  # else the range would not be known
    assert np.array_equal(decode(tiff(values, big=big), None), GREY)


def test_unsigned_values_of_32_bits_do_not_wrap() -> None:
    """Those above 2,147,483,647 were negative, and black."""
    assert np.array_equal(decode(tiff(GREY.astype(np.uint32) * 16843009), None), GREY)
    assert np.array_equal(decode(tiff(GREY.astype(np.uint32) * 257), None), GREY)


@pytest.mark.parametrize("values", [GREY, GREY.astype(np.uint16) * 257, (GREY / 255).astype(np.float32)])
def test_a_tiff_whose_white_is_zero_is_inverted(values: np.ndarray) -> None:
    """Of 16 bits it was shown as a negative."""
    assert np.array_equal(decode(tiff(values, white_is_zero=True), None), 255 - GREY)


def test_a_tiff_of_twelve_bits_is_scaled_by_its_own_range() -> None:
    high, low = np.array([0, 0x123, 0x800, 0xFFF]), np.array([0xFFF, 0x456, 1, 0])
    packed = np.stack([high >> 4, (high & 15) << 4 | low >> 8, low & 255], axis=1).astype(np.uint8)
    content = tiff(packed, bits=12).replace(struct.pack("<HHII", 256, 4, 1, 3), struct.pack("<HHII", 256, 4, 1, 2))
    expected = np.rint(np.stack([high, low], axis=1) * (255 / 4095))
    assert np.array_equal(decode(content, None), expected)


def test_a_tiff_of_16_bits_is_turned_by_its_tag() -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    content = encoded(Image.fromarray(GREY.astype(np.uint16) * 257), "TIFF", exif=exif)
    assert np.array_equal(decode(content, None), np.rot90(GREY, -1))


@pytest.mark.parametrize(
    "values", [GREY / 255 - 0.01, GREY / 255 * 1.01, GREY * 300.0, np.where(GREY > 99, np.inf, 0.0)]
)
def test_floats_whose_black_and_white_cannot_be_known_are_refused(values: np.ndarray) -> None:
    for refused in (lambda: decode(tiff(values.astype(np.float32)), 8), lambda: from_array(values, 8)):
        with pytest.raises(Unreadable, match=r"cannot be known; make them 0 to 1|not a number"):
            refused()


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64])
def test_an_array_of_floats_from_0_to_1_is_its_8_bit_image(dtype: type) -> None:
    """It was all black: 0 to 1 of 255."""
    assert np.array_equal(from_array((GREY / 255).astype(dtype), 24), from_array(GREY, 24))


@pytest.mark.parametrize("dtype", [np.int16, np.uint16, np.int64, np.float64])
def test_an_array_of_8_bits_in_a_wider_type_stays_as_it_is(dtype: type) -> None:
    assert np.array_equal(from_array(GREY.astype(dtype), 24), from_array(GREY, 24))


def test_an_array_of_more_than_32_bits_is_refused() -> None:
    with pytest.raises(Unreadable, match="from 0 to 1095216660480: more than 32 bits"):
        from_array(GREY.astype(np.int64) << 32, 8)


def test_scaling_takes_few_bytes_a_pixel(monkeypatch: pytest.MonkeyPatch) -> None:
    """Floats of all pixels at once took 2.7 GB for a file of 219 KB."""
    monkeypatch.setattr(decoding, "BAND", 2**14)
    values = np.full((2000, 2000), 40_000, np.uint16)
    content = encoded(Image.fromarray(values))
    decode(content, 8)
    tracemalloc.start()
    try:
        decode(content, 8)
        from_array(values, 8)
        assert tracemalloc.get_traced_memory()[1] < 2 * values.size
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize("kind", ["AVIF", "DDS", "SPIDER", "EPS", "TGA", "PCX"])
@pytest.mark.parametrize("part", [1.0, 0.5])
def test_kinds_that_radiographs_do_not_come_in_are_refused_by_their_heads(kind: str, part: float) -> None:
    """Damaged ones ended a batch in errors of their own, and PostScript started Ghostscript."""
    whole = encoded(Image.fromarray(GREY), kind)
    with pytest.raises(Unreadable, match=r"not an image of a known kind: PNG, JPEG, TIFF, .* are read"):
        decode(whole[: int(len(whole) * part)], 8)


@pytest.mark.parametrize("kind", ["GIF", "WEBP", "JPEG2000", "PPM", "MPO"])
def test_other_kinds_are_read_too(kind: str) -> None:
    content = encoded(Image.fromarray(GREY), kind, **({"lossless": True} if kind == "WEBP" else {}))
    assert np.array_equal(decode(content, 16), plain(Image.open(io.BytesIO(content)), 16))


def test_a_tiff_that_pillow_has_no_layout_for_or_no_tags_of_is_told_as_one() -> None:
    for content in (tiff(GREY.astype(np.uint16), white_is_zero=True, big=True), tiff(GREY)[:500]):
        with pytest.raises(Unreadable, match="a TIFF cut short, or of a layout that is not read"):
            decode(content, 8)


COMPRESSED = {
    **{kind: Image.fromarray(np.repeat(GREY, 20, 0)) for kind in ("tiff_lzw", "tiff_adobe_deflate", "lzma", "jpeg")},
    **{kind: Image.fromarray(np.repeat(GREY, 20, 0)).convert("1") for kind in ("group3", "group4", "tiff_ccitt")},
}


@pytest.mark.parametrize("kind", COMPRESSED)
def test_a_compressed_tiff_is_read_or_told_and_libtiff_writes_nothing(
    kind: str, capfd: pytest.CaptureFixture[str]
) -> None:
    """Damaged fax was read, with a line on stderr for each of its rows; of zip two lines stood beside the reason."""
    content = bytearray(encoded(COMPRESSED[kind], "TIFF", compression=kind))
    whole = decode(bytes(content), 16)
    if kind != "jpeg":
        assert np.array_equal(whole, plain(COMPRESSED[kind], 16))
    # Of JPEG the tables, as damaged data of it look like another image.
    start, end = (8, 700) if kind == "jpeg" else (len(content) // 4, len(content) // 2)
    content[start:end] = bytes(each ^ 0x5A for each in content[start:end])
    with pytest.raises(Unreadable):
        decode(bytes(content), 16)
    assert capfd.readouterr() == ("", "")


def test_what_libtiff_tells_of_one_file_is_held_against_no_other() -> None:
    whole = encoded(COMPRESSED["group4"], "TIFF", compression="group4")
    damaged = whole[:200] + bytes(each ^ 0x5A for each in whole[200:2000]) + whole[2000:]
    expected = decode(whole, 8)

    def found(content: bytes) -> object:
        try:
            return decode(content, 8).tolist()
        except Unreadable as error:
            return str(error)

    with ThreadPoolExecutor(4) as threads:
        told = list(threads.map(found, [whole, damaged] * 50))
    assert told == [expected.tolist(), "damaged: its compressed pixels cannot all be unpacked"] * 50


def test_a_reason_is_one_line_that_a_terminal_shows_as_it_is() -> None:
    assert str(Unreadable("a\nb\x1b[31m")) == "a\\nb\\x1b[31m"


def test_a_float_tiff_without_numbers_is_unreadable() -> None:
    values = np.full((4, 4), np.nan, np.float32)
    with pytest.raises(Unreadable, match="not a number"):
        decode(encoded(Image.fromarray(values), "TIFF"), 4)


@pytest.mark.parametrize(
    ("orientation", "turn"),
    [
        (2, lambda pixels: pixels[:, ::-1]),
        (3, lambda pixels: pixels[::-1, ::-1]),
        (6, lambda pixels: np.rot90(pixels, -1)),
        (8, lambda pixels: np.rot90(pixels)),
    ],
)
def test_exif_turns_are_applied(orientation: int, turn: Callable[[np.ndarray], np.ndarray]) -> None:
    upright = Image.fromarray(np.ascontiguousarray(turn(GREY)))
    assert np.array_equal(decode(turned(Image.fromarray(GREY), orientation), 16), plain(upright, 16))


@pytest.mark.parametrize("shape", [(1, 1), (1, 40), (10, 5000)])
def test_odd_shapes_are_squashed_to_a_square(shape: tuple[int, int]) -> None:
    image = Image.fromarray(generator_of(shape).integers(0, 256, shape, np.uint8))
    assert np.array_equal(decode(encoded(image), 32), plain(image, 32))


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"", "empty file"),
        (b"path,label\nimage1.png,0\n", "not an image of a known kind"),
        (b"\x89PNG\r\n\x1a\n", "not an image|damaged"),
        (encoded(Image.fromarray(GREY))[:200], "damaged"),
        (encoded(Image.fromarray(GREY), "JPEG")[:300], "damaged"),
        (encoded(Image.fromarray(GREY), "BMP")[:200], "damaged"),
    ],
)
def test_a_file_that_is_no_whole_image_is_unreadable_with_a_reason(content: bytes, reason: str) -> None:
    with pytest.raises(Unreadable, match=reason) as raised:
        decode(content, 8)
    assert "\n" not in str(raised.value)


@pytest.mark.parametrize("sides", [(10_001, 10_001), (20_000, 20_000), (2**31 - 1, 2**31 - 1)])
def test_a_decompression_bomb_is_refused_before_it_is_unpacked(sides: tuple[int, int]) -> None:
    with pytest.raises(Unreadable, match="pixels"):
        decode(png_of_size(*sides), 8)


def test_the_limit_of_pixels_is_ours_whatever_filters_other_threads_set(monkeypatch: pytest.MonkeyPatch) -> None:
    """Pillow warns from 89 megapixels; whether that was an error once hung on the other threads' warning filters."""
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", GREY.size - 1)
    assert np.array_equal(decode(encoded(Image.fromarray(GREY)), 8), plain(Image.fromarray(GREY), 8))
    monkeypatch.setattr(decoding, "MOST_PIXELS", GREY.size - 1)
    with pytest.raises(Unreadable, match="40 x 24 pixels, more than 959"):
        decode(encoded(Image.fromarray(GREY)), 8)


DAMAGEABLE = {
    "jpeg": turned(Image.fromarray(GREY), 6, "JPEG"),
    "png": turned(Image.fromarray(GREY), 6),
    "tiff": encoded(Image.fromarray(GREY), "TIFF"),
    "bmp": encoded(Image.fromarray(GREY), "BMP"),
    "wide tiff": tiff((GREY.astype(np.int32) * 257 - 32768).astype(np.int16)),
}


@settings(max_examples=300)
@given(st.sampled_from(sorted(DAMAGEABLE)), st.lists(st.tuples(st.floats(0, 1), st.integers(0, 255)), max_size=4))
def test_a_damaged_file_gives_pixels_or_a_reason_and_nothing_else(kind: str, changes: list[tuple[float, int]]) -> None:
    content = bytearray(DAMAGEABLE[kind])
    for place, value in changes:
        content[int(place * (len(content) - 1))] = value
    with suppress(Unreadable):
        assert decode(bytes(content), 8).shape == (8, 8)


def test_a_tag_of_the_wrong_type_is_damage() -> None:
    """Pillow raised TypeError for it, which ended the whole scan."""
    content = encoded(Image.fromarray(GREY), "TIFF")
    width = struct.pack("<HHI", 256, 4, 1)
    assert content.count(width) == 1
    broken = content.replace(width, struct.pack("<HHI", 256, 11, 1))  # a width that is a real number
    with pytest.raises(Unreadable, match="damaged"):
        decode(broken, 8)
