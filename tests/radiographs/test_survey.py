"""One reading of every image."""

import numpy as np
import pytest
from PIL import Image

from radiographs import survey as survey_module
from radiographs.decoding import UNKNOWN
from radiographs.survey import BINS, SIDE, grey_shares, survey
from radiographs.table import scan
from tests.radiographs.conftest import Mura


def test_digest_size_and_greys_of_each_image_are_told_in_order(small: Mura) -> None:
    wide = small.root / "train/XR_HAND/patient00000/study1_negative/image1.png"
    Image.fromarray(np.full((20, 50), 200, np.uint8)).save(wide)

    found = survey(small.root, scan(small.root).images)

    assert found.images["path"].tolist() == scan(small.root).images["path"].tolist()
    first = found.images.iloc[0]
    assert (first["width"], first["height"], first["mean"], first["spread"]) == (50, 20, 200.0, 0.0)
    assert found.pixels.shape == (24, SIDE, SIDE)
    assert found.images["digest"].nunique() == 24


def test_unreadable_files_are_named_and_the_rest_stay_aligned(small: Mura) -> None:
    damaged, empty = (
        "train/XR_HAND/patient00001/study1_positive/image1.png",
        "valid/XR_HAND/patient00008/study1_negative/image2.png",
    )
    (small.root / damaged).write_bytes(b"no picture")
    (small.root / empty).write_bytes(b"")

    found = survey(small.root, scan(small.root).images)

    assert {left.path: left.reason for left in found.unreadable} == {
        damaged: UNKNOWN,
        empty: "empty file",
    }
    assert len(found.images) == len(found.pixels) == 22
    assert [round(float(pixels.mean()), 6) for pixels in found.pixels] == found.images["mean"].round(6).tolist()


def test_each_image_is_decoded_once(small: Mura, monkeypatch: pytest.MonkeyPatch) -> None:
    decoded = []

    def counted(content: bytes, size: int) -> object:
        decoded.append(content)
        return original(content, size)

    original = survey_module.decode
    monkeypatch.setattr(survey_module, "decode", counted)
    survey(small.root, scan(small.root).images)
    assert len(decoded) == len(set(decoded)) == 24


def test_no_images_give_an_empty_survey(small: Mura) -> None:
    found = survey(small.root, scan(small.root).images.head(0))
    assert (len(found.images), found.pixels.shape, found.unreadable) == (0, (0, SIDE, SIDE), ())


def test_grey_shares_count_bins_of_four_levels() -> None:
    pixels = np.array([[[0, 3], [4, 255]]], np.uint8)
    shares = grey_shares(pixels)
    assert shares.shape == (BINS,)
    assert (shares[0], shares[1], shares[-1], shares.sum()) == (0.5, 0.25, 0.25, 1.0)
