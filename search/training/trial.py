"""One trial: a configuration trained and measured. Nothing in it depends on what ran before or runs beside."""

import json
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from radiographs.parts import class_names
from results.evaluation import image_cases, measures, plain_metrics
from results.records import FINISHED, PRUNED, SPLITS, ImageList, TrialResult
from results.trained_kind import TrainedKind, fit_trained_kind, kept_rows
from search.feature_plan import view_of_epoch
from search.own_model import OwnModel
from search.training.fitting import Checkpoint, Course, Fit, class_weights, finite_logits, fit
from search.training.heads import Head
from search.training.inputs import Inputs, Source
from search.training.own_learner import OwnLearner
from search.training.scoring import epoch_metrics, image_list, probabilities
from search.training.tails import Programs, Tail
from spaces import architecture_named
from spaces.declaration import Configuration
from spaces.saved_model import assemble, save_with_tail

AfterEpoch = Callable[[int, Mapping[str, float]], None]
Prune = Callable[[Sequence[float]], bool]


def never(values: Sequence[float]) -> bool:
    """No trial is stopped for doing worse than others."""
    return False


@dataclass(frozen=True)
class Task:
    """What one trial is to train.

    Attributes:
        epochs: in all, those of `begin` included. begin: where it goes on from. resumable: whether another may go on
            from its end.
        first_epoch: epochs of `begin` that another trial trained. keep: takes what it has come to, now and then.
    """

    configuration: Configuration
    epochs: int
    begin: Checkpoint | None = None
    resumable: bool = False
    first_epoch: int = 0
    keep: Callable[[Checkpoint], None] | None = None


@dataclass(frozen=True)
class Setting:
    """What all trials of a search share.

    Attributes:
        lists: split -> its images, in the order of the inputs.
        views: augmented views of an image; epoch e trains on view e mod views.
        own_model: a user's, which is trained in place of an architecture.
    """

    source: Source
    lists: Mapping[str, ImageList]
    objective: str
    epochs: int
    views: int
    search_seed: int
    own_model: OwnModel | None = None
    programs: Programs = field(default_factory=Programs)

    @property
    def classes(self) -> int:
        return len(class_names(self.source.dataset.task))


def make_setting(
    source: Source, objective: str, epochs: int, views: int, search_seed: int, own_model: OwnModel | None = None
) -> Setting:
    """The setting of a search on these inputs."""
    lists = {split: image_list(source.dataset, split) for split in SPLITS}
    return Setting(source, lists, objective, epochs, views, search_seed, own_model)


@dataclass(frozen=True)
class Trained:
    """A trial's result without the place of its model, what writes that model as a `.keras` file, its checkpoint.

    Attributes:
        kind: finds what is kept of the images trained on; None of a user's own model, whose layers are not known.
    """

    result: TrialResult
    save: Callable[[Path], None]
    checkpoint: Checkpoint | None = None
    kind: Callable[[], TrainedKind] | None = None


def is_head(configuration: Configuration) -> bool:
    """Whether nothing but a head is trained; heads can be trained side by side."""
    architecture = architecture_named(str(configuration["architecture"]))
    return configuration["frozen"] == architecture.cuts[-1].name


def inputs_of(setting: Setting, configuration: Configuration) -> Inputs:
    """What a configuration trains on."""
    if setting.own_model is not None:
        whole = {**configuration, "frozen": "none"}
        return setting.source.inputs(setting.own_model.architecture, whole)
    return setting.source.inputs(architecture_named(str(configuration["architecture"])), configuration)


def run_trial(setting: Setting, task: Task, after_epoch: AfterEpoch, prune: Prune = never) -> Trained:
    """Train and measure a configuration; one that is pruned is not measured.

    Raises: TrialFailed, MemoryError or TensorFlow's ResourceExhaustedError where the trial itself cannot end well.
    """
    start = time.monotonic()
    configuration = task.configuration
    inputs = inputs_of(setting, configuration)
    level = "no" if setting.own_model else str(configuration["augmentation"])
    inputs.extract(level)
    valid = inputs.get("valid")
    learner: Head | Tail | OwnLearner
    learner, save = _own_learner(setting, task, valid) if setting.own_model else _learner(setting, inputs)
    course = Course(
        inputs_of_epoch=lambda epoch: inputs.get("train", level, view_of_epoch(level, epoch, setting.views)),
        valid=valid,
        score=partial(epoch_metrics, setting.lists["valid"]),
        objective=setting.objective,
        epochs=task.epochs,
        patience=task.epochs if setting.own_model else int(configuration["callbacks_patience"]),
        search_seed=setting.search_seed,
        after_epoch=after_epoch,
        prune=prune,
        begin=task.begin,
        resumable=task.resumable,
        keep=task.keep,
    )
    fitted = fit(learner, course)
    splits = () if fitted.pruned else SPLITS
    found = {split: probabilities(finite_logits(learner, inputs.get(split))) for split in splits}
    result = _result(setting, fitted, found, start)
    result = replace(result, first_epoch=task.first_epoch)
    if isinstance(learner, OwnLearner):
        result = replace(result, **_found_out(learner, task))
    kind = None if isinstance(learner, OwnLearner) else partial(_trained_kind, inputs, level, valid, learner)
    return Trained(result, save, fitted.checkpoint, kind)


def _trained_kind(inputs: Inputs, level: str, valid: np.ndarray, learner: Head | Tail) -> TrainedKind:
    """Of train's first view, which is at hand, and valid."""
    train = inputs.get("train", level)
    return fit_trained_kind(learner.pooled(train[kept_rows(len(train))]), learner.pooled(valid))


def _result(setting: Setting, fitted: Fit, found: Mapping[str, np.ndarray], start: float) -> TrialResult:
    """What the store gets.

    Args:
        found: split -> probabilities. start: by the monotonic clock.
    """
    measured = [split for split in ("valid", "test") if split in found]
    return TrialResult(
        state=PRUNED if fitted.pruned else FINISHED,
        value=fitted.history[setting.objective][fitted.best_epoch],
        history=fitted.history,
        best_epoch=fitted.best_epoch,
        early_stop_at_epoch=fitted.early_stop_at_epoch,
        accuracies={split: _accuracy(setting.lists[split], found[split]) for split in found},
        measures=tuple(each for split in measured for each in measures(split, setting.lists[split], found[split])),
        probabilities={split: found[split] for split in measured},
        model_path=None,
        seconds=time.monotonic() - start,
    )


def _learner(setting: Setting, inputs: Inputs) -> tuple[Head | Tail, Callable[[Path], None]]:
    """What the configuration trains, and what saves it as a whole model."""
    configuration, labels = inputs.configuration, setting.lists["train"].labels
    weight = class_weights(str(configuration["class_weights"]), labels, setting.classes)
    if is_head(configuration):
        width = inputs.frozen().shapes[inputs.cut.name][0]
        head = Head(width, configuration, labels, weight, setting.search_seed)
        return head, lambda path: assemble(inputs.folder(), setting.classes, head.dropout, head.get_weights(), path)
    network = inputs.network()
    program = setting.programs.get(network, inputs.cut, configuration, setting.classes)
    tail = Tail(program, configuration, labels, weight, setting.search_seed)
    return tail, lambda path: save_with_tail(
        network, inputs.cut, configuration, setting.classes, tail.get_weights(), path
    )


def _own_learner(setting: Setting, task: Task, valid: np.ndarray) -> tuple[OwnLearner, Callable[[Path], None]]:
    """A user's own model of the configuration, and what saves it."""
    own, labels = setting.own_model, setting.lists
    assert own is not None
    values = {name: value for name, value in task.configuration.items() if name != "architecture"}
    learner = OwnLearner(
        own,
        own.hyperparameters(values, own.space),
        labels["train"].labels,
        (valid, labels["valid"].labels),
        setting.classes,
        setting.search_seed,
    )
    return learner, learner.save


def _found_out(learner: OwnLearner, task: Task) -> dict[str, Any]:
    """What training a user's own model brought up: parameters beyond its space, and the configuration with them."""
    config = learner.hyperparameters.get_config()
    known = {json.dumps(each, sort_keys=True) for each in learner.own.space}
    found = [each for each in json.loads(json.dumps(config["space"])) if json.dumps(each, sort_keys=True) not in known]
    configuration = {**task.configuration, **config["values"]}
    return {"found_parameters": found or None, "configuration": configuration if found else None}


def _accuracy(images: ImageList, probability: np.ndarray) -> float:
    """Per cent of images called right."""
    return 100 * plain_metrics(image_cases(images, probability), ("accuracy",))["accuracy"]
