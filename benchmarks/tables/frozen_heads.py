"""Our own table: heads on a frozen EfficientNet-Lite0, all of a grid inside the project's space, on real radiographs.

756 configurations x 3 search seeds x 20 epochs on each of three tasks, every epoch trained whatever the patience would
say. Maximised: the valid split's study-level AUC after each epoch (for all_parts macro over the classes present).
Seconds are processor seconds of the thread that trained, scoring included; the features were ready.
`python -m benchmarks.record_heads` made the file.
"""

import json
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.tables.recorded import RecordedTable, choice, scale
from plumbing.errors import DataError
from spaces.declaration import Configuration, Value

PATH = Path(__file__).with_name("frozen_heads.npz")
TASKS = ("XR_HAND", "XR_HUMERUS", "all_parts")
SEEDS = (0, 1, 2)
EPOCHS, VIEWS, IMAGE_SIZE = 20, 4, 224

# What a search of the project sees as scales is one here; its choices are choices.
AXES = (
    scale("lr", 1e-5, 3.16e-5, 1e-4, 3.16e-4, 1e-3, 3.16e-3, 1e-2),
    scale("conv_dropout", 0.0, 0.3, 0.6),
    choice("augmentation", "no", "light", ordered=True),
    choice("optimizer", "adam", "sgd", "rmsprop"),
    choice("batch_size", 16, 64, ordered=True),
    choice("units", 0, 64, 256, ordered=True),
)
FIXED: Configuration = {
    "architecture": "efficientnet_lite0",
    "frozen": "all",
    "callbacks_patience": EPOCHS,  # no training is stopped
    "weight_decay": 0.0,
    "label_smoothing": 0.0,
    "class_weights": "none",
}


def declared() -> dict[str, Any]:
    """What the file must be of, as plain JSON: axes, fixed settings, seeds, epochs, views and image size."""
    axes = {axis.parameter.name: list(axis.levels) for axis in AXES}
    settings = {"seeds": list(SEEDS), "epochs": EPOCHS, "views": VIEWS, "image size": IMAGE_SIZE}
    return {"axes": axes, "fixed": dict(FIXED), **settings}


def trained(table: RecordedTable, configuration: Configuration) -> dict[str, Value]:
    """The project's whole configuration behind one of the table's."""
    return {**FIXED, **table.settings(configuration)}


def frozen_head_table(task: str, path: Path = PATH) -> RecordedTable:
    """The table of a task, one of TASKS, with valid losses and the test split's study-level AUC.

    Raises: DataError where the file was made of another grid.
    """
    with np.load(path, allow_pickle=False) as file:
        made_of = json.loads(str(file["told"]))["declared"]
        if made_of != declared():
            raise DataError(f"{path.name} was made of another grid; python -m benchmarks.record_heads makes it anew")
        number = TASKS.index(task)
        arrays = [file[name][number] for name in ("val_auc", "seconds", "val_loss", "test_auc")]
    return RecordedTable(f"frozen_heads-{task}", AXES, *arrays)


def provenance(path: Path = PATH) -> dict[str, Any]:
    """What made the file: command, code version, machine, data hashes, images."""
    with np.load(path, allow_pickle=False) as file:
        told: dict[str, Any] = json.loads(str(file["told"]))
    return told
