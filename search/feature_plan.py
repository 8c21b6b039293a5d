"""How large the features of a search can grow, which of them the cache keeps, and how long they take."""

import shutil
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from spaces.architecture import Architecture, Cut
from spaces.declaration import Choice, Space

GIB = 2**30
DEFAULT_SHARE = 0.5  # of the free disk


@dataclass(frozen=True)
class CutPlan:
    """What a search may need of one cut.

    Attributes:
        views: level and view of train images, besides each split as it is.
        images: passes through the frozen layers at most. bytes: of their features, about.
        kept: whether the cache keeps them; else they are computed anew each time.
    """

    architecture: Architecture
    cut: Cut
    views: tuple[tuple[str, int], ...]
    images: int
    bytes: int
    kept: bool


def view_of_epoch(level: str, epoch: int, views: int) -> int:
    """The view that an epoch trains on."""
    return 0 if level == "no" else epoch % views


def plan_features(
    space: Space,
    architectures: Sequence[Architecture],
    image_size: Mapping[str, int],
    counts: Mapping[str, int],
    epochs: int,
    views: int,
    budget: int,
) -> list[CutPlan]:
    """The cuts of a search; those with the smallest features are kept first, as long as all kept ones fit together.

    Args:
        counts: split -> images. budget: bytes.
    """
    plans = []
    for architecture in architectures:
        levels = _choices(space, architecture, "augmentation")
        augmented = {(level, view_of_epoch(level, epoch, views)) for level in levels for epoch in range(epochs)}
        seen = tuple(sorted(each for each in augmented if each[0] != "no"))
        images = len(seen) * counts["train"] + sum(counts.values())
        for name in _choices(space, architecture, "frozen"):
            cut = architecture.cut(name)
            if cut.after is not None:
                size = images * image_bytes(architecture, cut, image_size[architecture.name])
                plans.append(CutPlan(architecture, cut, seen, images, size, False))
    kept = []
    for plan in sorted(plans, key=lambda plan: plan.bytes):
        fits = plan.bytes <= budget
        budget -= plan.bytes if fits else 0
        kept.append(CutPlan(plan.architecture, plan.cut, plan.views, plan.images, plan.bytes, fits))
    return sorted(kept, key=lambda plan: (architectures.index(plan.architecture), plan.bytes))


def _choices(space: Space, architecture: Architecture, name: str) -> list[str]:
    parameter = space.parameter(architecture.name, name)
    assert isinstance(parameter, Choice)
    return [str(choice) for choice in parameter.choices]


def image_bytes(architecture: Architecture, cut: Cut, image_size: int) -> int:
    """About the bytes of one image's features: those at the native size, maps scaled by the area."""
    scale = (image_size / architecture.native_size) ** 2 if len(cut.features) == 3 else 1.0
    return round(4 * scale * float(np.prod(cut.features)))


def budget_of(runs: Path, gib: float | None) -> int:
    """The most bytes of features below the runs folder: as given, else half of what is free with them removed."""
    if gib is not None:
        return int(gib * GIB)
    there = next(parent for parent in (runs.resolve(), *runs.resolve().parents) if parent.exists())
    taken = sum(path.stat().st_size for path in (runs / "features").glob("*/*/*.f32"))
    return int((shutil.disk_usage(there).free + taken) * DEFAULT_SHARE)


def matrix_speed() -> float:
    """This machine's speed in GFLOP/s: the best of three products of 2,048 x 2,048 float32 matrices."""
    side = 2048
    one = np.ones((side, side), np.float32)
    one @ one
    times = []
    for _ in range(3):
        start = time.perf_counter()
        one @ one
        times.append(time.perf_counter() - start)
    return 2 * side**3 / min(times) / 1e9


def expected_images_per_second(architecture: Architecture, image_size: int, gigaflops: float) -> float:
    """About how many images a second pass the whole backbone on a machine of that matrix speed.

    An extraction was seen to run at 0.87 to 1.1 times the speed of a large matrix product: docs/benchmarks.md.
    """
    one = architecture.gigaflops * (image_size / architecture.native_size) ** 2
    return gigaflops / one
