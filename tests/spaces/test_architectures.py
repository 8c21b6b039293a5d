"""Every listed architecture: built, cut, preprocessed, saved. A new one is tested by being listed."""

import os
import re
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from plumbing.errors import SpaceError
from spaces import ARCHITECTURES, architecture_named
from spaces.architecture import Architecture, Cut
from spaces.network import initial_head, make_rest, make_tail, make_trunk, whole_model
from spaces.tensorflow_runtime import keras
from spaces.weights import weights_digest
from tests.spaces.networks import HEAD, NAMES, backbone_at, configuration_of, grey_images, smallest

REPOSITORY = Path(__file__).parents[2]
CUTS = [(architecture, cut) for architecture in ARCHITECTURES for cut in architecture.cuts]

every = pytest.mark.parametrize("architecture", ARCHITECTURES, ids=NAMES)


def of_family(family: str) -> Callable[[np.ndarray], Any]:
    """Keras' own preprocessing of grey repeated thrice."""

    def preprocess(grey: np.ndarray) -> Any:
        return getattr(keras().applications, family).preprocess_input(np.repeat(grey, 3, axis=-1).copy())

    return preprocess


# What each network was trained on.
PREPROCESSED: dict[str, Callable[[np.ndarray], Any]] = {
    "base_cnn": lambda grey: grey / 255,
    "densenet121": of_family("densenet"),
    "resnet152": of_family("resnet"),
    "inception_v3": of_family("inception_v3"),
    "xception": of_family("xception"),
    "efficientnet_lite0": lambda grey: (np.repeat(grey, 3, axis=-1) - 127) / 128,
}


def fresh_process(code: str, *arguments: object, ours: bool) -> str:
    """What a new process prints; with `ours` False our code is not on its path."""
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    environment |= {"PYTHONPATH": str(REPOSITORY)} if ours else {}
    line = [sys.executable, "-c", code, *map(str, arguments)]
    told = subprocess.run(line, cwd="/", env=environment, capture_output=True, text=True, check=False)
    assert told.returncode == 0, told.stderr
    return told.stdout


def test_names_are_unique() -> None:
    assert len(set(NAMES)) == len(ARCHITECTURES)


def test_an_unknown_architecture_is_one_line_with_the_known_ones() -> None:
    with pytest.raises(SpaceError, match="no architecture 'vgg16'; give one of base_cnn, densenet121"):
        architecture_named("vgg16")


@every
def test_cuts_go_from_nothing_frozen_to_all(architecture: Architecture) -> None:
    names = [cut.name for cut in architecture.cuts]
    assert (names[0], names[-1]) == ("none", "all")
    assert len(set(names)) == len(names)
    assert set(architecture.cheap_cuts) <= set(names)
    with pytest.raises(SpaceError, match=f"{architecture.name} has no cut 'below'; give one of none, .*all"):
        architecture.cut("below")


@every
def test_an_image_size_below_the_least_is_one_line(architecture: Architecture) -> None:
    architecture.check_size(architecture.least_size)
    with pytest.raises(
        SpaceError, match=f"is below {architecture.name}'s least.*give {architecture.least_size} or more"
    ):
        architecture.check_size(architecture.least_size - 1)


@every
def test_the_least_size_builds_and_gives_finite_features(architecture: Architecture) -> None:
    features = smallest(architecture)(grey_images(architecture), training=False).numpy()
    assert features.ndim == 2
    assert np.isfinite(features).all()
    assert (features[0] != features[1]).any()


@pytest.mark.slow
@every
def test_cuts_have_the_declared_feature_shapes_at_the_native_size(architecture: Architecture) -> None:
    backbone = backbone_at(architecture, architecture.native_size)
    for cut in architecture.cuts:
        start = backbone.input if cut.after is None else backbone.get_layer(cut.after).output
        assert tuple(start.shape[1:]) == cut.features
    # A second build gives the same names, though Keras counts unnamed layers over the whole process.
    assert [layer.name for layer in backbone.layers] == [layer.name for layer in smallest(architecture).layers]


@every
def test_the_weights_are_as_many_as_its_file_says(architecture: Architecture) -> None:
    told = re.search(r"([\d,]+) weights below the head", sys.modules[architecture.build.__module__].__doc__ or "")
    if architecture.has_imagenet:
        assert told is not None
        assert smallest(architecture).count_params() == int(told[1].replace(",", ""))


@dataclass(frozen=True)
class CutNetwork:
    """A backbone at its least size, cut, with an output of 14 classes on it."""

    backbone: Any
    cut: Cut
    images: np.ndarray
    trunk: Any
    tail: Any


@pytest.fixture(scope="module", params=CUTS, ids=[f"{a.name}-{c.name}" for a, c in CUTS])
def network(request: pytest.FixtureRequest) -> CutNetwork:
    architecture, cut = request.param
    backbone = smallest(architecture)
    tail = make_tail(backbone, cut, HEAD, classes=14)
    return CutNetwork(backbone, cut, grey_images(architecture), make_trunk(backbone, cut), tail)


def test_trunk_and_tail_are_the_whole_backbone_at_every_cut(network: CutNetwork) -> None:
    kernel, bias = network.tail.get_layer("logits").get_weights()
    expected = network.backbone(network.images, training=False).numpy() @ kernel + bias
    features = network.images if network.trunk is None else network.trunk(network.images, training=False)
    found = network.tail(features, training=False).numpy()
    assert np.abs(found - expected).max() <= 1e-5 * np.abs(expected).max()


def test_all_above_the_cut_is_trained_and_nothing_below(network: CutNetwork) -> None:
    """Once the tail's layers stayed frozen as the backbone's are: every trial trained its output layer alone."""
    below = set() if network.trunk is None else {layer.name for layer in network.trunk.layers}
    above = [layer for layer in network.backbone.layers if layer.name not in below]
    arrays = [array for layer in above for array in layer.variables if not array.name.startswith("moving_")]
    head = network.tail.get_layer("logits").variables
    assert len(network.tail.trainable_variables) == len(arrays) + len(head)
    assert len(arrays) == 0 if network.cut.name == "all" else len(arrays) > 0
    assert network.trunk is None or network.trunk.trainable_variables == []


@pytest.mark.parametrize("cut", architecture_named("efficientnet_lite0").cuts, ids=lambda cut: cut.name)
def test_the_rest_is_a_copy_that_starts_as_the_backbone_and_nothing_where_all_is_frozen(cut: Cut) -> None:
    backbone = smallest(architecture_named("efficientnet_lite0"))
    rest = make_rest(backbone, cut)
    if cut.name == "all":
        assert rest is None
        return
    theirs = {f"{layer.name}/{array.name}": array for layer in backbone.layers for array in layer.variables}
    for layer in rest.layers:
        assert layer.trainable
        for array in layer.variables:
            original = theirs[f"{layer.name}/{array.name}"]
            assert array is not original
            np.testing.assert_array_equal(array.numpy(), original.numpy())


def test_training_a_tail_leaves_the_backbone_as_it_was(network: CutNetwork) -> None:
    before = weights_digest(network.backbone)
    network.tail.set_weights([array + 1 for array in network.tail.get_weights()])
    assert weights_digest(network.backbone) == before
    assert network.backbone.trainable_variables == []


@every
def test_preprocessing_inside_is_the_one_it_was_trained_with(architecture: Architecture) -> None:
    backbone, images = smallest(architecture), grey_images(architecture)
    inside = keras().Model(backbone.input, backbone.get_layer("preprocessing").output)(images).numpy()
    expected = np.asarray(PREPROCESSED[architecture.name](images))
    assert inside.shape == expected.shape
    np.testing.assert_allclose(inside, expected, rtol=0, atol=1e-6 * max(1, np.abs(expected).max()))


LOAD_AND_PREDICT = """
import os, sys
os.environ["TF_ENABLE_ONEDNN_OPTS"] = "1"
import numpy as np, keras
for name in sys.argv[2:]:
    model = keras.saving.load_model(f"{sys.argv[1]}/{name}.keras", safe_mode=True)
    images = np.load(f"{sys.argv[1]}/{name}.images.npy")
    np.save(f"{sys.argv[1]}/{name}.found.npy", model(images, training=False).numpy())
ours = {"plumbing", "radiographs", "spaces", "features", "search", "results", "predict"}
print(sorted(ours & set(sys.modules)))
"""


@pytest.fixture(scope="module")
def reloaded(tmp_path_factory: pytest.TempPathFactory) -> dict[str, tuple[np.ndarray, np.ndarray]]:
    """Name -> probabilities before saving, and after loading in safe mode in a process without our code."""
    folder = tmp_path_factory.mktemp("saved")
    before = {}
    for architecture in ARCHITECTURES:
        backbone, cut, images = smallest(architecture), architecture.cuts[-2], grey_images(architecture)
        tail = make_tail(backbone, cut, {"conv_dropout": 0.3, "units": 8}, 14)
        model = whole_model(backbone, cut, tail, classes=14)
        model.save(folder / f"{architecture.name}.keras")
        np.save(folder / f"{architecture.name}.images.npy", images)
        before[architecture.name] = model(images, training=False).numpy()
    assert fresh_process(LOAD_AND_PREDICT, folder, *NAMES, ours=False) == "[]\n"
    return {name: (before[name], np.load(folder / f"{name}.found.npy")) for name in NAMES}


@pytest.mark.slow
@every
def test_a_saved_model_gives_the_same_probabilities_in_safe_mode_without_our_code(
    architecture: Architecture, reloaded: dict[str, tuple[np.ndarray, np.ndarray]]
) -> None:
    before, after = reloaded[architecture.name]
    assert before.shape == (2, 14)
    np.testing.assert_allclose(before.sum(axis=1), 1, atol=1e-5)
    np.testing.assert_allclose(after, before, rtol=0, atol=1e-6)


DIGESTS = """
import sys
sys.path.insert(0, sys.argv[1])
from tests.spaces.networks import ARCHITECTURES, smallest
from spaces.weights import weights_digest
for architecture in reversed(ARCHITECTURES):
    print(architecture.name, weights_digest(smallest(architecture)))
"""


@pytest.fixture(scope="module")
def digests_elsewhere() -> dict[str, str]:
    """Name -> digest of the random weights in another process, which builds the architectures in another order."""
    told = fresh_process(DIGESTS, Path(__file__).parent, ours=True)
    return dict(line.split() for line in told.splitlines())


@pytest.mark.slow
@every
def test_random_weights_are_the_same_in_every_process(
    architecture: Architecture, digests_elsewhere: dict[str, str]
) -> None:
    assert weights_digest(smallest(architecture)) == digests_elsewhere[architecture.name]


@pytest.mark.parametrize(("classes", "shape"), [(2, (2, 1)), (14, (2, 14))])
def test_two_classes_are_one_logit_and_fourteen_are_fourteen(classes: int, shape: tuple[int, int]) -> None:
    architecture = architecture_named("base_cnn")
    backbone, cut = smallest(architecture), architecture.cut("all")
    tail = make_tail(backbone, cut, configuration_of(architecture), classes)
    probabilities = whole_model(backbone, cut, tail, classes)(grey_images(architecture), training=False).numpy()
    assert probabilities.shape == shape
    assert ((probabilities > 0) & (probabilities < 1)).all()


@pytest.mark.parametrize(("units", "classes"), [(0, 2), (0, 14), (8, 2), (8, 14)])
def test_the_heads_first_weights_are_as_keras_dense_starts_and_fit_the_tail(units: int, classes: int) -> None:
    """Uniform within Glorot's limit: its edges are nearly reached, its mean is nearly 0; biases are 0."""
    architecture = architecture_named("base_cnn")
    backbone, cut = smallest(architecture), architecture.cut("all")
    width, outputs = backbone.output.shape[1], 1 if classes == 2 else classes
    hidden_kernel, hidden_bias, kernel, bias = head = initial_head(width, units, classes, seed=3)
    for array, rows, columns in ((hidden_kernel, width, units), (kernel, units or width, outputs)):
        assert array.shape == (rows, columns)
        limit = np.sqrt(6 / (rows + columns))
        if array.size > 1000:
            assert 0.98 * limit < np.abs(array).max() <= limit
            assert abs(array.mean()) < 4 * limit / np.sqrt(3 * array.size)
    assert (hidden_bias.shape, bias.shape) == ((units,), (outputs,))
    assert not hidden_bias.any()
    assert not bias.any()
    assert {array.dtype for array in head} == {np.dtype(np.float32)}
    tail = make_tail(backbone, cut, {"conv_dropout": 0.5, "units": units}, classes)
    tail.set_weights([array for array in head if array.size])  # shapes agree


def test_the_heads_first_weights_come_from_its_seed_alone() -> None:
    def weights(seed: int) -> list[bytes]:
        return [array.tobytes() for array in initial_head(64, 8, 2, seed) if array.any()]

    first = weights(3)
    keras().utils.set_random_seed(99)
    assert weights(3) == first
    assert set(weights(4)).isdisjoint(first)
