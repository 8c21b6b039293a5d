"""The published base CNN, with its depth and width free: blocks of 3x3 convolution, ReLU and 2x2 max pooling.

Source: the published project's hand-made network (4 blocks of 16, 32, 64, 128 filters, then 100 units) and its tuned
space (2 to 6 blocks of 32 to 224 filters, 32 to 256 units). Trained from scratch: there are no ImageNet weights.
Pooling is same-padded, so that six blocks fit on 32 px.
Try: python -m search.run --part XR_ELBOW --architecture base_cnn --image-size 64 --trials 20
"""

from typing import Any

from spaces.architecture import Architecture, Cut
from spaces.common import TRAINING
from spaces.declaration import AtLeast, Configuration, Parameter, Whole
from spaces.preprocessing import grey_input

LEAST_BLOCKS, MOST_BLOCKS = 2, 6


def filters_name(block: int) -> str:
    """The parameter that holds the number of filters of the block, counted from 1."""
    return f"filters_{block}"


def build(image_size: int, weights: str, configuration: Configuration) -> Any:
    """Grey (batch, size, size, 1) to the flattened map of the last block (batch, features); weights are random."""
    from spaces.tensorflow_runtime import keras

    layers = keras().layers
    grey = grey_input(image_size)
    flow = layers.Rescaling(1 / 255, name="preprocessing")(grey)
    for block in range(1, int(configuration["blocks"]) + 1):
        filters = int(configuration[filters_name(block)])
        flow = layers.Conv2D(filters, 3, padding="same", activation="relu", name=f"block{block}_conv")(flow)
        flow = layers.MaxPooling2D(2, padding="same", name=f"block{block}_pool")(flow)
    return keras().Model(grey, layers.Flatten(name="flatten")(flow), name="base_cnn")


def size(image_size: int, configuration: Configuration) -> tuple[int, int]:
    """Numbers in the filters, and in the flattened map of the last block.

    >>> size(128, {"blocks": 2, "filters_1": 16, "filters_2": 32})
    (4800, 32768)
    """
    numbers, before, side = 0, 1, image_size
    for block in range(1, int(configuration["blocks"]) + 1):
        filters = int(configuration[filters_name(block)])
        numbers, before, side = numbers + (9 * before + 1) * filters, filters, -(-side // 2)
    return numbers, side**2 * before


def _filters(block: int) -> Parameter:
    when = AtLeast("blocks", block) if block > LEAST_BLOCKS else None
    return Whole(filters_name(block), 16, 224, step=16, when=when)


BASE_CNN = Architecture(
    name="base_cnn",
    build=build,
    native_size=128,
    least_size=32,
    cuts=(
        Cut("none", None, (128, 128, 1)),
        Cut("all", "flatten", (8192,)),  # with the published four blocks
    ),
    cheap_cuts=("none",),  # random filters, frozen, learn nothing: offered by --space only
    parameters=(
        *TRAINING,
        Whole("units", 32, 256, step=4),
        Whole("blocks", LEAST_BLOCKS, MOST_BLOCKS),
        *(_filters(block) for block in range(1, MOST_BLOCKS + 1)),
    ),
    gigaflops=0.12,  # with the published four blocks
    size=size,
    shape_parameters=("blocks", *(filters_name(block) for block in range(1, MOST_BLOCKS + 1))),
    has_imagenet=False,
)
