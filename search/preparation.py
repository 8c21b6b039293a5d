"""From a plan to a running search: pixels decoded, the store open, the search created or found unchanged."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager, nullcontext
from typing import Any

from features.cache import FeatureCache
from features.frozen import Backbones
from plumbing import VERSION
from plumbing.errors import StoreError
from plumbing.files import remove_stale_temporaries
from radiographs.dataset import Dataset, decode_images, sized_pixels
from radiographs.pixels import PixelStore
from radiographs.splits import SPLITS
from results.claims import PATIENCE
from results.records import RUNNING, SEARCH, NewSearch, Search
from results.store import Store
from search.engines import Engine, Request, engine_module
from search.feature_plan import budget_of
from search.loop import SearchRun
from search.models import ModelKeeper, folder_of, only_one
from search.plan import SPEED, Plan, opened
from search.stopping import Stopping
from search.training.checkpoints import Checkpoints
from search.training.inputs import Source
from search.training.scoring import image_list
from search.training.trial import Setting, make_setting
from search.workers.joining import Joining, check_clock, run_of
from spaces.weights import RANDOM


@contextmanager
def prepare(plan: Plan, command: str, worker: Joining | None = None) -> Iterator[SearchRun]:
    """Everything that the loop needs; databases are closed at the end.

    What can fail goes before what writes: settings, weights, pixels, and only then the store.

    Args:
        command: as it may be kept, without a password. worker: as one worker more of another command's search.
    Raises: UserError where the store cannot be used, or the search was started with other settings.
    """
    options = plan.options
    if plan.asynchronous:
        engine_module(options.engine).check_one_by_one(options.sampler)
    if plan.known is not None:  # as far as no image must be read
        _check_unchanged(plan.known, plan.settings(str(plan.known.data_hash)))
    backbones = Backbones(options.runs / "backbones", plan.weights)
    if plan.known is None:
        _check_weights(plan, backbones)
    pixel_store = PixelStore(options.runs / "pixels")
    dataset = decode_images(plan.listed, pixel_store, set(plan.image_size.values()))
    if plan.known is not None:
        _check_unchanged(plan.known, plan.settings(dataset.data_hash))
    folder = folder_of(options.name, options.store, options.runs)
    with (
        nullcontext() if worker else only_one(options.name, folder),
        opened(options.store, worker is not None) as store,
    ):
        check_clock(store)
        if worker is None:
            remove_stale_temporaries(options.runs)
        engine = _engine(plan, store)
        try:
            search = _open_search(store, plan, dataset, command)
            if worker is None:
                store.note_run(search.id, run_of(options))
            for split in SPLITS:
                store.save_image_list(dataset.data_hash, dataset.task, split, image_list(dataset, split))
            yield SearchRun(
                store=store,
                search=search,
                engine=engine,
                setting=_setting(plan, dataset, pixel_store, backbones, worker.begin_at if worker else 0.0),
                keeper=ModelKeeper(store, search, folder, options.keep_models),
                weights=plan.weights,
                trials=options.trials,
                checkpoints=Checkpoints(options.runs / "checkpoints" / folder.name),
                stopping=Stopping(options.timeout, options.stop_when_no_gain),
                asynchronous=plan.asynchronous,
                alone=worker is None,
                quiet=worker is not None and worker.quiet,
                patience=worker.patience if worker else PATIENCE,
                label=worker.label if worker else None,
            )
        finally:
            backbones.close()
            engine.close()


def _engine(plan: Plan, store: Store) -> Engine:
    options, known = plan.options, store.search(plan.options.name)
    ended = [trial for trial in store.trials(known.id) if trial.state != RUNNING] if known else []
    made: Engine = engine_module(options.engine).make(
        Request(
            url=options.store,
            folder=options.runs,
            name=options.name,
            space=plan.space,
            sampler=options.sampler,
            pruner=options.pruner,
            objective=options.objective,
            search_seed=options.seed,
            batch_trials=options.batch_trials,
            epochs=options.epochs,
            fresh=known is None,
            ended=len(ended),
            enqueued=plan.enqueued,
            allowed=plan.constraints.allows,
            own_model=plan.own_model,
        )
    )
    return made


def _check_weights(plan: Plan, backbones: Backbones) -> None:
    """Load every architecture's weights, so that what is absent or does not fit is known before anything is made.

    Raises: SpaceError.
    """
    for architecture in plan.architectures:
        size = plan.image_size[architecture.name]
        if plan.weights[architecture.name] != RANDOM and not backbones.knows(architecture, size, {}):
            backbones.network(architecture, size, {})


def _open_search(store: Store, plan: Plan, dataset: Dataset, command: str) -> Search:
    """The stored search of that name, or a new one.

    Raises: StoreError naming what changed where it was started with other settings; the store is not touched then.
    """
    options = plan.options
    settings = plan.settings(dataset.data_hash)
    known = store.search(options.name)
    if known is not None:
        _check_unchanged(known, settings)
        return known
    return store.create_search(
        NewSearch(
            name=options.name,
            kind=SEARCH,
            engine=options.engine,
            code_version=VERSION,
            task=options.part,
            objective=options.objective,
            seed=options.seed,
            data_hash=dataset.data_hash,
            settings=settings,
            details={
                "command": command,
                "data": str(dataset.root),
                "counts": dataset.counts,
                "left_out": [{"path": left.path, "reason": left.reason} for left in dataset.left_out],
                "classes_absent": list(dataset.classes_absent),
                SPEED: plan.constraints.gigaflops,
            },
        )
    )


def _check_unchanged(known: Search, settings: Mapping[str, Any]) -> None:
    if unknown := set(settings) - set(known.settings):
        raise StoreError(
            f"search {known.name} was begun by an older version of this program, which knew nothing of "
            f"{', '.join(sorted(unknown))}; give another --name"
        )
    changed = [name for name in settings if known.settings[name] != settings[name]]
    if changed:
        told = "; ".join(f"{name} {_short(known.settings.get(name))}, now {_short(settings[name])}" for name in changed)
        raise StoreError(
            f"search {known.name} was started with other {', '.join(changed)} ({told}); give these, or another --name"
        )


def _short(value: object) -> str:
    text = str(value)
    return text if len(text) <= 40 else f"{text[:37]}..."


def _setting(plan: Plan, dataset: Dataset, pixel_store: PixelStore, backbones: Backbones, begin_at: float) -> Setting:
    options = plan.options
    features = options.runs / "features" if options.feature_cache else None
    budget = budget_of(options.runs, options.cache_gib)
    cuts = plan.cuts(budget)
    source = Source(
        dataset=dataset,
        pixels={size: sized_pixels(dataset, pixel_store, size) for size in set(plan.image_size.values())},
        image_size=plan.image_size,
        backbones=backbones,
        cache=FeatureCache(features, budget, begin_at=begin_at),
        kept={
            name: tuple(of.cut.name for of in cuts if of.architecture.name == name and of.kept)
            for name in plan.image_size
        },
    )
    return make_setting(source, options.objective, options.epochs, options.views, options.seed, plan.own_model)
