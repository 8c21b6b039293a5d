"""Model files that are damaged, tampered with or another task's: one line each, whichever engine runs them."""

import io
import json
import shutil
import time
import zipfile
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
from threadpoolctl import ThreadpoolController

from plumbing.errors import ModelError
from predict.chosen import ChosenModel, choose
from predict.networks import KERAS, ONNX, load_network
from results.trained_kind import TrainedKind, distances
from spaces.tensorflow_runtime import keras

ENGINES = (KERAS, ONNX)
LAST = "layers/functional_1/layers/dense/vars"  # of a model without hidden units, else of its hidden layer


@pytest.fixture(scope="module")
def hand(url: str) -> ChosenModel:
    return choose(url, "XR_HAND", None)


def changed(model: ChosenModel, path: Path, entry: str, change: Callable[[bytes], bytes]) -> ChosenModel:
    """A copy of the model's file in which one entry is another."""
    with zipfile.ZipFile(model.path) as old, zipfile.ZipFile(path, "w") as new:
        for name in old.namelist():
            content = old.read(name)
            new.writestr(name, change(content) if name == entry else content)
    return replace(model, path=path)


def weights(change: Callable[[h5py.File], None]) -> Callable[[bytes], bytes]:
    """What changes the arrays of a file."""

    def of(content: bytes) -> bytes:
        held = io.BytesIO(content)
        with h5py.File(held, "a") as file:
            change(file)
        return held.getvalue()

    return of


def without_bias(file: h5py.File) -> None:
    del file[f"{LAST}/1"]


def with_a_longer_bias(file: h5py.File) -> None:
    long = np.zeros(file[f"{LAST}/1"].shape[0] + 3, np.float32)
    del file[f"{LAST}/1"]
    file[f"{LAST}/1"] = long


def with_words(file: h5py.File) -> None:
    del file[f"{LAST}/1"]
    file[f"{LAST}/1"] = np.array([b"word"])


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize("change", [without_bias, with_a_longer_bias, with_words])
def test_arrays_that_do_not_fit_are_refused(
    change: Callable[[h5py.File], None], engine: str, hand: ChosenModel, tmp_path: Path
) -> None:
    broken = changed(hand, tmp_path / "m.keras", "model.weights.h5", weights(change))
    with pytest.raises(ModelError, match=r"cannot be (read|loaded|run): .*; search again"):
        load_network(broken, engine)


@pytest.mark.parametrize("engine", ENGINES)
def test_an_output_that_is_no_number_is_no_verdict(engine: str, hand: ChosenModel, tmp_path: Path) -> None:
    def with_nothing(file: h5py.File) -> None:
        layers = file["layers/functional_1/layers"]
        for name in (each for each in layers if each.startswith("dense")):
            layers[f"{name}/vars/0"][...] = np.nan

    broken = changed(hand, tmp_path / "m.keras", "model.weights.h5", weights(with_nothing))
    network = load_network(broken, engine)
    with pytest.raises(ModelError, match="is no probability"):
        network(np.full((32, network.size, network.size, 1), 100, np.float32), 1)


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize("content", [b"[" * 100_000, b"{}", b'{"class_name": "Functional", "config": []}'])
def test_settings_that_make_no_network_are_one_line(
    content: bytes, engine: str, hand: ChosenModel, tmp_path: Path
) -> None:
    broken = changed(hand, tmp_path / "m.keras", "config.json", lambda _: content)
    with pytest.raises(ModelError, match=r"cannot be (read|loaded)") as told:
        load_network(broken, engine)
    assert "\n" not in str(told.value)


@pytest.mark.parametrize("engine", ENGINES)
def test_another_tasks_file_is_not_taken(engine: str, hand: ChosenModel, url: str) -> None:
    with pytest.raises(ModelError, match="is of XR_HAND, not of XR_SHOULDER"):
        load_network(replace(hand, task="XR_SHOULDER"), engine)
    fourteen = choose(url, "all_parts", None)
    with pytest.raises(ModelError, match="is of all_parts, not of XR_HAND"):
        load_network(replace(hand, path=fourteen.path), engine)


@pytest.mark.parametrize("engine", ENGINES)
def test_an_entry_that_would_fill_the_memory_is_not_unpacked(engine: str, hand: ChosenModel, tmp_path: Path) -> None:
    shutil.copy(hand.path, tmp_path / "m.keras")
    with zipfile.ZipFile(tmp_path / "m.keras", "a", zipfile.ZIP_DEFLATED) as file:
        file.writestr("assets/zeros", bytes(50 << 20))
    with pytest.raises(ModelError, match=r"assets/zeros of .* bytes would become 52,428,800"):
        load_network(replace(hand, path=tmp_path / "m.keras"), engine)


@pytest.mark.parametrize("engine", ENGINES)
def test_features_of_another_width_are_refused(engine: str, hand: ChosenModel, tmp_path: Path) -> None:
    narrow = io.BytesIO()
    np.save(narrow, np.ones((3, 7), np.float16))
    broken = changed(hand, tmp_path / "m.keras", "trained_kind.npy", lambda _: narrow.getvalue())
    with pytest.raises(ModelError, match=r"it keeps 7 features of its training images, and has \d+; search again"):
        load_network(broken, engine)


@pytest.mark.parametrize("engine", ENGINES)
def test_networks_run_one_at_a_time_and_leave_blas_its_threads(
    engine: str, hand: ChosenModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Two threads that asked at once left BLAS with one thread for good: each put back what the other had set."""
    asking: list[int] = []

    def slowly(kind: TrainedKind, features: np.ndarray) -> np.ndarray:
        asking.append(len(asking) + 1)
        time.sleep(0.05)  # long enough for another thread to come in, were it let
        assert asking == [1]
        asking.pop()
        return distances(kind, features)

    monkeypatch.setattr("predict.networks.distances", slowly)
    libraries = ThreadpoolController().select(user_api="blas")
    before = [each["num_threads"] for each in libraries.info()]
    networks = [load_network(hand, engine) for _ in range(2)]
    grey = np.zeros((4, networks[0].size, networks[0].size, 1), np.float32)
    with ThreadPoolExecutor(2) as pool:
        list(pool.map(lambda number: networks[number % 2](grey, 4), range(8)))
    assert [each["num_threads"] for each in libraries.info()] == before


def own(build: Callable[[Any], Any], path: Path) -> ChosenModel:
    """A saved model without a card, as a user's own program may have left it."""
    build(keras()).save(path)
    return ChosenModel("XR_HAND", "own", path, 1.0)


def of_two_inputs(k: Any) -> Any:
    first, second = k.Input((8, 8, 1)), k.Input((8, 8, 1))
    return k.Model([first, second], k.layers.Dense(1, "sigmoid")(k.layers.Flatten()(first + second)))


def of_colours(k: Any) -> Any:
    return k.Sequential([k.Input((8, 8, 3)), k.layers.Flatten(), k.layers.Dense(1, "sigmoid")])


def of_any_size(k: Any) -> Any:
    return k.Sequential([k.Input((None, None, 1)), k.layers.GlobalMaxPooling2D(), k.layers.Dense(1, "sigmoid")])


def of_three_classes(k: Any) -> Any:
    return k.Sequential([k.Input((8, 8, 1)), k.layers.Flatten(), k.layers.Dense(3, "softmax")])


@pytest.mark.parametrize("build", [of_two_inputs, of_colours, of_any_size, of_three_classes])
def test_a_network_of_another_shape_is_refused(build: Callable[[Any], Any], tmp_path: Path) -> None:
    with pytest.raises(ModelError, match=r"its input and output are .*, not grey pixels and XR_HAND's classes"):
        load_network(own(build, tmp_path / "m.keras"), KERAS)


def nested_of_two(k: Any) -> Any:
    """A model within a model that adds its two inputs, one of them doubled."""
    first, second = k.Input((4,)), k.Input((4,))
    inner = k.Model([first, second], k.layers.Add()([first, second]))
    grey = k.Input((8, 8, 1))
    flat = k.layers.Dense(4)(k.layers.Flatten()(grey))
    return k.Model(grey, k.layers.Dense(1, "sigmoid")(inner([flat, k.layers.Dense(4)(flat)])))


def channels_first(k: Any) -> Any:
    grey = k.Input((8, 8, 1))
    return k.Model(grey, k.layers.Dense(1, "sigmoid")(k.layers.Flatten(data_format="channels_first")(grey)))


@pytest.mark.parametrize("build", [nested_of_two, channels_first])
def test_what_onnx_would_run_otherwise_is_refused(build: Callable[[Any], Any], tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="leave --engine onnx out"):
        load_network(own(build, tmp_path / "m.keras"), ONNX)


def test_an_encrypted_file_is_one_line(hand: ChosenModel, tmp_path: Path) -> None:
    content = bytearray(hand.path.read_bytes())
    for mark, place in ((b"PK\x03\x04", 6), (b"PK\x01\x02", 8)):  # the flags of each entry, in both of its headers
        at = content.find(mark)
        while at >= 0:
            content[at + place] |= 1
            at = content.find(mark, at + 1)
    (tmp_path / "m.keras").write_bytes(content)
    for engine in ENGINES:
        with pytest.raises(ModelError, match=r"cannot be (read|loaded): .*(encrypted|password)"):
            load_network(replace(hand, path=tmp_path / "m.keras"), engine)


def test_the_settings_are_those_that_the_tests_change(hand: ChosenModel) -> None:
    with zipfile.ZipFile(hand.path) as file:
        assert json.loads(file.read("config.json"))["class_name"] == "Functional"
        with h5py.File(io.BytesIO(file.read("model.weights.h5"))) as arrays:
            assert set(arrays[LAST]) == {"0", "1"}
