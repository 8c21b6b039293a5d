"""What a search means for the data and the machine at hand, before anything is trained or stored."""

import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from plumbing.errors import StoreError
from radiographs.dataset import Listed, list_images
from radiographs.splits import SPLITS
from radiographs.synthetic import draw_with_progress_bar
from results.connection import sqlite_path
from results.store import Store
from search.feature_plan import CutPlan, plan_features
from search.options import SYNTHETIC, Options
from spaces import architecture_named
from spaces.architecture import Architecture
from spaces.declaration import Space, Value, check_configuration
from spaces.narrowing import make_space, read_narrowing
from spaces.presets import preset
from spaces.weights import identity_of, weights_of


@dataclass(frozen=True)
class Plan:
    """The search as it will run.

    Attributes:
        image_size, weights: of each architecture.
        enqueued: configurations that go first.
    """

    options: Options
    listed: Listed
    architectures: tuple[Architecture, ...]
    space: Space
    image_size: Mapping[str, int]
    weights: Mapping[str, str]
    enqueued: Sequence[Mapping[str, Value]]

    def settings(self, data_hash: str) -> dict[str, Any]:
        """All that must stay the same for the search to be resumed, as plain JSON."""
        options = self.options
        settings = {
            "task": options.part,
            "data": data_hash,
            "engine": options.engine,
            "sampler": options.sampler,
            "pruner": options.pruner,
            "objective": options.objective,
            "seed": options.seed,
            "epochs": options.epochs,
            "views": options.views,
            "batch trials": options.batch_trials,
            "image size": dict(self.image_size),
            "weights": {name: identity_of(weights) for name, weights in self.weights.items()},
            "space": self.space.to_json(),
            "enqueued configurations": [dict(each) for each in self.enqueued],
        }
        plain: dict[str, Any] = json.loads(json.dumps(settings))
        return plain

    @property
    def counts(self) -> dict[str, int]:
        """Images of each split."""
        return {split: int((self.listed.images["split"] == split).sum()) for split in SPLITS}

    def cuts(self, budget: int) -> list[CutPlan]:
        """What the search may need of each cut that freezes something.

        Args:
            budget: bytes that the feature cache may take.
        """
        options = self.options
        return plan_features(
            self.space, self.architectures, self.image_size, self.counts, options.epochs, options.views, budget
        )


def make_plan(options: Options) -> Plan:
    """Check everything that can be checked without reading an image, writing a file or building a network.

    Raises: UserError naming what is wrong and the mend.
    """
    check_store(options.store)
    architectures = tuple(architecture_named(name) for name in options.architectures)
    image_size = {each.name: options.image_size or each.native_size for each in architectures}
    for each in architectures:
        each.check_size(image_size[each.name])
    weights = {each.name: weights_of(each, options.weights) for each in architectures}
    narrowing = read_narrowing(options.space) if options.space else {}
    widest = make_space(architectures, narrowing, cheap_cuts=False)  # errors of the file before slower work
    if options.enqueue:
        preset(options.enqueue, widest)
    listed = list_images(data_folder(options), options.part)
    space = make_space(architectures, narrowing, cheap_cuts=not _has_gpu())
    enqueued = preset(options.enqueue, space) if options.enqueue else []
    for configuration in enqueued:
        check_configuration(space, configuration)
    return Plan(options, listed, architectures, space, image_size, weights, enqueued)


def check_store(url: str) -> None:
    """Check a store that is there already, before slower work; one that is not is made later.

    Raises: StoreError where it is no store of ours, cannot be reached, or has no place that can be written.
    """
    if store_exists(url):
        Store.open(url, create=True).close()
        return
    folder = next(parent for parent in Path(str(sqlite_path(url))).resolve().parents if parent.exists())
    if not folder.is_dir() or not os.access(folder, os.W_OK):
        raise StoreError(f"--store {url}: {folder} cannot be written; give another place")


def store_exists(url: str) -> bool:
    """Whether there is a database already: any but SQLite's is taken to be there, an empty file is none."""
    path = sqlite_path(url)
    return path is None or (path.exists() and (path.is_dir() or path.stat().st_size > 0))


def data_folder(options: Options) -> Path:
    """The folder of radiographs; the synthetic set is drawn where it was asked for and is not there."""
    if options.data == SYNTHETIC:
        return draw_with_progress_bar(options.runs / SYNTHETIC)
    return Path(options.data)


def _has_gpu() -> bool:
    from spaces.tensorflow_runtime import has_gpu

    return has_gpu()
