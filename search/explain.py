"""`--explain`: the plan for a person, before anything runs; and what the cache saved, after."""

from collections.abc import Mapping, Sequence

import numpy as np

from features.cache import FeatureCache, Ledger
from features.extractor import Images, Views
from features.frozen import Backbones
from features.records import FrozenNetwork, read_record
from radiographs.dataset import SizedPixels
from radiographs.pixels import PixelStore
from results.connection import hide_password
from search.feature_plan import GIB, CutPlan, budget_of, expected_images_per_second, matrix_speed
from search.own_model import OwnModel
from search.plan import Plan
from search.progress import duration
from spaces.architecture import Architecture


def explain(plan: Plan) -> str:
    """What will be searched, what is extracted for it and how large, what is there already, and how long it takes."""
    options = plan.options
    pruner = "" if options.pruner == "none" else f" with {options.pruner} pruner"
    confirming = f", then the best {options.confirm} again under fresh seeds" if options.confirm else ""
    lines = [
        f"search {options.name}: {options.trials} trials of up to {options.epochs} epochs, {options.objective} "
        f"maximised by {options.engine} {options.sampler}{pruner} in batches of {options.batch_trials}, "
        f"seed {options.seed}{confirming}",
        f"data {plan.listed.root}: {options.part}, "
        + ", ".join(f"{count} {split}" for split, count in plan.counts.items())
        + f"; {len(plan.listed.left_out)} left out",
        f"store {hide_password(options.store)}, models and caches in {options.runs}/",
    ]
    budget = budget_of(options.runs, options.cache_gib)
    cuts, speed = plan.cuts(budget), matrix_speed()
    there = _images_there(plan, cuts)
    for architecture in plan.architectures:
        lines += _architecture(plan, architecture)
        own = {cut: there[cut] for cut in cuts if cut.architecture is architecture}
        lines += _features(plan, architecture, own, speed)
    if plan.own_model is not None:
        lines += _own_model(plan.own_model, plan.image_size[plan.own_model.name])
    if cuts:
        lines += ["", _naive(plan, speed)]
    if options.feature_cache:
        lines += [f"features may take {_size(budget)} in {options.runs}/features"]
    return "\n".join(lines)


def _own_model(own: OwnModel, image_size: int) -> list[str]:
    """A user's own model and what it varies, as Keras Tuner says it."""
    lines = ["", f"{own.place} at {image_size} px, trained whole"]
    for each in own.space:
        settings = {name: value for name, value in each["config"].items() if name not in ("name", "conditions")}
        lines.append(f"  {each['config']['name']}: {each['class_name']} {settings}")
    return lines


def _architecture(plan: Plan, architecture: Architecture) -> list[str]:
    size = plan.image_size[architecture.name]
    lines = ["", f"{architecture.name} at {size} px, weights {plan.weights[architecture.name]}"]
    for parameter in plan.space.parameters[architecture.name]:
        condition = f" (where {parameter.when.parameter} >= {parameter.when.least})" if parameter.when else ""
        lines.append(f"  {parameter.name}: {parameter.told()}{condition}")
    return lines


def _features(plan: Plan, architecture: Architecture, cuts: Mapping[CutPlan, int], speed: float) -> list[str]:
    """A line a cut, and the time that one pass for all of them takes.

    Args:
        cuts: with the images whose features are kept already.
    """
    if not cuts:
        return []
    options, size = plan.options, plan.image_size[architecture.name]
    rate = expected_images_per_second(architecture, size, speed)
    lines, left = [], 0
    for cut, there in cuts.items():
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


def _images_there(plan: Plan, cuts: Sequence[CutPlan]) -> dict[CutPlan, int]:
    """For each cut, the images whose features are kept already."""
    runs, table = plan.options.runs, plan.listed.images
    backbones, cache = Backbones(runs / "backbones", plan.weights), FeatureCache(runs / "features")
    known = PixelStore(runs / "pixels").remembered(plan.listed.root, list(table["path"]))
    digests = {str(split): tuple(known.get(path, "") for path in of["path"]) for split, of in table.groupby("split")}
    records: dict[str, FrozenNetwork | None] = {}
    for architecture in plan.architectures:
        folder = backbones.folder(architecture, plan.image_size[architecture.name], {})
        records[architecture.name] = None if architecture.shape_parameters else read_record(folder)
    there = {}
    for cut in cuts:
        record, size = records[cut.architecture.name], plan.image_size[cut.architecture.name]
        there[cut] = 0 if record is None else _held(cache, record, cut, size, digests)
    return there


def _held(
    cache: FeatureCache, record: FrozenNetwork, cut: CutPlan, size: int, digests: Mapping[str, tuple[str, ...]]
) -> int:
    pixels, held = SizedPixels(size, np.zeros((0, size, size), np.uint8), {}), 0
    for split, of_split in digests.items():
        for level, view in (("no", 0), *(cut.views if split == "train" else ())):
            views = Views(Images(pixels, of_split), level, view)
            held += len(views) if cache.holds(record, views, cut.cut.name) else 0
    return held


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
