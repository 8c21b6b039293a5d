"""Heat maps: of every architecture and cut, of models of users, against a closed form, and as the command's files."""

import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

import predict
from plumbing.command import run_command
from plumbing.errors import ModelError
from predict.__main__ import main
from predict.chosen import ChosenModel
from predict.gradcam import GradCam
from predict.heat import COLOURS, LEAST_WIDTH, MOST_WIDE, hottest, overlay, spread
from predict.predictor import Predictor
from search.own_model import save_whole
from spaces import ARCHITECTURES
from spaces.architecture import Architecture, Cut
from spaces.network import make_tail, whole_model
from spaces.tensorflow_runtime import keras
from tests.spaces.networks import grey_images, smallest


def heat_of(gradcam: GradCam, grey: np.ndarray, label: str = "abnormal") -> np.ndarray:
    (size,) = gradcam.sizes
    return gradcam.heats([{size: grey}], [label])[0]


def probability(predictor: Predictor, grey: np.ndarray) -> float:
    return predictor.image(grey).raw_probability


Capsys = pytest.CaptureFixture[str]
CUTS = [(architecture, cut) for architecture in ARCHITECTURES for cut in architecture.cuts]
SIZE = 8


def loaded(path: Path, task: str = "XR_HAND") -> Predictor:
    return Predictor(ChosenModel(task, "tried", path, 1.0))


@pytest.fixture
def saved(tmp_path: Path) -> Callable[..., Predictor]:
    """A user's model, saved as a search does."""

    def save(model: Any, classes: int = 2) -> Predictor:
        model.compile(loss="binary_crossentropy" if classes == 2 else "sparse_categorical_crossentropy")
        save_whole(model, SIZE, classes, tmp_path / "own.keras")
        return loaded(tmp_path / "own.keras", "XR_HAND" if classes == 2 else "all_parts")

    return save


@pytest.mark.slow
@pytest.mark.parametrize(("architecture", "cut"), CUTS, ids=[f"{each.name}-{cut.name}" for each, cut in CUTS])
def test_every_architecture_and_cut_has_a_map_and_its_halves_make_the_models_probability(
    architecture: Architecture, cut: Cut, tmp_path: Path
) -> None:
    network, head = smallest(architecture), {"conv_dropout": 0.3, "units": 8}
    whole_model(network, cut, make_tail(network, cut, head, 2), 2).save(tmp_path / "whole.keras")
    predictor, grey = loaded(tmp_path / "whole.keras"), grey_images(architecture)[..., 0].astype(np.uint8)
    gradcam = GradCam(predictor)

    heats = np.stack([heat_of(gradcam, each) for each in grey])

    assert heats.dtype == np.float32
    assert heats.shape[0] == 2
    assert min(heats.shape[1:]) > 1
    assert all(each.max() == 1 or not each.any() for each in heats)
    assert heats.min() >= 0
    np.testing.assert_array_equal(heats, np.stack([heat_of(gradcam, each) for each in grey]))
    probabilities = [probability(predictor, each) for each in grey]
    assert 1 / (1 + np.exp(-through(gradcam, grey))) == pytest.approx(np.array(probabilities), abs=1e-5)


def through(gradcam: GradCam, grey: np.ndarray) -> np.ndarray:
    ((halves, _, _),) = gradcam._members
    flow = grey[..., None].astype(np.float32)
    for model in (*halves.front, *halves.back):
        flow = model(flow, training=False)
    return np.asarray(flow)[:, 0]


def test_the_heat_is_the_closed_form_also_where_the_sigmoid_is_saturated(saved: Callable[..., Predictor]) -> None:
    layers = keras().layers
    model = keras().Sequential(
        [
            layers.Input((SIZE, SIZE, 1)),
            layers.Conv2D(2, 1, name="convolution"),
            layers.GlobalAveragePooling2D(),
            layers.Dense(1, "sigmoid", name="end"),
        ]
    )
    model.get_layer("convolution").set_weights([np.array([[[[1.0, -1.0]]]]), np.array([0.0, 0.5])])
    model.get_layer("end").set_weights([np.array([[900.0], [200.0]]), np.array([0.0])])
    grey = np.arange(SIZE * SIZE, dtype=np.uint8).reshape(SIZE, SIZE) * 3
    predictor = saved(model)
    assert probability(predictor, grey) == 1  # its slope is zero
    # Logit: 900 mean(x) + 200 mean(0.5 - x), x = grey / 255; so each channel weighs its kernel, over the pixels.
    x = grey / np.float64(255)
    evidence = np.maximum(900 * x + 200 * (0.5 - x), 0)
    assert heat_of(GradCam(predictor), grey) == pytest.approx(evidence / evidence.max(), abs=1e-6)


def test_of_many_classes_the_logit_of_the_one_called_counts(saved: Callable[..., Predictor]) -> None:
    layers = keras().layers
    grey_input = keras().Input((SIZE, SIZE, 1))
    flow = layers.Conv2D(14, 1, use_bias=False, name="convolution")(grey_input)
    flow = layers.GlobalAveragePooling2D()(flow)
    model = keras().Model(grey_input, layers.Dense(14, "softmax", name="end")(flow))
    model.get_layer("convolution").set_weights([np.ones((1, 1, 1, 14))])
    kernel = np.diag(np.linspace(-1, 1, 14))
    model.get_layer("end").set_weights([kernel, np.zeros(14)])
    predictor = saved(model, 14)
    gradcam, grey = GradCam(predictor), np.full((SIZE, SIZE), 100, np.uint8)
    grey[2, 3] = 200
    first, last = predictor.classes[0], predictor.classes[-1]
    # Softmax would let every pixel speak for a class by speaking against the others.
    assert not heat_of(gradcam, grey, first).any()
    assert heat_of(gradcam, grey, last) == pytest.approx(grey / np.float64(200), abs=1e-6)
    assert (gradcam.shown(first), gradcam.shown(last)) == (first, last)


def test_a_part_shows_what_speaks_for_abnormal_whatever_it_is_called(url: str) -> None:
    gradcam = GradCam(predict.load("XR_HAND", store=url))
    grey = np.arange(32 * 32, dtype=np.uint8).reshape(32, 32)
    np.testing.assert_array_equal(heat_of(gradcam, grey, "normal"), heat_of(gradcam, grey, "abnormal"))
    assert gradcam.shown("normal") == "abnormal"


def test_an_ensembles_members_add_up_by_their_weights_on_the_largest_map(tmp_path: Path) -> None:
    layers, members = keras().layers, []
    for size, kernel, weight in ((SIZE, 8.0, 0.75), (2 * SIZE, -16.0, 0.25)):
        parts = [layers.Input((size, size, 1)), layers.Conv2D(1, 1), layers.GlobalAveragePooling2D(), layers.Dense(1)]
        model = keras().Sequential(parts)
        model.set_weights([np.ones((1, 1, 1, 1)), np.zeros(1), np.array([[kernel]]), np.zeros(1)])
        model.compile(loss=keras().losses.BinaryCrossentropy(from_logits=True))
        save_whole(model, size, 2, tmp_path / f"{size}.keras")
        members.append((ChosenModel("XR_HAND", str(size), tmp_path / f"{size}.keras", 1.0), weight))
    together = ChosenModel("XR_HAND", "ensemble", members[0][0].path, 1.0, members=tuple(members))
    small, large = np.full((SIZE, SIZE), 100, np.uint8), np.full((2 * SIZE, 2 * SIZE), 50, np.uint8)
    large[0, :2] = (255, 100)
    (found,) = GradCam(Predictor(together)).heats([{SIZE: small, 2 * SIZE: large}], ["abnormal"])
    total = np.maximum(0.75 * 8 * 100 - 0.25 * 16 * large.astype(np.float64), 0)
    assert found == pytest.approx(total / total.max(), abs=1e-6)


def flat() -> Any:
    layers = keras().layers
    return keras().Sequential([layers.Input((SIZE, SIZE, 1)), layers.Flatten(), layers.Dense(1, "sigmoid")])


def branched() -> Any:
    """Two maps, neither of which all of the image passes through."""
    layers = keras().layers
    grey = keras().Input((SIZE, SIZE, 1))
    maps = [layers.Conv2D(2, size)(grey) for size in (3, 5)]
    pooled = layers.Concatenate()([layers.GlobalAveragePooling2D()(each) for each in maps])
    return keras().Model(grey, layers.Dense(1, "sigmoid")(pooled))


@pytest.mark.parametrize("make", [flat, branched])
def test_a_model_without_a_map_is_refused(saved: Callable[..., Predictor], make: Callable[[], Any]) -> None:
    with pytest.raises(ModelError, match="model tried has no convolutional map"):
        GradCam(saved(make()))


def test_a_users_nested_model_with_two_outputs_and_logits_has_a_map(saved: Callable[..., Predictor]) -> None:
    layers = keras().layers
    inner = keras().Sequential(
        [layers.Input((SIZE, SIZE, 1)), layers.Conv2D(3, 3, padding="same"), layers.MaxPooling2D(2)]
    )
    convolution, grey = layers.Conv2D(3, 3, padding="same"), keras().Input((SIZE, SIZE, 1))
    flow = layers.Flatten()(layers.add([convolution(inner(grey)), convolution(inner(grey))]))
    predictor = saved(keras().Model(grey, layers.Dense(2, "softmax")(flow)))
    pixels = np.arange(SIZE * SIZE, dtype=np.uint8).reshape(SIZE, SIZE) * 4
    assert heat_of(GradCam(predictor), pixels).shape == (4, 4)


def test_drawing_a_map_leaves_the_model_as_it_was(url: str, hands: list[Path]) -> None:
    predictor = predict.load("XR_HAND", store=url)
    before = predictor.image(hands[0]).raw_probability
    GradCam(predictor)
    GradCam(predictor)
    assert predictor.image(hands[0]).raw_probability == before


def test_colours_grow_lighter_with_the_heat() -> None:
    luminance = np.array(COLOURS) @ (0.2126, 0.7152, 0.0722)
    assert (np.diff(luminance) > 0).all()


def test_an_overlay_leaves_cold_pixels_as_they_are_and_stands_at_the_images_own_sides() -> None:
    grey = np.full((300, 500), 77, np.uint8)
    heat = np.zeros((4, 4), np.float32)
    heat[0, 0] = 1
    drawn = np.asarray(overlay(grey, heat, "What speaks for abnormal"))
    assert drawn.shape[1] == 500
    assert drawn.shape[0] > 300  # the legend stands below
    assert (drawn[200:300, 300:] == 77).all()
    assert not (drawn[:20, :20] == 77).all(axis=-1).any()
    inside = hottest(spread(heat, 500, 300))
    assert 0 < inside.mean() <= 0.101


@pytest.mark.parametrize(("height", "width"), [(1, 1), (10000, 10), (10, 10000)])
def test_an_image_of_odd_sides_is_drawn_whole(height: int, width: int) -> None:
    drawn = overlay(np.zeros((height, width), np.uint8), np.ones((2, 2), np.float32), "x")
    assert drawn.width == max(min(width, MOST_WIDE), LEAST_WIDTH)
    assert drawn.height > min(height, MOST_WIDE)


def command(capsys: Capsys, *arguments: object) -> tuple[int, str, str]:
    capsys.readouterr()
    code = run_command("predict", main, [str(each) for each in arguments])
    output = capsys.readouterr()
    return code, output.out, output.err


def test_the_command_draws_one_image_into_the_file_named(
    url: str, hands: list[Path], capsys: Capsys, tmp_path: Path
) -> None:
    out = tmp_path / "new" / "heat.png"
    code, told, _ = command(capsys, hands[0], "--part", "XR_HAND", "--store", url, "--gradcam", out)
    assert code == 0
    assert told.splitlines()[1].startswith(f"{out}: what speaks for abnormal")
    with Image.open(out) as drawn, Image.open(hands[0]) as image:
        assert drawn.height > image.height
        assert drawn.width == max(image.width, LEAST_WIDTH)
    assert [each.name for each in out.parent.iterdir()] == ["heat.png"]


def test_the_command_numbers_the_heat_maps_of_several_images_and_passes_over_the_unreadable(
    url: str, hands: list[Path], capsys: Capsys, tmp_path: Path
) -> None:
    (tmp_path / "text.png").write_text("no image")
    given = (hands[0], tmp_path / "text.png", hands[1], "--part", "all_parts", "--store", url)
    code, told, _ = command(capsys, *given, "--json", "--gradcam", tmp_path / "heat.png")
    assert code == 2
    assert len(json.loads(told)) == 3  # nothing else on stdout
    assert sorted(each.name for each in tmp_path.glob("heat*")) == ["heat-1.png", "heat-3.png"]


@pytest.mark.parametrize("by", ["--json", "--csv"])
def test_heat_maps_that_cannot_be_written_are_one_line_and_the_verdicts_stay_whole(
    url: str, hands: list[Path], capsys: Capsys, tmp_path: Path, by: str
) -> None:
    """The first ended the command, and left half a JSON document."""
    (tmp_path / "file").write_text("no folder")
    given = (*hands[:2], "--part", "XR_HAND", "--store", url, by)
    code, told, error = command(capsys, *given, "--gradcam", tmp_path / "file" / "heat.png")
    assert (code, told) == (2, command(capsys, *given)[1])
    first = tmp_path / "file" / "heat-1.png"
    assert error.startswith(f"predict: --gradcam: heat maps not drawn: 2, the first {first}: ")
    assert error.count("\n") == 1


def test_a_heat_map_is_of_what_was_judged_though_it_can_be_read_once(
    url: str, hands: list[Path], capsys: Capsys, tmp_path: Path
) -> None:
    """The file was read a second time, where a pipe is empty and another file may have changed."""
    reading, writing = os.pipe()
    with os.fdopen(writing, "wb") as pipe:
        pipe.write(hands[0].read_bytes())  # some 2 KB; a pipe holds 64
    try:
        for image, out in ((f"/dev/fd/{reading}", "piped.png"), (hands[0], "read.png")):
            given = (image, "--part", "XR_HAND", "--store", url, "--gradcam", tmp_path / out)
            code, _, error = command(capsys, *given)
            assert (code, error) == (0, "")
    finally:
        os.close(reading)
    assert (tmp_path / "piped.png").read_bytes() == (tmp_path / "read.png").read_bytes()


def test_a_heat_map_never_replaces_an_image_and_is_a_png(
    url: str, hands: list[Path], capsys: Capsys, tmp_path: Path
) -> None:
    image = tmp_path / "image.png"
    image.write_bytes(hands[0].read_bytes())
    (tmp_path / "folder.png").mkdir()
    for out, reason in ((image, "one of the images"), ("o.jpg", "PNG"), (tmp_path / "folder.png", "is a folder")):
        code, told, error = command(capsys, image, "--part", "XR_HAND", "--store", url, "--gradcam", out)
        assert (code, told) == (2, "")
        assert reason in error
        assert len(error.splitlines()) == 1
    assert image.read_bytes() == hands[0].read_bytes()
