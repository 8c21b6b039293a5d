"""InceptionV3: eleven mixed blocks, 21,802,784 weights below the head, native size 299 px.

Source: Szegedy et al. 2015, arXiv:1512.00567, table 1; weights and preprocessing of keras.applications.
Try: python -m search.run --part XR_WRIST --architecture inception_v3 --trials 20
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
    return pooled_backbone("InceptionV3", grey, tensorflow_style(grey), weights)


INCEPTION_V3 = Architecture(
    name="inception_v3",
    build=build,
    native_size=299,
    least_size=75,
    cuts=(
        Cut("none", None, (299, 299, 1)),
        Cut("below_last_two_blocks", "mixed8", (8, 8, 1280)),
        Cut("below_last_block", "mixed9", (8, 8, 2048)),
        Cut("all", "avg_pool", (2048,)),
    ),
    cheap_cuts=("below_last_block", "all"),
    parameters=(*TRAINING, HEAD_UNITS),
    gigaflops=11.42,
    size=fixed_size(21_802_784, 2048),
)
