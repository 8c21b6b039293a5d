"""Near duplicates: the same picture in another file is found, another picture is not."""

import io
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from plumbing.seeds import generator_of
from radiographs.decoding import decode
from radiographs.perceptual import LEAST_CORRELATION, MOST_BITS, correlations, near_pairs, perceptual_hashes
from radiographs.survey import SIDE
from radiographs.synthetic import LEAST_PATIENTS, draw_dataset


@pytest.fixture(scope="module")
def drawn(tmp_path_factory: pytest.TempPathFactory) -> list[bytes]:
    """The files of a small drawn data set, in the order of their paths."""
    root = draw_dataset(tmp_path_factory.mktemp("drawn"), LEAST_PATIENTS)
    return [path.read_bytes() for path in sorted(root.rglob("*.png"))]


def small(files: list[bytes]) -> NDArray[np.uint8]:
    return np.stack([decode(content, SIDE) for content in files])


def reencoded(content: bytes, scale: float, quality: int, brighter: float = 1.0) -> bytes:
    image = Image.open(io.BytesIO(content)).convert("L").point(lambda grey: grey * brighter)
    buffer = io.BytesIO()
    image.resize((round(image.width * scale), round(image.height * scale))).save(buffer, "JPEG", quality=quality)
    return buffer.getvalue()


@pytest.mark.parametrize(("scale", "quality", "brighter"), [(1.0, 50, 1.0), (0.5, 90, 1.0), (1.7, 75, 1.1)])
def test_every_resized_or_reencoded_image_is_a_near_duplicate_of_its_own_only(
    drawn: list[bytes], scale: float, quality: int, brighter: float
) -> None:
    files = drawn[::4]
    copies = [reencoded(content, scale, quality, brighter) for content in files]

    pairs = near_pairs(small([*files, *copies]))

    assert pairs.first.tolist() == list(range(len(files)))
    assert pairs.second.tolist() == list(range(len(files), 2 * len(files)))
    assert pairs.distance.max() <= MOST_BITS
    assert pairs.correlation.min() >= LEAST_CORRELATION


def test_different_drawn_images_are_no_near_duplicates(drawn: list[bytes]) -> None:
    assert len(drawn) > 100
    assert len(near_pairs(small(drawn)).first) == 0


def test_pairs_far_apart_in_a_long_list_are_found_once() -> None:
    pixels = generator_of("many").integers(0, 256, (600, SIDE, SIDE), np.uint8)  # several blocks of rows
    pixels[599], pixels[300] = pixels[3], pixels[3]

    pairs = near_pairs(pixels)

    assert list(zip(pairs.first.tolist(), pairs.second.tolist(), strict=True)) == [(3, 300), (3, 599), (300, 599)]
    assert pairs.distance.tolist() == [0, 0, 0]


def test_flat_images_are_compared_with_none() -> None:
    flat = np.full((3, SIDE, SIDE), 128, np.uint8)
    assert len(near_pairs(flat).first) == 0
    assert len(near_pairs(flat[:0]).first) == 0


def test_hash_ignores_brightness_and_sees_what_is_turned() -> None:
    pixels = generator_of("one").integers(0, 100, (1, SIDE, SIDE), np.uint8)
    assert perceptual_hashes(pixels * 2 + 10) == perceptual_hashes(pixels)
    assert np.bitwise_count(perceptual_hashes(pixels[:, ::-1].copy()) ^ perceptual_hashes(pixels)) > MOST_BITS


def test_correlation_is_pearsons() -> None:
    one, two = generator_of("two").integers(0, 256, (2, 4, SIDE, SIDE), np.uint8)
    expected = [np.corrcoef(a.ravel(), b.ravel())[0, 1] for a, b in zip(one, two, strict=True)]
    np.testing.assert_allclose(correlations(one, two), expected, atol=1e-6)


def test_hand_radiographs_that_were_stored_twice_are_found(shared: Path) -> None:
    hands = shared / "radiographs" / "MURA-v1.1" / "train" / "XR_HAND"
    twice = [("patient00360", "image2"), ("patient00537", "image2"), ("patient00362", "image1")]
    files = [sorted(hands.glob(f"{patient}/*/{image}.png"))[0].read_bytes() for patient, image in twice]

    pairs = near_pairs(small(files))

    assert list(zip(pairs.first.tolist(), pairs.second.tolist(), strict=True)) == [(0, 1)]
