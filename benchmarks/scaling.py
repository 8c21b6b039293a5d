"""What a search costs against trials, images, architectures, views, and with layers of the backbone trained.

python -m benchmarks.scaling
"""

import tempfile
from pathlib import Path
from typing import Any

from benchmarks.common import RADIOGRAPHS, Run, run, save

FROZEN = '[all]\nfrozen = "all"\naugmentation = "no"\n'
PATIENTS = (100, 500, 2300)  # of the drawn sets, over all seven parts


class Bench:
    """Searches that share caches until these are left behind; each has a store of its own."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.count, self.runs = folder, 0, folder / "runs"

    def leave_caches(self) -> None:
        """Let the next search begin from nothing."""
        self.runs = self.folder / f"runs{self.count}"

    def search(self, part: str, data: object, space: str, *options: object) -> Run:
        """A whole search as a process."""
        self.count += 1
        narrowed = self.folder / f"space{self.count}.toml"
        narrowed.write_text(space)
        line = ["-m", "search.run", "--part", part, "--data", data, "--space", narrowed]
        line += ["--store", f"sqlite:///{self.folder}/{self.count}.db", "--runs", self.runs, *options]
        return run(line)


def main() -> None:
    """Run every series and save the figures."""
    with tempfile.TemporaryDirectory() as folder:
        bench = Bench(Path(folder))
        save(
            "scaling",
            {
                "trials, DenseNet121 at 224 px, XR_HAND, features ready": trials(bench),
                "images, EfficientNet-Lite0 at 128 px, drawn all_parts, 20 trials": images(bench),
                "architectures, 96 px, random weights, XR_HAND, 24 trials": architectures(bench),
                "views, EfficientNet-Lite0 at 128 px, XR_HAND, light augmentation, 20 trials": views(bench),
                "last block trained, EfficientNet-Lite0 at 128 px, XR_HAND, 4 trials": partly(bench),
            },
        )


def trials(bench: Bench) -> dict[str, Any]:
    """Seconds of 10, 50 and 200 trials, and of one of the trials 51 to 200."""
    options = ("--architecture", "densenet121", "--weights", "random")
    bench.search("XR_HAND", RADIOGRAPHS, FROZEN, *options, "--trials", 1)
    found = {n: bench.search("XR_HAND", RADIOGRAPHS, FROZEN, *options, "--trials", n).seconds for n in (10, 50, 200)}
    each = (found[200] - found[50]) / 150
    return {f"{n} trials": round(seconds, 1) for n, seconds in found.items()} | {"a trial of 51 to 200": round(each, 3)}


def images(bench: Bench) -> dict[str, Any]:
    """Seconds without and with features ready, the backbone known, for growing data sets."""
    found, options = {}, ("--architecture", "efficientnet_lite0", "--image-size", 128)
    bench.search("XR_HAND", RADIOGRAPHS, FROZEN, *options, "--trials", 1)  # the backbone's record is made
    for patients in PATIENTS:
        data = bench.folder / f"drawn{patients}"
        run(["-c", _DRAW, data, patients])
        first = bench.search("all_parts", data, FROZEN, *options, "--trials", 20)
        again = bench.search("all_parts", data, FROZEN, *options, "--trials", 20)
        used = run(["-m", "radiographs.check", data, "--json"]).told["used"]
        found[f"{sum(sum(of_part.values()) for of_part in used.values())} images"] = _pair(first, again)
    return found


_DRAW = """
import sys
from radiographs.synthetic import main
main(sys.argv[1:2] + ["--patients", sys.argv[2]])
print("{}")
"""


def architectures(bench: Bench) -> dict[str, Any]:
    """One and four architectures."""
    found = {}
    for names in (("efficientnet_lite0",), ("efficientnet_lite0", "densenet121", "inception_v3", "xception")):
        chosen = [option for name in names for option in ("--architecture", name)]
        bench.leave_caches()
        options = (*chosen, "--image-size", 96, "--weights", "random", "--trials", 24)
        first = bench.search("XR_HAND", RADIOGRAPHS, FROZEN, *options)
        again = bench.search("XR_HAND", RADIOGRAPHS, FROZEN, *options)
        found[f"{len(names)} architectures"] = _pair(first, again)
    return found


def views(bench: Bench) -> dict[str, Any]:
    """One, four and eight views an image."""
    found = {}
    for count in (1, 4, 8):
        options = ("--architecture", "efficientnet_lite0", "--image-size", 128, "--trials", 20, "--views", count)
        space = FROZEN.replace('"no"', '"light"')
        bench.leave_caches()
        first = bench.search("XR_HAND", RADIOGRAPHS, space, *options)
        again = bench.search("XR_HAND", RADIOGRAPHS, space, *options)
        found[f"{count} views"] = _pair(first, again)
    return found


def partly(bench: Bench) -> dict[str, Any]:
    """The last block trained from cached features, and with frozen layers computed anew each epoch."""
    space = '[all]\nfrozen = "below_last_block"\naugmentation = "light"\n'
    bench.leave_caches()
    options = ("--architecture", "efficientnet_lite0", "--image-size", 128, "--trials", 4, "--epochs", 10)
    first = bench.search("XR_HAND", RADIOGRAPHS, space, *options)
    again = bench.search("XR_HAND", RADIOGRAPHS, space, *options)
    anew = bench.search("XR_HAND", RADIOGRAPHS, space, *options, "--no-feature-cache")
    return _pair(first, again) | {"--no-feature-cache": round(anew.seconds, 1)}


def _pair(first: Run, again: Run) -> dict[str, float]:
    return {"from nothing": round(first.seconds, 1), "features ready": round(again.seconds, 1)}


if __name__ == "__main__":
    main()
