"""Files of every kind to grey pixels, or a reason."""

import io
import struct
import zlib
from collections.abc import Callable
from contextlib import suppress

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from plumbing.seeds import generator_of
from radiographs import decoding
from radiographs.decoding import Unreadable, decode

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


@pytest.mark.parametrize("dtype", [np.int32, np.float32])
def test_wide_tiffs_are_scaled_and_held_in_range(dtype: type) -> None:
    values = GREY.astype(dtype) * 300 - 100
    expected = np.clip(np.rint(values.astype(float) * (255 / 65535)), 0, 255).astype(np.uint8)
    assert np.array_equal(decode(encoded(Image.fromarray(values), "TIFF"), 24), plain(Image.fromarray(expected), 24))


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
