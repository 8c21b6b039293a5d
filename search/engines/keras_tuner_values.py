"""Keras Tuner's values of a configuration and back: of a declared space, or of a user's own model."""

from collections.abc import Collection
from dataclasses import dataclass
from typing import Any, Protocol

from results.records import Trial
from search.engines.tried import Allowed, one_left
from search.own_model import OwnModel
from spaces.declaration import Configuration, Space
from spaces.keras_tuner_space import from_values, to_hyperparameters, to_values

OWN = "tuner/"  # how Keras Tuner's own values begin, which are no hyperparameters

Values = dict[str, Any]


class Kept(Protocol):
    """What a search varies, between the store's form and Keras Tuner's."""

    def hyperparameters(self) -> Any:
        """`keras_tuner.HyperParameters`, nothing drawn yet."""

    def configuration(self, values: Values) -> dict[str, Any]:
        """As the store keeps it."""

    def values(self, configuration: Configuration, known: Any) -> Values:
        """As an oracle keeps it that knows these hyperparameters."""

    def one_left(self, tried: Collection[str], allowed: Allowed, search_seed: int, number: int) -> Values | None:
        """Values drawn from those that were not tried; None where none are left."""

    def bring_up(self, hyperparameters: Any, trial: Trial) -> None:
        """Add what training the trial brought up, so that the oracle tunes it from now on."""


@dataclass(frozen=True)
class DeclaredValues:
    """Of a declared space."""

    space: Space

    def hyperparameters(self) -> Any:
        return to_hyperparameters(self.space)

    def configuration(self, values: Values) -> dict[str, Any]:
        return from_values(self.space, values)

    def values(self, configuration: Configuration, known: Any) -> Values:
        return to_values(self.space, configuration)

    def one_left(self, tried: Collection[str], allowed: Allowed, search_seed: int, number: int) -> Values | None:
        found = one_left(self.space, tried, allowed, search_seed, number)
        return None if found is None else to_values(self.space, found)

    def bring_up(self, hyperparameters: Any, trial: Trial) -> None:
        """Nothing: a declared space is known whole."""


@dataclass(frozen=True)
class OwnValues:
    """Of a user's own model, whose parameters may come up while it is trained."""

    own: OwnModel

    def hyperparameters(self) -> Any:
        return self.own.hyperparameters({}, self.own.space)

    def configuration(self, values: Values) -> dict[str, Any]:
        plain = {name: value for name, value in values.items() if not name.startswith(OWN)}
        return {"architecture": self.own.name, **plain}

    def values(self, configuration: Configuration, known: Any) -> Values:
        """Without what the trial brought up, which the oracle learns of at its end."""
        names = {each.name for each in known.space}
        return {name: value for name, value in configuration.items() if name in names}

    def one_left(self, tried: Collection[str], allowed: Allowed, search_seed: int, number: int) -> Values | None:
        """None: the space is known in part alone, so Keras Tuner's rule stands, an end after many repeated draws."""
        return None

    def bring_up(self, hyperparameters: Any, trial: Trial) -> None:
        if trial.found_parameters is not None:
            values = {name: value for name, value in trial.configuration.items() if name != "architecture"}
            found = self.own.hyperparameters(values, trial.found_parameters)
            hyperparameters.merge(found.space, overwrite=False)
            hyperparameters.values.update(found.values)
