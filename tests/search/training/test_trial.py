"""Whole trials on small drawn data."""

from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from sklearn.metrics import log_loss

from features.cache import FeatureCache
from radiographs.dataset import SizedPixels, decode_images, list_images, sized_pixels
from radiographs.pixels import PixelStore
from search.training.inputs import Backbones, Inputs
from search.training.scoring import image_list
from search.training.trial import Setting, Trained, run_trial, trial_inputs, view_of_epoch
from spaces.declaration import Value

SIZE = 32
SCRATCH: dict[str, Value] = {
    "architecture": "base_cnn",
    "frozen": "none",
    "lr": 3e-3,
    "conv_dropout": 0.0,
    "callbacks_patience": 99,
    "augmentation": "no",
    "optimizer": "adam",
    "weight_decay": 0.0,
    "label_smoothing": 0.0,
    "class_weights": "none",
    "batch_size": 16,
    "units": 32,
    "blocks": 2,
    "filters_1": 16,
    "filters_2": 16,
}
PARTLY_FROZEN: dict[str, Value] = {**SCRATCH, "architecture": "efficientnet_lite0", "frozen": "below_last_block"}


@pytest.fixture(scope="module")
def setting(small_data: Path, tmp_path_factory: pytest.TempPathFactory) -> Setting:
    store = PixelStore(tmp_path_factory.mktemp("pixels"))
    dataset = decode_images(list_images(small_data, "XR_WRIST"), store, {SIZE})
    names = ("base_cnn", "efficientnet_lite0")
    return Setting(
        dataset=dataset,
        pixels={SIZE: sized_pixels(dataset, store, SIZE)},
        image_size=dict.fromkeys(names, SIZE),
        backbones=Backbones(dict.fromkeys(names, "random")),
        cache=FeatureCache(None),
        objective="val_auc",
        epochs=6,
        views=2,
        search_seed=0,
    )


def trial(setting: Setting, configuration: Mapping[str, Value]) -> Trained:
    return run_trial(setting, configuration, lambda epoch, metrics: None)


def with_other_test_labels(setting: Setting) -> Setting:
    """The same images, but those of the test split bear the other label."""
    images = setting.dataset.images.copy()
    test = images["split"] == "test"
    images.loc[test, "label"] = 1 - images.loc[test, "label"]
    return replace(setting, dataset=replace(setting.dataset, images=images))


def with_other_test_pixels(setting: Setting) -> Setting:
    """The same images, but those of the test split are inverted."""
    known = setting.pixels[SIZE]
    rows = [known.row_of[digest] for digest in setting.dataset.split("test")["digest"]]
    pixels = np.array(known.pixels)
    pixels[rows] = 255 - pixels[rows]
    return replace(setting, pixels={SIZE: SizedPixels(SIZE, pixels, known.row_of)})


@pytest.mark.parametrize("patience", [1, 99])
@pytest.mark.parametrize("change", [with_other_test_labels, with_other_test_pixels])
def test_invariant_1_the_test_split_is_never_seen_by_an_early_stop_or_a_choice(
    setting: Setting, change: Callable[[Setting], Setting], patience: int
) -> None:
    configuration = {**SCRATCH, "callbacks_patience": patience}
    one, other = (trial(each, configuration).result for each in (setting, change(setting)))
    assert one.history == other.history
    assert (one.value, one.best_epoch) == (other.value, other.best_epoch)
    assert one.early_stop_at_epoch == other.early_stop_at_epoch
    np.testing.assert_array_equal(one.probabilities["valid"], other.probabilities["valid"])
    assert one.measures != other.measures  # the test split did change


@pytest.mark.parametrize("objective", ["val_auc", "val_accuracy"])
def test_value_and_stored_probabilities_are_the_best_epochs_on_valid(setting: Setting, objective: str) -> None:
    result = trial(replace(setting, objective=objective), SCRATCH).result
    valid = image_list(setting.dataset, "valid").labels
    found = log_loss(valid, result.probabilities["valid"][:, 0].astype(np.float64))
    assert result.value == max(result.history[objective])
    assert result.history["val_loss"][result.best_epoch] == pytest.approx(found, rel=1e-4)


def test_training_from_scratch_lowers_the_loss(setting: Setting) -> None:
    loss = trial(setting, SCRATCH).result.history["loss"]
    assert loss[-1] < 0.9 * loss[0]


def test_a_trial_again_after_another_is_the_same_and_another_seed_another(setting: Setting) -> None:
    configuration = {**SCRATCH, "conv_dropout": 0.5, "augmentation": "deep"}
    first = trial(setting, configuration).result
    trial(setting, {**configuration, "blocks": 3, "filters_3": 16})
    again = trial(setting, configuration).result
    other = trial(replace(setting, search_seed=1), configuration).result
    assert first.history == again.history != other.history


def test_the_views_of_an_image_take_turns() -> None:
    assert [view_of_epoch("light", epoch, 3) for epoch in range(7)] == [0, 1, 2, 0, 1, 2, 0]
    assert {view_of_epoch("no", epoch, 3) for epoch in range(7)} == {0}


def test_only_train_is_augmented_and_by_the_view_of_the_epoch(
    setting: Setting, monkeypatch: pytest.MonkeyPatch
) -> None:
    real, asked = Inputs.get, []

    def get(self: Inputs, split: str, level: str = "no", view: int = 0) -> Any:
        asked.append((split, level, view))
        return real(self, split, level, view)

    monkeypatch.setattr(Inputs, "get", get)
    trial(replace(setting, epochs=3), {**SCRATCH, "augmentation": "deep"})
    assert [each for each in asked if each[1] != "no"] == [("train", "deep", view) for view in (0, 1, 0)]
    assert {split for split, level, _ in asked if level == "no"} == {"train", "valid", "test"}


def arrays_of(model: Any) -> dict[str, np.ndarray]:
    """Every array of a whole model by its layer's and its own name, nested models flattened."""
    found = {}
    for layer in model.layers:
        inner = arrays_of(layer) if hasattr(layer, "layers") else None
        found.update(inner or {f"{layer.name}/{each.name}": each.numpy() for each in layer.variables})
    return found


def test_training_below_the_cut_changes_a_copy_and_never_the_backbone(setting: Setting) -> None:
    inputs = trial_inputs(setting, PARTLY_FROZEN)
    before, features = arrays_of(inputs.backbone.model), inputs.get("train")
    trained = arrays_of(trial(replace(setting, epochs=1), PARTLY_FROZEN).model())
    after = arrays_of(inputs.backbone.model)
    assert [name for name in before if not np.array_equal(before[name], after[name])] == []
    np.testing.assert_array_equal(inputs.get("train"), features)
    changed = {name for name in before if not np.array_equal(before[name], trained[name])}
    assert {name.split("_")[0] for name in changed} == {"block15", "head"}
    assert {name for name in before if name.startswith("block15_") and name.endswith("kernel")} <= changed


@pytest.mark.parametrize("configuration", [SCRATCH, PARTLY_FROZEN], ids=["none frozen", "partly frozen"])
def test_stored_valid_probabilities_are_those_that_the_saved_model_predicts(
    setting: Setting, configuration: dict[str, Value]
) -> None:
    trained = trial(replace(setting, epochs=2), configuration)
    digests = setting.dataset.split("valid")["digest"]
    grey = np.stack([setting.pixels[SIZE].of(digest) for digest in digests])[..., None].astype(np.float32)
    predicted = trained.model().predict(grey, verbose=0)
    np.testing.assert_allclose(predicted, trained.result.probabilities["valid"], rtol=0, atol=1e-5)
