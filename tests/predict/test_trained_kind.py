"""What is not of the kind that a model was trained on is said to be strange, by both engines and in every form."""

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import predict
from plumbing.command import run_command
from predict.__main__ import main
from predict.chosen import choose
from predict.networks import KERAS, ONNX, load_network
from predict.predictor import Predictor
from predict.verdicts import NOT_OF_THE_KIND, Verdict, as_line
from radiographs.dataset import list_images
from results.trained_kind import distances, read_trained_kind

pytestmark = pytest.mark.usefixtures("searched")


@pytest.fixture(scope="module")
def hand(url: str) -> Predictor:
    return predict.load("XR_HAND", store=url)


@pytest.fixture
def noise(tmp_path: Path) -> Path:
    path = tmp_path / "noise.png"
    Image.fromarray(np.random.default_rng(0).integers(0, 256, (64, 64), np.uint8)).save(path)
    return path


def test_most_radiographs_of_the_part_are_not_strange_and_noise_is(
    hand: Predictor, hands: list[Path], noise: Path
) -> None:
    found = [each for each in hand.images(hands) if isinstance(each, Verdict)]
    assert np.mean([each.is_strange for each in found]) < 0.5
    strange = hand.image(noise)
    assert strange.is_strange
    assert strange.warnings == (NOT_OF_THE_KIND,)
    assert as_line(strange).startswith(f"{noise}: NOT JUDGED: {NOT_OF_THE_KIND}; were it one: {strange.label}")
    assert as_line(strange).count(NOT_OF_THE_KIND) == 1


@pytest.mark.parametrize("task", ["XR_HAND", "all_parts"])
def test_both_engines_find_what_the_file_tells(task: str, url: str, hands: list[Path], noise: Path) -> None:
    model = choose(url, task, None)
    kind = read_trained_kind(model.path)
    assert kind is not None
    found = {}
    for engine in (KERAS, ONNX):
        network = load_network(model, engine)
        paths = [*hands[:3], noise]
        grey = [np.asarray(Image.open(each).convert("L").resize((network.size,) * 2, 2)) for each in paths]
        answer = network(np.stack(grey)[..., None].astype(np.float32), len(paths))
        assert answer.is_strange is not None
        found[engine] = answer.probability, answer.is_strange.tolist()
    assert found[KERAS][0] == pytest.approx(found[ONNX][0], abs=1e-5)
    assert found[KERAS][1] == found[ONNX][1]
    assert found[KERAS][1][-1]


def test_a_study_is_strange_where_all_its_images_are(hand: Predictor, hands: list[Path], noise: Path) -> None:
    usual = next(path for path in hands if not hand.image(path).is_strange)
    both = hand.study([usual, noise])
    assert both.is_strange is False
    assert both.warnings == (f"1 of 2 images: {NOT_OF_THE_KIND}",)
    assert hand.study([noise, noise]).is_strange
    assert hand.study([noise, noise]).warnings == (NOT_OF_THE_KIND,)


def test_json_keeps_the_contracts_keys_and_warns(noise: Path, url: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert run_command("predict", main, [str(noise), "--part", "XR_HAND", "--store", url, "--json"]) == 0
    (found,) = json.loads(capsys.readouterr().out)
    assert list(found) == ["path", "part", "label", "probability", "raw_probability", "model", "warnings"]
    assert found["warnings"] == [NOT_OF_THE_KIND]


def test_the_threshold_is_valids_by_the_saved_models_own_layers(hand: Predictor, searched: Path) -> None:
    """Of three images of valid the farthest is at it."""
    kind = read_trained_kind(hand.model.path)
    assert kind is not None
    listed = list_images(searched / "data", "XR_HAND")
    paths = [listed.root / path for path in listed.images.query("split == 'valid'")["path"]]
    grey = [np.asarray(Image.open(each).convert("L").resize((hand.size,) * 2, 2), np.float32) for each in paths]
    ((model, _),) = hand.keras_models
    features = np.asarray(model.get_layer("trunk")(np.stack(grey)[..., None]))
    assert len(features) == 3
    assert distances(kind, features).max() == pytest.approx(kind.threshold, abs=1e-5)
