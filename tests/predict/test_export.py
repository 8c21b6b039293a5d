"""Exported models and the ONNX engine say what Keras says."""

import json
import re
import subprocess
import sys
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import onnx
import pytest
from PIL import Image

import predict.export
from features.onnx_layers import UnknownLayer
from plumbing.command import run_command
from plumbing.errors import ModelError
from predict.__main__ import main as predict_main
from predict.chosen import ChosenModel, choose
from predict.export import ALLOWED_DIFFERENCE, FORMATS, main
from predict.export_images import IMAGES, images_of
from predict.onnx_model import OnnxModel, load_onnx, to_whole_onnx
from predict.predictor import ONNX, Predictor
from predict.stored_layers import stored_network
from results.card import add_card, read_card
from spaces import ARCHITECTURES, architecture_named
from spaces.network import make_tail, whole_model
from spaces.tensorflow_runtime import keras
from tests.features.networks import grey_images, lively

REPOSITORY = Path(__file__).resolve().parents[2]
DOCS = (REPOSITORY / "docs" / "export.md").read_text(encoding="utf-8")
OUT = {"onnx": "hand.onnx", "tflite": "hand.tflite", "saved_model": "hand_saved_model"}
Capsys = pytest.CaptureFixture[str]
Build = Callable[[Any, Any], Any]


def command(capsys: Capsys, *arguments: object) -> tuple[int, str, str]:
    capsys.readouterr()
    code = run_command("predict.export", main, [str(each) for each in arguments])
    output = capsys.readouterr()
    return code, output.out, output.err


def saved(path: Path, build: Build, size: int = 16) -> Path:
    """A model of our own kind of end, as a `.keras` file."""
    grey = keras().Input((size, size, 1), name="grey")
    keras().Model(grey, build(keras().layers, grey)).save(path)
    return path


def pooled(layers: Any, flow: Any) -> Any:
    return layers.GlobalAveragePooling2D()(layers.Conv2D(4, 3, activation="relu")(flow))


def spread(network: Any, logits: Any, grey: np.ndarray) -> None:
    """Give the logits of these images mean 0 and deviation 1: probabilities of 0 and 1 would hide any difference.

    Less than 1 where random logits hardly differ beside their size: what is left after the mean is taken off would be
    rounding, in which Keras differs from itself (ResNet152, mean 62 deviations: 2e-4 between batches of 1 and 5).
    """
    found = keras().Model(network.input, network.layers[-1].input).predict_on_batch(grey)
    kernel, bias = logits.get_weights()
    mean = found.mean(axis=0)
    deviation = np.maximum(found.std(axis=0), np.abs(mean) / 20)
    logits.set_weights([kernel / deviation, (bias - mean) / deviation])


@pytest.mark.slow
@pytest.mark.parametrize("name", [each.name for each in ARCHITECTURES])
@pytest.mark.parametrize(("classes", "units", "cut"), [(2, 0, 0), (14, 8, -1)])
def test_every_architecture_as_a_whole_model_agrees_with_keras(
    name: str, classes: int, units: int, cut: int, tmp_path: Path
) -> None:
    architecture = architecture_named(name)
    at = architecture.cuts[cut]
    keras().utils.set_random_seed(0)
    tail = make_tail(lively(name), at, {"conv_dropout": 0.3, "units": units}, classes)
    network = whole_model(lively(name), at, tail, classes)
    grey = grey_images(architecture.least_size, 5)
    spread(network, tail.get_layer("logits"), grey)
    network.save(tmp_path / "whole.keras")

    found = load_onnx(tmp_path / "whole.keras", name, 1 if classes == 2 else 14, None)(grey, 5).probability

    expected = network.predict_on_batch(grey)
    assert found.shape == (5, 1 if classes == 2 else 14)
    assert np.ptp(expected, axis=0).max() > 10 * ALLOWED_DIFFERENCE  # else this would prove nothing
    assert np.abs(found - expected).max() <= ALLOWED_DIFFERENCE


@pytest.mark.slow
@pytest.mark.parametrize("form", FORMATS)
def test_documented_command_and_example_give_the_verdict_of_predict(
    form: str, url: str, hands: list[Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Capsys
) -> None:
    monkeypatch.chdir(tmp_path)
    (documented,) = re.findall(rf"python -m predict\.export (.* --format {form} .*)", DOCS)
    (example,) = [each for each in re.findall(r"```python\n(.*?)```", DOCS, re.DOTALL) if f'"{OUT[form]}"' in each]
    model = choose(url, "XR_HAND", None)

    code, out, _ = command(capsys, *documented.split(), "--store", url)

    assert code == 0
    told, apart = out.splitlines()
    assert told == f"{OUT[form]}: {model.name} as {form}"
    assert re.search(r"Keras: \d\.\de[-+]\d\d, on .*images of the test split", apart)
    with Image.open(hands[0]) as image:  # lying on its side, with a note to turn it
        turned, note = image.rotate(90, expand=True), Image.Exif()
        note[0x0112] = 6  # orientation
        turned.save("hand.png", exif=note)
    ended = subprocess.run([sys.executable, "-c", example], cwd=tmp_path, capture_output=True, text=True)
    assert ended.returncode == 0, ended.stderr
    assert float(ended.stdout) == pytest.approx(Predictor(model).image(hands[0]).probability, abs=1e-4)
    cards = list(tmp_path.rglob("*card.json"))
    assert all(json.loads(each.read_text()) == read_card(model.path) for each in cards)
    assert len(cards) == (0 if form == "onnx" else 1)
    assert not list(tmp_path.glob(".tmp-*"))


def test_onnx_engine_says_the_same_and_loads_no_tensorflow(url: str, hands: list[Path], tmp_path: Path) -> None:
    code = (
        "import sys\nfrom predict.__main__ import main\n"
        "code = main(sys.argv[1:])\n"
        "assert not {'tensorflow', 'keras'} & set(sys.modules), 'loaded'\nsys.exit(code)"
    )
    given = [*map(str, hands[:3]), "--part", "XR_HAND", "--engine", "onnx", "--json", "--store", url]
    ended = subprocess.run(
        [sys.executable, "-c", code, *given], cwd=REPOSITORY, capture_output=True, text=True, check=True
    )
    expected = Predictor(choose(url, "XR_HAND", None)).images(hands[:3])
    for entry, verdict in zip(json.loads(ended.stdout), expected, strict=True):
        assert entry["label"] == verdict.label  # type: ignore[union-attr]
        assert entry["raw_probability"] == pytest.approx(verdict.raw_probability, abs=1e-4)  # type: ignore[union-attr]


def test_fourteen_classes_by_onnx_are_those_of_keras(url: str, hands: list[Path]) -> None:
    model = choose(url, "all_parts", None)
    by_onnx, by_keras = (list(Predictor(model, engine=each).images(hands[:4])) for each in (ONNX, "keras"))
    for one, other in zip(by_onnx, by_keras, strict=True):
        assert one.raw == pytest.approx(other.raw, abs=1e-4)  # type: ignore[union-attr]


def test_gradcam_by_onnx_is_refused(hands: list[Path], url: str, capsys: Capsys) -> None:
    given = [str(hands[0]), "--part", "XR_HAND", "--engine", "onnx", "--gradcam", "heat.png", "--store", url]
    assert run_command("predict", predict_main, given) == 2
    assert "leave --engine out" in capsys.readouterr().err


def test_a_file_too_far_from_keras_is_not_left(
    url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Capsys
) -> None:
    monkeypatch.setattr(predict.export, "ALLOWED_DIFFERENCE", -1.0)
    given = ("--part", "XR_HAND", "--format", "onnx", "--out", tmp_path / "hand.onnx", "--store", url)
    code, out, err = command(capsys, *given)
    assert (code, out, err.count("\n")) == (2, "", 1)
    assert "nothing was written; give another --format" in err
    assert list(tmp_path.iterdir()) == []


def test_what_is_there_already_is_not_replaced(url: str, tmp_path: Path, capsys: Capsys) -> None:
    given = ("--part", "XR_HAND", "--format", "saved_model", "--out", tmp_path, "--store", url)
    code, _, err = command(capsys, *given)
    assert (code, err.count("\n")) == (2, 1)
    assert "is there already" in err


def test_the_onnx_file_is_valid_and_carries_the_card(url: str) -> None:
    path = choose(url, "XR_HAND", None).path
    card = read_card(path)
    model = onnx.load_from_string(to_whole_onnx(path, card))
    onnx.checker.check_model(model, full_check=True)
    (kept,) = model.metadata_props
    assert (kept.key, json.loads(kept.value)) == ("card", card)
    assert [each.dim_param for each in model.graph.input[0].type.tensor_type.shape.dim] == ["images", "", "", ""]


def test_the_images_are_of_test_where_they_lie_and_drawn_where_not(url: str, tmp_path: Path) -> None:
    card = read_card(choose(url, "XR_HAND", None).path)
    grey, told = images_of(card, "XR_HAND", 32, url)
    assert grey.shape == (IMAGES, 32, 32, 1)
    assert re.search(r"^\d+ images of the test split", told)
    drawn, told = images_of({**card, "search": "another"}, "XR_HAND", 32, url)
    assert told == "50 images drawn from the seed 'export images'"
    assert len(np.unique(drawn.reshape(IMAGES, -1), axis=0)) == IMAGES
    assert (drawn.min(), drawn.max()) == (0, 255)


UNKNOWN: dict[str, tuple[Build, str]] = {
    "kind": (lambda k, x: k.Dense(1, name="end")(pooled(k, k.UpSampling2D(2, name="odd")(x))), r"UpSampling2D \(odd\)"),
    "activation": (lambda k, x: k.Dense(1, "gelu", name="odd")(pooled(k, x)), "gelu"),
    "nested sequential": (
        lambda k, x: keras().Sequential([k.Flatten(), k.Dense(1)], name="odd")(x),
        r"Sequential \(odd\)",
    ),
    "half precision": (lambda k, x: k.Dense(1, dtype="mixed_float16", name="odd")(pooled(k, x)), r"Dense \(odd\)"),
    "dense on a map": (lambda k, x: k.GlobalAveragePooling2D()(k.Dense(3, name="odd")(x)), "input of odd"),
    "slice": (lambda k, x: k.Dense(2)(pooled(k, x))[:, 1:], "GetItem"),
}


@pytest.mark.parametrize(("build", "told"), UNKNOWN.values(), ids=UNKNOWN)
def test_a_layer_without_a_translation_is_named(build: Build, told: str, tmp_path: Path) -> None:
    path = saved(tmp_path / "own.keras", build)
    with pytest.raises(UnknownLayer, match=told):
        to_whole_onnx(path, {})
    with pytest.raises(ModelError, match="leave --engine onnx out"):
        load_onnx(path, "own", 1, None)


def test_a_layer_used_twice_is_named(tmp_path: Path) -> None:
    def build(layers: Any, grey: Any) -> Any:
        twice = layers.Conv2D(1, 3, padding="same", name="odd")
        return layers.Flatten()(twice(twice(grey)))

    with pytest.raises(UnknownLayer, match=r"odd\), used 2 times"):
        stored_network(saved(tmp_path / "own.keras", build))


def test_an_export_of_an_unknown_layer_names_the_other_formats(tmp_path: Path) -> None:
    path = saved(tmp_path / "own.keras", UNKNOWN["kind"][0])
    add_card(path, {"task": "XR_HAND", "search": "none", "data_hash": "", "temperature": 1.0, "thresholds": {}})
    with pytest.raises(ModelError, match=r"UpSampling2D \(odd\); give --format tflite or saved_model"):
        predict.export._onnx(ChosenModel("XR_HAND", "own", path, 1.0), {})


@pytest.mark.parametrize("end", ["softmax", "sigmoid", "linear"])
def test_ends_of_own_models_agree_with_keras(end: str, tmp_path: Path) -> None:
    def build(layers: Any, grey: Any) -> Any:
        inner_input = keras().Input((16, 16, 1))
        inner = keras().Model(inner_input, pooled(layers, inner_input), name="inner")
        flow = layers.Dropout(0.2)(inner(layers.Rescaling(1 / 255)(grey)))
        return layers.Dense(3, end, use_bias=False)(flow)

    path, grey = saved(tmp_path / "own.keras", build), grey_images(16, 3)
    expected = keras().models.load_model(path).predict_on_batch(grey)
    assert OnnxModel(to_whole_onnx(path, {})).run(grey)[0] == pytest.approx(expected, abs=1e-6)


def test_a_damaged_file_is_one_line(url: str, tmp_path: Path) -> None:
    good = choose(url, "XR_HAND", None).path
    (tmp_path / "cut.keras").write_bytes(good.read_bytes()[:5000])
    with zipfile.ZipFile(tmp_path / "empty.keras", "w") as file:
        file.writestr("config.json", "{}")
    for name in ("cut", "empty", "absent"):
        with pytest.raises(ModelError, match="cannot be read"):
            load_onnx(tmp_path / f"{name}.keras", name, 1, None)


def test_arrays_that_lie_in_another_file_are_refused(tmp_path: Path) -> None:
    path = saved(tmp_path / "own.keras", lambda k, x: k.Dense(1)(pooled(k, x)))
    (tmp_path / "secret").write_bytes(bytes(16))
    with zipfile.ZipFile(path) as archive:
        parts = {name: archive.read(name) for name in archive.namelist()}
    (tmp_path / "w.h5").write_bytes(parts["model.weights.h5"])
    with h5py.File(tmp_path / "w.h5", "a") as file:
        del file["layers/dense/vars/0"]
        outside = [(str(tmp_path / "secret"), 0, 16)]
        file.create_dataset("layers/dense/vars/0", (4, 1), np.float32, external=outside)
    parts["model.weights.h5"] = (tmp_path / "w.h5").read_bytes()
    with zipfile.ZipFile(path, "w") as archive:
        for name, content in parts.items():
            archive.writestr(name, content)
    with pytest.raises(ModelError, match="lies in another file"):
        load_onnx(path, "own", 1, None)
