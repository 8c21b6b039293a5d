"""How long 1, 2 and 4 processes take to fill the feature cache together, the cores divided among them.

DenseNet121 with random weights at 224 px: features of the three splits of XR_HAND, strong views of train. Processes
have loaded their network before the clock starts, as workers have after their first view; it stops when the last one
can read all features. Cases run in turns, and each is compared with one process on all cores in the same turn. All must
write the same bytes, and each batch once. On a machine that others use too, processor time and the share of the time
that processes were extracting tell more than the speed.

    python -m benchmarks.cache_fill [--turns N] [--images N]
"""

import argparse
import hashlib
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Any

from benchmarks.common import RADIOGRAPHS, REPOSITORY, save

PART, ARCHITECTURE, SIZE = "XR_HAND", "densenet121", 224
ALONE, ON_SHARE = "1 process on all cores", "1 process on half of the cores, as when the other of 2 waited"
TOGETHER = {"2 processes": 2, "4 processes": 4}


@dataclass(frozen=True)
class Fill:
    """One filling of an empty cache.

    Attributes:
        extracted: images that each process extracted, in `extracting` seconds all together.
        written: a digest of all features.
    """

    seconds: float
    extracted: tuple[int, ...]
    extracting: float
    processor_seconds: float
    written: str


def main() -> None:
    """Run all cases in turns and save the figures, or take part in one as a child."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--turns", type=int, default=5)
    parser.add_argument("--images", type=int, default=2**31, help="of each split at most (default: all)")
    parser.add_argument("--child", nargs=3, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.child:
        folder, features, share = options.child
        os.sched_setaffinity(0, map(int, share.split(",")))
        take_part(Path(folder), Path(features), options.images)
        return
    cores = sorted(os.sched_getaffinity(0))
    cases = {ALONE: [cores], ON_SHARE: shares(cores, 2)[:1]}
    cases |= {name: shares(cores, count) for name, count in TOGETHER.items()}
    found: dict[str, list[Fill]] = {case: [] for case in cases}
    with tempfile.TemporaryDirectory() as folder:
        prepare(Path(folder), options.images)
        for turn in range(options.turns):
            for case in list(cases)[:: 1 if turn % 2 else -1]:
                found[case].append(fill(Path(folder), options.images, cases[case]))
                print(case, found[case][-1], file=sys.stderr)
    save("cache_fill", figures(found))


def figures(found: dict[str, list[Fill]]) -> dict[str, Any]:
    """Images a second and ratios, case by case."""
    assert len({each.written for fills in found.values() for each in fills}) == 1, "features differ"
    images = {sum(each.extracted) for fills in found.values() for each in fills}
    assert len(images) == 1, f"not each image was extracted once: {images}"
    told: dict[str, Any] = {
        "conditions": f"{ARCHITECTURE}, random weights, {SIZE} px, {images.pop()} images of {PART} in three splits, "
        f"{len(os.sched_getaffinity(0))} cores divided, {len(found[ALONE])} turns; features equal, each extracted once"
    }
    for case, fills in found.items():
        ratios = sorted(one.seconds / each.seconds for one, each in zip(found[ALONE], fills, strict=True))
        told[case] = {
            "images/s": round(median(sum(each.extracted) / each.seconds for each in fills), 1),
            "speed beside 1 process on all cores": f"{median(ratios):.2f}x ({ratios[0]:.2f}-{ratios[-1]:.2f})",
            "processor ms an image": round(
                median(1e3 * each.processor_seconds / sum(each.extracted) for each in fills)
            ),
            "of the time extracting": [f"{each.extracting / each.seconds / len(each.extracted):.0%}" for each in fills],
            "images a process": [sorted(each.extracted) for each in fills],
        }
    return told


def shares(cores: Sequence[int], count: int) -> list[list[int]]:
    """The cores of each of so many processes; where there are fewer cores, several processes have the same."""
    if count > len(cores):
        return [[cores[process % len(cores)]] for process in range(count)]
    return [
        list(cores[process * len(cores) // count : (process + 1) * len(cores) // count]) for process in range(count)
    ]


def fill(folder: Path, images: int, cores: Sequence[Sequence[int]]) -> Fill:
    """Fill an empty cache by a process for each list of cores."""
    with tempfile.TemporaryDirectory(dir=folder) as features:
        line = [
            sys.executable,
            "-m",
            "benchmarks.cache_fill",
            "--images",
            str(images),
            "--child",
            str(folder),
            features,
        ]
        children = [
            subprocess.Popen(
                [*line, ",".join(map(str, share))],
                cwd=REPOSITORY,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                text=True,
            )
            for share in cores
        ]
        for child in children:
            assert child.stdout is not None
            assert child.stdout.readline() == "ready\n"
        start = time.perf_counter()
        for child in children:
            assert child.stdin is not None
            child.stdin.write("go\n")
            child.stdin.flush()
        told = [json.loads(child.stdout.readline()) for child in children if child.stdout is not None]
        seconds = time.perf_counter() - start
        for child in children:
            child.communicate()
        written = hashlib.blake2b()
        for path in sorted(Path(features).rglob("*.f32")):
            written.update(path.read_bytes())
        counts = b"".join(path.read_bytes() for path in Path(features).rglob("batches"))
        assert set(counts) == {1}, "a batch was extracted more than once"
        extracted, extracting, processor_seconds = zip(*told, strict=True)
        return Fill(seconds, extracted, sum(extracting), sum(processor_seconds), written.hexdigest())


def prepare(folder: Path, images: int) -> None:
    """Decode the images and find out what the cache knows of the network."""
    _asked(folder, images, confirm=True)


def take_part(folder: Path, features: Path, images: int) -> None:
    """Load all, wait for a line, fill the cache beside others; tell the images extracted here and what they took."""
    from features.cache import FeatureCache

    known, forward, views = _asked(folder, images, confirm=False)
    cache, cuts = FeatureCache(features), list(known.shapes)
    print("ready", flush=True)
    sys.stdin.readline()
    start = time.process_time()
    for each in views:  # as search/training/inputs.py does: no waiting for another's last batch before all is begun
        cache.keep(known, lambda: forward, each, "all", cuts, wait=False)
    for each in views:
        cache.features(known, lambda: forward, each, "all", cuts)
    print(json.dumps([cache.ledger.extracted, cache.ledger.seconds, time.process_time() - start]), flush=True)


def _asked(folder: Path, most: int, *, confirm: bool) -> tuple[Any, Any, list[Any]]:
    """What the cache is asked for: the network, what runs it (warm), the views of each split."""
    from features.extractor import Images, Views, view_batches
    from features.frozen import Backbones
    from radiographs.dataset import decode_images, list_images, sized_pixels
    from radiographs.pixels import PixelStore
    from radiographs.splits import SPLITS
    from spaces import architecture_named

    store, backbone = PixelStore(folder / "pixels"), architecture_named(ARCHITECTURE)
    dataset = decode_images(list_images(RADIOGRAPHS, PART), store, {SIZE})
    pixels = sized_pixels(dataset, store, SIZE)
    images = {split: Images(pixels, tuple(dataset.split(split)["digest"][:most])) for split in SPLITS}
    views = [Views(images[split], "strong" if split == "train" else "no", 0) for split in SPLITS]
    first = next(view_batches(views[0], [0]))[1].astype("float32")
    backbones = Backbones(folder / "backbones", {ARCHITECTURE: "random"})
    known = backbones.frozen(backbone, SIZE, {}, lambda: first)
    if confirm:
        assert backbones.confirmed(backbone, SIZE, {}, known)
    forward = backbones.forward(backbone, SIZE, {}, known)
    forward(first[:4], list(known.shapes))
    return known, forward, views


if __name__ == "__main__":
    main()
