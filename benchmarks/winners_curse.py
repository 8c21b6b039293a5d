"""The best of many is lucky: by how much, and what takes the luck off again.

    python -m benchmarks.winners_curse

Simulated: the best of 50 configurations as it is and bias-corrected, and how often 95 % intervals hold the true AUC.
Recorded, where repeated seeds give the truth: the best of 100 by one seed. Prints Markdown tables; writes
benchmarks/results/winners_curse.json and docs/winners_curse.png. Ten minutes of one core.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import product
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.special import expit, logit
from scipy.stats import norm
from threadpoolctl import threadpool_limits

from benchmarks.common import REPOSITORY, save
from benchmarks.quality.statistics import Interval, over_repeats
from benchmarks.tables.published import NAMES, published_table
from plumbing.files import atomic_path
from plumbing.seeds import generator_of
from results import metrics
from results.delong import delong_interval
from results.intervals import patient_weights, percentile_intervals
from results.metrics import Floats
from results.rates import wilson_interval
from results.selection import bias_corrected

Row = Mapping[str, Any]  # of a table: heading to a number, a text, or an estimate with its interval as three numbers
CONFIGURATIONS, BIAS_REPEATS, WINNER_REPEATS, DATA_SETS = 50, 1000, 400, 10_000
AUCS, PATIENTS, CORRELATIONS, SPREADS = (0.7, 0.8, 0.9, 0.95), (30, 100, 300), (0.0, 0.5, 0.9), (0.0, 0.02)
SEARCHES, TRAINED, RERANKED = 2000, 100, 5
UNITS = {"hpobench": 100.0, "nasbench201": 1.0, "fcnet": 1.0}  # to points; fcnet stays in decades of squared error
PLAIN, CORRECTED, SHARE = "plain winner", "bias-corrected", "of the plain"
AGAIN, FRESH, SHARES = "best of 5 chosen again", ("1 fresh seed", "2 fresh seeds"), (SHARE, "of the plain, 2")
WINNER, NARROWED = "bias-corrected, best of 50", "the same, narrowed"
INTERVALS = ("percentile bootstrap", "bootstrap's deviation, logit", "DeLong, logit", WINNER, NARROWED)
COLOURS = {PLAIN: "C3", CORRECTED: "C0", AGAIN: "C1", FRESH[0]: "C0", FRESH[1]: "C9"}
COLOURS |= dict(zip(INTERVALS, ("C0", "C1", "C2", "C3", "C4"), strict=True))


@dataclass(frozen=True)
class Field:
    """Configurations of which the best is chosen, one case a patient, half of them positive.

    Attributes: the mean true AUC; how many patients choose; the correlation of two configurations' scores among the
        patients of one class; the standard deviation of the true AUCs.
    """

    auc: float
    patients: int
    correlation: float
    spread: float = 0.0


def main() -> None:
    """Measure, save, print and draw."""
    with threadpool_limits(1, "blas"):
        figures = {"bias": bias_rows(), "coverage": coverage_rows(), "recorded": recorded_rows()}
    save("winners_curse", figures)
    print("\n\n".join(map(markdown, figures.values())))
    draw(**figures)


def areas(positive: NDArray[np.bool_], scores: Floats, weight: Floats) -> Floats:
    """`metrics.auc` of (scores, cases) by counts (draws, cases): (scores, draws), equal to the last bit.

    Only counts and halves are added, which float32 does exactly.
    """
    wins = (np.sign(scores[:, positive, None] - scores[:, None, ~positive]).astype(np.float32) + 1) / 2
    positives, negatives = (np.ascontiguousarray(weight[:, of], np.float32) for of in (positive, ~positive))
    won = np.einsum("sdn,dn->sd", positives @ wins, negatives).astype(np.float64)
    return won / (positives.sum(axis=1, dtype=np.float64) * negatives.sum(axis=1, dtype=np.float64))


def drawn(field: Field, generator: np.random.Generator) -> tuple[NDArray[np.bool_], Floats, Floats, Floats]:
    """(patients,) positive; (configurations, patients) normal scores; their true AUCs; the bootstrap's weights."""
    positive = np.arange(field.patients) % 2 == 1
    truths = np.clip(generator.normal(field.auc, field.spread, CONFIGURATIONS), 0.51, 0.99)
    shared, own = generator.normal(size=field.patients), generator.normal(size=(CONFIGURATIONS, field.patients))
    scores = np.sqrt(field.correlation) * shared + np.sqrt(1 - field.correlation) * own
    scores += np.sqrt(2) * norm.ppf(truths)[:, None] * positive
    return positive, scores, truths, patient_weights(np.arange(field.patients), positive.astype(np.int64))


def winner(field: Field, repeat: int) -> Floats:
    """(5,) true AUC of the best, its plain AUC, the bias-corrected one, and that one's interval, low and high."""
    positive, scores, truths, weight = drawn(field, generator_of("winner's curse", field, repeat))
    values, draws = areas(positive, scores, metrics.ones(field.patients))[:, 0], areas(positive, scores, weight)
    best = bias_corrected(lambda trial, given: metrics.auc(positive, scores[trial], given), values, draws, weight)
    return np.array([truths[values.argmax()], best.plain, best.value, best.low, best.high])


def bias_rows() -> list[Row]:
    """By how much the best of 50 on 100 patients looks better than it is, plain and corrected."""
    rows = []
    for field in (Field(0.8, 100, correlation, spread) for spread in SPREADS for correlation in CORRELATIONS):
        found = np.stack([winner(field, repeat) for repeat in range(BIAS_REPEATS)], axis=1)
        plain, corrected = found[1:3] - found[0]
        row = {"true AUC": f"0.8, sd {field.spread}" if field.spread else "0.8, all", "correlation": field.correlation}
        row |= {PLAIN: over_repeats(plain).rounded(4), CORRECTED: over_repeats(corrected).rounded(4)}
        off = f"{np.sqrt(np.mean(plain**2)):.3f}, {np.sqrt(np.mean(corrected**2)):.3f}"
        row |= {SHARE: ratio(corrected, plain).rounded(3), "root mean squares": off}
        rows.append(row | winner_coverage(found))
    return rows


def winner_coverage(found: Floats) -> dict[str, list[float]]:
    """Coverage of the interval of `winner`, and of it as it would be if those left out, 1 in e, were as many as all.

    Source: the delete-d jackknife's scale, Shao and Wu 1989, Annals of Statistics 17(3):1176-1197.
    """
    truth, _, value, *interval = found
    narrowed = value + (np.array(interval) - value) / np.sqrt(np.e - 1)
    return {WINNER: coverage(*interval, truth), NARROWED: coverage(*narrowed, truth)}


def coverage_rows() -> list[Row]:
    """How often each 95 % interval holds the true AUC, in per cent."""
    rows: list[Row] = []
    for patients, auc in product(PATIENTS, AUCS):
        field = Field(auc, patients, CORRELATIONS[1])
        chosen = winner_coverage(np.stack([winner(field, repeat) for repeat in range(WINNER_REPEATS)], axis=1))
        rows.append({"patients": patients, "true AUC": auc, **alone(Field(auc, patients, 0.0)), **chosen})
    return rows


def alone(field: Field) -> dict[str, list[float]]:
    """Coverage where nothing is chosen: each configuration has data of its own."""
    generator, found = generator_of("coverage", field), []
    for _ in range(DATA_SETS // CONFIGURATIONS):
        positive, scores, _, weight = drawn(field, generator)
        draws, delong = areas(positive, scores, weight), np.array([delong_interval(positive, each) for each in scores])
        bootstrap = logit_intervals(delong[:, 0], draws.std(axis=1))
        found.append(np.concatenate([np.array(percentile_intervals(draws)), bootstrap, delong[:, 1:]], axis=1))
    held = (coverage(*ends, field.auc) for ends in np.concatenate(found).T.reshape(3, 2, -1))
    return dict(zip(INTERVALS, held, strict=False))


def logit_intervals(value: Floats, deviation: Floats) -> Floats:
    """(scores, 2) from AUCs and their standard deviations, made on the logit scale; an AUC of 1 is its own."""
    inside = np.clip(value, 1e-9, 1 - 1e-9)
    margin = norm.ppf(0.975) * deviation / (inside * (1 - inside))
    return np.asarray(expit(logit(inside)[:, None] + margin[:, None] * np.array([-1.0, 1.0])))


def coverage(low: Floats, high: Floats, truth: Floats | float) -> list[float]:
    """How many of (intervals,) hold the truth: per cent, with its Wilson interval."""
    held = int(np.sum((low <= truth) & (truth <= high)))
    return [round(100 * share, 1) for share in (held / len(low), *wilson_interval(held, len(low)))]


def ratio(above: Floats, below: Floats, draws: int = 10_000) -> Interval:
    """The ratio of two means of (repeats,), its interval by drawing repeats, both sides together."""
    repeats = generator_of("bootstrap", "ratio").integers(len(above), size=(draws, len(above)))
    low, high = np.quantile(above[repeats].mean(axis=1) / below[repeats].mean(axis=1), (0.025, 0.975))
    return Interval(float(above.mean() / below.mean()), float(low), float(high))


def optimism(runs: Floats, fresh: int, generator: np.random.Generator) -> Floats:
    """By how much the best of 100 by one seed, its fresh seeds, and the best of five by those exceed the truth.

    In a search each seed chooses once; of the others, shuffled, the first `fresh` confirm, the rest's mean is truth.
    From (configurations, seeds), all recorded and more than `fresh` + 1 seeds, to (3, searches).
    """
    trained = np.stack([generator.choice(len(runs), TRAINED, replace=False) for _ in range(SEARCHES)])
    found, searches, seeds = np.zeros((3, SEARCHES)), np.arange(SEARCHES), runs.shape[1]
    for seed in range(seeds):
        best = np.argsort(-runs[trained, seed], axis=1)[:, :RERANKED]
        top = runs[np.take_along_axis(trained, best, axis=1)]  # (searches, five, seeds)
        others = generator.permuted(np.tile(np.delete(np.arange(seeds), seed), (SEARCHES, 1)), axis=1)
        shuffled = np.take_along_axis(top, others[:, None], axis=2)
        confirmed, truth = shuffled[..., :fresh].mean(axis=2), shuffled[..., fresh:].mean(axis=2)
        again = (confirmed - truth)[searches, confirmed.argmax(axis=1)]
        found += np.stack([top[:, 0, seed] - truth[:, 0], confirmed[:, 0] - truth[:, 0], again]) / seeds
    return found


def recorded_rows() -> list[Row]:
    """The optimism of each table, and of each family's mean."""
    rows: list[Row] = []
    for family, unit in UNITS.items():
        found: dict[str, list[Floats]] = {}
        for name in (name for name in NAMES if name.startswith(family)):
            runs = np.asarray(published_table(name).values[:, :, 0] * unit, np.float64)
            runs = runs[np.isfinite(runs).all(axis=1)]
            ways = [(fresh, generator_of("recorded", name, fresh)) for fresh in (1, 2) if runs.shape[1] > fresh + 1]
            found[name] = [optimism(runs, *way) for way in ways]
        found[f"{family}, mean"] = [np.mean(of_way, axis=0) for of_way in zip(*found.values(), strict=True)]
        for name, by_way in found.items():
            row: dict[str, Any] = {"table": name, PLAIN: over_repeats(by_way[0][0]).rounded(4)}
            for fresh, share, (plain, confirmed, _) in zip(FRESH, SHARES, by_way, strict=False):
                row |= {fresh: over_repeats(confirmed).rounded(4), share: ratio(confirmed, plain).rounded(3)}
            rows.append(row | {AGAIN: over_repeats(by_way[0][2]).rounded(4)})
    return rows


def markdown(rows: Sequence[Row]) -> str:
    """A table under the first row's headings; what a row lacks is left empty."""
    cells = [[*rows[0]], ["---"] * len(rows[0]), *([row.get(name, "") for name in rows[0]] for row in rows)]
    told = [["{:g} ({:g} to {:g})".format(*np.add(c, 0)) if isinstance(c, list) else c for c in line] for line in cells]
    return "\n".join(f"| {' | '.join(map(str, line))} |" for line in told)


def draw(bias: Sequence[Row], coverage: Sequence[Row], recorded: Sequence[Row]) -> None:
    """Write docs/winners_curse.png."""
    from matplotlib.figure import Figure

    rooms = [["bias"] * 3 + ["points"], [*PATIENTS, "points"], [*PATIENTS, "fcnet"]]
    figure = Figure(figsize=(14, 9.5), layout="constrained")
    axes = figure.subplot_mosaic(rooms, width_ratios=(1, 1, 1, 2.2), height_ratios=(4, 1.8, 2.4))
    names = [f"true AUC {row['true AUC']}\ncorrelation {row['correlation']}" for row in bias]
    draw_estimates(axes["bias"], names, bias, (PLAIN, CORRECTED))
    axes["bias"].set(title="Simulated: best of 50, 100 patients", xlabel="AUC, above the winner's true AUC")
    for room, unit in (("points", "accuracy, points"), ("fcnet", "-log10 squared error")):
        kept = [row for row in recorded if row["table"].startswith("fcnet") == (room == "fcnet")]
        draw_estimates(axes[room], [row["table"] for row in kept], kept, (PLAIN, AGAIN, *FRESH))
        axes[room].set(xlabel=f"{unit}, above other seeds' mean", title="Recorded: best of 100 by one seed")
    for patients in PATIENTS:
        draw_estimates(axes[patients], AUCS, [row for row in coverage if row["patients"] == patients], INTERVALS)
        axes[patients].axvspan(93, 97, color="k", alpha=0.08, linewidth=0)
        axes[patients].set(title=f"{patients} patients", xlim=(84, 100.5), xlabel="hold the truth, %")
    axes[PATIENTS[0]].set_ylabel("true AUC")
    axes["bias"].legend(fontsize=9)
    axes["points"].legend(fontsize=9)
    figure.legend(*axes[PATIENTS[0]].get_legend_handles_labels(), loc="outside lower left", ncols=3, fontsize=9)
    with atomic_path(REPOSITORY / "docs" / "winners_curse.png") as path:
        figure.savefig(path, dpi=130)


def draw_estimates(axes: Any, names: Sequence[object], rows: Sequence[Row], headings: Sequence[str]) -> None:
    """A line a row, from the top, with the estimates under the headings and their intervals."""
    for number, heading in enumerate(headings):
        places = np.array([place for place, row in enumerate(rows) if heading in row])
        middle, low, high = np.array([rows[place][heading] for place in places]).T
        style = {"fmt": "o", "markersize": 4, "capsize": 2, "color": COLOURS[heading], "label": heading}
        places = places + 0.16 * (number - (len(headings) - 1) / 2)
        axes.errorbar(middle, places, xerr=(middle - low, high - middle), **style)
    axes.set_yticks(range(len(names)), names)
    axes.invert_yaxis()
    axes.axvline(0, color="k", linewidth=0.8)
    axes.grid(alpha=0.3, axis="x")


if __name__ == "__main__":
    main()
