"""Who takes part, on which tables, how often."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import cache, partial
from importlib.util import find_spec
from typing import Any

import optuna

from benchmarks.quality.plain import plain_keras_tuner, plain_optuna
from benchmarks.quality.replay import MakeEngine, Run, replay
from benchmarks.quality.variants import VariedTPE, lean_bayesian
from benchmarks.tables.frozen_heads import TASKS, frozen_head_table
from benchmarks.tables.published import NAMES, published_table
from benchmarks.tables.recorded import RecordedTable
from search.engines import Engine, Request, engine_module

TRIALS = 50
OURS = ("XR_HAND", "all_parts")
# Nearly all noise: 0.14 between seeds of a configuration, 0.08 between configurations. Shown apart.
NOISE = "XR_HUMERUS"
RANKED = (*NAMES, *OURS)
ALL = (*RANKED, NOISE)
# A Gaussian process takes some twenty seconds a search.
FEW = (*OURS, "hpobench-kc1")

Replay = Callable[[RecordedTable, int, int], Run]


@dataclass(frozen=True)
class Contestant:
    """A way to search.

    Attributes:
        replay: (table, repeat, trials) to its run.
        repeats: 0, 1, ... on each of its tables.
    """

    replay: Replay
    tables: tuple[str, ...] = ALL
    repeats: int = 20


@cache
def table_named(name: str) -> RecordedTable:
    """A published table, or our own of that task."""
    return frozen_head_table(name) if name in TASKS else published_table(name)


def _engine(name: str) -> MakeEngine:
    def make(request: Request) -> Engine:
        engine: Engine = engine_module(name).make(request)
        return engine

    return make


def _replay(make: MakeEngine, **settings: Any) -> Replay:
    return lambda table, repeat, trials: replay(make, table, repeat, trials, **settings)


def _plain(make_sampler: Callable[..., optuna.samplers.BaseSampler]) -> Replay:
    return partial(plain_optuna, make_sampler)


def _varied(sobol: int = 0, **settings: Any) -> MakeEngine:
    joint = {"multivariate": True, "group": True} | settings
    return lambda request: VariedTPE(request, joint, sobol)


OPTUNA, KERAS_TUNER = _engine("optuna"), _engine("keras-tuner")
DEFAULT, RANDOM = "tpe", "random"

ENGINES = {
    DEFAULT: Contestant(_replay(OPTUNA)),
    "tpe, batch 1": Contestant(_replay(OPTUNA, batch_trials=1)),
    RANDOM: Contestant(_replay(OPTUNA, sampler="random")),
    "qmc": Contestant(_replay(OPTUNA, sampler="qmc")),
    # Its first generation is fifty random trials.
    "nsga2": Contestant(_replay(OPTUNA, sampler="nsga2")),
    "keras-tuner random": Contestant(_replay(KERAS_TUNER, sampler="random")),
}
PLAIN = {
    "plain Optuna TPE": Contestant(_plain(optuna.samplers.TPESampler)),
    "plain Optuna random": Contestant(_plain(optuna.samplers.RandomSampler)),
}
VARIANTS = {
    "tpe, Sobol start": Contestant(_replay(_varied(sobol=10))),
    "tpe, Sobol start 5": Contestant(_replay(_varied(sobol=5, n_startup_trials=5))),
}
GAUSSIAN = {
    **({"gp": Contestant(_replay(OPTUNA, sampler="gp"), FEW)} if find_spec("torch") else {}),
    "keras-tuner bayesian": Contestant(_replay(lean_bayesian, sampler="bayesian"), FEW),
    "plain Keras Tuner bayesian": Contestant(plain_keras_tuner, FEW),
}
# As it is, without the lean prediction: its time, and that its picks are the same.
AS_IS = {"keras-tuner bayesian, as it is": Contestant(_replay(KERAS_TUNER, sampler="bayesian"), ("XR_HAND",), 1)}
PRUNERS = ("median", "percentile", "successive-halving", "hyperband")
PRUNED = {
    f"{sampler} + {pruner}": Contestant(_replay(OPTUNA, sampler=sampler, pruner=pruner), OURS)
    for sampler in (DEFAULT, RANDOM)
    for pruner in PRUNERS
} | {"keras-tuner hyperband": Contestant(_replay(KERAS_TUNER, sampler="hyperband"), OURS)}
CONTESTANTS: Mapping[str, Contestant] = {
    **ENGINES, **PLAIN, **VARIANTS, **GAUSSIAN, **AS_IS, **PRUNED
}  # fmt: skip


@dataclass(frozen=True, order=True)
class Job:
    """One search to replay; jobs in order take all contestants through a repeat before the next."""

    repeat: int
    contestant: str
    table: str


def all_jobs(names: Iterator[str] | tuple[str, ...] = tuple(CONTESTANTS)) -> list[Job]:
    """The jobs of these contestants."""
    return sorted(
        Job(repeat, name, table)
        for name in names
        for table in CONTESTANTS[name].tables
        for repeat in range(CONTESTANTS[name].repeats)
    )


def run_job(job: Job) -> Run:
    """Replay a search."""
    contestant = CONTESTANTS[job.contestant]
    return contestant.replay(table_named(job.table), job.repeat, TRIALS)
