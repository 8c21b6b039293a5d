"""A campaign over MURA by 1 to 1,000 workers, simulated from measured times: where is the knee, what breaks first.

Eight tasks, each with six architectures, a search each (benchmarks/scale_world.py has the rules). A search of a
campaign begins when the one before has ended; several campaigns side by side have several searches under way. All draws
are seeded.

Read from benchmarks/results: scale.json, overhead.json, scaling.json, extraction.json. Assumed, as nothing here
measured it: a trial takes longer in proportion to its images; an epoch of a trained last block takes `TAIL` times the
extraction of its images (measured of one architecture at one size); base_cnn, which is trained whole, is as fast as
efficientnet_lite0; early stopping leaves between half and all of the epochs; a worker has two cores and one trial.

    python -m benchmarks.scale_simulation
"""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from typing import Any

import numpy as np

from benchmarks.common import REPOSITORY, RESULTS, save
from benchmarks.report_store import IMAGES
from benchmarks.scale_world import Costs, Operation, Search, simulate

WORKERS = (1, 3, 10, 30, 100, 300, 1000)
TRIALS = 100  # a search
PASSES = 13  # over train: a plain view, four each of three levels of augmentation
EPOCHS, TAIL = 20, 1.2
NEVER_FROZEN = "base_cnn"
KNEE = 0.5  # the useful share of workers' time, below which more workers hardly help
IMAGES_LINE = "images, EfficientNet-Lite0 at 128 px, drawn all_parts, 20 trials"
TRIALS_LINE = "trials, DenseNet121 at 224 px, XR_HAND, features ready"


@dataclass(frozen=True)
class Kind:
    """A kind of campaign.

    Attributes:
        tails: share of trials that train the last block. ready: features were extracted before.
        roaming: all searches are open, and workers go where most is left; else one search after another.
        in_turns: whether a search's proposals are made one after another, as on PostgreSQL; else they race.
    """

    tails: float
    ready: bool
    roaming: bool = False
    in_turns: bool = True


KINDS = {
    "default campaign": Kind(0.5, False),
    "default, all searches open": Kind(0.5, False, roaming=True),
    "heads alone, features ready": Kind(0.0, True),
    "heads alone, all searches open": Kind(0.0, True, roaming=True),
    "heads alone, without turns": Kind(0.0, True, in_turns=False),
}


def main() -> None:
    """Simulate, save and draw."""
    inputs = measured()
    found = {name: [_simulated(inputs, kind, workers) for workers in WORKERS] for name, kind in KINDS.items()}
    knees = {
        name: max((row["workers"] for row in rows if row["useful"] >= KNEE), default=0) for name, rows in found.items()
    }
    told = {name: [_rounded(row) for row in rows] for name, rows in found.items()}
    save(
        "scale_simulation",
        {
            "inputs": asdict(inputs),
            "trials a search": TRIALS,
            "trials a second, for comparison": _rounded(against_measured(inputs)),
            "knee, workers": knees,
            "simulated": told,
        },
    )
    _draw(found)


def _simulated(inputs: "Inputs", kind: Kind, workers: int) -> dict[str, Any]:
    return simulate(inputs.costs, workers, campaign(inputs, TRIALS, kind), kind.roaming, kind.in_turns)


def against_measured(inputs: "Inputs") -> dict[str, float]:
    """Trials a second of workers whose trials and proposals take no time: as measured in scale.json, but simulated."""
    costs = replace(inputs.costs, proposal=((0, 0.0),), start=0.0, history=Operation(0))
    found = {}
    for side, in_turns in (("all wanting the next number", True), ("the same without turns", False)):
        for workers in (8, 64):
            run = simulate(costs, workers, [Search([0.0] * 500)], in_turns=in_turns)
            found[f"{workers} clients, {side}"] = run["trials an hour"] / 3600
    return found


def _rounded(row: Mapping[str, Any]) -> dict[str, Any]:
    """To three digits."""
    return {name: _rounded(each) if isinstance(each, dict) else float(f"{each:.3g}") for name, each in row.items()}


def _draw(found: Mapping[str, list[dict[str, Any]]]) -> None:
    """Trials an hour by workers."""
    import matplotlib as mpl

    mpl.use("Agg")
    import matplotlib.pyplot as plt

    figure, axes = plt.subplots(figsize=(7, 4.2), layout="constrained")
    for (name, rows), marker in zip(found.items(), "osD^v", strict=True):
        rates = [row["trials an hour"] for row in rows]
        (line,) = axes.plot([row["workers"] for row in rows], rates, marker=marker, label=name)
        axes.plot(WORKERS, [rates[0] * each for each in WORKERS], ":", color=line.get_color(), linewidth=1)
    axes.set(xscale="log", yscale="log", xlabel="workers (2 cores each)", ylabel="trials an hour (simulated)")
    axes.set_title("Dotted: as many times one worker's", fontsize=10)
    axes.legend(fontsize=8)
    axes.grid(alpha=0.3)
    figure.savefig(REPOSITORY / "docs" / "scale.png", dpi=110)
    plt.close(figure)


def campaign(inputs: "Inputs", trials: int, kind: Kind) -> list[Search]:
    """The searches of a campaign, the largest task first."""
    generator = np.random.default_rng(0)
    searches = []
    for train, other in sorted(images().values(), key=sum, reverse=True):
        for architecture, speed in inputs.images_a_second.items():
            if kind.ready and architecture == NEVER_FROZEN:
                continue
            head = inputs.head_seconds + inputs.head_seconds_an_image * (train + other)
            tail = EPOCHS * train * TAIL / speed
            is_tail = generator.random(trials) < (1.0 if architecture == NEVER_FROZEN else kind.tails)
            seconds = np.where(is_tail, tail, head) * generator.uniform(0.5, 1, trials)
            nothing = kind.ready or architecture == NEVER_FROZEN
            searches.append(Search(seconds.tolist(), 0.0 if nothing else (PASSES * train + other) / speed))
    return searches


def images() -> dict[str, tuple[int, int]]:
    """Task -> images of train, and of valid and test; a tenth of MURA's train is our valid."""
    found = {}
    for part, (train, test) in IMAGES.items():
        valid = round(0.1 * sum(train))
        found[part] = sum(train) - valid, valid + sum(test)
    return found | {"all_parts": (sum(each[0] for each in found.values()), sum(each[1] for each in found.values()))}


@dataclass(frozen=True)
class Inputs:
    """What was measured.

    Attributes:
        images_a_second: of a worker with two cores, by architecture, at its native size.
        head_seconds, head_seconds_an_image: of a trial with all frozen, features ready, on two cores.
    """

    costs: Costs
    images_a_second: dict[str, float]
    head_seconds: float
    head_seconds_an_image: float


def measured() -> Inputs:
    """Read from benchmarks/results."""
    names = ("scale", "overhead", "scaling", "extraction")
    scale, overhead, scaling, extraction = (json.loads((RESULTS / f"{name}.json").read_text()) for name in names)
    others = {name: each["2 images a thread"] for name, each in extraction["other architectures"].items()}
    small, large = (scaling[IMAGES_LINE][f"{count} images"]["features ready"] for count in (231, 5080))
    an_image = (large - small) / 20 / (5080 - 231)
    of_hand = scaling[TRIALS_LINE]["a trial of 51 to 200"]  # 652 images
    densenet = extraction["best"]["onnxruntime, our graph, 2 images a thread"]
    return Inputs(
        costs=costs_of(scale, overhead["seconds until a worker's first claim"]),
        images_a_second={NEVER_FROZEN: others["efficientnet_lite0"], "densenet121": densenet, **others},
        head_seconds=of_hand - 652 * an_image,
        head_seconds_an_image=an_image,
    )


def costs_of(scale: dict[str, Any], start: float) -> Costs:
    """An operation's latency by one client, of which the store's own share is what 64 clients at once leave of it."""
    ours, one = scale["store"]["ours"], scale["one client"]
    alone = {name: ms[0] / 1e3 for name, ms in ours["1 clients"]["ms, median and 99th percentile"].items()}
    share = min(1 / ours["64 clients"]["a second"] / (alone["claim"] + alone["finish"]), 1.0)

    def operation(seconds: float) -> Operation:
        return Operation(share * seconds, (1 - share) * seconds)

    claim, claim_a_worker = _line(one["claim, ms by workers of the search"])
    look, look_a_trial = _line(one["look, ms by trials read"])
    _, a_history = _line(one["histories, ms by trials read"])
    return Costs(
        history=operation(a_history),
        claim=operation(claim),
        claim_a_worker=operation(claim_a_worker),
        look=operation(look),
        look_a_trial=operation(look_a_trial),
        finish=operation(alone["finish"]),
        beat=operation(alone["sign of life"]),
        proposal=[(int(known), ms / 1e3) for known, ms in scale["proposal, ms by known trials"].items()],
        start=start,
    )


def _line(ms: dict[str, float]) -> tuple[float, float]:
    """Seconds at nothing, and for each one more, through the first and the last of what was measured."""
    (first, low), *_, (last, high) = ((int(count), value / 1e3) for count, value in ms.items())
    slope = max((high - low) / (last - first), 0.0)
    return max(low - slope * first, 0.0), slope


if __name__ == "__main__":
    main()
