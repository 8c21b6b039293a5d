"""A part that is found out: by models made to see it in an image's grey, in a real store, and by searched ones."""

import csv
import json
import shutil
from collections.abc import Iterator, Sequence
from dataclasses import replace
from io import StringIO
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import sqlalchemy as sa
from PIL import Image
from scipy.special import expit, softmax

import predict
from plumbing.command import run_command
from plumbing.errors import DataError, ModelError, UsageError
from predict.__main__ import main
from predict.chosen import choose
from predict.networks import ONNX
from predict.predictor import Predictor
from predict.routing import Router
from predict.verdicts import NOT_OF_THE_KIND, Unread, Verdict
from radiographs.parts import ALL_PARTS, class_names
from results import schema
from results.store import Store
from spaces.tensorflow_runtime import keras

Capsys = pytest.CaptureFixture[str]
SIZE = 8
OWN = ("XR_HAND", "XR_ELBOW")  # parts with a model of their own
# Calibrated logits of the classes that the model of all parts knows, from an image's mean grey g, 0..1: what is added
# to g times the first number. Dark is a hand, white a wrist, an elbow lies between.
KNOWN = {
    "XR_HAND normal": (-30, 10),
    "XR_HAND abnormal": (-30, 10),
    "XR_ELBOW normal": (0, 0),
    "XR_WRIST normal": (30, -20),
    "XR_WRIST abnormal": (30, -18),
}
HAND, ELBOW, WRIST = 0, 128, 255  # greys of which the model of all parts is sure
LIKE_ELBOW = 89  # a hand, though the likeliest class is an elbow's


@pytest.fixture(scope="module")
def routed(searched: Path, tmp_path_factory: pytest.TempPathFactory) -> str:
    """A copy of the store, with an elbow's model too; all models decide by the grey."""
    from search.run import main as search

    folder = tmp_path_factory.mktemp("routed")
    shutil.copy(searched / "results.db", folder)
    url = f"sqlite:///{folder / 'results.db'}"
    given = ("--part", "XR_ELBOW", "--trials", 1, "--data", searched / "data", "--architecture", "efficientnet_lite0")
    how = ("--image-size", 32, "--epochs", 1, "--views", 1, "--store", url, "--runs", folder / "runs")
    assert run_command("search.run", search, [str(each) for each in (*given, *how)]) == 0
    as_calibrated(url)
    logits = {
        ALL_PARTS: [KNOWN.get(name, (0, -40)) for name in class_names(ALL_PARTS)],
        "XR_HAND": [(-4, 1)],
        "XR_ELBOW": [(4, -3)],
    }
    for task, lines in logits.items():
        by_grey(lines, choose(url, task, None).temperature).save(folder / f"{task}.keras")
        put_in_place(url, task, folder / f"{task}.keras")
    return url


def as_calibrated(url: str) -> None:
    """Let the model of all parts have been right on valid as often as it said, so that its temperature is near 1."""
    store, own = Store.open(url), schema.probabilities.c
    for trial in store.trials():
        if trial.part_body == ALL_PARTS:
            search = next(each for each in store.searches() if each.id == trial.search_id)
            labels = store.image_list(str(search.data_hash), ALL_PARTS, "valid").labels
            is_right = np.arange(len(labels)) % 4 > 0
            own_class = np.where(is_right, is_right.mean(), 1 - is_right.mean())[:, None]
            given = (own_class * np.eye(14)[labels] + (1 - own_class) * np.eye(14)[(labels + 1) % 14]).astype("<f4")
            with store.engine.begin() as connection:
                of_trial = (own.trial_id == trial.id) & (own.split == "valid")
                connection.execute(sa.update(schema.probabilities).where(of_trial).values(values=given.tobytes()))
    store.close()
    assert choose(url, ALL_PARTS, None).temperature == pytest.approx(1, abs=0.1)


def by_grey(lines: Sequence[tuple[float, float]], temperature: float) -> Any:
    """A network whose calibrated logits are those lines of the mean grey."""
    layers, slopes = keras().layers, np.array(lines, np.float32).T * temperature
    grey = keras().Input((SIZE, SIZE, 1))
    flow = layers.GlobalAveragePooling2D()(layers.Conv2D(1, 1)(layers.Rescaling(1 / 255)(grey)))
    model = keras().Model(grey, layers.Dense(len(lines), "sigmoid" if len(lines) == 1 else "softmax")(flow))
    model.set_weights([np.ones((1, 1, 1, 1)), np.zeros(1), slopes[:1], slopes[1]])
    return model


def put_in_place(url: str, task: str, path: Path | None) -> None:
    store = Store.open(url)
    of_task = (schema.trials.c.part_body == task) & schema.trials.c.model_path.is_not(None)
    with store.engine.begin() as connection:
        connection.execute(sa.update(schema.trials).where(of_task).values(model_path=path and str(path)))
    store.close()


@pytest.fixture(scope="module")
def router(routed: str) -> Router:
    return predict.load(store=routed)


def image(folder: Path, grey: int) -> Path:
    path = folder / f"{grey}.png"
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(np.full((SIZE, SIZE), grey, np.uint8)).save(path)
    return path


def sums(grey: float) -> dict[str, float]:
    """P(part) of an image."""
    lines = np.array([KNOWN.get(name, (0, -40)) for name in class_names(ALL_PARTS)])
    probability = softmax(lines @ (grey / 255, 1))
    names = [name.split()[0] for name in class_names(ALL_PARTS)]
    return {part: float(sum(p for p, name in zip(probability, names, strict=True) if name == part)) for part in names}


def read(found: Sequence[Verdict | Unread]) -> list[Verdict]:
    return [each for each in found if isinstance(each, Verdict)]


@pytest.mark.parametrize(("grey", "part"), [(HAND, "XR_HAND"), (ELBOW, "XR_ELBOW"), (LIKE_ELBOW, "XR_HAND")])
def test_the_part_is_found_by_the_largest_sum_and_its_own_model_decides(
    routed: str, router: Router, tmp_path: Path, grey: int, part: str
) -> None:
    path = image(tmp_path, grey)
    verdict, own = router.image(path), predict.load(part, store=routed).image(path)
    assert verdict.found is not None
    assert verdict.found.label == part == max(sums(grey), key=sums(grey).__getitem__)
    assert verdict.found.probability == pytest.approx(sums(grey)[part], abs=1e-5)
    assert verdict.found.model == choose(routed, ALL_PARTS, None).name
    assert (verdict.part, verdict.label, verdict.model) == (part, own.label, own.model)
    assert (verdict.probability, verdict.raw_probability) == (own.probability, own.raw_probability)


def test_a_part_with_the_largest_sum_but_not_the_likeliest_class_is_found_and_called_uncertain(
    routed: str, router: Router, tmp_path: Path
) -> None:
    path = image(tmp_path, LIKE_ELBOW)
    verdict = router.image(path)
    assert predict.load(ALL_PARTS, store=routed).image(path).label == "XR_ELBOW normal"
    assert verdict.part == "XR_HAND"
    assert verdict.warnings == ("the part is uncertain; give the part where it is known",)
    assert router.image(image(tmp_path, HAND)).warnings == ()


def test_the_sums_shown_decide_also_where_a_temperature_turns_them_round(routed: str, tmp_path: Path) -> None:
    router = Router(routed, lambda model: Predictor(replace(model, temperature=0.2 * model.temperature)))
    found = router.image(image(tmp_path, LIKE_ELBOW)).found
    assert found is not None
    assert found.label == "XR_ELBOW"
    assert found.probability > 0.5 > found.raw_probability


def test_a_study_is_decided_by_one_parts_model_over_all_its_images(routed: str, router: Router, tmp_path: Path) -> None:
    paths = [image(tmp_path, grey) for grey in (HAND, 20, ELBOW)]
    verdict, hand = router.study(paths), predict.load("XR_HAND", store=routed)
    assert [router.image(path).part for path in paths] == ["XR_HAND", "XR_HAND", "XR_ELBOW"]  # alone
    assert verdict.found is not None
    assert (verdict.part, verdict.found.label, verdict.images) == ("XR_HAND", "XR_HAND", 3)
    assert verdict.raw_probability == pytest.approx(np.mean([hand.image(path).raw_probability for path in paths]))
    uncertain, other = verdict.warnings
    assert "uncertain" in uncertain
    assert other == f"{paths[2]} looks like XR_ELBOW by itself, P = {sums(ELBOW)['XR_ELBOW']:.3f}"


def test_doubts_of_an_image_are_not_those_of_its_study(router: Router, tmp_path: Path) -> None:
    verdicts = read(list(router.images([image(tmp_path, grey) for grey in (HAND, 5, 10, 15, 20, LIKE_ELBOW)])))
    assert verdicts[-1].warnings
    assert router.together("visit", verdicts).warnings == ()


def test_what_the_model_that_finds_parts_warns_of_is_told_as_its_word(router: Router, tmp_path: Path) -> None:
    first, second = read(list(router.images([image(tmp_path, HAND), image(tmp_path, 10)])))
    assert first.found is not None
    strange = replace(first, found=replace(first.found, is_strange=True, warnings=(NOT_OF_THE_KIND,)))
    assert router.together("visit", [strange, second]).warnings == (
        f"by the model that found the part: 1 of 2 images: {NOT_OF_THE_KIND}",
    )


def test_a_study_between_two_parts_may_be_of_a_third_and_its_images_must_be_there_still(
    router: Router, tmp_path: Path
) -> None:
    paths = [image(tmp_path, 90), image(tmp_path, 153)]
    verdicts = read(list(router.images(paths)))
    assert [each.part for each in verdicts] == ["XR_HAND", "XR_WRIST"]
    both = router.together("visit", verdicts)
    assert both.part == "XR_ELBOW"
    assert sum("by itself" in each for each in both.warnings) == 2
    for path in paths:
        path.unlink()
    with pytest.raises(DataError, match=r"no image of visit can be read again: .*No such file.*give its images again"):
        router.together("visit", verdicts)


def test_of_a_part_without_a_model_the_model_of_all_parts_decides_and_says_so(
    routed: str, router: Router, tmp_path: Path
) -> None:
    path = image(tmp_path, WRIST)
    for verdict in (router.image(path), router.study([path])):
        assert (verdict.part, verdict.label, verdict.threshold) == ("XR_WRIST", "abnormal", 0.5)
        assert verdict.model == choose(routed, ALL_PARTS, None).name
        assert verdict.probability == pytest.approx(expit(2), abs=1e-5)  # of abnormal, given the part
        (warning,) = verdict.warnings
        assert warning.startswith("decided by the model of all parts: the store holds no model of XR_WRIST; ")


def test_a_damaged_model_of_a_part_is_told_and_does_not_end_the_others(routed: str, tmp_path: Path) -> None:
    shutil.copy(routed.removeprefix("sqlite:///"), tmp_path / "results.db")
    (tmp_path / "cut.keras").write_bytes(b"PK")
    url = f"sqlite:///{tmp_path / 'results.db'}"
    put_in_place(url, "XR_HAND", tmp_path / "cut.keras")
    hand, elbow = predict.load(store=url).images([image(tmp_path, HAND), image(tmp_path, ELBOW)])
    assert isinstance(hand, Verdict)
    assert isinstance(elbow, Verdict)
    assert "cannot be loaded: it is no whole .keras file; search again" in hand.warnings[0]
    assert elbow.warnings == ()


def test_an_array_gets_the_verdict_of_its_file(router: Router, tmp_path: Path) -> None:
    for grey in (HAND, WRIST):
        of_file, of_array = router.image(image(tmp_path, grey)), router.image(np.full((SIZE, SIZE), grey, np.uint8))
        assert of_array.probability == pytest.approx(of_file.probability)
        assert (of_array.part, of_array.path, of_array.warnings) == (of_file.part, "", of_file.warnings)


def test_arrays_whose_part_is_not_the_studys_cannot_be_asked_again_and_are_warned_of(router: Router) -> None:
    greys = (HAND, 10, ELBOW)
    verdict = router.together("", [router.image(np.full((SIZE, SIZE), grey, np.uint8)) for grey in greys])
    assert (verdict.part, verdict.images) == ("XR_HAND", 2)
    assert "an image in memory: cannot be asked again as XR_HAND; give files" in verdict.warnings


def test_verdicts_that_no_router_gave_are_refused(routed: str, router: Router, tmp_path: Path) -> None:
    own = predict.load("XR_HAND", store=routed).image(image(tmp_path, HAND))
    with pytest.raises(ValueError, match="was given, not found"):
        router.together("visit", [own])


class Counting(Predictor):
    """Notes how many images it is asked for at once."""

    asked: list[int]

    def images(self, files: Sequence[Any]) -> Iterator[Verdict | Unread]:
        """As `Predictor` does."""
        self.asked = [*getattr(self, "asked", []), len(files)]
        return super().images(files)


def test_mixed_parts_are_decided_in_whole_batches_and_told_in_their_order(routed: str, tmp_path: Path) -> None:
    made: dict[str, Counting] = {}
    router = Router(routed, lambda model: made.setdefault(model.task, Counting(model, batch_size=4)))
    paths = [image(tmp_path / str(number), (HAND, ELBOW)[number % 2]) for number in range(16)]
    paths[5].write_text("no image")
    found = list(router.images(paths))
    assert [each.path for each in found] == list(map(str, paths))
    assert [each.part for each in read(found)] == [OWN[number % 2] for number in range(16) if number != 5]
    assert {task: made[task].asked for task in OWN} == {"XR_HAND": [4, 4], "XR_ELBOW": [4, 3]}


def test_rare_parts_wait_for_four_batches_at_most(routed: str, tmp_path: Path) -> None:
    router = Router(routed, lambda model: Predictor(model, batch_size=2))
    files = [Fading(image(tmp_path / str(n), HAND if n else ELBOW), times=2) for n in range(100)]
    found = router.images(files)
    first = next(found)
    assert isinstance(first, Verdict)
    assert first.part == "XR_ELBOW"
    assert files[-1].times == 2
    assert len([first, *found]) == 100


class Fading:
    """A file that can be read so many times."""

    def __init__(self, path: Path, times: int) -> None:
        self.path, self.times = path, times

    def read_bytes(self) -> bytes:
        """Its content."""
        if self.times == 0:
            raise FileNotFoundError(2, "No such file or directory")
        self.times -= 1
        return self.path.read_bytes()

    def __str__(self) -> str:
        return str(self.path)


def test_a_file_that_vanishes_after_its_part_was_found_says_so(router: Router, tmp_path: Path) -> None:
    vanished, other = router.images([Fading(image(tmp_path, HAND), times=1), image(tmp_path, ELBOW)])
    assert vanished == Unread(str(tmp_path / f"{HAND}.png"), "No such file or directory")
    assert isinstance(other, Verdict)


def test_of_searched_models_the_sums_are_of_the_model_of_all_parts_by_either_engine(
    url: str, hands: list[Path]
) -> None:
    whole = predict.load(ALL_PARTS, store=url)
    router, by_onnx = predict.load(store=url), Router(url, lambda model: Predictor(model, engine=ONNX))
    assert by_onnx.finder.engine == ONNX
    for verdict, other, path in zip(router.images(hands), by_onnx.images(hands), hands, strict=True):
        assert isinstance(verdict, Verdict)
        assert isinstance(other, Verdict)
        assert verdict.found is not None
        raw = np.log(whole.image(path).raw) / whole.model.temperature
        expected = softmax(raw).reshape(2, 7).sum(axis=0)
        assert verdict.found.probability == pytest.approx(expected.max(), abs=1e-4)
        assert (other.part, other.label) == (verdict.part, verdict.label)
        assert other.probability == pytest.approx(verdict.probability, abs=1e-3)


def test_a_model_or_threshold_without_its_part_is_refused(routed: str) -> None:
    for given in ({"model": "best"}, {"threshold": 0.4}):
        with pytest.raises(UsageError, match="give the part too"):
            predict.load(None, routed, **given)


@pytest.fixture
def partless(routed: str, tmp_path: Path) -> str:
    """A store without a model of all parts."""
    shutil.copy(routed.removeprefix("sqlite:///"), tmp_path / "partless.db")
    url = f"sqlite:///{tmp_path / 'partless.db'}"
    put_in_place(url, ALL_PARTS, None)
    return url


def test_without_a_model_of_all_parts_the_mend_is_named(partless: str) -> None:
    with pytest.raises(ModelError, match=r"the part cannot be found out: no model of all_parts .*give the part \("):
        predict.load(store=partless)


def command(capsys: Capsys, *arguments: object) -> tuple[int, str, str]:
    capsys.readouterr()
    code = run_command("predict", main, [str(each) for each in arguments])
    output = capsys.readouterr()
    return code, output.out, output.err


def test_the_commands_errors_are_one_line(routed: str, partless: str, capsys: Capsys, tmp_path: Path) -> None:
    path = image(tmp_path, HAND)
    for given, reason in (
        (("--store", partless), "give the part (--part)"),
        (("--store", routed, "--model", "best"), "--model is of one part's model; give its --part too"),
        (("--store", routed, "--threshold", "youden"), "--threshold is of one part's model; give its --part too"),
    ):
        code, out, err = command(capsys, path, *given)
        assert (code, out, err.count("\n")) == (2, "", 1)
        assert reason in err


def test_json_has_how_the_part_was_found_and_only_then(routed: str, capsys: Capsys, tmp_path: Path) -> None:
    path, names = image(tmp_path, HAND), {"path", "part", "label", "probability", "raw_probability", "model"}
    code, out, _ = command(capsys, path, "--store", routed, "--json")
    (entry,) = json.loads(out)
    assert code == 0
    assert set(entry) == {*names, "warnings", "found"}
    assert (entry["part"], entry["model"]) == ("XR_HAND", choose(routed, "XR_HAND", None).name)
    assert entry["found"] == {
        "part": "XR_HAND",
        "probability": pytest.approx(sums(HAND)["XR_HAND"], abs=1e-5),
        "model": choose(routed, ALL_PARTS, None).name,
    }
    _, out, _ = command(capsys, path, "--store", routed, "--json", "--part", "XR_HAND")
    assert set(json.loads(out)[0]) == {*names, "warnings"}


def test_csv_has_two_columns_more_and_only_then(routed: str, capsys: Capsys, tmp_path: Path) -> None:
    path = image(tmp_path, ELBOW)
    _, found_out, _ = command(capsys, path, tmp_path / "absent.png", "--store", routed, "--csv")
    _, given, _ = command(capsys, path, "--store", routed, "--csv", "--part", "XR_ELBOW")
    assert found_out.splitlines()[0] == given.splitlines()[0] + ",found_probability,found_by"
    row, absent = csv.DictReader(StringIO(found_out))
    assert float(row["found_probability"]) == pytest.approx(sums(ELBOW)["XR_ELBOW"], abs=1e-5)
    assert row["found_by"] == choose(routed, ALL_PARTS, None).name
    assert (absent["found_by"], absent["error"]) == ("", "No such file or directory")


def test_a_person_is_told_what_was_found_and_what_was_decided(routed: str, capsys: Capsys, tmp_path: Path) -> None:
    path, names = image(tmp_path, HAND), [choose(routed, task, None).name for task in (ALL_PARTS, "XR_HAND")]
    _, out, _ = command(capsys, path, "--store", routed)
    assert out == (
        f"{path}: found: XR_HAND, P = 1.000 ({names[0]})  abnormal  P(abnormal) = {expit(1):.3f}  ({names[1]})\n"
    )


def test_by_study_the_part_is_that_of_the_study(routed: str, capsys: Capsys, tmp_path: Path) -> None:
    for grey in (HAND, 10, ELBOW):
        image(tmp_path / "study1", grey)
    _, out, _ = command(capsys, tmp_path, "--store", routed, "--study", "--json")
    (study,) = json.loads(out)
    assert (study["path"], study["part"], study["found"]["part"]) == (str(tmp_path / "study1"), *["XR_HAND"] * 2)
    mean = np.mean([sums(grey)["XR_HAND"] for grey in (HAND, 10, ELBOW)])
    assert 0.5 < study["found"]["probability"] < 0.9
    assert mean == pytest.approx(2 / 3, abs=0.01)


def test_the_heat_map_is_of_the_model_that_decided(routed: str, capsys: Capsys, tmp_path: Path) -> None:
    paths = [image(tmp_path, grey) for grey in (ELBOW, WRIST)]
    code, out, _ = command(capsys, *paths, "--store", routed, "--gradcam", tmp_path / "heat.png")
    told = [line for line in out.splitlines() if line.startswith(str(tmp_path / "heat"))]
    assert code == 0
    assert [line.partition(": ")[2] for line in told] == [
        "what speaks for abnormal",
        "what speaks for XR_WRIST abnormal",
    ]
    assert sorted(each.name for each in tmp_path.glob("heat*")) == ["heat-1.png", "heat-2.png"]
