"""What many workers cost and save, from simulated searches: figures, Markdown, a plot.

A regret is told in units of its table's: 1 is the median of random search by one worker after ten trials.
"""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.quality.clock import Floats, Simulated
from benchmarks.quality.contestants import table_named
from benchmarks.quality.parallel_jobs import TABLES, TRIALS, WORKERS, Job
from benchmarks.quality.statistics import over_tables
from benchmarks.quality.summary import mean_seconds, regret_of_chance
from plumbing.files import atomic_path

Runs = Mapping[Job, Simulated]
Way = tuple[str, int, bool]  # sampler, workers, by batches

CHECKED = (50, 100)
BUDGETS = (2, 6)  # mean trainings of the table
COLOURS = dict(zip(WORKERS, ("k", "C0", "C1", "C3"), strict=True))
FIRST = 10  # trials: the first that can learn anything


def ways(runs: Runs) -> list[Way]:
    """Those that were run, one worker first."""
    return sorted({(job.sampler, job.workers, job.batches) for job in runs}, key=lambda way: (-ord(way[0][0]), way[1:]))


def summary(runs: Runs) -> dict[str, Any]:
    """All figures as plain data."""
    repeats = len({job.repeat for job in runs})
    return {
        "tables": list(TABLES),
        "repeats": repeats,
        "ways": {_name(way): _of_way(runs, way) for way in ways(runs)},
        "tpe less 1 worker after 100 trials, by table": {
            table: {
                _name(way): _less(runs, way, CHECKED[-1], [table]).rounded(2)
                for way in ways(runs)
                if way[0] == "tpe" and way[1] > 1
            }
            for table in TABLES
        },
    }


def _name(way: Way) -> str:
    sampler, workers, batches = way
    return f"{sampler}, {workers}" + (", batches" if batches else "")


def _of_way(runs: Runs, way: Way) -> dict[str, Any]:
    single = (way[0], 1, False)
    found: dict[str, Any] = {}
    for trials in CHECKED:
        by_trials, alone = (_stacked(runs, each, TABLES)[..., trials - 1] for each in (way, single))
        times, alone_times = (_each(runs, each, lambda run, n=trials: run.seconds(n)) for each in (way, single))
        busy, alone_busy = (
            _each(runs, each, lambda run, n=trials: sum(run.ended[:n]) - sum(run.begun[:n])) for each in (way, single)
        )
        found[f"{trials} trials"] = {
            "regret": round(float(by_trials.mean()), 3),
            "less 1 worker": over_tables(by_trials - alone).rounded(3),
            "lost less won against 1 worker": over_tables(np.sign((by_trials - alone).round(9))).rounded(2),
            "speed-up": _mean_ratio(alone_times, times),
            "seconds trained of 1 worker's": _mean_ratio(busy, alone_busy),
            "idle share": round(float(_each(runs, way, lambda run, n=trials: run.idle_share(n)).mean()), 3),
        }
    for budget in BUDGETS:
        at_budget = _at(runs, way, np.array([float(budget)]))[..., 0]
        ran_out = _each(runs, way, lambda run: run.seconds(TRIALS[way[1]])) < _seconds()[:, None] * budget
        found[f"{budget} mean trainings"] = {
            "regret": round(float(at_budget.mean()), 3),
            "less 1 worker": over_tables(at_budget - _at(runs, single, np.array([float(budget)]))[..., 0]).rounded(3),
            "searches whose trials were over": round(float(ran_out.mean()), 2),
        }
    return found


def _mean_ratio(above: Floats, below: Floats) -> float:
    """Geometric."""
    return round(float(np.exp(np.log(above / below).mean())), 2)


def _less(runs: Runs, way: Way, trials: int, tables: Sequence[str]) -> Any:
    both = (_stacked(runs, each, tables)[..., trials - 1] for each in (way, (way[0], 1, False)))
    of_way, alone = both
    return over_tables(of_way - alone)


def _repeats(runs: Runs) -> list[int]:
    return sorted({job.repeat for job in runs})


def _each(runs: Runs, way: Way, measure: Any) -> Floats:
    """(tables, repeats) of a measure of each search."""
    return np.array([[measure(runs[Job(r, table, *way)]) for r in _repeats(runs)] for table in TABLES])


def _scale(runs: Runs, table: str) -> float:
    own = [runs[Job(repeat, table, "random", 1)].regret_by_trials[FIRST - 1] for repeat in _repeats(runs)]
    return float(np.median(own))


def _stacked(runs: Runs, way: Way, tables: Sequence[str]) -> Floats:
    """(tables, repeats, trials) regret by trials, in its units."""
    return np.array(
        [[runs[Job(r, table, *way)].regret_by_trials for r in _repeats(runs)] for table in tables]
    ) / np.array([_scale(runs, table) for table in tables]).reshape(-1, 1, 1)


def _seconds() -> Floats:
    """(tables,) of a mean training."""
    return np.array([mean_seconds(table_named(table)) for table in TABLES])


def _at(runs: Runs, way: Way, budgets: Floats) -> Floats:
    """(tables, repeats, budgets) regret at moments given in mean trainings, in its units."""
    found = []
    for table, seconds in zip(TABLES, _seconds(), strict=True):
        before = regret_of_chance(table_named(table))
        own = [runs[Job(repeat, table, *way)].regret_at(budgets * seconds, before) for repeat in _repeats(runs)]
        found.append(np.array(own) / _scale(runs, table))
    return np.array(found)


def draw(runs: Runs, folder: Path) -> None:
    """Write parallel_quality.png: regret by trials and by simulated time, and the speed-up."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    figure, (by_trials, by_time, speed) = pyplot.subplots(1, 3, figsize=(13, 5), layout="constrained")
    for way in ways(runs):
        if way[0] == "tpe" or way[1] == 1:
            _draw_regrets(by_trials, by_time, runs, way)
    by_trials.set(yscale="log", xlabel="trials", title="regret by trials")
    by_time.set(xscale="log", yscale="log", xlabel="simulated time, in mean trainings", title="regret by time")
    by_trials.set_ylabel("mean regret; 1: random search after 10 trials")
    for axis in (by_trials.yaxis, by_time.yaxis, by_time.xaxis):
        axis.set_major_formatter("{x:g}")
    for axes in (by_trials, by_time):
        axes.yaxis.set_minor_formatter("{x:g}")
    _draw_speed(speed, runs)
    for axes in (by_trials, by_time, speed):
        axes.grid(alpha=0.3, which="both")
    figure.legend(*by_trials.get_legend_handles_labels(), loc="outside lower center", ncols=4, frameon=False)
    with atomic_path(folder / "parallel_quality.png") as path:
        figure.savefig(path, dpi=100)


def _draw_regrets(by_trials: Any, by_time: Any, runs: Runs, way: Way) -> None:
    sampler, workers, batches = way
    colour = COLOURS[workers] if sampler == "tpe" else "0.6"
    style = {"color": colour, "linestyle": "--" if batches else "-", "label": _label(way)}
    regrets = _stacked(runs, way, TABLES).mean(axis=(0, 1))[FIRST - 1 : CHECKED[-1]]
    by_trials.plot(np.arange(FIRST, FIRST + len(regrets)), regrets, **style)
    whole = np.median(_each(runs, way, lambda run: run.seconds(len(run.ended))) / _seconds()[:, None])
    times = np.geomspace(0.5, whole, 100)
    by_time.plot(times, _at(runs, way, times).mean(axis=(0, 1)), **style)


def _draw_speed(axes: Any, runs: Runs) -> None:
    for sampler, batches, style in (("tpe", False, "C2o-"), ("tpe", True, "C2s--"), ("random", False, "C7o-")):
        times = [_each(runs, (sampler, workers, batches and workers > 1), _last_checked) for workers in WORKERS]
        name = f"{sampler}, {'batches' if batches else 'one by one'}"
        axes.plot(WORKERS, [_mean_ratio(times[0], each) for each in times], style, label=name)
    axes.plot(WORKERS, WORKERS, ":", color="0.5", label="as many as workers")
    axes.set(xscale="log", yscale="log", xlabel="workers", title=f"speed-up, {CHECKED[-1]} trials")
    axes.set_xticks(WORKERS, WORKERS)
    axes.set_yticks(WORKERS, WORKERS)
    axes.minorticks_off()
    axes.legend(frameon=False)


def _last_checked(run: Simulated) -> float:
    return run.seconds(CHECKED[-1])


def _label(way: Way) -> str:
    sampler, workers, batches = way
    who = f"{workers} workers" if workers > 1 else "1 worker"
    return f"{sampler}, {who}" + (", batches" if batches else "")


def told(figures: Mapping[str, Any]) -> str:
    """All tables as Markdown."""
    return "\n".join(_lines(figures))


def _lines(figures: Mapping[str, Any]) -> Iterator[str]:
    yield f"{len(figures['tables'])} tables x {figures['repeats']} repeats, {figures['searches']} searches"
    moments = [f"{trials} trials" for trials in CHECKED] + [f"{budget} mean trainings" for budget in BUDGETS]
    for moment in moments:
        columns = list(next(iter(figures["ways"].values()))[moment])
        yield f"\n{moment}\n"
        yield f"| | {' | '.join(columns)} |"
        yield "|---" * (len(columns) + 1) + "|"
        for name, found in figures["ways"].items():
            yield f"| {name} | {' | '.join(_cell(found[moment][each]) for each in columns)} |"
    by_table = figures["tpe less 1 worker after 100 trials, by table"]
    names = list(next(iter(by_table.values())))
    yield "\ntpe less 1 worker after 100 trials\n"
    yield f"| | {' | '.join(names)} |"
    yield "|---" * (len(names) + 1) + "|"
    for table, found in by_table.items():
        yield f"| {table} | {' | '.join(_cell(found[each]) for each in names)} |"


def _cell(found: Any) -> str:
    return f"{found[0]:+g} ({found[1]:+g}, {found[2]:+g})" if isinstance(found, list) else f"{found:g}"
