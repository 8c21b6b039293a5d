"""Each backbone's own preprocessing as plain Keras layers on grey input, so that it is saved inside the model.

The scales are those of `keras.applications.<family>.preprocess_input`; grey stands in for red, green and blue alike.
Plain `Rescaling` and `Concatenate` layers, because they survive safe loading without our code, and export to ONNX
(`Normalization` with constants does not).
"""

from collections.abc import Sequence
from typing import Any

# What ImageNet training subtracted and divided by, on the 0..1 scale, red first.
IMAGENET_MEAN = (0.485, 0.456, 0.406)
IMAGENET_DEVIATION = (0.229, 0.224, 0.225)
# Caffe's means on the 0..255 scale, blue first; its channels stay blue first.
CAFFE_MEAN = (103.939, 116.779, 123.68)


def grey_input(image_size: int) -> Any:
    """The input of every network of ours: (batch, image_size, image_size, 1) float32 in 0..255."""
    from spaces.tensorflow_runtime import keras

    return keras().Input((image_size, image_size, 1), name="grey")


def three_channels(grey: Any, scale: Sequence[float], offset: Sequence[float]) -> Any:
    """Grey repeated thrice, each channel times its scale plus its offset: (batch, size, size, 3)."""
    from spaces.tensorflow_runtime import keras

    layers = keras().layers
    repeated = layers.Concatenate(name="grey_thrice")([grey, grey, grey])
    return layers.Rescaling(list(scale), offset=list(offset), name="preprocessing")(repeated)


def torch_style(grey: Any) -> Any:
    """x / 255, minus ImageNet's mean, over its deviation: DenseNet."""
    scale = [1 / (255 * deviation) for deviation in IMAGENET_DEVIATION]
    offset = [-mean / deviation for mean, deviation in zip(IMAGENET_MEAN, IMAGENET_DEVIATION, strict=True)]
    return three_channels(grey, scale, offset)


def caffe_style(grey: Any) -> Any:
    """Blue, green, red minus Caffe's means, no scaling: ResNet (version 1)."""
    return three_channels(grey, [1.0] * 3, [-mean for mean in CAFFE_MEAN])


def tensorflow_style(grey: Any) -> Any:
    """x / 127.5 - 1: Inception and Xception."""
    return three_channels(grey, [1 / 127.5] * 3, [-1.0] * 3)
