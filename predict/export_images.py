"""The images on which an exported model is compared with Keras."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from plumbing.errors import StoreError
from plumbing.seeds import generator_of
from radiographs.decoding import Unreadable, decode
from results.store import Store

IMAGES = 50
_SEED = "export images"


def images_of(card: Mapping[str, Any], task: str, size: int, url: str) -> tuple[NDArray[np.float32], str]:
    """Fifty images (50, size, size, 1) in 0..255, and in words which: of the model's test split, the rest drawn."""
    real = [*_of_test(card, task, size, url)]
    drawn = _drawn(size, IMAGES - len(real))
    told = [f"{len(real)} images of the test split"] if real else []
    if len(drawn):
        told.append(f"{len(drawn)} {'' if real else 'images '}drawn from the seed {_SEED!r}")
    grey = np.concatenate([np.reshape(real, (-1, size, size, 1)), drawn]).astype(np.float32)
    return grey, " and ".join(told)


def _of_test(card: Mapping[str, Any], task: str, size: int, url: str) -> list[NDArray[np.uint8]]:
    """At most fifty, from all over the split; fewer where files are not where the search found them."""
    store = Store.open(url)
    try:
        search = store.search(card["search"])
        if search is None or "data" not in search.details:
            return []
        paths = store.image_list(card["data_hash"], task, "test").paths
    except StoreError:  # the list of another store's model: the drawn images do
        return []
    finally:
        store.close()
    chosen = np.linspace(0, len(paths) - 1, min(IMAGES, len(paths))).astype(int)
    return [
        grey for place in chosen if (grey := _decoded(Path(search.details["data"]) / paths[place], size)) is not None
    ]


def _decoded(path: Path, size: int) -> NDArray[np.uint8] | None:
    try:
        return decode(path.read_bytes(), size)
    except (OSError, Unreadable):
        return None


def _drawn(size: int, count: int) -> NDArray[np.uint8]:
    """(count, size, size, 1): coarse patches under noise, the first of them black, the second white."""
    generator = generator_of(_SEED, size)
    patches = generator.integers(0, 192, (count, 8, 8, 1)).repeat(-(-size // 8), 1).repeat(-(-size // 8), 2)
    grey = (patches[:, :size, :size] + generator.integers(0, 64, (count, size, size, 1))).astype(np.uint8)
    grey[:1], grey[1:2] = 0, 255
    return grey
