"""The links of exactness at full size: DenseNet121 with random weights, 224 px, the radiographs of XR_HAND.

The tests hold each link for every architecture and cut at small sizes; here each is measured once as a user would
meet it.

    python -m benchmarks.exactness
"""

import tempfile
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from threadpoolctl import threadpool_limits

from benchmarks.common import RADIOGRAPHS, save
from features.cache import FeatureCache
from features.forward import difference, keras_forward
from features.frozen import Backbones
from radiographs.dataset import decode_images, list_images, sized_pixels
from radiographs.pixels import PixelStore
from search.training.inputs import Source
from search.training.trial import Setting, Task, make_setting, run_trial
from spaces import architecture_named
from tests.search.training.test_exactness import by_keras, configuration_of, ours

PART, ARCHITECTURE = "XR_HAND", architecture_named("densenet121")
SIZE = ARCHITECTURE.native_size


def main() -> None:
    """Measure every link and save the figures."""
    with tempfile.TemporaryDirectory() as folder, threadpool_limits(1, "blas"):
        setting = made_setting(Path(folder))
        found = {
            "features against Keras', every train image": against_keras(setting),
            "trials with and without the cache": without_cache(setting),
            "heads side by side and alone": side_by_side(setting),
            "a head against Keras' fit from pixels, 5 epochs": against_fit(setting),
        }
    save("exactness", found)


def made_setting(folder: Path) -> Setting:
    """Two epochs on two views, features cached below the folder."""
    listed, store = list_images(RADIOGRAPHS, PART), PixelStore(folder / "pixels")
    dataset = decode_images(listed, store, {SIZE})
    source = Source(
        dataset=dataset,
        pixels={SIZE: sized_pixels(dataset, store, SIZE)},
        image_size={ARCHITECTURE.name: SIZE},
        backbones=Backbones(folder / "backbones", {ARCHITECTURE.name: "random"}),
        cache=FeatureCache(folder / "features"),
        kept={ARCHITECTURE.name: ("below_last_block", "all")},
    )
    return make_setting(source, "val_auc", epochs=2, views=2, search_seed=0)


def against_keras(setting: Setting) -> dict[str, Any]:
    """The cached features of all train images at two cuts beside those of Keras' own forward pass."""
    found = {}
    for cut in ("below_last_block", "all"):
        inputs = setting.source.inputs(ARCHITECTURE, configuration_of(ARCHITECTURE, cut))
        features, digests = inputs.get("train"), setting.source.digests["train"]
        pixels = setting.source.pixels[SIZE]
        forward = keras_forward(inputs.network(), {cut: inputs.frozen().layers[cut]})
        grey = np.stack([pixels.of(digest) for digest in digests])[..., None]
        found[cut] = f"{difference([features], forward(grey, [cut])):.1e} of the largest absolute feature"
    return found | {"engine": inputs.frozen().engine, "images": len(digests)}


def without_cache(setting: Setting) -> dict[str, Any]:
    """Whether a trial that computes its features anew each epoch has the same bits."""
    anew = replace(setting, source=replace(setting.source, cache=FeatureCache(None)))
    found = {}
    for cut in ("below_last_block", "all"):
        configuration = configuration_of(ARCHITECTURE, cut, augmentation="light", conv_dropout=0.3)
        one, other = (
            run_trial(each, Task(configuration, each.epochs), lambda epoch, metrics: None).result
            for each in (setting, anew)
        )
        same = one.history == other.history and one.measures == other.measures
        same &= all(np.array_equal(one.probabilities[split], other.probabilities[split]) for split in ("valid", "test"))
        found[f"{cut}, light augmentation, 2 epochs"] = "equal to the last bit" if same else "NOT equal"
    passes = {"cached": setting.source.cache.ledger, "anew": anew.source.cache.ledger}
    return found | {f"passes, {name}": ledger.extracted for name, ledger in passes.items()}


def side_by_side(setting: Setting) -> str:
    """Whether 24 heads trained eight at a time have the bits that each has alone."""
    longer = replace(setting, epochs=20)
    configurations = [
        configuration_of(
            ARCHITECTURE, "all", units=units, batch_size=size, lr=rate, conv_dropout=0.4, weight_decay=1e-4
        )
        for units in (0, 64, 128, 256)
        for size in (16, 32, 64)
        for rate in (1e-4, 1e-3)
    ]

    def history(configuration: dict[str, Any]) -> dict[str, list[float]]:
        return run_trial(longer, Task(configuration, longer.epochs), lambda epoch, metrics: None).result.history

    with ThreadPoolExecutor(8) as pool:
        together = list(pool.map(history, configurations))
    same = together == [history(each) for each in configurations]
    return f"{len(configurations)} heads, 20 epochs: {'equal to the last bit' if same else 'NOT equal'}"


def against_fit(setting: Setting) -> dict[str, float]:
    """The largest differences of losses and weights from Keras' own training of the whole frozen model."""
    longer = replace(setting, epochs=5)
    inputs = longer.source.inputs(ARCHITECTURE, configuration_of(ARCHITECTURE, "all"))
    (losses, weights), (their_losses, their_weights) = ours(longer, inputs), by_keras(longer, inputs)
    return {
        "losses": float(np.abs(np.subtract(losses, their_losses)).max()),
        "weights": max(float(np.abs(one - other).max()) for one, other in zip(weights, their_weights, strict=True)),
    }


if __name__ == "__main__":
    main()
