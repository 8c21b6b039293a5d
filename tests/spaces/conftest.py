"""Small spaces."""

import pytest

from spaces import ARCHITECTURES
from spaces.declaration import AtLeast, Choice, Real, Space, Whole
from spaces.narrowing import make_space


@pytest.fixture(scope="session")
def full_space() -> Space:
    """All architectures, as a machine with a GPU is offered them."""
    return make_space(ARCHITECTURES, {}, cheap_cuts=False)


@pytest.fixture
def two() -> Space:
    """Two architectures: `lr` is alike, `units` is not, `filters_3` hangs on `blocks`."""
    rate = Real("lr", 1e-4, 1e-2, log=True)
    return Space(
        {
            "small": (rate, Choice("units", (0, 8), ordered=True)),
            "large": (
                rate,
                Choice("units", (64, 128), ordered=True),
                Whole("blocks", 2, 3),
                Whole("filters_3", 16, 64, step=16, when=AtLeast("blocks", 3)),
            ),
        }
    )
