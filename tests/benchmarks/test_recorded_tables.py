"""What all recorded tables promise, on a small one."""

import numpy as np
import pytest

from benchmarks.tables.recorded import RecordedTable, choice, scale
from spaces.declaration import Configuration, configurations

AXES = (scale("lr", 1e-4, 1e-3, 1e-2), choice("optimizer", "adam", "sgd"))
VALUES = np.arange(6 * 2 * 3, dtype=np.float32).reshape(6, 2, 3)
VALUES[4, 1] = np.nan  # trained under one seed
TABLE = RecordedTable("small", AXES, VALUES, VALUES * 10)


def test_rows_are_numbered_as_the_space_is_enumerated() -> None:
    found = configurations(TABLE.space)
    assert found is not None
    assert [TABLE.row(each) for each in found] == list(range(6))


def test_a_search_sees_numbers_of_a_scale_and_the_choices_themselves() -> None:
    configuration: Configuration = {"architecture": "small", "lr": 2, "optimizer": "sgd"}
    assert TABLE.settings(configuration) == {"lr": 1e-2, "optimizer": "sgd"}
    np.testing.assert_array_equal(TABLE.objective(configuration, 1), [33, 34, 35])
    np.testing.assert_array_equal(TABLE.seconds_by_epoch(configuration, 0), [300, 310, 320])
    assert TABLE.seconds(configuration, 0) == 320


@pytest.mark.parametrize("wrong", [{"lr": 3}, {"lr": 1e-4}, {"optimizer": "rmsprop"}])
def test_a_configuration_that_is_not_in_the_table_is_an_error(wrong: dict[str, int | float | str]) -> None:
    with pytest.raises(KeyError):
        TABLE.row({"lr": 0, "optimizer": "adam", **wrong})


def test_a_configuration_with_fewer_runs_gives_them_in_turn_and_their_mean() -> None:
    configuration: Configuration = {"lr": 2, "optimizer": "adam"}
    np.testing.assert_array_equal(TABLE.objective(configuration, 1), TABLE.objective(configuration, 0))
    assert TABLE.mean_final(configuration) == 26


def test_the_mean_is_of_best_epochs_and_best_mean_the_highest() -> None:
    falling = RecordedTable("falling", AXES, VALUES[:, :, ::-1], VALUES)
    assert falling.mean_final({"lr": 0, "optimizer": "adam"}) == (2 + 5) / 2
    found = configurations(falling.space)
    assert found is not None
    assert falling.best_mean == max(falling.mean_final(each) for each in found) == (32 + 35) / 2
