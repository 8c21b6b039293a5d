"""Training as a search runs it: matrix products on one thread."""

from collections.abc import Iterator

import pytest
from threadpoolctl import threadpool_limits


@pytest.fixture(autouse=True, scope="package")
def blas_on_one_thread() -> Iterator[None]:
    import search.loop  # noqa: F401  loads every BLAS that training uses

    with threadpool_limits(1, "blas"):
        yield
