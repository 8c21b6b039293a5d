"""Every way to ask a model says what training stored, on all test images of a search on real radiographs."""

from pathlib import Path

import numpy as np
import pytest

from benchmarks import agreement
from benchmarks.agreement import CUTS, differences, searched

ALLOWED = 1e-4
SMALL = ("--image-size", 128, "--epochs", 4, "--views", 1)


@pytest.mark.slow
@pytest.mark.parametrize("cut", CUTS)
def test_all_test_images_get_the_stored_probability_in_every_way(
    cut: str, shared: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    radiographs = shared / "radiographs"
    if not radiographs.is_dir():
        pytest.skip(f"{radiographs} is absent: it holds the real radiographs")
    monkeypatch.setattr(agreement, "RADIOGRAPHS", radiographs)
    best, *_ = searched(tmp_path, "XR_HAND", cut, 2, *SMALL)
    assert len(best.paths) == 130
    assert np.ptp(best.stored) > 100 * ALLOWED  # else this would prove nothing

    found = dict(differences(best, tmp_path))

    assert len(found) == 10
    assert {way: apart for way, apart in found.items() if not apart <= ALLOWED} == {}
