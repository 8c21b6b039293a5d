"""Frozen layers as ONNX: every architecture, every kind of layer, every rewrite agrees with Keras."""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import numpy_helper

from features.forward import ALLOWED_DIFFERENCE, BATCH, difference, onnx_forward
from features.onnx_graph import to_onnx
from features.onnx_layers import UnknownLayer
from spaces import ARCHITECTURES, architecture_named
from tests.features.networks import frozen_layers, grey_images, lively, lively_onnx, plain_keras, small

Build = Callable[[Any, Any], Any]
CUTS = [(each.name, cut) for each in ARCHITECTURES for cut in frozen_layers(each)]


@pytest.mark.parametrize(("name", "cut"), CUTS)
def test_every_architecture_agrees_with_keras_at_every_cut(name: str, cut: str) -> None:
    architecture = architecture_named(name)
    grey = grey_images(architecture.least_size)
    layers = {cut: frozen_layers(architecture)[cut]}
    expected = plain_keras(lively(name), layers, grey[:2])[cut]
    found = lively_onnx(name).forward(grey, [cut])[0]
    assert found.shape == (BATCH, *lively_onnx(name).known.shapes[cut])
    assert np.isfinite(expected).all()
    assert np.abs(expected[0] - expected[1]).max() > 100 * ALLOWED_DIFFERENCE * np.abs(expected).max()
    assert difference([found[:2]], [expected]) <= ALLOWED_DIFFERENCE


def kinds(model: bytes) -> list[str]:
    return [node.op_type for node in onnx.load_from_string(model).graph.node]


def agreed(network: Any, layers: Sequence[str] = ()) -> bytes:
    """The ONNX model of the network's last layer, or of these, once it was found to agree with Keras."""
    names = list(layers) or [network.layers[-1].name]
    grey = grey_images(network.input.shape[1], 2)
    model = to_onnx(network, names, 2)
    onnx.checker.check_model(onnx.load_from_string(model))
    layer_of = {name: name for name in names}
    expected = plain_keras(network, layer_of, grey)
    found = onnx_forward(model, layer_of)(grey, names)
    assert [each.shape for each in found] == [expected[name].shape for name in names]
    assert difference(found, [expected[name] for name in names]) <= 1e-5
    return model


def mixed(layers: Any, grey: Any, channels: int = 6) -> Any:
    """A map of several channels, none a multiple of another."""
    return layers.Conv2D(channels, 3, activation="relu", name="mixed")(grey)


LAYERS: dict[str, Build] = {
    "same convolution, stride 2": lambda k, x: k.Conv2D(4, 3, 2, padding="same")(mixed(k, x)),
    "same convolution, wide window": lambda k, x: k.Conv2D(4, 5, 3, padding="same")(mixed(k, x)),
    "convolution of unlike sides": lambda k, x: k.Conv2D(4, (1, 7), (2, 1), padding="same")(mixed(k, x)),
    "convolution without bias": lambda k, x: k.Conv2D(4, 3, use_bias=False)(mixed(k, x)),
    "depthwise, stride 2": lambda k, x: k.DepthwiseConv2D(3, 2, padding="same")(mixed(k, x)),
    "depthwise, two filters a channel": lambda k, x: k.DepthwiseConv2D(3, depth_multiplier=2)(mixed(k, x)),
    "separable": lambda k, x: k.SeparableConv2D(5, 3, padding="same", activation="relu")(mixed(k, x)),
    "separable, two filters a channel": lambda k, x: k.SeparableConv2D(5, 3, 2, depth_multiplier=2)(mixed(k, x)),
    "normalization": lambda k, x: k.BatchNormalization(epsilon=0.1)(mixed(k, x)),
    "normalization without scale": lambda k, x: k.BatchNormalization(scale=False)(mixed(k, x)),
    "normalization without center": lambda k, x: k.BatchNormalization(center=False)(mixed(k, x)),
    "ReLU": lambda k, x: k.ReLU()(k.Conv2D(4, 3)(mixed(k, x))),
    "ReLU6": lambda k, x: k.ReLU(6)(k.Conv2D(4, 3)(k.Rescaling(0.01)(mixed(k, x)))),
    "activation": lambda k, x: k.Activation("relu")(k.Conv2D(4, 3)(mixed(k, x))),
    "sigmoid": lambda k, x: k.Conv2D(4, 3, activation="sigmoid")(k.Rescaling(0.01)(x)),
    "softmax of features": lambda k, x: k.Dense(3, "softmax")(k.GlobalAveragePooling2D()(k.Rescaling(0.01)(x))),
    "dense without bias": lambda k, x: k.Dense(3, use_bias=False)(k.Dropout(0.5)(k.Flatten()(mixed(k, x)))),
    "padding, each side another": lambda k, x: k.ZeroPadding2D(((0, 1), (2, 3)))(mixed(k, x)),
    "max pool": lambda k, x: k.MaxPooling2D(2)(mixed(k, x)),
    "same max pool": lambda k, x: k.MaxPooling2D(2, padding="same")(mixed(k, x)),
    "same max pool of negative numbers": lambda k, x: k.MaxPooling2D(3, 2, padding="same")(k.Rescaling(-1.0)(x)),
    "average pool": lambda k, x: k.AveragePooling2D(2)(mixed(k, x)),
    "same average pool": lambda k, x: k.AveragePooling2D(3, 2, padding="same")(mixed(k, x)),
    "average of the whole map": lambda k, x: k.GlobalAveragePooling2D()(mixed(k, x)),
    "flatten": lambda k, x: k.Flatten()(mixed(k, x)),
    "rescaling": lambda k, x: k.Rescaling(1 / 255, offset=-0.5)(x),
    "rescaling by channel": lambda k, x: k.Rescaling([1.0, 2.0, 3.0], offset=[-1.0, 0.0, 5.0])(mixed(k, x, 3)),
    "sum of three": lambda k, x: k.Add()([mixed(k, x), k.Conv2D(6, 3)(x), k.Conv2D(6, 3)(x)]),
    "concatenation": lambda k, x: k.Concatenate()([mixed(k, x), k.Conv2D(2, 3)(x)]),
}


@pytest.mark.parametrize("build", LAYERS.values(), ids=LAYERS)
@pytest.mark.parametrize("size", [12, 13])
def test_every_kind_of_layer_agrees_with_keras_at_odd_and_even_sizes(build: Build, size: int) -> None:
    agreed(small(build, size))


def transition(layers: Any, grey: Any, **options: Any) -> Any:
    narrow = layers.Conv2D(3, 1, name="narrow", **options)(mixed(layers, grey))
    return layers.AveragePooling2D(2, name="pool")(narrow)


@pytest.mark.parametrize("bias", [True, False])
def test_an_average_pool_goes_before_the_narrow_convolution_that_feeds_it(bias: bool) -> None:
    found = kinds(agreed(small(lambda k, x: transition(k, x, use_bias=bias))))
    assert found == ["Conv", "Relu", "AveragePool", "Conv", "Transpose"]


def narrow_with_relu(layers: Any, grey: Any) -> Any:
    return transition(layers, grey, activation="relu")


def narrow_with_stride(layers: Any, grey: Any) -> Any:
    return transition(layers, grey, strides=2)


def wide(layers: Any, grey: Any) -> Any:
    return layers.AveragePooling2D(2)(layers.Conv2D(3, 3)(mixed(layers, grey)))


def padded_pool(layers: Any, grey: Any) -> Any:
    return layers.AveragePooling2D(2, padding="same")(layers.Conv2D(3, 1)(mixed(layers, grey)))


def max_pooled(layers: Any, grey: Any) -> Any:
    return layers.MaxPooling2D(2)(layers.Conv2D(3, 1)(mixed(layers, grey)))


@pytest.mark.parametrize("build", [narrow_with_relu, narrow_with_stride, wide, padded_pool, max_pooled])
def test_a_pool_that_does_not_commute_stays_after_the_convolution(build: Build) -> None:
    found = kinds(agreed(small(build)))
    assert found.index("Conv", 1) < next(place for place, kind in enumerate(found) if kind.endswith("Pool"))


def test_a_narrow_convolution_whose_own_output_is_wanted_stays_before_the_pool() -> None:
    found = kinds(agreed(small(transition), ["narrow", "pool"]))
    assert [kind for kind in found if kind != "Transpose"] == ["Conv", "Relu", "Conv", "AveragePool"]


def test_a_narrow_convolution_that_feeds_two_layers_stays_before_the_pool() -> None:
    def build(layers: Any, grey: Any) -> Any:
        narrow = layers.Conv2D(3, 1)(mixed(layers, grey))
        pooled = layers.AveragePooling2D(2)(narrow)
        return layers.Concatenate()([pooled, layers.MaxPooling2D(2)(narrow)])

    found = kinds(agreed(small(build)))
    assert found.index("Conv", 1) < found.index("AveragePool")


def thrice(layers: Any, grey: Any) -> Any:
    """As backbones of colour start: each channel with a scale and a shift of its own."""
    repeated = layers.Concatenate(name="thrice")([grey, grey, grey])
    return layers.Rescaling([0.02, 0.01, 0.03], offset=[-2.1, 1.5, 0.7], name="rescaled")(repeated)


def padded_then_valid(layers: Any, grey: Any) -> Any:
    return layers.Conv2D(4, 7, 2, name="stem")(layers.ZeroPadding2D(3)(thrice(layers, grey)))


def same_with_stride(layers: Any, grey: Any) -> Any:
    return layers.Conv2D(4, 3, 2, padding="same", activation="relu", name="stem")(thrice(layers, grey))


def padded_by_both(layers: Any, grey: Any) -> Any:
    flow = layers.ZeroPadding2D(((1, 2), (0, 3)))(thrice(layers, grey))
    return layers.Conv2D(4, 5, 2, padding="same", use_bias=False, name="stem")(flow)


def unscaled(layers: Any, grey: Any) -> Any:
    return layers.Conv2D(4, 3, name="stem")(layers.Concatenate()([grey, grey, grey]))


@pytest.mark.parametrize("size", [16, 17])
@pytest.mark.parametrize("build", [padded_then_valid, same_with_stride, padded_by_both, unscaled])
def test_grey_thrice_and_the_first_convolution_become_one_of_two_channels(build: Build, size: int) -> None:
    model = onnx.load_from_string(agreed(small(build, size)))
    assert [node.op_type for node in model.graph.node if node.op_type != "Relu"] == ["Concat", "Conv", "Transpose"]
    kernels = [array.dims for array in model.graph.initializer if len(array.dims) == 4 and array.dims[0] == 4]
    assert [dims[1] for dims in kernels] == [2]


def rescaled_then_depthwise(layers: Any, grey: Any) -> Any:
    return layers.DepthwiseConv2D(3)(thrice(layers, grey))


def rescaled_then_pooled_too(layers: Any, grey: Any) -> Any:
    start = thrice(layers, grey)
    return layers.Add()([layers.Conv2D(3, 1)(start), layers.AveragePooling2D(1)(start)])


def rescaled_alone(layers: Any, grey: Any) -> Any:
    return thrice(layers, grey)


def shifted_after_padding(layers: Any, grey: Any) -> Any:
    padded = layers.ZeroPadding2D(2)(thrice(layers, grey))
    return layers.Conv2D(4, 3)(layers.Rescaling(0.5, offset=1.0)(padded))


@pytest.mark.parametrize(
    "build", [rescaled_then_depthwise, rescaled_then_pooled_too, rescaled_alone, shifted_after_padding]
)
def test_a_grey_start_that_is_no_single_convolution_is_translated_layer_by_layer(build: Build) -> None:
    agreed(small(build))


def test_a_layer_inside_and_the_last_can_both_be_wanted() -> None:
    agreed(small(lambda k, x: k.GlobalAveragePooling2D(name="end")(mixed(k, x))), ["mixed", "end"])


UNKNOWN: dict[str, tuple[Build, str]] = {
    "softmax": (lambda k, x: k.Softmax(name="odd")(mixed(k, x)), r"Softmax \(odd\)"),
    "dilated": (lambda k, x: k.Conv2D(4, 3, dilation_rate=2, name="odd")(mixed(k, x)), "dilation.* of odd"),
    "dilated start": (lambda k, x: k.Conv2D(4, 3, dilation_rate=2, name="odd")(thrice(k, x)), "dilation.* of odd"),
    "groups": (lambda k, x: k.Conv2D(4, 3, groups=2, name="odd")(mixed(k, x)), "groups.* of odd"),
    "grouped and pooled": (
        lambda k, x: k.AveragePooling2D(2)(k.Conv2D(4, 1, groups=2, name="odd")(mixed(k, x))),
        "groups.* of odd",
    ),
    "softmax of a map": (lambda k, x: k.Conv2D(4, 3, activation="softmax", name="odd")(x), "activation softmax of odd"),
    "activation layer": (lambda k, x: k.Activation("gelu", name="odd")(mixed(k, x)), "activation gelu of odd"),
    "sloped ReLU": (lambda k, x: k.ReLU(negative_slope=0.1, name="odd")(mixed(k, x)), "slope.* of odd"),
}


@pytest.mark.parametrize(("build", "told"), UNKNOWN.values(), ids=UNKNOWN)
def test_a_layer_that_is_not_translated_is_named(build: Build, told: str) -> None:
    network = small(build)
    with pytest.raises(UnknownLayer, match=told):
        to_onnx(network, [network.layers[-1].name], 2)


def test_the_constants_are_float32_and_the_kernels_those_of_the_network() -> None:
    network = small(mixed)
    arrays = [numpy_helper.to_array(each) for each in onnx.load_from_string(agreed(network)).graph.initializer]
    kernel, bias = network.get_layer("mixed").get_weights()
    assert [array.dtype for array in arrays] == [np.float32, np.float32]
    assert np.array_equal(arrays[0].transpose(2, 3, 1, 0), kernel)
    assert np.array_equal(arrays[1], bias)
