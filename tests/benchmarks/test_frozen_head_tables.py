"""Our own table: whole, inside the project's space; what makes it trains every epoch."""

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from benchmarks.record_heads import Task, train
from benchmarks.tables.frozen_heads import (
    AXES,
    EPOCHS,
    FIXED,
    PATH,
    SEEDS,
    TASKS,
    frozen_head_table,
    provenance,
    trained,
)
from plumbing.errors import DataError
from plumbing.seeds import generator_of
from radiographs.dataset import Dataset
from results.records import ImageList
from spaces import architecture_named
from spaces.declaration import check_configuration, configurations
from spaces.narrowing import make_space

CONFIGURATIONS = 756


@pytest.mark.parametrize("task", TASKS)
def test_every_configuration_seed_and_epoch_is_recorded(task: str) -> None:
    table = frozen_head_table(task)
    assert table.values.shape == (CONFIGURATIONS, len(SEEDS), EPOCHS) == (CONFIGURATIONS, table.seeds, table.epochs)
    assert table.losses is not None
    assert table.tests is not None
    assert ((table.values >= 0) & (table.values <= 1)).all()  # no NaN either
    assert ((table.tests >= 0) & (table.tests <= 1)).all()
    assert np.isfinite(table.losses).all()
    assert (np.diff(table.elapsed, axis=2, prepend=0) > 0).all()
    assert table.tests.shape == (CONFIGURATIONS, len(SEEDS))
    assert table.losses.shape == table.elapsed.shape == table.values.shape


@pytest.mark.parametrize("task", TASKS)
def test_every_configuration_lies_in_the_projects_space_and_best_mean_is_the_highest(task: str) -> None:
    table = frozen_head_table(task)
    space = make_space([architecture_named(str(FIXED["architecture"]))], {}, cheap_cuts=True)
    found = list(configurations(table.space) or ())
    assert len(found) == CONFIGURATIONS
    for configuration in found:
        check_configuration(space, trained(table, configuration))
    assert table.best_mean == max(map(table.mean_final, found)) == pytest.approx(table.values.max(2).mean(1).max())


def test_the_file_is_small_and_says_what_made_it() -> None:
    told = provenance()
    assert PATH.stat().st_size < 3 * 2**20
    assert told["command"] == "python -m benchmarks.record_heads"
    assert {"code version", "commit", "machine", "declared"} <= set(told)
    assert all(len(told["data"][task]["hash"]) == 32 for task in TASKS)


def test_a_file_of_another_grid_is_refused(tmp_path: Path) -> None:
    told = provenance()
    told["declared"]["axes"]["lr"].pop()
    np.savez(tmp_path / "other.npz", told=np.array(json.dumps(told)))
    with pytest.raises(DataError, match="another grid"):
        frozen_head_table(TASKS[0], tmp_path / "other.npz")


def _task() -> Task:
    """Features that tell normal from abnormal, a study an image."""
    draw, names, labels = generator_of("features"), tuple(f"study{number}" for number in range(40)), np.arange(40) % 2
    images = ImageList(names, names, names, labels)
    features = (draw.standard_normal((40, 16)) + labels[:, None]).astype(np.float32)
    train = {("light", view): features for view in range(4)}
    dataset = Dataset("XR_HAND", Path(), pd.DataFrame(), (), "", ())
    return Task(dataset, dict.fromkeys(("train", "valid", "test"), images), train, features, features)


def test_a_recorded_training_has_every_epoch_and_is_the_same_again_but_for_its_seconds() -> None:
    levels = {axis.parameter.name: axis.levels[-1] for axis in AXES}
    first, again = (train(_task(), {**FIXED, **levels}, 1) for _ in range(2))
    assert len(first.val_auc) == len(first.val_loss) == len(first.seconds) == EPOCHS
    assert (first.val_auc, first.val_loss, first.test_auc) == (again.val_auc, again.val_loss, again.test_auc)
    assert max(first.val_auc) > 0.9
    assert sorted(first.seconds) == first.seconds
