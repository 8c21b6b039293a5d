"""Record our own table, benchmarks/tables/frozen_heads.npz: 6,804 trainings of heads, some ten minutes on 2 cores.

Heads train side by side, one a core, each timed by its own thread's processor seconds, since wall time is everybody's.

    python -m benchmarks.record_heads
"""

import argparse
import json
import shlex
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from threadpoolctl import threadpool_limits

from benchmarks.common import RADIOGRAPHS, REPOSITORY, machine
from benchmarks.tables.frozen_heads import AXES, EPOCHS, FIXED, IMAGE_SIZE, PATH, SEEDS, TASKS, VIEWS, declared
from features.cache import FeatureCache
from features.forward import processors
from features.frozen import Backbones
from plumbing import VERSION
from plumbing.files import atomic_path
from plumbing.progress import console, progress_bar
from radiographs.dataset import Dataset, decode_images, list_images, sized_pixels
from radiographs.parts import class_names
from radiographs.pixels import PixelStore
from results.evaluation import plain_metrics, study_cases
from results.records import SPLITS, ImageList
from search.feature_plan import view_of_epoch
from search.training.fitting import Course, class_weights, finite_logits, fit
from search.training.heads import Head
from search.training.inputs import Source
from search.training.scoring import epoch_metrics, image_list, probabilities
from spaces import architecture_named
from spaces.declaration import Configuration

Features = NDArray[np.float32]


@dataclass(frozen=True)
class Task:
    """What the heads of a task train on.

    Attributes:
        lists: split -> its images, in the order of features.
        train: augmentation level and view -> features. valid, test: of the images as they are.
    """

    dataset: Dataset
    lists: Mapping[str, ImageList]
    train: Mapping[tuple[str, int], Features]
    valid: Features
    test: Features


@dataclass(frozen=True)
class Training:
    """One head's record: (epochs,) each, and the test split's AUC after the best epoch."""

    val_auc: list[float]
    val_loss: list[float]
    seconds: list[float]
    test_auc: float


def main() -> None:
    """Extract, train the whole grid, keep the file."""
    argparse.ArgumentParser(description=__doc__).parse_args()
    start = time.perf_counter()
    told: dict[str, Any] = {"command": shlex.join(["python", "-m", "benchmarks.record_heads", *sys.argv[1:]]), **code()}
    told |= {"machine": machine(), "declared": declared()}
    with tempfile.TemporaryDirectory() as folder:
        tasks = {name: prepared(name, Path(folder)) for name in TASKS}
        told["data"] = {name: data_of(task.dataset) for name, task in tasks.items()}
        with threadpool_limits(1, "blas"):
            arrays = [recorded(name, task) for name, task in tasks.items()]
    told["seconds"] = round(time.perf_counter() - start)
    together = {name: np.stack([of_task[name] for of_task in arrays]) for name in arrays[0]}
    with atomic_path(PATH) as temporary:
        np.savez_compressed(temporary, allow_pickle=False, told=np.array(json.dumps(told)), **together)
    print(json.dumps(told, indent=2))


def code() -> dict[str, str]:
    """The code's version and commit."""
    asked = ["git", "rev-parse", "HEAD"]
    commit = subprocess.run(asked, cwd=REPOSITORY, capture_output=True, text=True, check=True).stdout.strip()
    return {"code version": VERSION, "commit": commit}


def data_of(dataset: Dataset) -> dict[str, Any]:
    """Which radiographs a task is of."""
    return {"hash": dataset.data_hash, "images": dataset.counts, "classes absent": dataset.classes_absent}


def prepared(name: str, runs: Path) -> Task:
    """The task's features, extracted once into the cache below `runs`."""
    architecture, pixels = architecture_named(str(FIXED["architecture"])), PixelStore(runs / "pixels")
    dataset = decode_images(list_images(RADIOGRAPHS, name), pixels, {IMAGE_SIZE})
    backbones = Backbones(runs / "backbones", {architecture.name: "imagenet"})
    source = Source(
        dataset=dataset,
        pixels={IMAGE_SIZE: sized_pixels(dataset, pixels, IMAGE_SIZE)},
        image_size={architecture.name: IMAGE_SIZE},
        backbones=backbones,
        cache=FeatureCache(runs / "features"),
        kept={architecture.name: (str(FIXED["frozen"]),)},
    )
    inputs = source.inputs(architecture, FIXED)
    levels = next(axis.levels for axis in AXES if axis.parameter.name == "augmentation")
    views = {(str(level), view_of_epoch(str(level), epoch, VIEWS)) for level in levels for epoch in range(EPOCHS)}
    train = {view: inputs.get("train", *view) for view in sorted(views)}
    lists = {split: image_list(dataset, split) for split in SPLITS}
    task = Task(dataset, lists, train, inputs.get("valid"), inputs.get("test"))
    backbones.close()
    return task


def recorded(name: str, task: Task) -> dict[str, NDArray[np.float32]]:
    """All trainings of a task: what is recorded -> (configurations, seeds, epochs), `test_auc` without epochs."""
    names = [axis.parameter.name for axis in AXES]
    configurations = [
        {**FIXED, **dict(zip(names, levels, strict=True))} for levels in product(*(axis.levels for axis in AXES))
    ]
    train(task, configurations[0], 0)  # compiles: not timed
    jobs = list(product(configurations, SEEDS))
    ended = []
    with ThreadPoolExecutor(processors()) as pool, progress_bar(f"{name}: heads", len(jobs)) as advance:
        for training in pool.map(lambda job: train(task, *job), jobs):
            ended.append(training)
            advance(1)
    spent = sum(training.seconds[-1] for training in ended)
    console().print(f"{name}: {len(jobs)} heads trained, {spent:.0f} processor seconds", soft_wrap=True)
    shape = (len(configurations), len(SEEDS))
    return {
        "val_auc": np.array([each.val_auc for each in ended], np.float32).reshape(*shape, EPOCHS),
        "val_loss": np.array([each.val_loss for each in ended], np.float32).reshape(*shape, EPOCHS),
        "seconds": np.array([each.seconds for each in ended], np.float32).reshape(*shape, EPOCHS),
        "test_auc": np.array([each.test_auc for each in ended], np.float32).reshape(shape),
    }


def train(task: Task, configuration: Configuration, seed: int) -> Training:
    """Train a head as a search does, timed by this thread's processor seconds."""
    level, labels, seconds = str(configuration["augmentation"]), task.lists["train"].labels, []
    start = time.thread_time()
    weight = class_weights(str(configuration["class_weights"]), labels, len(class_names(task.dataset.task)))
    head = Head(task.valid.shape[1], configuration, labels, weight, seed)
    course = Course(
        inputs_of_epoch=lambda epoch: task.train[level, view_of_epoch(level, epoch, VIEWS)],
        valid=task.valid,
        score=partial(epoch_metrics, task.lists["valid"]),
        objective="val_auc",
        epochs=EPOCHS,
        patience=int(configuration["callbacks_patience"]),
        search_seed=seed,
        after_epoch=lambda epoch, metrics: seconds.append(time.thread_time() - start),
    )
    history = fit(head, course).history
    cases = study_cases(task.lists["test"], probabilities(finite_logits(head, task.test)))
    return Training(history["val_auc"], history["val_loss"], seconds, plain_metrics(cases, ("auc",))["auc"])


if __name__ == "__main__":
    main()
