"""What may vary: parameters, conditions, configurations."""

from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from plumbing.errors import SpaceError
from spaces import ARCHITECTURES
from spaces.declaration import (
    AtLeast,
    Choice,
    Configuration,
    Parameter,
    Real,
    Space,
    Value,
    Whole,
    check_configuration,
    configurations,
    propose,
)
from spaces.narrowing import make_space

FULL = make_space(ARCHITECTURES, {}, cheap_cuts=False)


def drawn_by(data: st.DataObject) -> Callable[[str, Parameter], Value]:
    """An engine: Hypothesis draws any value that the parameter's range holds, its ends included."""

    def ask(name: str, parameter: Parameter) -> Value:
        if isinstance(parameter, Choice):
            return data.draw(st.sampled_from(parameter.choices), name)
        if isinstance(parameter, Whole):
            steps = (parameter.high - parameter.low) // parameter.step
            return parameter.low + parameter.step * data.draw(st.integers(0, steps), name)
        return data.draw(st.floats(parameter.low, parameter.high), name)

    return ask


def small(**changes: Any) -> Configuration:
    return {"architecture": "large", "lr": 1e-3, "units": 64, "blocks": 2} | changes


@given(st.data())
def test_whatever_is_proposed_lies_inside_the_space(data: st.DataObject) -> None:
    configuration = propose(FULL, drawn_by(data))
    check_configuration(FULL, configuration)
    assert next(iter(configuration)) == "architecture"


@given(st.data())
def test_a_configuration_holds_active_parameters_only(data: st.DataObject) -> None:
    configuration = propose(FULL, drawn_by(data))
    blocks = configuration.get("blocks", 0)
    assert isinstance(blocks, int)
    filters = {name for name in configuration if name.startswith("filters_")}
    assert filters == {f"filters_{block}" for block in range(1, blocks + 1)}


@pytest.mark.parametrize(
    ("parameter", "inside", "outside"),
    [
        (Real("lr", 0.1, 0.5), [0.1, 0.3, 0.5], [0.0999, 0.6, float("nan"), "0.3", True, None]),
        (Real("lr", 0, 2), [1, 0.5], [True]),
        (Whole("units", 32, 64, step=4), [32, 36, 64], [31, 33, 68, 36.0, True, "36"]),
        (Choice("batch_size", (16, 32)), [16, 32], [64, 16.0, "16", None]),
        (Choice("flag", (True, "yes")), [True, "yes"], [1, False]),
    ],
)
def test_a_parameter_holds_its_own_values_and_no_others(
    parameter: Parameter, inside: list[object], outside: list[object]
) -> None:
    assert [value for value in inside if not parameter.holds(value)] == []
    assert [value for value in outside if parameter.holds(value)] == []


@pytest.mark.parametrize(
    ("configuration", "line"),
    [
        (small(architecture="medium"), "architecture 'medium' is not in the space; give one of small, large"),
        ({}, "architecture None is not in the space; give one of small, large"),
        (small(lr=1.0), "large: lr = 1.0 is outside the space; give a number from 0.0001 to 0.01"),
        (small(units=8), "large: units = 8 is outside the space; give one of 64, 128"),
        (small(blocks=3), "large: filters_3 is missing; give a whole number from 16 to 64 in steps of 16"),
        (small(blocks=4), "large: blocks = 4 is outside the space; give a whole number from 2 to 3"),
        (small(filters_3=16), "large: no such parameter here: filters_3"),
        (small(colour="red", shade=1), "large: no such parameter here: colour, shade"),
    ],
)
def test_what_is_wrong_with_a_configuration_is_one_line(two: Space, configuration: Configuration, line: str) -> None:
    with pytest.raises(SpaceError) as raised:
        check_configuration(two, configuration)
    assert str(raised.value) == line


def test_one_name_with_two_ranges_is_two_names_to_an_engine(two: Space) -> None:
    asked: list[str] = []

    def ask(name: str, parameter: Parameter) -> Value:
        asked.append(name)
        return "large" if name == "architecture" else parameter.choices[0] if isinstance(parameter, Choice) else 3

    propose(two, ask)
    assert asked == ["architecture", "lr", "large.units", "large.blocks", "large.filters_3"]


def test_no_engine_name_means_two_things_in_the_full_space() -> None:
    meanings: dict[str, Parameter] = {}
    for architecture, declared in FULL.parameters.items():
        for parameter in declared:
            name = FULL.engine_name(architecture, parameter)
            assert meanings.setdefault(name, parameter) == parameter


@pytest.mark.parametrize(
    ("configuration", "holds"),
    [({"blocks": 3}, True), ({"blocks": 2}, False), ({}, False), ({"blocks": "3"}, False)],
)
def test_a_condition_holds_from_its_least_value_on(configuration: Configuration, holds: bool) -> None:
    assert AtLeast("blocks", 3).holds(configuration) is holds


def test_a_finite_space_is_listed_once_each_and_all_inside(two: Space) -> None:
    finite = Space({name: declared[1:] for name, declared in two.parameters.items()})
    listed = list(configurations(finite) or ())
    assert len(listed) == 2 + 2 * (1 + 4)
    assert len({tuple(each.items()) for each in listed}) == len(listed)
    for configuration in listed:
        check_configuration(finite, configuration)


def test_a_real_parameter_makes_a_space_infinite_unless_it_is_one_point(two: Space) -> None:
    assert configurations(two) is None
    point = Space({"a": (Real("lr", 0.1, 0.1), Whole("n", 1, 2))})
    assert list(configurations(point) or ()) == [{"architecture": "a", "lr": 0.1, "n": n} for n in (1, 2)]


def test_an_unknown_parameter_is_one_line_with_the_known_ones(two: Space) -> None:
    with pytest.raises(SpaceError, match="small has no parameter 'colour'; give one of lr, units"):
        two.parameter("small", "colour")


def test_the_declaration_as_plain_data_tells_every_parameter_apart() -> None:
    plain = FULL.to_json()
    assert [entry["name"] for entry in plain["base_cnn"]] == [each.name for each in FULL.parameters["base_cnn"]]
    rate = next(entry for entry in plain["xception"] if entry["name"] == "lr")
    assert rate == {"kind": "real", "name": "lr", "low": 1e-5, "high": 1e-2, "log": True, "when": None}
    third = next(entry for entry in plain["base_cnn"] if entry["name"] == "filters_3")
    assert third["when"] == {"parameter": "blocks", "least": 3}
