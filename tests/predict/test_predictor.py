"""The Python API: images in memory, studies, folders, thresholds."""

import hashlib
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import predict
from plumbing.errors import DataError, UsageError
from predict.predictor import Predictor
from predict.verdicts import Unread, Verdict
from radiographs.augmentation import view_of
from radiographs.decoding import decode
from results.store import Store


@pytest.fixture(scope="module")
def hand(url: str) -> Predictor:
    return predict.load("XR_HAND", store=url)


def test_an_array_gets_the_verdict_of_its_file(hand: Predictor, hands: list[Path]) -> None:
    of_file = hand.image(hands[0])
    grey = np.asarray(Image.open(hands[0]).convert("L"))
    for array in (grey, grey.astype(np.uint16) * 257, np.repeat(grey[..., None], 3, axis=2)):
        found = hand.image(array)
        assert (found.label, found.path) == (of_file.label, "")
        assert found.raw_probability == pytest.approx(of_file.raw_probability, abs=1e-4)


@pytest.mark.parametrize(
    "array", [np.zeros(5), np.zeros((0, 3)), np.zeros((4, 4, 2), np.uint8), np.full((4, 4), np.nan)]
)
def test_an_array_that_is_no_image_is_told(hand: Predictor, array: np.ndarray) -> None:
    with pytest.raises(DataError, match=r"no image|not a number"):
        hand.image(array)


def test_an_array_of_floats_from_0_to_1_gets_the_verdict_of_its_8_bits(hand: Predictor, hands: list[Path]) -> None:
    grey = np.asarray(Image.open(hands[0]).convert("L"))
    found = hand.image((grey / 255).astype(np.float32))
    assert found.raw_probability == pytest.approx(hand.image(grey).raw_probability, abs=1e-6)


def test_a_path_with_a_nul_is_told(hand: Predictor) -> None:
    with pytest.raises(DataError, match="no path: embedded null byte"):
        hand.image("a\0b.png")


def test_a_study_is_judged_by_the_mean_of_its_images_and_warns_of_those_unread(
    hand: Predictor, hands: list[Path], tmp_path: Path
) -> None:
    (tmp_path / "cut.png").write_bytes(hands[0].read_bytes()[:60])
    found = hand.study([hands[0], tmp_path / "cut.png", hands[1]])
    alone = [hand.image(each).raw_probability for each in hands[:2]]
    assert found.raw_probability == pytest.approx(np.mean(alone))
    assert found.images == 2
    *_, warning = found.warnings  # before it perhaps that an image is not of the trained kind
    assert warning.startswith(f"{tmp_path / 'cut.png'}: ")


def test_a_study_without_a_readable_image_is_told(hand: Predictor, tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"no image of the study can be read: .*absent\.png"):
        hand.study([tmp_path / "absent.png"])
    with pytest.raises(DataError, match="none was given"):
        hand.study([])


def test_a_folder_gives_a_verdict_a_file_whatever_lies_between(
    hand: Predictor, hands: list[Path], tmp_path: Path
) -> None:
    (tmp_path / "deep").mkdir()
    (tmp_path / "deep" / "b.png").write_bytes(hands[0].read_bytes())
    (tmp_path / "a.PNG").write_bytes(hands[1].read_bytes())
    (tmp_path / "c.jpg").write_text("no image")
    (tmp_path / "._a.png").write_text("left by macOS")
    (tmp_path / "notes.txt").write_text("no image file")
    found = list(hand.folder(tmp_path))
    assert [Path(each.path).name for each in found] == ["a.PNG", "c.jpg", "b.png"]
    assert [type(each) for each in found] == [Verdict, Unread, Verdict]
    with pytest.raises(DataError, match="no such folder"):
        list(hand.folder(tmp_path / "absent"))
    (tmp_path / "empty").mkdir()
    with pytest.raises(DataError, match="no image file in it"):
        list(hand.folder(tmp_path / "empty"))


def test_the_batch_size_changes_nothing(hand: Predictor, hands: list[Path]) -> None:
    whole, one = list(hand.images(hands)), list(Predictor(hand.model, batch_size=1).images(hands))
    assert [each.raw_probability for each in one] == pytest.approx([each.raw_probability for each in whole], abs=1e-5)  # type: ignore[union-attr]


def test_views_are_averaged_the_same_each_time_and_the_first_is_the_image(
    hand: Predictor, hands: list[Path], url: str
) -> None:
    alone, three = hand.image(hands[0]), predict.load("XR_HAND", store=url, views=3)
    grey = decode(hands[0].read_bytes(), hand.size)
    digest = hashlib.blake2b(grey.tobytes(), digest_size=16).hexdigest()
    views = [hand.in_memory(view_of(grey, "light", digest, view)).raw_probability for view in (1, 2)]
    found = three.image(hands[0])
    assert found.raw_probability == pytest.approx(np.mean([alone.raw_probability, *views]), abs=1e-5)
    assert len({alone.raw_probability, *views}) == 3  # else this would prove nothing
    assert found.raw_probability == three.image(hands[0]).raw_probability
    assert found.is_strange == alone.is_strange


def test_no_file_gives_no_verdict(hand: Predictor) -> None:
    assert list(hand.images([])) == []


def test_thresholds_chosen_on_valid_are_of_studies_and_give_there_what_they_promise(url: str, store: Store) -> None:
    predictor = predict.load("XR_HAND", store=url)
    trial = next(each for each in store.trials() if each.model_name == predictor.model.name)
    search = next(each for each in store.searches() if each.id == trial.search_id)
    valid, stored = store.image_list(str(search.data_hash), "XR_HAND", "valid"), store.probabilities(trial.id, "valid")
    assert stored is not None
    sensitive = Predictor(predictor.model, predictor.model.thresholds["sensitivity 0.90"])
    found = []
    for study in np.unique(valid.study_numbers):
        own = valid.study_numbers == study
        verdict = sensitive._verdict("", stored[own].mean(axis=0, dtype=np.float64))
        found.append((int(valid.labels[own].max()), verdict.label))
    abnormal = [label for truth, label in found if truth == 1]
    assert abnormal.count("abnormal") >= 0.9 * len(abnormal)


def test_a_threshold_that_cannot_be_is_refused(url: str) -> None:
    with pytest.raises(UsageError, match="give one from 0 to 1"):
        predict.load("XR_HAND", store=url, threshold=1.5)
    with pytest.raises(UsageError, match="takes no threshold"):
        predict.load("all_parts", store=url, threshold=0.4)


def test_at_a_threshold_of_nothing_all_is_abnormal_and_of_one_normal(hand: Predictor, hands: list[Path]) -> None:
    assert Predictor(hand.model, 0.0).image(hands[0]).label == "abnormal"
    assert Predictor(hand.model, 1.0).image(hands[0]).label == "normal"
    assert Predictor(hand.model, 1.0).image(hands[0]).threshold == 1.0
