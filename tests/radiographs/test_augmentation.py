"""Views are pure functions with the published ranges."""

import subprocess
import sys
from itertools import product
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from plumbing.seeds import generator_of
from radiographs.augmentation import LEVELS, Change, apply_change, draw_change, view_of

REPOSITORY = Path(__file__).parents[2]
PIXELS = generator_of("test of views").integers(0, 256, (33, 33), np.uint8)
BLUNT = np.kron(generator_of("blunt").integers(60, 200, (4, 4), np.uint8), np.ones((16, 16), np.uint8))


def changes(level: str, count: int = 300) -> list[Change]:
    return [draw_change(level, f"image{view % 10}", view) for view in range(count)]


@pytest.mark.parametrize("level", LEVELS)
def test_invariant_3_a_view_is_a_pure_function_of_level_image_and_view(level: str) -> None:
    """Another process, which drew other views before, gives the same bytes."""
    code = (
        "import sys, numpy as np\n"
        "from radiographs.augmentation import view_of\n"
        "from plumbing.seeds import generator_of\n"
        "np.random.seed(5)\n"
        "pixels = generator_of('test of views').integers(0, 256, (33, 33), np.uint8)\n"
        "view_of(pixels, 'strong', 'other', 7)\n"
        f"sys.stdout.buffer.write(view_of(pixels, '{level}', 'picture', 3).tobytes())\n"
    )
    told = subprocess.run([sys.executable, "-c", code], capture_output=True, cwd=REPOSITORY, check=True)
    assert told.stdout == view_of(PIXELS, level, "picture", 3).tobytes()


def test_another_level_image_or_view_gives_other_pixels() -> None:
    views = {
        view_of(PIXELS, level, image, view).tobytes()
        for level, image, view in product(("light", "deep", "strong"), ("a", "b"), (0, 1, 2))
    }
    assert len(views) == 18


@given(st.text(), st.integers(0, 1000))
def test_the_level_no_changes_nothing(image: str, view: int) -> None:
    assert np.array_equal(view_of(PIXELS, "no", image, view), PIXELS)


@pytest.mark.parametrize("level", ["light", "deep", "strong"])
def test_rotation_fills_the_published_range(level: str) -> None:
    degrees = [change.degrees for change in changes(level)]
    assert -30 <= min(degrees) < -27  # 300 draws: the chance to miss a tenth of the range is 3e-7 or so
    assert 27 < max(degrees) <= 30


def test_light_flips_sideways_only() -> None:
    drawn = changes("light")
    assert {change.flip_horizontal for change in drawn} == {False, True}
    assert {change.flip_vertical for change in drawn} == {False}


@pytest.mark.parametrize("level", ["deep", "strong"])
def test_deep_and_strong_flip_all_four_ways(level: str) -> None:
    assert {(change.flip_horizontal, change.flip_vertical) for change in changes(level)} == set(
        product((False, True), repeat=2)
    )


@pytest.mark.parametrize("level", ["light", "deep"])
def test_published_levels_neither_shift_nor_zoom_nor_stretch(level: str) -> None:
    for change in changes(level):
        assert change == Change(change.degrees, change.flip_horizontal, change.flip_vertical)


def test_strong_shifts_zooms_and_stretches_a_little() -> None:
    drawn = changes("strong")
    for values, middle, most in (
        ([change.shift_right for change in drawn], 0.0, 0.05),
        ([change.shift_down for change in drawn], 0.0, 0.05),
        ([change.zoom for change in drawn], 1.0, 0.1),
        ([change.contrast for change in drawn], 1.0, 0.2),
    ):
        assert middle - most <= min(values) < middle < max(values) <= middle + most
        assert max(values) - min(values) > 1.8 * most


@pytest.mark.parametrize("size", [8, 33])
@pytest.mark.parametrize(
    ("change", "axes"),
    [
        (Change(flip_horizontal=True), [1]),
        (Change(flip_vertical=True), [0]),
        (Change(flip_horizontal=True, flip_vertical=True), [0, 1]),
    ],
)
def test_a_flip_alone_is_numpys_flip(size: int, change: Change, axes: list[int]) -> None:
    pixels = PIXELS[:size, :size]
    assert np.array_equal(apply_change(pixels, change), np.flip(pixels, axes))


def test_a_right_angle_turns_as_numpy_does_anticlockwise() -> None:
    assert np.array_equal(apply_change(PIXELS, Change(degrees=90)), np.rot90(PIXELS))


def test_a_shift_moves_right_and_down_and_repeats_the_edge() -> None:
    pixels = PIXELS[:20, :20]
    moved = apply_change(pixels, Change(shift_right=0.1, shift_down=0.05))
    assert np.array_equal(moved[1:, 2:], pixels[:-1, :-2])
    assert np.array_equal(moved[1:, 0], pixels[:-1, 0])
    assert np.array_equal(moved[0, 2:], pixels[0, :-2])


def test_a_zoom_enlarges_about_the_centre() -> None:
    zoomed = apply_change(BLUNT, Change(zoom=2.0))
    assert abs(int(zoomed[1, 1]) - int(BLUNT[16, 16])) <= 1
    assert abs(int(zoomed[-2, -2]) - int(BLUNT[-17, -17])) <= 1


def test_contrast_stretches_about_the_mean() -> None:
    stretched = apply_change(BLUNT, Change(contrast=1.2)).astype(float)
    assert abs(stretched.mean() - BLUNT.mean()) < 0.5
    assert stretched.std() / BLUNT.std() == pytest.approx(1.2, abs=0.02)


@pytest.mark.parametrize("value", [0, 128, 255])
def test_nothing_uncovered_turns_black_and_nothing_overflows(value: int) -> None:
    flat = np.full((32, 32), value, np.uint8)
    for view in range(20):
        assert np.array_equal(view_of(flat, "strong", "flat", view), flat)


@pytest.mark.parametrize("level", LEVELS)
def test_the_given_pixels_are_never_written_to(level: str) -> None:
    pixels = PIXELS.copy()
    pixels.flags.writeable = False
    for view in range(5):
        assert view_of(pixels, level, "picture", view).dtype == np.uint8
    assert np.array_equal(pixels, PIXELS)
