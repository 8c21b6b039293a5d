"""ResNet152 (version 1): four stages of bottleneck blocks, 58,370,944 weights below the head, native size 224 px.

Source: He et al. 2015, arXiv:1512.03385, table 1; weights and preprocessing of keras.applications.
Try: python -m search.run --part XR_WRIST --architecture resnet152 --trials 20
"""

from typing import Any

from spaces.architecture import Architecture, Cut, fixed_size
from spaces.common import HEAD_UNITS, TRAINING
from spaces.declaration import Configuration
from spaces.preprocessing import caffe_style, grey_input


def build(image_size: int, weights: str, configuration: Configuration) -> Any:
    """Grey (batch, size, size, 1) to pooled features (batch, 2048)."""
    from spaces.applications import pooled_backbone

    grey = grey_input(image_size)
    return pooled_backbone("ResNet152", grey, caffe_style(grey), weights)


RESNET152 = Architecture(
    name="resnet152",
    build=build,
    native_size=224,
    least_size=32,
    cuts=(
        Cut("none", None, (224, 224, 1)),
        Cut("below_last_two_blocks", "conv5_block1_out", (7, 7, 2048)),
        Cut("below_last_block", "conv5_block2_out", (7, 7, 2048)),
        Cut("all", "avg_pool", (2048,)),
    ),
    cheap_cuts=("below_last_block", "all"),
    parameters=(*TRAINING, HEAD_UNITS),
    gigaflops=22.56,
    size=fixed_size(58_370_944, 2048),
)
