"""Whole trials on small drawn data."""

from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from sklearn.metrics import log_loss

from radiographs.dataset import SizedPixels
from results.records import SPLITS
from search.feature_plan import view_of_epoch
from search.training.inputs import Inputs
from search.training.tails import Programs
from search.training.trial import Setting, Task, Trained, is_head, make_setting, run_trial
from spaces import ARCHITECTURES, architecture_named
from spaces.declaration import Value
from spaces.tensorflow_runtime import keras

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
TAIL: dict[str, Value] = {**SCRATCH, "architecture": "efficientnet_lite0", "frozen": "below_last_block", "units": 0}
HEAD: dict[str, Value] = {**TAIL, "frozen": "all", "units": 64}
KINDS = {"scratch": SCRATCH, "tail": TAIL, "head": HEAD}
every_kind = pytest.mark.parametrize("kind", KINDS)


@pytest.fixture(scope="module")
def setting(least_setting: Setting) -> Setting:
    return replace(least_setting, epochs=6)


def trial(setting: Setting, configuration: Mapping[str, Value]) -> Trained:
    return run_trial(setting, Task(configuration, setting.epochs), lambda epoch, metrics: None)


def with_source(setting: Setting, **changes: Any) -> Setting:
    """The setting made anew from a changed source."""
    source = replace(setting.source, **changes)
    return make_setting(source, setting.objective, setting.epochs, setting.views, setting.search_seed)


def with_other_test_labels(setting: Setting) -> Setting:
    """The same images, but those of the test split bear the other label."""
    images = setting.source.dataset.images.copy()
    test = images["split"] == "test"
    images.loc[test, "label"] = 1 - images.loc[test, "label"]
    return with_source(setting, dataset=replace(setting.source.dataset, images=images))


def with_other_test_pixels(setting: Setting) -> Setting:
    """The same images, but those of the test split are inverted."""
    known = setting.source.pixels[SIZE]
    rows = [known.row_of[digest] for digest in setting.source.dataset.split("test")["digest"]]
    pixels = np.array(known.pixels)
    pixels[rows] = 255 - pixels[rows]
    return with_source(setting, pixels={SIZE: SizedPixels(SIZE, pixels, known.row_of)})


@every_kind
@pytest.mark.parametrize("change", [with_other_test_labels, with_other_test_pixels])
def test_invariant_1_the_test_split_is_never_seen_by_an_early_stop_or_a_choice(
    setting: Setting, change: Callable[[Setting], Setting], kind: str
) -> None:
    configuration = {**KINDS[kind], "callbacks_patience": 1}
    one, other = (trial(each, configuration).result for each in (setting, change(setting)))
    assert one.history == other.history
    assert (one.value, one.best_epoch) == (other.value, other.best_epoch)
    assert one.early_stop_at_epoch == other.early_stop_at_epoch
    np.testing.assert_array_equal(one.probabilities["valid"], other.probabilities["valid"])
    assert one.measures != other.measures  # the test split did change
    same_pixels = change is with_other_test_labels
    assert np.array_equal(one.probabilities["test"], other.probabilities["test"]) == same_pixels


@every_kind
@pytest.mark.parametrize("objective", ["val_auc", "val_accuracy"])
def test_value_and_stored_probabilities_are_the_best_epochs_on_valid(
    setting: Setting, objective: str, kind: str
) -> None:
    result = trial(replace(setting, objective=objective), KINDS[kind]).result
    valid = setting.lists["valid"].labels
    found = log_loss(valid, result.probabilities["valid"][:, 0].astype(np.float64))
    assert result.value == max(result.history[objective])
    assert result.history["val_loss"][result.best_epoch] == pytest.approx(found, rel=1e-4)


@pytest.mark.parametrize("configuration", [SCRATCH, TAIL, {**HEAD, "lr": 3e-4}], ids=KINDS)
def test_training_lowers_the_loss(setting: Setting, configuration: dict[str, Value]) -> None:
    loss = trial(replace(setting, epochs=12), configuration).result.history["loss"]
    assert loss[-1] < 0.9 * loss[0]


@every_kind
def test_a_trial_again_after_another_is_the_same_and_another_seed_another(setting: Setting, kind: str) -> None:
    """After it served others, a program gives the bits of a fresh one."""
    configuration = {**KINDS[kind], "conv_dropout": 0.5, "augmentation": "deep"}
    used = replace(setting, epochs=3, programs=Programs())
    first = trial(replace(used, programs=Programs()), configuration).result
    trial(used, {**configuration, "lr": 1e-2, "conv_dropout": 0.1, "batch_size": 32})
    trial(used, {**configuration, "units": 128, "optimizer": "sgd", "weight_decay": 1e-2})
    again = trial(used, configuration).result
    other = trial(replace(used, search_seed=1), configuration).result
    assert first.history == again.history != other.history
    for split in ("valid", "test"):
        np.testing.assert_array_equal(first.probabilities[split], again.probabilities[split])


def test_base_cnns_of_other_shapes_between_change_nothing(setting: Setting) -> None:
    first = trial(setting, SCRATCH).result
    trial(setting, {**SCRATCH, "blocks": 3, "filters_3": 16})
    assert trial(setting, SCRATCH).result.history == first.history


def test_a_head_is_what_freezes_the_whole_backbone() -> None:
    for architecture in ARCHITECTURES:
        heads = [
            cut.name for cut in architecture.cuts if is_head({"architecture": architecture.name, "frozen": cut.name})
        ]
        assert heads == ["all"]


def test_the_views_of_an_image_take_turns() -> None:
    assert [view_of_epoch("light", epoch, 3) for epoch in range(7)] == [0, 1, 2, 0, 1, 2, 0]
    assert {view_of_epoch("no", epoch, 3) for epoch in range(7)} == {0}


@every_kind
def test_only_train_is_augmented_and_by_the_view_of_the_epoch(
    setting: Setting, monkeypatch: pytest.MonkeyPatch, kind: str
) -> None:
    real, asked = Inputs.get, []

    def get(self: Inputs, split: str, level: str = "no", view: int = 0) -> Any:
        asked.append((split, level, view))
        return real(self, split, level, view)

    monkeypatch.setattr(Inputs, "get", get)
    trial(replace(setting, epochs=3), {**KINDS[kind], "augmentation": "deep"})
    assert [each for each in asked if each[1] != "no"] == [("train", "deep", view) for view in (0, 1, 0)]
    assert {split for split, level, _ in asked if level == "no"} == set(SPLITS)


def arrays_of(model: Any) -> dict[str, np.ndarray]:
    """Every array of a whole model by its layer's and its own name, nested models flattened."""
    found = {}
    for layer in model.layers:
        inner = arrays_of(layer) if hasattr(layer, "layers") else None
        found.update(inner or {f"{layer.name}/{each.name}": each.numpy() for each in layer.variables})
    return found


def loaded(trained: Trained, folder: Path) -> Any:
    trained.save(folder / "model.keras")
    return keras().saving.load_model(folder / "model.keras", safe_mode=True)


@pytest.mark.parametrize("kind", ["tail", "head"])
def test_training_changes_what_lies_above_the_cut_in_a_copy_and_never_the_backbone(
    setting: Setting, tmp_path: Path, kind: str
) -> None:
    inputs = setting.source.inputs(architecture_named("efficientnet_lite0"), KINDS[kind])
    before, features = arrays_of(inputs.network()), inputs.get("train")
    trained = arrays_of(loaded(trial(replace(setting, epochs=1), KINDS[kind]), tmp_path))
    after = arrays_of(inputs.network())
    assert [name for name in before if not np.array_equal(before[name], after[name])] == []
    np.testing.assert_array_equal(inputs.get("train"), features)
    changed = {name for name in before if not np.array_equal(before[name], trained[name])}
    assert {name.split("_")[0] for name in changed} == ({"block15", "head"} if kind == "tail" else set())
    if kind == "tail":
        assert {name for name in before if name.startswith("block15_") and name.endswith("kernel")} <= changed


@every_kind
def test_stored_probabilities_are_those_that_the_saved_model_predicts(
    setting: Setting, kind: str, tmp_path: Path
) -> None:
    trained = trial(replace(setting, epochs=2), KINDS[kind])
    model = loaded(trained, tmp_path)
    for split in ("valid", "test"):
        digests = setting.source.digests[split]
        grey = np.stack([setting.source.pixels[SIZE].of(digest) for digest in digests])[..., None].astype(np.float32)
        predicted = model(grey, training=False).numpy()
        np.testing.assert_allclose(predicted, trained.result.probabilities[split], rtol=0, atol=1e-4)
