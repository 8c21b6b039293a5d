"""What a search means for the data and the machine at hand, before anything is trained or stored."""

import json
import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from plumbing.errors import StoreError
from radiographs.dataset import Listed, list_images
from radiographs.parts import class_names
from radiographs.splits import SPLITS
from radiographs.synthetic import draw_with_progress_bar
from results.connection import sqlite_path
from results.records import CONFIRM, ENSEMBLE, IMPORT, SEARCH, Search
from results.store import Store
from search.constraints import Constraints
from search.enqueue import BEST_OF, enqueued
from search.feature_plan import CutPlan, matrix_speed, plan_features
from search.options import SYNTHETIC, Options
from search.own_model import OwnModel, own_model
from spaces import architecture_named
from spaces.architecture import Architecture
from spaces.declaration import Space, Value
from spaces.narrowing import make_space, read_narrowing
from spaces.presets import PRESETS, preset
from spaces.weights import RANDOM, identity_of, weights_of

SPEED = "gigaflops"  # the name, among a search's details, of the machine's speed when it began


@dataclass(frozen=True)
class Plan:
    """The search as it will run.

    Attributes:
        image_size, weights: of each architecture.
        enqueued: configurations that go first.
        constraints: what models may cost. known: the search as it was begun before.
        own_model: a user's, searched in place of an architecture.
    """

    options: Options
    listed: Listed
    architectures: tuple[Architecture, ...]
    space: Space
    image_size: Mapping[str, int]
    weights: Mapping[str, str]
    enqueued: Sequence[Mapping[str, Value]]
    constraints: Constraints
    known: Search | None
    own_model: OwnModel | None = None

    @property
    def asynchronous(self) -> bool:
        """Whether trials are proposed one by one, by whichever worker is free; decided when the search begins."""
        if self.known is not None:
            return self.known.settings["batch trials"] is None
        return self.options.workers > self.options.batch_trials

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
            "batch trials": None if self.asynchronous else options.batch_trials,
            "image size": dict(self.image_size),
            "weights": {name: identity_of(weights) for name, weights in self.weights.items()},
            "space": self.space.to_json(),
            "enqueue": options.enqueue,
            "enqueued configurations": [dict(each) for each in self.enqueued],
            "most parameters": options.max_parameters,
            "most seconds an image": options.max_seconds_per_image,
            "own model": self.own_model and [self.own_model.name, self.own_model.digest],
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

    A user's own model is built once, since nothing else tells what it is.

    Raises: UserError naming what is wrong and the mend.
    """
    check_store(options.store)
    known = known_search(options)
    if options.hypermodel is not None:
        return _plan_of_own_model(options, own_model(options.hypermodel), known)
    candidates = tuple(architecture_named(name) for name in options.architectures)
    image_size = {each.name: options.image_size or each.native_size for each in candidates}
    for each in candidates:
        each.check_size(image_size[each.name])
    constraints = constraints_of(options, image_size, known)
    narrowing = read_narrowing(options.space) if options.space else {}
    widest = make_space(candidates, narrowing, cheap_cuts=False)  # errors of the file before slower work
    architectures = constraints.architectures(candidates, widest)
    weights = {each.name: weights_of(each, options.weights) for each in architectures}
    if options.enqueue in PRESETS:
        preset(options.enqueue, widest)
    listed = list_images(data_folder(options), options.part)
    kept = {name: lines for name, lines in narrowing.items() if name == "all" or name in weights}
    space = make_space(architectures, kept, cheap_cuts=not _has_gpu())
    enqueued = _enqueued(options, space, constraints, known)
    image_size = {name: image_size[name] for name in weights}
    return Plan(options, listed, architectures, space, image_size, weights, enqueued, constraints, known)


def _plan_of_own_model(options: Options, own: OwnModel, known: Search | None) -> Plan:
    listed = list_images(data_folder(options), options.part)
    image_size = options.image_size or own.architecture.native_size
    own.check(image_size, len(class_names(options.part)))
    size = {own.name: image_size}
    constraints = constraints_of(options, size, known)
    return Plan(options, listed, (), Space({own.name: ()}), size, {own.name: RANDOM}, [], constraints, known, own)


def known_search(options: Options) -> Search | None:
    """The search of that name where it was begun before.

    Raises: StoreError where the name, or with `--confirm` that of its confirmations, is taken by something else.
    """
    if not store_exists(options.store):
        return None
    with opened(options.store) as store:
        known = store.search(options.name)
        if known is not None and known.kind != SEARCH:
            raise StoreError(
                f"--name {options.name}: the store has {_kind(known)} under that name; give another --name"
            )
        if options.confirm:
            known_confirmations(store, options.name)
        return known


def known_confirmations(store: Store, name: str) -> Search | None:
    """The search that holds the confirmations of the search of that name, where they were begun before.

    Raises: StoreError where its name is taken by something else.
    """
    known = store.search(confirmations_of(name))
    if known is not None and (known.kind != CONFIRM or known.settings.get("confirms") != name):
        raise StoreError(
            f"--confirm needs the name {known.name}, but the store has {_kind(known)} under that name; "
            f"give another --name than {name}"
        )
    return known


def confirmations_of(name: str) -> str:
    """The name of the search that holds the confirmations of the search of that name."""
    return f"{name}-{CONFIRM}"


def _kind(search: Search) -> str:
    return {
        SEARCH: "a search",
        IMPORT: "an import",
        ENSEMBLE: "an ensemble",
        CONFIRM: f"the confirmations of {search.settings.get('confirms')}",
    }[search.kind]


@contextmanager
def opened(url: str, has_worked: bool = False) -> Iterator[Store]:
    """The store, made where it is not there, closed at the end; `has_worked`: a server that is away is waited for."""
    store = Store.open(url, create=True, has_worked=has_worked)
    try:
        yield store
    finally:
        store.close()


def constraints_of(options: Options, image_size: Mapping[str, int], known: Search | None) -> Constraints:
    """The limits; this machine's speed is that of the search's beginning, since the space hangs on it."""
    speed = 0.0
    if options.max_seconds_per_image is not None:
        kept = known.details.get(SPEED) if known else None
        speed = float(kept) if kept else matrix_speed()
    classes = len(class_names(options.part))
    return Constraints(options.max_parameters, options.max_seconds_per_image, image_size, classes, speed)


def _enqueued(options: Options, space: Space, constraints: Constraints, known: Search | None) -> list[dict[str, Value]]:
    """What goes first; of another part's best, those that were when the search began."""
    if options.enqueue is None:
        return []
    if known is not None and options.enqueue.startswith(BEST_OF) and known.settings.get("enqueue") == options.enqueue:
        return list(known.settings["enqueued configurations"])
    if not store_exists(options.store):
        return enqueued(options.enqueue, space, constraints.allows, options.objective, None)
    with opened(options.store) as store:
        return enqueued(options.enqueue, space, constraints.allows, options.objective, store)


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
