"""Ways to train 48 heads on frozen features: ours alone and side by side, and stacked in NumPy as one wide step.

Each way trains the same heads (Adam, batch 32, dropout 0.3) on 522 x 1024 random features; milliseconds a head-epoch.
Besides, how often trials of a batch could be stacked at all.

    python -m benchmarks.heads [--repeats N]
"""

import argparse
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
from threadpoolctl import threadpool_limits

from benchmarks.common import save
from features.forward import processors
from search.training.fitting import class_weights
from search.training.heads import Head
from search.training.trial import is_head
from spaces import ARCHITECTURES, architecture_named
from spaces.architecture import Architecture
from spaces.declaration import Choice, Whole, propose
from spaces.narrowing import make_space

IMAGES, WIDTH, EPOCHS, HEADS, BATCH, DROPOUT = 522, 1024, 5, 48, 32, 0.3
UNITS = (0, 64, 128, 256)


def main() -> None:
    """Time each way in turns and save the medians."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--repeats", type=int, default=5)
    repeats = parser.parse_args().repeats
    draw = np.random.default_rng(0)
    features = draw.random((IMAGES, WIDTH), np.float32)
    labels = draw.integers(0, 2, IMAGES)
    ways: dict[str, Callable[[int], int]] = {
        "ours, alone": lambda units: _ours(features, labels, units, 1),
        "ours, side by side": lambda units: _ours(features, labels, units, processors()),
        "NumPy, stacked": lambda units: _stacked(features, labels, units),
    }
    times: dict[str, dict[str, list[float]]] = {f"{units} units": {way: [] for way in ways} for units in UNITS}
    with threadpool_limits(1, "blas"):
        _ours(features, labels, 64, 1)  # compiles
        for _ in range(repeats):
            for units in UNITS:
                for way, train in ways.items():
                    start = time.perf_counter()
                    head_epochs = train(units)
                    times[f"{units} units"][way].append((time.perf_counter() - start) / head_epochs * 1e3)
    medians = {
        units: {way: round(float(np.median(each)), 2) for way, each in of.items()} for units, of in times.items()
    }
    shared = {
        "all architectures": could_be_stacked(ARCHITECTURES),
        "one architecture": could_be_stacked([architecture_named("densenet121")]),
    }
    save("heads", {"milliseconds a head-epoch": medians, "trials that could share a stacked step": shared})


def could_be_stacked(architectures: Sequence[Architecture], batches: int = 2000, size: int = 4) -> float:
    """The share of a default search's random trials that are heads and agree with another one of their batch of four.

    They must agree in the architecture, augmentation, hidden units and the optimizer's batch size.
    """
    draw = np.random.default_rng(0)
    space = make_space(architectures, {}, cheap_cuts=True)

    def random(name: str, parameter: Any) -> Any:
        if isinstance(parameter, Choice):
            return parameter.choices[draw.integers(len(parameter.choices))]
        if isinstance(parameter, Whole):
            return int(draw.integers(parameter.low, parameter.high + 1))
        return float(draw.uniform(parameter.low, parameter.high))

    agreeing = 0
    for _ in range(batches):
        drawn = [propose(space, random) for _ in range(size)]
        names = ("architecture", "augmentation", "units", "batch_size")
        keys = [tuple(each[name] for name in names) for each in drawn if is_head(each)]
        agreeing += sum(keys.count(key) > 1 for key in keys)
    return round(agreeing / (batches * size), 3)


def _configuration(units: int, head: int) -> dict[str, Any]:
    return {
        "units": units,
        "batch_size": BATCH,
        "conv_dropout": DROPOUT,
        "label_smoothing": 0.0,
        "optimizer": "adam",
        "lr": 1e-4 * (1 + head),
        "weight_decay": 0.0,
    }


def _ours(features: np.ndarray, labels: np.ndarray, units: int, threads: int) -> int:
    heads = 4 if threads == 1 else 4 * threads
    weight = class_weights("none", labels, 2)

    def train(number: int) -> None:
        head = Head(WIDTH, _configuration(units, number), labels, weight, search_seed=0)
        for epoch in range(EPOCHS):
            head.train_epoch(features, np.random.default_rng(epoch).permutation(IMAGES), epoch)

    with ThreadPoolExecutor(threads) as pool:
        list(pool.map(train, range(heads)))
    return heads * EPOCHS


def _stacked(features: np.ndarray, labels: np.ndarray, units: int) -> int:
    """All heads as one batched product a step; one dropout draw shared, thresholded alike."""
    heads = HEADS if units == 0 else 8
    draw = np.random.default_rng(0)
    shapes = [(heads, WIDTH, units), (heads, 1, units), (heads, units, 1), (heads, 1, 1)] if units else []
    shapes = shapes or [(heads, WIDTH, 1), (heads, 1, 1)]
    weights = [draw.standard_normal(shape).astype(np.float32) * np.float32(0.05) for shape in shapes]
    first, second = [np.zeros_like(each) for each in weights], [np.zeros_like(each) for each in weights]
    rates = (1e-4 * (1 + np.arange(heads))).astype(np.float32)[:, None, None]
    scale, step = np.float32(1 / (1 - DROPOUT)), 0
    for epoch in range(EPOCHS):
        order = np.random.default_rng(epoch).permutation(IMAGES)
        for start in range(0, IMAGES, BATCH):
            rows = order[start : start + BATCH]
            inputs = features[rows] * (draw.random((len(rows), WIDTH), np.float32) >= DROPOUT) * scale
            target = labels[rows].astype(np.float32)[None, :, None]
            if units:
                hidden = np.maximum(np.matmul(inputs, weights[0]) + weights[1], 0)
                hidden *= (draw.random((len(rows), units), np.float32) >= DROPOUT) * scale
                logits = np.matmul(hidden, weights[2]) + weights[3]
                delta = (1 / (1 + np.exp(-logits)) - target) / np.float32(len(rows))
                back = np.matmul(delta, weights[2].transpose(0, 2, 1)) * (hidden > 0) * scale
                gradients = [
                    np.matmul(inputs.T, back),
                    back.sum(1, keepdims=True),
                    np.matmul(hidden.transpose(0, 2, 1), delta),
                    delta.sum(1, keepdims=True),
                ]
            else:
                logits = np.matmul(inputs, weights[0]) + weights[1]
                delta = (1 / (1 + np.exp(-logits)) - target) / np.float32(len(rows))
                gradients = [np.matmul(inputs.T, delta), delta.sum(1, keepdims=True)]
            step += 1
            adapted = rates * np.float32(np.sqrt(1 - 0.999**step) / (1 - 0.9**step))
            for array, gradient, one, two in zip(weights, gradients, first, second, strict=True):
                one += (gradient - one) * np.float32(0.1)
                two += (gradient * gradient - two) * np.float32(0.001)
                array -= adapted * one / (np.sqrt(two) + np.float32(1e-7))
    return heads * EPOCHS


if __name__ == "__main__":
    main()
