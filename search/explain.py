"""`--explain`: the plan for a person, before anything runs; and what the cache saved, after."""

from collections.abc import Sequence

import numpy as np

from features.cache import FeatureCache, Ledger
from features.extractor import Images, Views
from features.frozen import Backbones, FrozenNetwork
from radiographs.dataset import SizedPixels
from radiographs.pixels import PixelStore
from search.feature_plan import GIB, CutPlan, budget_of, expected_images_per_second, matrix_speed
from search.plan import Plan
from search.progress import duration
from spaces.architecture import Architecture


def explain(plan: Plan) -> str:
    """What will be searched, what is extracted for it and how large, what is there already, and how long it takes."""
    options = plan.options
    lines = [
        f"search {options.name}: {options.trials} trials of up to {options.epochs} epochs, {options.objective} "
        f"maximised by {options.engine} {options.sampler} in batches of {options.batch_trials}, seed {options.seed}",
        f"data {plan.listed.root}: {options.part}, "
        + ", ".join(f"{count} {split}" for split, count in plan.counts.items())
        + f"; {len(plan.listed.left_out)} left out",
        f"store {options.store}, models and caches in {options.runs}/",
    ]
    budget = budget_of(options.runs, options.cache_gib)
    cuts, speed = plan.cuts(budget), matrix_speed()
    for architecture in plan.architectures:
        lines += _architecture(plan, architecture)
        own = [cut for cut in cuts if cut.architecture is architecture]
        lines += _features(plan, architecture, own, speed)
    if cuts:
        lines += ["", _naive(plan, speed)]
    if options.feature_cache:
        lines += [f"features may take {_size(budget)} in {options.runs}/features"]
    return "\n".join(lines)


def _architecture(plan: Plan, architecture: Architecture) -> list[str]:
    size = plan.image_size[architecture.name]
    lines = ["", f"{architecture.name} at {size} px, weights {plan.weights[architecture.name]}"]
    for parameter in plan.space.parameters[architecture.name]:
        condition = f" (where {parameter.when.parameter} >= {parameter.when.least})" if parameter.when else ""
        lines.append(f"  {parameter.name}: {parameter.told()}{condition}")
    return lines


def _features(plan: Plan, architecture: Architecture, cuts: Sequence[CutPlan], speed: float) -> list[str]:
    """A line a cut, and the time that one pass for all of them takes."""
    if not cuts:
        return []
    options, size = plan.options, plan.image_size[architecture.name]
    rate = expected_images_per_second(architecture, size, speed)
    lines, left = [], 0
    for cut in cuts:
        there = _there(plan, cut)
        kept = cut.kept and options.feature_cache
        fate = f"{there:,} of them there already" if kept else "not kept, computed anew each time"
        lines.append(f"  frozen {cut.cut.name}: at most {cut.images:,} images' features, {_size(cut.bytes)}; {fate}")
        left = max(left, cut.images - there if kept else 0)
    lines.append(
        f"  their frozen layers run once an image and view: at most {left:,} passes more, about "
        f"{duration(left / rate)} at {rate:.0f} images/s (from this machine's {speed:.0f} GFLOP/s)"
    )
    return lines


def _naive(plan: Plan, speed: float) -> str:
    """What every trial and epoch anew would cost, trials spread evenly over architectures."""
    options = plan.options
    passes = options.trials * options.epochs * (plan.counts["train"] + plan.counts["valid"])
    seconds = [
        passes / expected_images_per_second(each, plan.image_size[each.name], speed) for each in plan.architectures
    ]
    return (
        f"without a cache, each trial and epoch anew: {passes:,} passes of whole backbones, about "
        f"{duration(sum(seconds) / len(seconds))}"
    )


def _there(plan: Plan, cut: CutPlan) -> int:
    """Images whose features at the cut are kept already."""
    options, architecture = plan.options, cut.architecture
    backbones, size = Backbones(options.runs / "backbones", plan.weights), plan.image_size[architecture.name]
    if architecture.shape_parameters or not backbones.knows(architecture, size, {}):
        return 0
    frozen = backbones.frozen(architecture, size, {}, _no_batch)
    cache = FeatureCache(options.runs / "features")
    images = plan.listed.images
    known = PixelStore(options.runs / "pixels").remembered(plan.listed.root, list(images["path"]))
    return sum(
        _held(cache, frozen, cut, size, [known.get(path, "") for path in group["path"]], str(split))
        for split, group in images.groupby("split")
    )


def _held(
    cache: FeatureCache, frozen: FrozenNetwork, cut: CutPlan, size: int, digests: Sequence[str], split: str
) -> int:
    images = Images(SizedPixels(size, np.zeros((0, size, size), np.uint8), {}), tuple(digests))
    views = (("no", 0), *(cut.views if split == "train" else ()))
    held = [cache.holds(frozen, Views(images, level, view), cut.cut.name) for level, view in views]
    return sum(held) * len(digests)


def _no_batch() -> np.ndarray:
    raise AssertionError("a record that is there needs no batch")


def saved(ledger: Ledger) -> str:
    """What the cache saved: measured passes and seconds, and what each use anew would have taken at that speed."""
    if not ledger.served:
        return "no features were used"
    line = f"features of {ledger.served:,} images were used, {ledger.extracted:,} passed the frozen layers"
    if ledger.extracted:
        line += f" ({duration(ledger.seconds)}, {ledger.extracted / ledger.seconds:.1f} images/s)"
    return f"{line}: the cache saved about {duration(max(ledger.seconds_anew - ledger.seconds, 0))}"


def _size(count: int) -> str:
    """Bytes for a person.

    >>> _size(3_000_000), _size(5 * 2**30)
    ('2.9 MiB', '5.0 GiB')
    """
    return f"{count / GIB:.1f} GiB" if count >= GIB else f"{count / 2**20:.1f} MiB"
