"""A model's card: what is fitted on valid, and its place in the file."""

import json
import zipfile
from pathlib import Path

import numpy as np
import pytest
from scipy.special import expit, logit
from sklearn.metrics import roc_curve

from plumbing.errors import ModelError
from results.card import add_card, model_card, read_card
from results.records import ImageList

CARD = {"task": "XR_HAND", "search": "s", "data_hash": "0", "temperature": 1.5, "thresholds": {}}
ABNORMAL = np.array([0, 1] * 40)


def valid_list(labels: np.ndarray) -> ImageList:
    """Two images a study, a study a patient."""
    studies = tuple(f"study{number // 2 // 2 * 2 + number % 2}" for number in range(len(labels)))
    return ImageList(tuple(map(str, range(len(labels)))), studies, studies, labels)


def overconfident(labels: np.ndarray) -> np.ndarray:
    noise = np.random.default_rng(3).normal(size=len(labels))
    return np.asarray(expit(6 * (noise + labels - 0.5)), np.float32)[:, None]


def test_temperature_cools_what_is_overconfident_and_thresholds_are_of_the_studies_calibrated_mean() -> None:
    images, probability = valid_list(ABNORMAL), overconfident(ABNORMAL)
    card = model_card({"model": "m"}, images, probability)
    assert card["model"] == "m"
    assert card["temperature"] > 1.5
    means = np.array([probability[images.study_numbers == each, 0].mean() for each in np.unique(images.study_numbers)])
    truth = np.array([ABNORMAL[images.study_numbers == each].max() for each in np.unique(images.study_numbers)])
    calibrated = expit(logit(means.astype(float)) / card["temperature"])
    false_alarms, found, _ = roc_curve(truth, calibrated)
    called = calibrated >= card["thresholds"]["Youden"]
    index = called[truth == 1].mean() - called[truth == 0].mean()
    assert index == pytest.approx((found - false_alarms).max())
    assert (calibrated >= card["thresholds"]["sensitivity 0.90"])[truth == 1].mean() >= 0.9


def test_fourteen_classes_have_thresholds_of_abnormal() -> None:
    labels = np.arange(56) % 14
    scores = np.random.default_rng(0).normal(size=(56, 14)) + 3 * np.eye(14)[labels]
    probability = np.exp(scores) / np.exp(scores).sum(axis=1, keepdims=True)
    names = tuple(map(str, range(56)))
    card = model_card({}, ImageList(names, names, names, labels), probability.astype(np.float32))
    assert set(card["thresholds"]) == {"Youden", "sensitivity 0.90"}
    assert all(0 < threshold < 1 for threshold in card["thresholds"].values())


def test_one_class_alone_gives_no_threshold() -> None:
    labels = np.ones(8, np.int64)
    assert model_card({}, valid_list(labels), overconfident(labels))["thresholds"] == {}


def test_the_card_lies_beside_what_the_file_had_and_is_the_same_each_time(tmp_path: Path) -> None:
    files = [tmp_path / "a.keras", tmp_path / "b.keras"]
    for path in files:
        with zipfile.ZipFile(path, "w") as file:
            file.writestr(zipfile.ZipInfo("config.json"), "{}")
        add_card(path, {"temperature": 1.5, "classes": ("normal", "abnormal")})
    with zipfile.ZipFile(files[0]) as file:
        assert file.namelist() == ["config.json", "card.json"]
        assert json.loads(file.read("card.json")) == {"temperature": 1.5, "classes": ["normal", "abnormal"]}
    assert files[0].read_bytes() == files[1].read_bytes()


def test_the_card_is_read_from_the_file_and_its_absence_told(tmp_path: Path) -> None:
    path = tmp_path / "model.keras"
    with zipfile.ZipFile(path, "w") as file:
        file.writestr("config.json", "{}")
    with pytest.raises(ModelError, match=r"has no card\.json"):
        read_card(path)
    add_card(path, CARD)
    assert read_card(path) == CARD
    path.write_bytes(path.read_bytes()[:40])
    with pytest.raises(ModelError, match="cannot be read"):
        read_card(path)


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"temperature": 0}, "temperature in card.json is 0"),
        ({"temperature": -2.0}, "temperature in card.json is -2.0"),
        ({"temperature": "hot"}, "temperature in card.json is 'hot'"),
        ({"search": [1]}, r"search in card.json is \[1\]"),
        ({"data_hash": None}, "data_hash in card.json is None"),
    ],
)
def test_a_card_that_no_prediction_can_rest_on_is_refused(change: dict[str, object], told: str, tmp_path: Path) -> None:
    add_card(tmp_path / "m.keras", {**CARD, **change})
    with pytest.raises(ModelError, match=told):
        read_card(tmp_path / "m.keras")


@pytest.mark.parametrize("content", ["[]", '{"temperature": NaN}', "{", "[" * 100_000])
def test_a_card_that_is_no_card_is_one_line(content: str, tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "m.keras", "w") as file:
        file.writestr("card.json", content)
    with pytest.raises(ModelError, match="cannot be read"):
        read_card(tmp_path / "m.keras")


def test_a_card_that_would_fill_the_memory_is_not_unpacked(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "m.keras", "w", zipfile.ZIP_DEFLATED) as file:
        file.writestr("card.json", " " * (17 << 20))
    with pytest.raises(ModelError, match="would become 17,825,792"):
        read_card(tmp_path / "m.keras")
