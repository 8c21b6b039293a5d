"""What `search.run` was asked for."""

import argparse
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from plumbing.command import CommandParser, at_least, not_negative, positive
from plumbing.errors import UsageError
from radiographs.parts import TASKS
from results.connection import DEFAULT_URL
from results.names import check_name
from search.engines import ENGINES, engine_module
from spaces import ARCHITECTURES

SYNTHETIC = "synthetic"
DEFAULT_DATA = "data/MURA-v1.1"
OBJECTIVES = ("val_auc", "val_accuracy", "val_kappa")
OF_A_RAY_WORKER = {"worker_cpus": 1.0, "worker_gpus": 0.0, "worker_memory_gib": 4.0}
MOST = 2**31 - 1  # what a database's integer holds


@dataclass(frozen=True)
class Options:
    """The command's options, checked one by one."""

    part: str
    trials: int
    data: str
    architectures: tuple[str, ...]
    engine: str
    sampler: str
    pruner: str
    hypermodel: str | None
    objective: str
    epochs: int
    image_size: int | None
    weights: str
    store: str
    runs: Path
    name: str
    space: Path | None
    enqueue: str | None
    max_parameters: int | None
    max_seconds_per_image: float | None
    seed: int
    views: int
    keep_models: int
    batch_trials: int
    timeout: float | None
    stop_when_no_gain: int | None
    confirm: int
    workers: int
    ray: str | None
    worker_cpus: float
    worker_gpus: float
    worker_memory_gib: float
    feature_cache: bool
    cache_gib: float | None
    explain: bool


def parse(arguments: Sequence[str]) -> Options:
    """The options.

    Raises: UsageError naming the option and the mend.
    """
    given = _parser().parse_args(arguments)
    name = f"{given.part}-{given.engine}" if given.name is None else given.name
    check_name(name)
    if given.engine == "keras-tuner" and given.sampler == "grid" and (given.enqueue or given.max_parameters):
        raise UsageError("--sampler grid goes through every combination: leave --enqueue and --max-parameters out")
    if given.hypermodel is not None:
        _check_own_model(given)
    names = [each.name for each in ARCHITECTURES]  # in their own order, whatever the command's
    return Options(
        part=given.part,
        trials=given.trials,
        data=given.data or os.environ.get("MURA_DIR") or DEFAULT_DATA,
        architectures=tuple(name for name in names if name in (given.architecture or names)),
        engine=given.engine,
        sampler=given.sampler or engine_module(given.engine).SAMPLERS[0],
        pruner=given.pruner,
        hypermodel=given.hypermodel,
        objective=given.objective,
        epochs=given.epochs,
        image_size=given.image_size,
        weights=given.weights,
        store=given.store,
        runs=given.runs,
        name=name,
        space=given.space,
        enqueue=given.enqueue,
        max_parameters=given.max_parameters,
        max_seconds_per_image=given.max_seconds_per_image,
        seed=given.seed,
        views=given.views,
        keep_models=given.keep_models,
        batch_trials=given.batch_trials,
        timeout=given.timeout,
        stop_when_no_gain=given.stop_when_no_gain,
        confirm=given.confirm,
        workers=given.workers or (given.batch_trials if given.ray else 1),
        ray=given.ray,
        **_of_a_ray_worker(given),
        feature_cache=given.feature_cache,
        cache_gib=given.cache_gib,
        explain=given.explain,
    )


def _of_a_ray_worker(given: argparse.Namespace) -> dict[str, float]:
    """What a worker takes of a Ray node.

    Raises: UsageError where it is given without Ray: the processes of one machine share what it has.
    """
    asked = {name: getattr(given, name) for name in OF_A_RAY_WORKER if getattr(given, name) is not None}
    if asked and given.ray is None:
        raise UsageError(
            f"--{next(iter(asked)).replace('_', '-')} is for workers on Ray: give --ray too, or leave it out; the "
            "processes of one machine share its cores, memory and GPUs"
        )
    return OF_A_RAY_WORKER | asked


def _check_own_model(given: argparse.Namespace) -> None:
    """Raises: UsageError where an option does not go with a user's own model."""
    if given.engine != "keras-tuner":
        raise UsageError("--hypermodel: its space is Keras Tuner's; give --engine keras-tuner")
    for option in ("architecture", "space", "enqueue", "max_parameters", "max_seconds_per_image"):
        if getattr(given, option):
            raise UsageError(f"--{option.replace('_', '-')} does not go with --hypermodel; leave it out")


def _parser() -> argparse.ArgumentParser:
    parser = CommandParser(
        "search.run",
        "Search for the best classifier of a body part, or of all parts as 14 classes. "
        "The same command again continues the search.",
    )
    add = parser.add_argument
    add("--part", required=True, choices=TASKS, help="body part, or all_parts for the 14-class task")
    add("--trials", required=True, type=at_least(1), metavar="N", help="trials in all, those of earlier runs included")
    add("--data", metavar="DIR", help=f"MURA layout: the folder or its parent; default $MURA_DIR, else {DEFAULT_DATA}; "
        f"the word {SYNTHETIC} draws a data set under --runs")  # fmt: skip
    add("--architecture", action="append", choices=[each.name for each in ARCHITECTURES],
        help="repeatable; default: all, the sampler choosing")  # fmt: skip
    add("--engine", choices=ENGINES, default="optuna", help="who proposes configurations")
    add("--sampler", metavar="NAME", help="of optuna: tpe (default), random, qmc, nsga2, gp (needs torch); "
        "of keras-tuner: bayesian (default), random, hyperband, grid")  # fmt: skip
    add("--pruner", default="none", metavar="NAME",
        help="of optuna, stops unpromising trials: median, percentile, successive-halving, hyperband")  # fmt: skip
    add("--objective", choices=OBJECTIVES, default=OBJECTIVES[0], help="what is maximised on the valid split")
    add("--epochs", type=at_least(1, MOST), default=20, metavar="N", help="most epochs a trial may train")
    add("--image-size", type=at_least(1), metavar="N", help="pixels a side; default: the architecture's native size")
    add("--weights", default="imagenet", metavar="imagenet|random|DIR",
        help="of the backbones; DIR holds <architecture>.weights.h5 files")  # fmt: skip
    add("--store", default=DEFAULT_URL, metavar="URL", help="the results store")
    add("--runs", type=Path, default=Path("runs"), metavar="DIR", help="models and caches")
    add("--name", help="of the search; default <part>-<engine>")
    add("--space", type=Path, metavar="FILE", help="TOML file that narrows the space")
    add("--hypermodel", metavar="FILE:NAME", help="search your own build(hp) or HyperModel, with --engine keras-tuner")
    add("--enqueue", metavar="WHAT", help="try these first: published, published_tuned, best-of:PART, or a JSON file")
    add("--max-parameters", type=at_least(1), metavar="N", help="of a whole model")
    add("--max-seconds-per-image", type=positive, metavar="S",
        help="of an architecture's forward pass, as expected from this machine's matrix speed")  # fmt: skip
    add("--seed", type=at_least(0, MOST), metavar="N", default=0, help="of proposals, batch order, dropout and heads")
    add("--workers", type=at_least(1), metavar="N", help="processes of this machine, default 1, or of Ray, default as "
        "--batch-trials; above --batch-trials each proposes when it is free")  # fmt: skip
    add("--ray", metavar="ADDRESS", help="workers on a Ray cluster; local: on one that is started here")
    add("--worker-cpus", type=positive, metavar="N", help="that a worker takes of a Ray node; default: 1")
    add("--worker-gpus", type=not_negative, metavar="N", help="that a worker takes of a Ray node; default: none")
    add("--worker-memory-gib", type=positive, metavar="G", help="that a worker takes of a Ray node; default: 4")
    add("--views", type=at_least(1), default=4, metavar="N", help="augmented views of an image; epoch e uses e mod N")
    add("--keep-models", type=at_least(0), default=4, metavar="K", help="keep the models of the best K trials")
    add(
        "--batch-trials",
        type=at_least(1),
        default=4,
        metavar="N",
        help="proposals made at once, heads of a batch training side by side; 1: each knows all before it",
    )
    add(
        "--cache-gib",
        type=positive,
        metavar="G",
        help="most GiB of features kept under --runs; default: half of what is free there",
    )
    add("--no-feature-cache", dest="feature_cache", action="store_false",
        help="compute frozen features anew each time; the results are the same")  # fmt: skip
    add("--timeout", type=positive, metavar="SECONDS", help="begin nothing new after so long; the same command goes on")
    add("--stop-when-no-gain", type=at_least(1), metavar="N",
        help="stop when the last N trials have not raised the best objective")  # fmt: skip
    add("--confirm", type=at_least(0), default=0, metavar="K",
        help="then train the best K again under five fresh seeds, to tell luck from merit")  # fmt: skip
    add("--explain", action="store_true", help="print the plan and exit")
    return parser
