"""A space as plain data and back."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from plumbing.errors import SpaceError
from spaces.declaration import AtLeast, Choice, Parameter, Real, Space, Whole

NAMES = st.text("abc_", min_size=1, max_size=5)
CONDITIONS = st.none() | st.builds(AtLeast, NAMES, st.integers(0, 9))
NUMBERS = st.floats(1e-6, 1e6)
VALUES = st.one_of(st.text(max_size=4), st.integers(), st.floats(allow_nan=False), st.booleans())
PARAMETERS: st.SearchStrategy[Parameter] = st.one_of(
    st.builds(Real, NAMES, NUMBERS, NUMBERS, st.booleans(), CONDITIONS),
    st.builds(Whole, NAMES, st.integers(), st.integers(), st.integers(1, 9), st.booleans(), CONDITIONS),
    st.builds(Choice, NAMES, st.lists(VALUES, min_size=1, max_size=4).map(tuple), st.booleans(), CONDITIONS),
)
SPACES = st.builds(Space, st.dictionaries(NAMES, st.lists(PARAMETERS, max_size=4).map(tuple), max_size=3))


def through_text(space: Space) -> Space:
    return Space.from_json(json.loads(json.dumps(space.to_json())))


@given(SPACES)
def test_any_space_comes_back_equal_from_json(space: Space) -> None:
    assert repr(through_text(space)) == repr(space)  # repr also tells 1 from 1.0 and True


def test_the_full_space_comes_back_with_its_engine_names(full_space: Space) -> None:
    back = through_text(full_space)
    assert back == full_space
    for architecture, declared in full_space.parameters.items():
        for parameter in declared:
            assert back.engine_name(architecture, parameter) == full_space.engine_name(architecture, parameter)


@pytest.mark.parametrize(
    "plain",
    [
        None,
        [{"class_name": "Float", "config": {"name": "lr"}}],
        {"space": [{"class_name": "Float", "config": {"name": "lr"}}], "values": {}},
        {"net": [{"kind": "colour", "name": "lr", "when": None}]},
        {"net": [{"kind": "real", "name": "lr", "low": 0.0, "when": None}]},
        {"net": [{"kind": "real", "name": "lr", "low": 0.0, "high": 1.0}]},
        {"net": [{"kind": "real", "name": "lr", "low": 0.0, "high": 1.0, "when": "always"}]},
        {"net": "lr"},
    ],
)
def test_what_is_no_declaration_is_one_line(plain: Any) -> None:
    with pytest.raises(SpaceError, match=r"^no declaration of a space: "):
        Space.from_json(plain)
