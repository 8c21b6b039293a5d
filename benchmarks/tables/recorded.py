"""A table of recorded trainings: every configuration of a grid under several seeds."""

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from spaces.declaration import Choice, Configuration, Space, Value, Whole

Floats = NDArray[np.floating[Any]]


@dataclass(frozen=True)
class Axis:
    """One hyperparameter of a grid.

    Attributes:
        parameter: what a search sees: the level itself (`Choice`), or its number from 0 (`Whole`).
        levels: its values in the order of the table.
    """

    parameter: Choice | Whole
    levels: tuple[Value, ...]

    @cached_property
    def level_of(self) -> dict[Value, int]:
        """What a search proposes to the level's number."""
        proposed = self.parameter.choices if isinstance(self.parameter, Choice) else range(len(self.levels))
        return {value: number for number, value in enumerate(proposed)}


def scale(name: str, *levels: Value) -> Axis:
    """Levels spread about evenly, or over orders of magnitude: a search sees their numbers, as it would see a scale."""
    return Axis(Whole(name, 0, len(levels) - 1), levels)


def choice(name: str, *levels: Value, ordered: bool = False) -> Axis:
    """Levels that a search sees as they are."""
    return Axis(Choice(name, levels, ordered), levels)


@dataclass(frozen=True)
class RecordedTable:
    """Trainings of all configurations of a grid, the last axis changing fastest.

    A configuration that was trained under fewer seeds than others (NaN in `values`) gives its runs in turn.

    Attributes:
        values: (configurations, seeds, epochs), to be maximised; one epoch where no curve is recorded.
        elapsed: as values, seconds from the training's start to the epoch's end.
        losses: as values, the valid loss, which ranks epochs of equal value; None where it is not recorded.
        tests: (configurations, seeds), the test split's value after the best epoch; None where it is not recorded.
    """

    name: str
    axes: tuple[Axis, ...]
    values: Floats
    elapsed: Floats
    losses: Floats | None = None
    tests: Floats | None = None

    @cached_property
    def space(self) -> Space:
        """The grid as a search's space; its one architecture has the table's name."""
        return Space({self.name: tuple(axis.parameter for axis in self.axes)})

    @property
    def seeds(self) -> int:
        return int(self.values.shape[1])

    @property
    def epochs(self) -> int:
        return int(self.values.shape[2])

    def row(self, configuration: Configuration) -> int:
        """The configuration's place in the arrays.

        Raises: KeyError where it is not in the space.
        """
        row = 0
        for axis in self.axes:
            row = row * len(axis.levels) + axis.level_of[configuration[axis.parameter.name]]
        return row

    def settings(self, configuration: Configuration) -> dict[str, Value]:
        """What was trained: hyperparameter to value, numbers of levels replaced by the levels."""
        names = [axis.parameter.name for axis in self.axes]
        numbers = [axis.level_of[configuration[name]] for name, axis in zip(names, self.axes, strict=True)]
        return {name: axis.levels[number] for name, axis, number in zip(names, self.axes, numbers, strict=True)}

    def objective(self, configuration: Configuration, seed: int) -> Floats:
        """(epochs,) to be maximised."""
        found: Floats = self.values[self._run(configuration, seed)]
        return found

    def seconds(self, configuration: Configuration, seed: int) -> float:
        """Of the whole training."""
        return float(self.elapsed[self._run(configuration, seed)][-1])

    def seconds_by_epoch(self, configuration: Configuration, seed: int) -> Floats:
        """(epochs,) from the training's start to the end of each epoch."""
        found: Floats = self.elapsed[self._run(configuration, seed)]
        return found

    def mean_final(self, configuration: Configuration) -> float:
        """The best epoch's value, mean over seeds."""
        return float(self.means[self.row(configuration)])

    @property
    def best_mean(self) -> float:
        """The highest `mean_final`; a choice's true regret is what it lacks of it."""
        return float(self.means.max())

    @cached_property
    def means(self) -> NDArray[np.float64]:
        """(configurations,) `mean_final` of each."""
        return np.asarray(np.nanmean(self.values.max(axis=2), axis=1, dtype=np.float64))

    def _run(self, configuration: Configuration, seed: int) -> tuple[int, int]:
        row = self.row(configuration)
        return row, seed % int(self._runs[row])

    @cached_property
    def _runs(self) -> NDArray[np.int64]:
        """(configurations,) how many seeds each was trained under."""
        return np.asarray(np.isfinite(self.values[:, :, 0]).sum(axis=1))
