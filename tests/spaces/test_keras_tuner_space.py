"""A space as Keras Tuner's HyperParameters, drawn by its own oracles."""

import json
from pathlib import Path
from typing import Any

import pytest

from plumbing.errors import SpaceError
from spaces.declaration import AtLeast, Choice, Parameter, Real, Space, Value, Whole, check_configuration, propose
from spaces.keras_tuner_space import from_values, to_hyperparameters

# Keras Tuner's own calls; nothing of ours can change them.
pytestmark = pytest.mark.filterwarnings("ignore:currentThread:DeprecationWarning", "ignore:getName:DeprecationWarning")


def drawn(space: Space, folder: Path, trials: int, seed: int = 3) -> list[dict[str, Any]]:
    """Values as Keras Tuner's random search proposes them, through the JSON that it keeps."""
    found = to_hyperparameters(space)
    from keras_tuner import Objective
    from keras_tuner.oracles import RandomSearchOracle

    oracle = RandomSearchOracle(
        Objective("val_auc", "max"), trials, seed=seed, hyperparameters=found, tune_new_entries=False
    )
    oracle._set_project_dir(str(folder), "search")
    proposed = [oracle.create_trial(f"tuner{number}").hyperparameters for number in range(trials)]
    return [json.loads(json.dumps(each.get_config()))["values"] for each in proposed]


def low(name: str, parameter: Parameter) -> Value:
    return parameter.choices[0] if isinstance(parameter, Choice) else parameter.low


def test_what_random_search_draws_lies_inside_the_full_space(full_space: Space, tmp_path: Path) -> None:
    found = [from_values(full_space, values) for values in drawn(full_space, tmp_path, 120)]
    for configuration in found:
        check_configuration(full_space, configuration)
    assert {each["architecture"] for each in found} == set(full_space.architectures)
    assert {each["blocks"] for each in found if each["architecture"] == "base_cnn"} == {2, 3, 4, 5, 6}


def test_only_active_parameters_are_drawn(full_space: Space, tmp_path: Path) -> None:
    for values in drawn(full_space, tmp_path, 60):
        assert len(values) == len(from_values(full_space, values))  # which takes every active one


def test_defaults_are_each_parameters_first_value(full_space: Space) -> None:
    found = to_hyperparameters(full_space)
    assert from_values(full_space, found.values) == propose(full_space, low)


def test_one_name_with_two_ranges_becomes_two_hyperparameters(two: Space) -> None:
    names = [each.name for each in to_hyperparameters(two).space]
    assert names == ["architecture", "lr", "small.units", "large.units", "large.blocks", "large.filters_3"]


def test_ranges_steps_and_scales_are_kept(two: Space) -> None:
    found = {each.name: each for each in to_hyperparameters(two).space}
    assert (found["lr"].min_value, found["lr"].max_value, found["lr"].sampling) == (1e-4, 1e-2, "log")
    assert (found["large.filters_3"].min_value, found["large.filters_3"].max_value) == (16, 64)
    assert found["large.filters_3"].step == 16
    assert found["large.units"].values == [64, 128]
    assert found["large.units"].ordered


def test_own_ranges_under_a_shared_condition_are_told_apart(tmp_path: Path) -> None:
    def declared(least: int) -> tuple[Parameter, ...]:
        return Whole("blocks", 1, 2), Whole("filters", least, least + 2, when=AtLeast("blocks", 2))

    space = Space({"a": declared(1), "b": declared(11)})
    found = [from_values(space, values) for values in drawn(space, tmp_path, 12)]
    for configuration in found:
        check_configuration(space, configuration)
    assert {each["architecture"] for each in found if "filters" in each} == {"a", "b"}


def test_a_condition_narrowed_away_takes_its_parameter_with_it() -> None:
    space = Space({"a": (Choice("blocks", (1,)), Whole("filters", 1, 9, when=AtLeast("blocks", 2)))})
    found = to_hyperparameters(space)
    assert [each.name for each in found.space] == ["architecture", "blocks"]
    assert from_values(space, found.values) == {"architecture": "a", "blocks": 1}


def test_a_condition_on_a_real_number_is_refused() -> None:
    space = Space({"a": (Real("rate", 0, 3), Whole("filters", 1, 9, when=AtLeast("rate", 2)))})
    with pytest.raises(SpaceError, match="rate is real"):
        to_hyperparameters(space)


def test_a_missing_value_is_one_line_naming_it(two: Space) -> None:
    with pytest.raises(SpaceError, match=r"Keras Tuner gave no large\.units; give one of 64, 128"):
        from_values(two, {"architecture": "large", "lr": 1e-3})


@pytest.mark.parametrize("value", [1e-4 * (1 - 1e-16), 1e-2 * (1 + 3e-16)])
def test_a_last_bit_beyond_the_range_is_drawn_back(two: Space, value: float) -> None:
    configuration = from_values(two, {"architecture": "small", "lr": value, "small.units": 8})
    check_configuration(two, configuration)
