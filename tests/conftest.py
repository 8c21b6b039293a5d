"""Fixtures for all tests."""

from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

# Examples are the same in every run, and a busy machine fails none.
settings.register_profile("tests", derandomize=True, deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("tests")


@pytest.fixture(scope="session")
def shared(request: pytest.FixtureRequest) -> Path:
    """The folder of real data beside the repository: published results, radiographs."""
    folder = request.config.rootpath.parent / "shared"
    if not folder.is_dir():
        pytest.skip(f"{folder} is absent: it holds the published results and the real radiographs")
    return folder
