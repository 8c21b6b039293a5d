"""Training as a search runs it, on small drawn data: matrix products on one thread."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from threadpoolctl import threadpool_limits

from features.cache import FeatureCache
from features.frozen import Backbones
from radiographs.dataset import decode_images, list_images, sized_pixels
from radiographs.pixels import PixelStore
from search.training.inputs import Source
from search.training.trial import Setting, make_setting
from spaces import ARCHITECTURES


@pytest.fixture(autouse=True, scope="package")
def blas_on_one_thread() -> Iterator[None]:
    import search.loop  # noqa: F401  loads every BLAS that training uses

    with threadpool_limits(1, "blas"):
        yield


@pytest.fixture(scope="package")
def least_setting(small_data: Path, tmp_path_factory: pytest.TempPathFactory) -> Setting:
    """Every architecture at its least size with random weights; nothing is cached."""
    folder = tmp_path_factory.mktemp("least")
    store = PixelStore(folder / "pixels")
    size = {each.name: each.least_size for each in ARCHITECTURES}
    dataset = decode_images(list_images(small_data, "XR_WRIST"), store, set(size.values()))
    source = Source(
        dataset=dataset,
        pixels={each: sized_pixels(dataset, store, each) for each in set(size.values())},
        image_size=size,
        backbones=Backbones(folder / "backbones", dict.fromkeys(size, "random")),
        cache=FeatureCache(None),
        kept={each.name: tuple(cut.name for cut in each.cuts if cut.after is not None) for each in ARCHITECTURES},
    )
    return make_setting(source, "val_auc", epochs=2, views=2, search_seed=0)
