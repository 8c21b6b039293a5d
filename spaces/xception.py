"""Xception: fourteen blocks of separable convolutions, 20,861,480 weights below the head, native size 299 px.

Source: Chollet 2016, arXiv:1610.02357, figure 5; weights and preprocessing of keras.applications.
Try: python -m search.run --part XR_WRIST --architecture xception --trials 20
"""

from typing import Any

from spaces.architecture import Architecture, Cut, fixed_size
from spaces.common import HEAD_UNITS, TRAINING
from spaces.declaration import Configuration
from spaces.preprocessing import grey_input, tensorflow_style


def build(image_size: int, weights: str, configuration: Configuration) -> Any:
    """Grey (batch, size, size, 1) to pooled features (batch, 2048)."""
    from spaces.applications import pooled_backbone

    grey = grey_input(image_size)
    return pooled_backbone("Xception", grey, tensorflow_style(grey), weights)


XCEPTION = Architecture(
    name="xception",
    build=build,
    native_size=299,
    least_size=71,
    cuts=(
        Cut("none", None, (299, 299, 1)),
        Cut("below_last_two_blocks", "add_10", (19, 19, 728)),
        Cut("below_last_block", "add_11", (10, 10, 1024)),
        Cut("all", "avg_pool", (2048,)),
    ),
    cheap_cuts=("below_last_block", "all"),
    parameters=(*TRAINING, HEAD_UNITS),
    gigaflops=16.71,
    size=fixed_size(20_861_480, 2048),
)
