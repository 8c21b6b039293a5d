"""DenseNet121: four dense blocks, 7,037,504 weights below the head, native size 224 px.

Source: Huang et al. 2017, arXiv:1608.06993, table 1; weights and preprocessing of keras.applications.
Try: python -m search.run --part XR_WRIST --architecture densenet121 --trials 20
"""

from typing import Any

from spaces.architecture import Architecture, Cut, fixed_size
from spaces.common import HEAD_UNITS, TRAINING
from spaces.declaration import Configuration
from spaces.preprocessing import grey_input, torch_style


def build(image_size: int, weights: str, configuration: Configuration) -> Any:
    """Grey (batch, size, size, 1) to pooled features (batch, 1024)."""
    from spaces.applications import pooled_backbone

    grey = grey_input(image_size)
    return pooled_backbone("DenseNet121", grey, torch_style(grey), weights)


DENSENET121 = Architecture(
    name="densenet121",
    build=build,
    native_size=224,
    least_size=32,
    cuts=(
        Cut("none", None, (224, 224, 1)),
        Cut("below_last_two_blocks", "pool3_pool", (14, 14, 256)),
        Cut("below_last_block", "pool4_pool", (7, 7, 512)),
        Cut("all", "avg_pool", (1024,)),
    ),
    cheap_cuts=("below_last_block", "all"),
    parameters=(*TRAINING, HEAD_UNITS),
    gigaflops=5.67,
    size=fixed_size(7_037_504, 1024),
)
