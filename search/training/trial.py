"""One trial: a configuration trained and measured. Nothing in it depends on what ran before or beside."""

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from features.cache import FeatureCache
from plumbing.seeds import seed_of
from radiographs.dataset import Dataset, SizedPixels
from radiographs.parts import class_names
from results.evaluation import image_cases, measures, plain_metrics
from results.records import FINISHED, SPLITS, ImageList, TrialResult
from search.training.fitting import Course, Predictor, fit
from search.training.inputs import Backbones, Inputs
from search.training.scoring import epoch_metrics, image_list, probabilities
from spaces import architecture_named
from spaces.declaration import Configuration
from spaces.network import make_tail, whole_model

AfterEpoch = Callable[[int, Mapping[str, float]], None]


@dataclass(frozen=True)
class Setting:
    """What all trials of a search share.

    Attributes:
        pixels: image size -> pixels.
        image_size: of each architecture.
        views: augmented views of an image; epoch e trains on view e mod views.
    """

    dataset: Dataset
    pixels: Mapping[int, SizedPixels]
    image_size: Mapping[str, int]
    backbones: Backbones
    cache: FeatureCache
    objective: str
    epochs: int
    views: int
    search_seed: int

    @property
    def classes(self) -> int:
        return len(class_names(self.dataset.task))


@dataclass(frozen=True)
class Trained:
    """A trial's result without the place of its model, and what makes that model."""

    result: TrialResult
    model: Callable[[], Any]


def view_of_epoch(level: str, epoch: int, views: int) -> int:
    """The view that an epoch trains on."""
    return 0 if level == "no" else epoch % views


def run_trial(setting: Setting, configuration: Configuration, after_epoch: AfterEpoch) -> Trained:
    """Train and measure a configuration.

    Raises: TrialFailed, MemoryError or TensorFlow's ResourceExhaustedError where the trial itself cannot end well.
    """
    start = time.monotonic()
    inputs = trial_inputs(setting, configuration)
    seed = seed_of("head", setting.search_seed)
    tail = make_tail(inputs.backbone.model, inputs.cut, configuration, setting.classes, seed)
    predictor = Predictor(tail)
    lists = {split: image_list(setting.dataset, split) for split in SPLITS}
    valid = inputs.get("valid")
    level = str(configuration["augmentation"])
    course = Course(
        inputs_of_epoch=lambda epoch: inputs.get("train", level, view_of_epoch(level, epoch, setting.views)),
        labels=lists["train"].labels,
        classes=setting.classes,
        score=lambda: epoch_metrics(lists["valid"], predictor.logits(valid)),
        objective=setting.objective,
        epochs=setting.epochs,
        search_seed=setting.search_seed,
        after_epoch=after_epoch,
    )
    fitted = fit(tail, configuration, course)
    found = {split: probabilities(predictor.logits(inputs.get(split))) for split in SPLITS}
    result = TrialResult(
        state=FINISHED,
        value=fitted.history[setting.objective][fitted.best_epoch],
        history=fitted.history,
        best_epoch=fitted.best_epoch,
        early_stop_at_epoch=fitted.early_stop_at_epoch,
        seconds=time.monotonic() - start,
        accuracies={split: _accuracy(lists[split], found[split]) for split in SPLITS},
        measures=tuple(each for split in ("valid", "test") for each in measures(split, lists[split], found[split])),
        probabilities={split: found[split] for split in ("valid", "test")},
        model_path=None,
    )
    return Trained(result, lambda: whole_model(inputs.backbone.model, inputs.cut, tail, setting.classes))


def trial_inputs(setting: Setting, configuration: Configuration) -> Inputs:
    """What the configuration trains on."""
    architecture = architecture_named(str(configuration["architecture"]))
    size = setting.image_size[architecture.name]
    cut = architecture.cut(str(configuration["frozen"]))
    backbone = setting.backbones.get(architecture, size, configuration)
    extractor = None if cut.after is None else setting.backbones.extractor(backbone, cut)
    return Inputs(setting.dataset, setting.pixels[size], backbone, cut, setting.cache, extractor)


def _accuracy(images: ImageList, probability: np.ndarray) -> float:
    """Per cent of images called right."""
    return 100 * plain_metrics(image_cases(images, probability))["accuracy"]
