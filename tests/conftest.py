"""Fixtures for all tests."""

from pathlib import Path

import pytest


@pytest.fixture
def shared(request: pytest.FixtureRequest) -> Path:
    """The folder of real data beside the repository: published results, radiographs."""
    folder = request.config.rootpath.parent / "shared"
    if not folder.is_dir():
        pytest.skip(f"{folder} is absent: it holds the published results and the real radiographs")
    return folder
