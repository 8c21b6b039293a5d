"""Where a search's time goes: decoding, backbone, extraction, heads, tails, metrics, sampler, store, models.

One search in this process, its parts timed by wrapping their functions. Heads train in two threads, so their time is
counted in thread seconds; everything else runs in the main thread.

    python -m benchmarks.shares
"""

import contextlib
import functools
import io
import tempfile
import threading
import time
from collections import defaultdict
from collections.abc import Callable
from pathlib import Path
from typing import Any

from benchmarks.common import RADIOGRAPHS, save

# part -> (module, attribute path of the function)
PARTS = {
    "decoding": ("search.preparation", "decode_images"),
    "backbone built, engine chosen": ("features.frozen", "Backbones.frozen"),
    "extraction": ("features.cache", "FeatureCache._fill"),
    "heads (thread seconds)": ("search.training.heads", "Head.train_epoch"),
    "metrics an epoch (thread seconds)": ("search.training.trial", "epoch_metrics"),
    "metrics of a trial, intervals (thread seconds)": ("search.training.trial", "measures"),
    "models saved (thread seconds)": ("search.models", "ModelKeeper.save"),
    "sampler": ("search.engines.optuna_engine", "OptunaEngine.propose"),
    "Optuna's study saved": ("search.engines.optuna_engine", "OptunaEngine.save"),
    "store": ("results.store", "Store.finish_trial"),
}


def main() -> None:
    """Run one search from nothing and one with features ready, and save the shares."""
    from search.run import main as search

    found = {}
    with tempfile.TemporaryDirectory() as folder:
        space = Path(folder) / "space.toml"
        space.write_text('[all]\nfrozen = "all"\naugmentation = "no"\n')
        spent = timed_parts()
        for name in ("from nothing", "features ready"):
            spent.clear()
            options = ["--part", "XR_HAND", "--data", str(RADIOGRAPHS), "--architecture", "densenet121"]
            options += ["--weights", "random", "--space", str(space), "--trials", "50", "--runs", f"{folder}/runs"]
            options += ["--store", f"sqlite:///{folder}/{name.replace(' ', '_')}.db"]
            start = time.perf_counter()
            with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
                search(options)
            whole = time.perf_counter() - start
            found[name] = {"whole search": round(whole, 2)} | {part: round(spent[part], 2) for part in PARTS}
    save("shares", found)


def timed_parts() -> dict[str, float]:
    """Wrap the parts' functions; the seconds spent in each, added up over threads."""
    import importlib

    spent: dict[str, float] = defaultdict(float)
    lock = threading.Lock()

    def wrapped(part: str, function: Callable[..., Any]) -> Callable[..., Any]:
        @functools.wraps(function)
        def timing(*arguments: Any, **named: Any) -> Any:
            start = time.perf_counter()
            try:
                return function(*arguments, **named)
            finally:
                with lock:
                    spent[part] += time.perf_counter() - start

        return timing

    for part, (module, path) in PARTS.items():
        owner: Any = importlib.import_module(module)
        *outer, name = path.split(".")
        for each in outer:
            owner = getattr(owner, each)
        setattr(owner, name, wrapped(part, getattr(owner, name)))
    return spent


if __name__ == "__main__":
    main()
