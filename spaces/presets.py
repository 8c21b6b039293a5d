"""Configurations known to be good or worth comparing with, by name; `search.run --enqueue NAME` tries them first.

`published`: the hand-made settings of the published project, whose results `results.import_csv` reads: Adam 1e-3,
dropout 0.2, batches of 32, backbone frozen, patience 20, with no, light and deep augmentation; the base CNN with 16,
32, 64, 128 filters and 100 units. `published_tuned`: the best settings that its Keras Tuner runs found for the base
CNN.
"""

from collections.abc import Sequence

from plumbing.errors import SpaceError
from spaces.base_cnn import filters_name
from spaces.declaration import Space, Value

_PUBLISHED: dict[str, Value] = {
    "lr": 1e-3,
    "conv_dropout": 0.2,
    "callbacks_patience": 20,
    "optimizer": "adam",
    "weight_decay": 0.0,
    "label_smoothing": 0.0,
    "class_weights": "none",
    "batch_size": 32,
}
_TRANSFER = ("densenet121", "resnet152", "inception_v3", "xception", "efficientnet_lite0")


def _base_cnn(filters: Sequence[int], units: int, **changed: Value) -> dict[str, Value]:
    widths: dict[str, Value] = {filters_name(block): number for block, number in enumerate(filters, start=1)}
    shape: dict[str, Value] = {"frozen": "none", "units": units, "blocks": len(filters)}
    return {"architecture": "base_cnn", **shape, **widths, **_PUBLISHED, **changed}


def _published() -> list[dict[str, Value]]:
    found = []
    for level in ("no", "light", "deep"):
        found.append(_base_cnn((16, 32, 64, 128), 100, augmentation=level))
        for name in _TRANSFER:
            found.append({"architecture": name, "frozen": "all", "units": 0, "augmentation": level, **_PUBLISHED})
    return found


def _published_tuned() -> list[dict[str, Value]]:
    tuned: dict[str, Value] = {"augmentation": "deep", "callbacks_patience": 5}
    return [
        _base_cnn((32, 32), 96, lr=1e-4, conv_dropout=0.0, **tuned),
        _base_cnn((32, 32, 32), 96, lr=5e-4, conv_dropout=0.1, **tuned),
    ]


PRESETS = {"published": _published(), "published_tuned": _published_tuned()}


def preset(name: str, space: Space) -> list[dict[str, Value]]:
    """The preset's configurations of the space's architectures.

    Raises: SpaceError where there is no such preset, or it has nothing of these architectures.
    """
    if name not in PRESETS:
        raise SpaceError(f"--enqueue {name}: no such preset; give one of {', '.join(PRESETS)}")
    found = [each for each in PRESETS[name] if each["architecture"] in space.parameters]
    if not found:
        raise SpaceError(f"--enqueue {name}: holds nothing of {', '.join(space.architectures)}; leave --enqueue out")
    return found
