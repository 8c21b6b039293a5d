"""Backbones: what is known of them is found out once, compared with Keras, and read without TensorFlow."""

import json
import shutil
import subprocess
import sys
import threading
from collections.abc import Callable, Mapping
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any
from unittest.mock import ANY

import numpy as np
import onnx
import pytest
from numpy.typing import NDArray
from onnx import numpy_helper

from features import records
from features.forward import ALLOWED_DIFFERENCE, BATCH, COMPARED, difference, keras_forward
from features.frozen import Backbones
from features.onnx_graph import to_onnx
from features.records import MODEL, RECORD, Draft, FrozenNetwork, checked, make_draft
from plumbing.errors import SearchFailed, SpaceError
from spaces import architecture_named
from spaces.saved_model import save_parts
from spaces.tensorflow_runtime import tensorflow
from spaces.weights import RANDOM
from tests.features.networks import SHAPE, frozen_layers, grey_images, lively, plain_keras, small

REPOSITORY = Path(__file__).parents[2]
BASE, LITE = architecture_named("base_cnn"), architecture_named("efficientnet_lite0")
ONNX_VERSION = f"onnxruntime {records.version('onnxruntime')}"


@pytest.fixture(autouse=True)
def _a_machine_without_gpu(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(records, "has_gpu", lambda: False)


def first_batch() -> NDArray[np.float32]:
    return grey_images(32)


def never() -> NDArray[np.float32]:
    pytest.fail("the record is made again")


def backbones(folder: Path) -> Backbones:
    return Backbones(folder, {"base_cnn": RANDOM, "efficientnet_lite0": RANDOM})


def out_of_memory_in_tensorflow() -> Exception:
    """What TensorFlow raises."""
    error: Exception = tensorflow().errors.ResourceExhaustedError(None, None, "OOM when allocating")
    return error


def settled(ours: Backbones, *asked: Any) -> FrozenNetwork:
    """What is known once the comparison with Keras has ended."""
    frozen = ours.frozen(*asked, first_batch)
    return frozen if ours.confirmed(*asked, frozen) else ours.frozen(*asked, never)


def test_a_record_says_what_the_network_is(tmp_path: Path) -> None:
    ours = backbones(tmp_path)
    assert not ours.knows(LITE, 32, {})
    known, network = settled(ours, LITE, 32, {}), ours.network(LITE, 32, {})
    assert ours.knows(LITE, 32, {})
    assert known.architecture == "efficientnet_lite0"
    assert known.seconds_an_image > 0
    assert known.layers == frozen_layers(LITE)
    assert known.shapes == {"below_last_two_blocks": (1, 1, 192), "below_last_block": (1, 1, 192), "all": (1280,)}
    assert known.engine == ONNX_VERSION
    written = json.loads((ours.folder(LITE, 32, {}) / RECORD).read_text()[8:])
    assert 0 < written["difference"] <= ALLOWED_DIFFERENCE
    expected = plain_keras(network, known.layers, first_batch())
    found = ours.forward(LITE, 32, {}, known)(first_batch(), list(known.layers))
    assert difference(found, [expected[cut] for cut in known.layers]) <= ALLOWED_DIFFERENCE


# Reads a record and computes a batch, in a process that must not load TensorFlow.
READ = """
import json, sys
from dataclasses import asdict, replace
from pathlib import Path
import numpy as np
from features.frozen import Backbones
from spaces import architecture_named
folder, name = Path(sys.argv[1]), sys.argv[2]
backbones, asked = Backbones(folder, {name: "random"}), (architecture_named(name), 32, json.loads(sys.argv[3]))
known = backbones.frozen(*asked, lambda: sys.exit("the record is made again"))
features = backbones.forward(*asked, known)(np.load(folder / "grey.npy"), list(known.layers))
assert not {"tensorflow", "keras"} & set(sys.modules)
print(json.dumps([asdict(known), [each.tobytes().hex() for each in features]]))
"""


@pytest.mark.parametrize(("architecture", "configuration"), [(BASE, SHAPE), (LITE, {})], ids=["base_cnn", "lite0"])
def test_a_record_is_made_once_and_read_without_tensorflow(
    tmp_path: Path, architecture: Any, configuration: dict[str, int]
) -> None:
    asked = (architecture, 32, configuration)
    ours = backbones(tmp_path)
    known = settled(ours, *asked)
    assert ours.frozen(*asked, never) == backbones(tmp_path).frozen(*asked, never) == known
    features = ours.forward(*asked, known)(first_batch(), list(known.layers))
    np.save(tmp_path / "grey.npy", first_batch())
    line = [sys.executable, "-c", READ, str(tmp_path), architecture.name, json.dumps(configuration)]
    told = subprocess.run(line, cwd=REPOSITORY, capture_output=True, text=True, check=False)
    assert told.returncode == 0, told.stderr
    expected = [json.loads(json.dumps(asdict(known))), [each.tobytes().hex() for each in features]]
    assert json.loads(told.stdout) == expected


def test_two_threads_make_one_record(tmp_path: Path) -> None:
    ours, asked, found = backbones(tmp_path), [], []
    barrier = threading.Barrier(2)

    def batch() -> NDArray[np.float32]:
        asked.append(True)
        return first_batch()

    def work() -> None:
        barrier.wait()
        found.append(ours.frozen(BASE, 32, SHAPE, batch))

    threads = [threading.Thread(target=work) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(timeout=240)
    assert len(asked) == 1
    assert found[0] == found[1]


def test_a_network_is_built_once_and_again_where_its_shape_changes(tmp_path: Path) -> None:
    ours = backbones(tmp_path)
    network = ours.network(BASE, 32, SHAPE)
    assert ours.network(BASE, 32, SHAPE | {"lr": 0.1, "units": 4}) is network
    wider = ours.network(BASE, 32, SHAPE | {"filters_2": 48})
    assert wider.output.shape == (None, 8 * 8 * 48)
    known = {filters: settled(ours, BASE, 32, SHAPE | {"filters_2": filters}).shapes for filters in (48, 32, 48)}
    assert known == {48: {"all": (8 * 8 * 48,)}, 32: {"all": (8 * 8 * 32,)}}
    for filters, shapes in known.items():
        configuration = SHAPE | {"filters_2": filters}
        frozen = ours.frozen(BASE, 32, configuration, never)
        (features,) = ours.forward(BASE, 32, configuration, frozen)(first_batch(), ["all"])
        assert features.shape == (BATCH, *shapes["all"])


@pytest.mark.parametrize(
    "change",
    [{"size": 33}, {"architecture": LITE}, *({"configuration": SHAPE | {name: 48}} for name in SHAPE)],
    ids=["size", "architecture", *SHAPE],
)
def test_another_backbone_has_another_folder(tmp_path: Path, change: dict[str, Any]) -> None:
    asked: dict[str, Any] = {"architecture": BASE, "size": 32, "configuration": SHAPE}
    before, after = (backbones(tmp_path).folder(*each.values()) for each in (asked, asked | change))
    assert before != after
    assert before.parent == after.parent == tmp_path


def test_settings_that_leave_the_backbone_alone_leave_its_folder_alone(tmp_path: Path) -> None:
    ours = backbones(tmp_path)
    other = SHAPE | {"lr": 0.1, "units": 64, "frozen": "all"}
    assert ours.folder(BASE, 32, other) == ours.folder(BASE, 32, SHAPE)


def test_the_order_of_a_configurations_settings_does_not_matter(tmp_path: Path) -> None:
    ours = backbones(tmp_path)
    assert ours.folder(BASE, 32, dict(reversed(SHAPE.items()))) == ours.folder(BASE, 32, SHAPE)


def test_a_weights_file_is_known_by_its_content(tmp_path: Path) -> None:
    def folder(weights: str) -> Path:
        return Backbones(tmp_path, {"base_cnn": weights}).folder(BASE, 32, SHAPE)

    one, same, other = (tmp_path / name for name in ("one", "same", "other"))
    for path, content in ((one, b"a"), (same, b"a"), (other, b"b")):
        path.write_bytes(content)
    assert folder(str(one)) == folder(str(same))
    assert len({folder(str(one)), folder(str(other)), folder(RANDOM), folder("imagenet")}) == 4


def test_other_weights_are_other_features_to_the_cache(tmp_path: Path) -> None:
    file = tmp_path / "base_cnn.weights.h5"
    lively("base_cnn").save_weights(file)
    given = settled(Backbones(tmp_path / "given", {"base_cnn": str(file)}), BASE, 32, SHAPE)
    drawn = settled(backbones(tmp_path), BASE, 32, SHAPE)
    assert given.digest != drawn.digest


def test_weights_that_do_not_fit_are_told_and_leave_no_folder(tmp_path: Path) -> None:
    file = tmp_path / "base_cnn.weights.h5"
    file.write_text("weights")
    ours = Backbones(tmp_path / "backbones", {"base_cnn": str(file)})
    with pytest.raises(SpaceError, match="does not fit the network"):
        ours.frozen(BASE, 32, SHAPE, first_batch)
    assert [path.suffix for path in tmp_path.glob("backbones/*")] == [".lock"]


FOLDER = """
import sys
from pathlib import Path
from features.frozen import Backbones
from spaces import architecture_named
print(Backbones(Path(), {"base_cnn": "random"}).folder(architecture_named("base_cnn"), 32, {"blocks": 2}))
"""


def test_a_change_of_our_code_asks_for_another_folder(tmp_path: Path) -> None:
    for package in ("features", "plumbing", "radiographs", "spaces"):
        shutil.copytree(REPOSITORY / package, tmp_path / package, ignore=shutil.ignore_patterns("__pycache__"))

    def folder() -> str:
        line = [sys.executable, "-c", FOLDER]
        return subprocess.run(line, cwd=tmp_path, capture_output=True, text=True, check=True).stdout

    found = [folder(), folder()]
    for changed in ("spaces/base_cnn.py", "features/onnx_layers.py"):
        with (tmp_path / changed).open("a") as file:
            file.write("# changed\n")
        found.append(folder())
    assert found[0] == found[1]
    assert len(set(found)) == 3


def choose(network: Any) -> tuple[Draft, float]:
    """Who computes the whole network, and how far from Keras."""
    net = replace(BASE, name="net", cuts=(replace(BASE.cut("all"), after=network.layers[-1].name),))
    return checked(make_draft(net, network), grey_images(network.input.shape[1]))


def test_a_network_that_onnx_runtime_agrees_on_is_run_by_it(capsys: pytest.CaptureFixture[str]) -> None:
    chosen, apart = choose(small(lambda layers, grey: layers.Conv2D(4, 3)(grey)))
    assert chosen.known.engine == ONNX_VERSION
    assert apart <= ALLOWED_DIFFERENCE
    assert chosen.model is not None
    assert capsys.readouterr().err == ""


Build = Callable[[Any, Any], Any]
UNTRANSLATED: dict[str, tuple[Build, str]] = {
    "softmax": (lambda k, x: k.Softmax(name="odd")(k.Conv2D(4, 3)(x)), "Softmax (odd)"),
    "dilation": (
        lambda k, x: k.Conv2D(4, 3, dilation_rate=2, name="odd")(x),
        "dilation, groups or layout of odd",
    ),
}


@pytest.mark.parametrize(("build", "layer"), UNTRANSLATED.values(), ids=UNTRANSLATED)
def test_a_layer_that_is_not_translated_leaves_the_work_to_keras_and_is_named(
    capsys: pytest.CaptureFixture[str], build: Build, layer: str
) -> None:
    chosen, apart = choose(small(build))
    assert chosen.known.engine.startswith("keras ")
    assert (apart, chosen.model) == (0.0, None)
    told = f"net: ONNX Runtime cannot run {layer}; Keras computes its features instead\n"
    assert capsys.readouterr().err == told


def perturbed(network: Any, layers: list[str], batch: int) -> bytes:
    model = onnx.load_from_string(to_onnx(network, layers, batch))
    constant = model.graph.initializer[0]
    array = numpy_helper.to_array(constant).copy()
    array.flat[0] += 0.1
    constant.CopyFrom(numpy_helper.from_array(array, constant.name))
    content: bytes = model.SerializeToString()
    return content


def test_a_graph_that_disagrees_leaves_the_work_to_keras_and_says_by_how_much(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(records, "to_onnx", perturbed)
    ours = backbones(tmp_path)
    doubtful = ours.frozen(BASE, 32, SHAPE, first_batch)
    assert doubtful.engine == ONNX_VERSION
    for _ in range(2):  # whoever used it is told, not the first one alone
        ours.forward(BASE, 32, SHAPE, doubtful)(first_batch(), ["all"])
        assert not ours.confirmed(BASE, 32, SHAPE, doubtful)
        known = ours.frozen(BASE, 32, SHAPE, never)
        ours.forward(BASE, 32, SHAPE, known)(first_batch(), ["all"])
    assert ours.confirmed(BASE, 32, SHAPE, known)
    assert known.digest != doubtful.digest
    told = capsys.readouterr().err
    assert told.startswith("base_cnn: ONNX Runtime's features are ")
    assert told.endswith("from Keras', 1e-04 is allowed; Keras computes its features instead\n")
    assert told.count("\n") == 1
    assert known.engine.startswith("keras ")
    assert not (ours.folder(BASE, 32, SHAPE) / MODEL).exists()
    expected = plain_keras(ours.network(BASE, 32, SHAPE), known.layers, first_batch())["all"]
    for each in (ours, backbones(tmp_path)):
        found = each.forward(BASE, 32, SHAPE, known)(first_batch(), ["all"])
        assert difference(found, [expected]) <= ALLOWED_DIFFERENCE


def test_onnx_runtime_computes_already_while_it_is_compared_with_keras(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    may_go_on, compared = threading.Event(), []

    def slow(network: Any, layers: Any, piece: int) -> Any:
        assert may_go_on.wait(60)
        compared.append(piece)
        return keras_forward(network, layers, piece)

    monkeypatch.setattr(records, "keras_forward", slow)
    ours = backbones(tmp_path)
    frozen = ours.frozen(BASE, 32, SHAPE, first_batch)
    (features,) = ours.forward(BASE, 32, SHAPE, frozen)(first_batch(), ["all"])
    assert not ours.knows(BASE, 32, SHAPE)
    may_go_on.set()
    assert ours.confirmed(BASE, 32, SHAPE, frozen)
    assert compared == [COMPARED]
    assert backbones(tmp_path).frozen(BASE, 32, SHAPE, never) == frozen
    (again,) = backbones(tmp_path).forward(BASE, 32, SHAPE, frozen)(first_batch(), ["all"])
    assert features.tobytes() == again.tobytes()


@pytest.mark.parametrize("error", [MemoryError, out_of_memory_in_tensorflow])
def test_no_memory_to_compare_is_heard_by_who_relies_on_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, error: Callable[[], Exception]
) -> None:
    def greedy(*arguments: Any) -> Any:
        raise error()

    monkeypatch.setattr(records, "keras_forward", greedy)
    ours = backbones(tmp_path)
    frozen = ours.frozen(BASE, 32, SHAPE, first_batch)
    with pytest.raises(SearchFailed, match="base_cnn: no memory to compare"):
        ours.confirmed(BASE, 32, SHAPE, frozen)
    assert not ours.knows(BASE, 32, SHAPE)


def test_several_networks_are_found_out_at_once(tmp_path: Path) -> None:
    ours = backbones(tmp_path)
    asked = [(LITE, 32, {}), (BASE, 32, SHAPE), (BASE, 32, SHAPE | {"filters_2": 48})]
    frozen = [ours.frozen(*each, first_batch) for each in asked]
    for each, known in zip(asked, frozen, strict=True):  # each is at hand, whether its record is written or not
        (features,) = ours.forward(*each, known)(first_batch(), ["all"])
        assert features.shape == (BATCH, *known.shapes["all"])
    assert all(ours.confirmed(*each, known) for each, known in zip(asked, frozen, strict=True))
    for number, (each, known) in enumerate(zip(asked, frozen, strict=True)):
        alone = settled(backbones(tmp_path / str(number)), *each)
        assert alone == replace(known, seconds_an_image=ANY)


def test_a_record_that_cannot_be_written_is_heard_by_who_relies_on_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*arguments: Any) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(records, "save_parts", full)
    ours = backbones(tmp_path)
    frozen = ours.frozen(BASE, 32, SHAPE, first_batch)
    with pytest.raises(OSError, match="No space left"):
        ours.confirmed(BASE, 32, SHAPE, frozen)
    assert not ours.folder(BASE, 32, SHAPE).exists()
    monkeypatch.setattr(records, "save_parts", save_parts)
    assert settled(backbones(tmp_path), BASE, 32, SHAPE) == replace(frozen, seconds_an_image=ANY)


def test_where_a_gpu_is_keras_computes(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr(records, "has_gpu", lambda: True)
    assert choose(lively("base_cnn"))[0].known.engine.startswith("keras ")
    assert capsys.readouterr().err == ""


def harm_files() -> list[Any]:
    def flip(path: Path) -> None:
        content = bytearray(path.read_bytes())
        content[len(content) // 2] ^= 1
        path.write_bytes(content)

    def cut_short(path: Path) -> None:
        path.write_bytes(path.read_bytes()[:-7])

    names = (RECORD, MODEL, "whole.weights.h5", "whole.json")
    files = [pytest.param(name, harm, id=f"{name} {harm.__name__}") for name in names for harm in (flip, cut_short)]
    return [*files, pytest.param(RECORD, Path.unlink, id="no record"), pytest.param(MODEL, Path.unlink, id="no model")]


@pytest.mark.parametrize(("name", "harm"), harm_files())
def test_a_harmed_file_is_found_said_and_the_record_made_again(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], name: str, harm: Callable[[Path], None]
) -> None:
    ours, asked = backbones(tmp_path), (LITE, 32, {})
    known, folder = settled(ours, *asked), ours.folder(*asked)
    model = (folder / MODEL).read_bytes()
    harm(folder / name)
    assert capsys.readouterr().err == ""
    again = settled(backbones(tmp_path), *asked)
    assert replace(again, seconds_an_image=known.seconds_an_image) == known
    told = capsys.readouterr().err
    assert told.startswith(f"{folder}: damaged (")
    assert told.endswith("), made again\n")
    assert (folder / MODEL).read_bytes() == model


FRESH = """
import sys
from pathlib import Path
import numpy as np
from features.frozen import Backbones
from spaces import architecture_named
backbones = Backbones(Path(sys.argv[1]), {"efficientnet_lite0": "random"})
import tensorflow
print("ready", flush=True)
sys.stdin.readline()
def first_batch():
    print("made", flush=True)
    return np.ones((32, 32, 32, 1), np.float32)
asked = (architecture_named("efficientnet_lite0"), 32, {})
known = backbones.frozen(*asked, first_batch)
assert backbones.confirmed(*asked, known)
print(known.digest)
"""


@pytest.mark.slow
def test_two_processes_that_start_with_nothing_make_one_record(tmp_path: Path) -> None:
    line = [sys.executable, "-c", FRESH, str(tmp_path)]
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True, "cwd": REPOSITORY}
    processes = [subprocess.Popen(line, **pipes) for _ in range(2)]  # type: ignore[call-overload]
    for process in processes:
        assert process.stdout.readline() == "ready\n"
    for process in processes:
        process.stdin.write("go\n")
        process.stdin.flush()
    told = [process.communicate(timeout=120)[0].split() for process in processes]
    assert [process.returncode for process in processes] == [0, 0]
    assert sorted(len(each) for each in told) == [1, 2]  # one of them made it
    assert told[0][-1] == told[1][-1]


def test_a_record_is_what_the_file_says(tmp_path: Path) -> None:
    ours = backbones(tmp_path)
    known = settled(ours, BASE, 32, SHAPE)
    written: Mapping[str, Any] = json.loads((ours.folder(BASE, 32, SHAPE) / RECORD).read_text()[8:])["network"]
    shapes = {cut: tuple(shape) for cut, shape in written["shapes"].items()}
    assert FrozenNetwork(**{**written, "shapes": shapes}) == known
