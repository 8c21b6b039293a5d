"""All figures of the comparison, from the runs, as plain data."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from benchmarks.quality.contestants import (
    AS_IS,
    DEFAULT,
    ENGINES,
    FEW,
    GAUSSIAN,
    NOISE,
    OURS,
    PLAIN,
    PRUNED,
    RANDOM,
    RANKED,
    VARIANTS,
    Job,
    table_named,
)
from benchmarks.quality.replay import Run
from benchmarks.quality.statistics import (
    Floats,
    at_budgets,
    over_repeats,
    rank_differences,
    ranks,
    stacked,
    wins,
)
from benchmarks.tables.recorded import RecordedTable

Runs = Mapping[Job, Run]
CHECKED = (10, 20, 30, 50)  # trials
BUDGETS = (10, 20, 30)  # of a table's mean trainings
FIELD = tuple(name for name in (*ENGINES, *PLAIN) if name != "nsga2")
VARIED = (DEFAULT, "tpe, batch 1", *VARIANTS, "plain Optuna TPE", RANDOM)
MODELLED = (DEFAULT, *GAUSSIAN, RANDOM)


def summary(runs: Runs) -> dict[str, Any]:
    """The figures; intervals are [value, low, high], 95 %."""
    return {
        "mean ranks, all tables": ranked(runs, FIELD, RANKED, RANDOM),
        "variants against the default, all tables": ranked(runs, VARIED, RANKED, DEFAULT),
        "Gaussian processes, three tables, against random": ranked(runs, MODELLED, FEW, RANDOM),
        "Gaussian processes, three tables, against the default": ranked(runs, MODELLED, FEW, DEFAULT),
        "default against random, by family": families(runs),
        "mean regret": {table: mean_regrets(runs, table) for table in (*RANKED, NOISE)},
        "duplicates and engine": costs(runs),
        "pruners": {table: pruners(runs, table) for table in OURS},
        "nsga2 equals random": nsga2_equals_random(runs),
        "as it is": as_it_is(runs),
    }


def ranked(runs: Runs, names: Sequence[str], tables: Sequence[str], baseline: str) -> dict[str, Any]:
    """Mean ranks in a field, against a baseline, at several numbers of trials and of recorded seconds."""
    regrets = stacked(runs, names, tables)
    moments = {f"{trials} trials": regrets[..., trials - 1] for trials in CHECKED}
    by_seconds = regrets_by_seconds(runs, names, tables, np.array(BUDGETS, float))
    moments |= {f"seconds of {each} trainings": by_seconds[..., place] for place, each in enumerate(BUDGETS)}
    told: dict[str, Any] = {"tables": len(tables), "repeats": regrets.shape[2]}
    for moment, found in moments.items():
        place = names.index(baseline)
        columns = (ranks(found).mean(axis=(1, 2)), rank_differences(found, place), wins(found, place))
        told[moment] = {
            name: {
                "mean rank": round(float(rank), 2),
                f"less that of {baseline}": less.rounded(2),
                f"won less lost against {baseline}": won.rounded(3),
            }
            for name, rank, less, won in zip(names, *columns, strict=True)
        }
    return told


def regrets_by_seconds(runs: Runs, names: Sequence[str], tables: Sequence[str], trainings: Floats) -> Floats:
    """(contestants, tables, repeats, budgets), a budget being so many times the table's mean training."""
    regrets, spent = (stacked(runs, names, tables, field) for field in ("regrets", "seconds"))
    found = [
        at_budgets(regrets[:, place], spent[:, place], trainings * mean_seconds(table), regret_of_chance(table))
        for place, table in enumerate(map(table_named, tables))
    ]
    return np.stack(found, axis=1)


def mean_seconds(table: RecordedTable) -> float:
    """Of a training to the end."""
    return float(np.nanmean(table.elapsed[:, :, -1], dtype=np.float64))


def regret_of_chance(table: RecordedTable) -> float:
    """Of a configuration picked blindly."""
    return table.best_mean - float(table.means.mean())


def families(runs: Runs) -> dict[str, Any]:
    """The default head to head with random search in each family of tables, at the last trial."""
    found = {}
    for family in dict.fromkeys(name.split("-")[0] if "-" in name else "ours" for name in RANKED):
        tables = [name for name in RANKED if name.startswith(f"{family}-") or (family == "ours" and name in OURS)]
        regrets = stacked(runs, (RANDOM, DEFAULT), tables)[..., -1].round(12)
        found[family] = over_repeats(np.sign(regrets[0] - regrets[1]).mean(axis=0)).rounded(2)
    return found


def mean_regrets(runs: Runs, table: str) -> dict[str, list[float]]:
    """Contestant to its mean regret at the checked numbers of trials."""
    names = [name for name in (*FIELD, *VARIANTS, *GAUSSIAN) if Job(0, name, table) in runs]
    found = {name: stacked(runs, [name], [table])[0, 0] for name in names}
    return {name: [round(float(each[:, trials - 1].mean()), 5) for trials in CHECKED] for name, each in found.items()}


def costs(runs: Runs) -> dict[str, Any]:
    """Means of a search: trials that were duplicates, the engine's own processor seconds."""
    found = {}
    for name in (*FIELD, *VARIANTS, *GAUSSIAN):
        own = {job: run for job, run in runs.items() if job.contestant == name and job.table != NOISE}
        found[name] = {
            "duplicates": round(float(np.mean([run.duplicates for run in own.values()])), 2),
            "duplicates on ours": _mean_duplicates(own, OURS),
            "engine seconds": round(float(np.mean([run.engine_seconds for run in own.values()])), 2),
        }
    return found


def _mean_duplicates(runs: Runs, tables: Sequence[str]) -> float:
    return round(float(np.mean([run.duplicates for job, run in runs.items() if job.table in tables])), 2)


def pruners(runs: Runs, table: str) -> dict[str, Any]:
    """What each pruner saves and costs against the same sampler without one, paired by seed."""
    found = {}
    for name in PRUNED:
        sampler = name.split(" + ")[0] if " + " in name else RANDOM
        both = [name, sampler]
        regrets, kept, epochs, seconds = (
            stacked(runs, both, [table], field)[:, 0] for field in ("regrets", "kept", "epochs", "seconds")
        )
        spent = epochs[0, :, -1:]
        equal = np.stack(
            [
                at_budgets(of_run, of_epochs, budget, regret_of_chance(table_named(table)))
                for of_run, of_epochs, budget in zip(regrets[1], epochs[1], spent, strict=True)
            ]
        )[:, 0]
        found[name] = {
            "epochs": round(float(spent.mean()), 1),
            "of those without": round(float(spent.mean() / epochs[1, :, -1].mean()), 3),
            "recorded seconds of those without": round(float(seconds[0, :, -1].mean() / seconds[1, :, -1].mean()), 3),
            "regret": over_repeats(regrets[0, :, -1]).rounded(4),
            "regret of the model kept": over_repeats(kept[0, :, -1]).rounded(4),
            "without": over_repeats(regrets[1, :, -1]).rounded(4),
            "less without, as many trials": over_repeats(regrets[0, :, -1] - regrets[1, :, -1]).rounded(4),
            "less without, as many epochs": over_repeats(regrets[0, :, -1] - equal).rounded(4),
        }
    return found


def nsga2_equals_random(runs: Runs) -> bool:
    """Whether NSGA-II's searches, whose first generation has fifty trials, are those of random search."""
    own = {job: run for job, run in runs.items() if job.contestant == "nsga2"}
    return all(run.regrets == runs[replace(job, contestant=RANDOM)].regrets for job, run in own.items())


def as_it_is(runs: Runs) -> dict[str, Any]:
    """Keras Tuner's Bayesian oracle without the lean prediction: its time, and that its picks are the same."""
    (name,) = AS_IS
    (table,) = AS_IS[name].tables
    slow, fast = runs[Job(0, name, table)], runs[Job(0, "keras-tuner bayesian", table)]
    return {
        "engine seconds": round(slow.engine_seconds, 1),
        "lean": round(fast.engine_seconds, 1),
        "equal": slow.regrets == fast.regrets and slow.seconds == fast.seconds,
    }
