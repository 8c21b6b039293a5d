"""Models put together without TensorFlow are those that Keras would save."""

import json
import re
import subprocess
import sys
import zipfile
from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from spaces import architecture_named
from spaces.network import initial_head, make_tail, outputs_of, whole_model
from spaces.saved_model import assemble, save_parts, save_with_tail
from spaces.tensorflow_runtime import keras
from tests.spaces.networks import grey_images, smallest

REPOSITORY = Path(__file__).parents[2]
NAMES = ("base_cnn", "efficientnet_lite0", "densenet121")


@pytest.fixture(scope="module")
def parts(tmp_path_factory: pytest.TempPathFactory) -> Any:
    """Name -> the folder of what its whole models share, saved once."""

    @cache
    def of(name: str) -> Path:
        folder = tmp_path_factory.mktemp(name)
        save_parts(smallest(architecture_named(name)), architecture_named(name), folder)
        return folder

    return of


def lively_head(name: str, units: int, classes: int) -> list[np.ndarray]:
    """A head whose biases are not zero either."""
    features = smallest(architecture_named(name)).output.shape[1]
    generator = np.random.default_rng(units + classes)
    head = initial_head(features, units, classes, seed=1)
    return [array if array.ndim == 2 else generator.normal(0, 0.5, array.shape).astype(np.float32) for array in head]


def expected_model(name: str, units: int, classes: int, dropout: float, head: Sequence[np.ndarray]) -> Any:
    network, cut = smallest(architecture_named(name)), architecture_named(name).cut("all")
    tail = make_tail(network, cut, {"conv_dropout": dropout, "units": units}, classes)
    tail.set_weights([array for array in head if array.size])
    return whole_model(network, cut, tail, classes)


def probabilities(model: Any, name: str) -> np.ndarray:
    return model(grey_images(architecture_named(name), 3), training=False).numpy()


def dropout_rates(model: Any) -> list[float]:
    return [layer.rate for layer in model.get_layer("tail").layers if type(layer).__name__ == "Dropout"]


@pytest.mark.parametrize("classes", [2, 14])
@pytest.mark.parametrize("units", [0, 64])
@pytest.mark.parametrize("name", NAMES)
def test_an_assembled_model_loads_in_safe_mode_and_gives_the_same_bits(
    parts: Any, tmp_path: Path, name: str, units: int, classes: int
) -> None:
    head, path = lively_head(name, units, classes), tmp_path / "model.keras"
    assemble(parts(name), classes, 0.35, head, path)
    loaded = keras().models.load_model(path, safe_mode=True)
    expected = expected_model(name, units, classes, 0.35, head)
    assert dropout_rates(loaded) == dropout_rates(expected) == [0.35] * (2 if units else 1)
    found = probabilities(loaded, name)
    assert found.shape == (3, outputs_of(classes))
    assert found.tobytes() == probabilities(expected, name).tobytes()
    assert len(np.unique(found)) > 2
    names = [[layer.name for layer in model.get_layer("tail").layers] for model in (loaded, expected)]
    assert names[0] == names[1]


def test_an_assembled_model_holds_what_keras_would_save(parts: Any, tmp_path: Path) -> None:
    name, head = "efficientnet_lite0", lively_head("efficientnet_lite0", 64, 14)
    assemble(parts(name), 14, 0.2, head, tmp_path / "ours.keras")
    expected_model(name, 64, 14, 0.2, head).save(tmp_path / "keras.keras")
    members = [sorted(zipfile.ZipFile(tmp_path / f"{made}.keras").namelist()) for made in ("ours", "keras")]
    assert members[0] == members[1]
    loaded = keras().models.load_model(tmp_path / "ours.keras")
    again = keras().models.load_model(tmp_path / "keras.keras")
    assert [each.name for each in loaded.weights] == [each.name for each in again.weights]
    assert all(np.array_equal(one, other) for one, other in zip(loaded.get_weights(), again.get_weights(), strict=True))


def test_the_prepared_parts_stay_as_they_were(parts: Any, tmp_path: Path) -> None:
    name = "efficientnet_lite0"
    folder = parts(name)
    before = {path.name: path.read_bytes() for path in folder.iterdir()}
    for units in (64, 0, 128):
        head = lively_head(name, units, 2)
        assemble(folder, 2, 0.5, head, tmp_path / f"{units}.keras")
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == before


@pytest.mark.parametrize("units", [1, 36, 256])
def test_any_number_of_units_will_do(parts: Any, tmp_path: Path, units: int) -> None:
    name, path = "base_cnn", tmp_path / "model.keras"
    head = lively_head(name, units, 2)
    for dropout in (0.0, 0.6):
        assemble(parts(name), 2, dropout, head, path)
        loaded = keras().models.load_model(path, safe_mode=True)
        expected = expected_model(name, units, 2, dropout, head)
        assert dropout_rates(loaded) == [dropout, dropout]
        assert probabilities(loaded, name).tobytes() == probabilities(expected, name).tobytes()


@pytest.mark.parametrize("classes", [2, 14])
@pytest.mark.parametrize("units", [0, 64])
def test_an_assembled_models_settings_are_those_that_keras_writes(
    parts: Any, tmp_path: Path, units: int, classes: int
) -> None:
    name, head = "efficientnet_lite0", lively_head("efficientnet_lite0", units, classes)
    assemble(parts(name), classes, 0.2, head, tmp_path / "ours.keras")
    expected_model(name, units, classes, 0.2, head).save(tmp_path / "keras.keras")
    ours, by_keras = (
        json.loads(zipfile.ZipFile(tmp_path / f"{made}.keras").read("config.json")) for made in ("ours", "keras")
    )
    assert json.dumps(without_counts(ours)) == json.dumps(without_counts(by_keras))


def without_counts(settings: Any) -> Any:
    """The settings without the numbers by which Keras counts models and layers, and those of objects in memory."""
    if isinstance(settings, dict):
        return {name: without_counts(each) for name, each in sorted(settings.items()) if name != "shared_object_id"}
    if isinstance(settings, list):
        return [without_counts(each) for each in settings]
    return re.sub(r"_\d+$", "", settings) if isinstance(settings, str) else settings


# Puts a model together in a process that must not load TensorFlow.
ASSEMBLE = """
import sys
from pathlib import Path
import numpy as np
from spaces.saved_model import assemble
folder = Path(sys.argv[2])
with np.load(folder / "head.npz") as file:
    head = [file[name] for name in file]
assemble(Path(sys.argv[1]), 14, 0.25, head, folder / "model.keras")
assert not {"tensorflow", "keras"} & set(sys.modules)
"""


@pytest.mark.parametrize("units", [0, 64])
def test_a_model_is_assembled_without_tensorflow(parts: Any, tmp_path: Path, units: int) -> None:
    name, head = "efficientnet_lite0", lively_head("efficientnet_lite0", units, 14)
    np.savez(tmp_path / "head.npz", *head)
    line = [sys.executable, "-c", ASSEMBLE, str(parts(name)), str(tmp_path)]
    told = subprocess.run(line, cwd=REPOSITORY, capture_output=True, text=True, check=False)
    assert (told.returncode, told.stdout, told.stderr) == (0, "", "")
    loaded = keras().models.load_model(tmp_path / "model.keras", safe_mode=True)
    assert dropout_rates(loaded) == [0.25] * (2 if units else 1)
    expected = probabilities(expected_model(name, units, 14, 0.25, head), name)
    assert probabilities(loaded, name).tobytes() == expected.tobytes()


def test_a_file_that_cannot_be_written_is_an_error(parts: Any, tmp_path: Path) -> None:
    name = "efficientnet_lite0"
    with pytest.raises(OSError):
        assemble(parts(name), 2, 0.1, lively_head(name, 0, 2), tmp_path / "no" / "x")


@pytest.mark.parametrize("units", [0, 8])
@pytest.mark.parametrize("cut_name", ["below_last_block", "all"])
def test_a_trained_tail_is_saved_with_its_weights(tmp_path: Path, cut_name: str, units: int) -> None:
    architecture, path = architecture_named("efficientnet_lite0"), tmp_path / "model.keras"
    network, cut = smallest(architecture), architecture.cut(cut_name)
    configuration = {"conv_dropout": 0.3, "units": units}
    tail = make_tail(network, cut, configuration, 14)
    head = lively_head(architecture.name, units, 14)
    rest = tail.get_weights()[: -len([array for array in head if array.size])]
    trained = [array + 0.01 for array in rest] + head
    save_with_tail(network, cut, configuration, 14, trained, path)
    loaded = keras().models.load_model(path, safe_mode=True)
    tail.set_weights([array for array in trained if array.size])
    expected = probabilities(whole_model(network, cut, tail, 14), architecture.name)
    assert probabilities(loaded, architecture.name).tobytes() == expected.tobytes()
    assert dropout_rates(loaded) == [0.3] * (2 if units else 1)
