"""Narrowing a space by a TOML file: what it gives, and every error line."""

from pathlib import Path
from typing import Any

import pytest

from plumbing.errors import SpaceError
from spaces import ARCHITECTURES, architecture_named
from spaces.architecture import Architecture
from spaces.declaration import AtLeast, Choice, Parameter, Real, Whole
from spaces.narrowing import full_parameters, make_space, read_narrowing

BASE = architecture_named("base_cnn")
DENSE = architecture_named("densenet121")


def narrowed(name: str, given: Any, architecture: Architecture = BASE) -> Parameter:
    """The parameter after a file said `name = given` in the architecture's table."""
    return make_space([architecture], {architecture.name: {name: given}}, False).parameter(architecture.name, name)


def line_of(tables: dict[str, Any], *architectures: Architecture) -> str:
    with pytest.raises(SpaceError) as raised:
        make_space(architectures or (BASE, DENSE), tables, cheap_cuts=False)
    assert "\n" not in str(raised.value)
    return str(raised.value)


@pytest.mark.parametrize("architecture", ARCHITECTURES, ids=lambda each: each.name)
def test_nothing_given_leaves_the_whole_declaration(architecture: Architecture) -> None:
    declared = make_space([architecture], {}, cheap_cuts=False).parameters[architecture.name]
    assert declared[1:] == full_parameters(architecture)[1:]
    cuts = tuple(cut.name for cut in architecture.cuts) if architecture.has_imagenet else architecture.cheap_cuts
    assert declared[0] == Choice("frozen", cuts, ordered=True)


def test_random_filters_are_frozen_only_where_a_file_asks_for_it() -> None:
    assert not make_space([BASE], {}, cheap_cuts=False).parameter("base_cnn", "frozen").holds("all")
    assert narrowed("frozen", ["none", "all"]) == full_parameters(BASE)[0]


@pytest.mark.parametrize(
    ("name", "given", "expected"),
    [
        ("lr", 1e-3, Choice("lr", (1e-3,), ordered=True)),
        ("lr", [1e-3, 1e-4, 1e-3], Choice("lr", (1e-3, 1e-4), ordered=True)),
        ("lr", {"low": 1e-4}, Real("lr", 1e-4, 1e-2, log=True)),
        ("lr", {"low": 1e-4, "high": 1e-3, "log": False}, Real("lr", 1e-4, 1e-3, log=False)),
        ("conv_dropout", 0, Choice("conv_dropout", (0.0,), ordered=True)),
        ("conv_dropout", {"low": 0, "high": 0.5}, Real("conv_dropout", 0.0, 0.5)),
        ("callbacks_patience", {"low": 4, "high": 8, "log": True}, Whole("callbacks_patience", 4, 8, log=True)),
        ("units", {"high": 64}, Whole("units", 32, 64, step=4)),
        ("optimizer", ["sgd", "adam"], Choice("optimizer", ("sgd", "adam"))),
        ("augmentation", "deep", Choice("augmentation", ("deep",), ordered=True)),
        ("filters_3", 32, Choice("filters_3", (32,), ordered=True, when=AtLeast("blocks", 3))),
        ("filters_3", {"high": 64}, Whole("filters_3", 16, 64, step=16, when=AtLeast("blocks", 3))),
    ],
)
def test_a_line_narrows_its_parameter_and_keeps_its_condition(name: str, given: Any, expected: Parameter) -> None:
    found = narrowed(name, given)
    assert found == expected
    if isinstance(found, Choice):
        assert [type(value) for value in found.choices] == [type(value) for value in expected.choices]  # type: ignore[union-attr]


def test_an_architectures_own_table_goes_before_all() -> None:
    space = make_space((BASE, DENSE), {"all": {"lr": 1e-3}, "densenet121": {"lr": 1e-4}}, False)
    assert space.parameter("base_cnn", "lr").holds(1e-3)
    assert not space.parameter("densenet121", "lr").holds(1e-3)
    assert space.parameter("densenet121", "lr").holds(1e-4)


def test_all_may_name_what_only_one_architecture_has() -> None:
    space = make_space((BASE, DENSE), {"all": {"blocks": 3}}, False)
    assert space.parameter("base_cnn", "blocks") == Choice("blocks", (3,), ordered=True)


@pytest.mark.parametrize("architecture", ARCHITECTURES, ids=lambda each: each.name)
def test_cheap_cuts_are_offered_unless_cuts_are_named(architecture: Architecture) -> None:
    cheap = make_space([architecture], {}, cheap_cuts=True).parameter(architecture.name, "frozen")
    assert isinstance(cheap, Choice)
    assert cheap.choices == architecture.cheap_cuts
    named = make_space([architecture], {"all": {"frozen": "none"}}, cheap_cuts=True)
    assert named.parameter(architecture.name, "frozen") == Choice("frozen", ("none",), ordered=True)


RATES = "give a number from 1e-05 to 0.01"
NO_LOG = "it reaches 0 or has steps; leave log out"


@pytest.mark.parametrize(
    ("given", "line"),
    [
        ({"lr": []}, f"lr = [] leaves nothing; {RATES}"),
        ({"lr": 1.0}, f"lr = 1.0 is outside the space; {RATES}"),
        ({"lr": [1e-3, "fast"]}, f"lr = 'fast' is outside the space; {RATES}"),
        ({"lr": True}, f"lr = True is outside the space; {RATES}"),
        ({"lr": [[1e-3]]}, f"lr = [0.001] is outside the space; {RATES}"),
        ({"units": 33}, "units = 33 is outside the space; give a whole number from 32 to 256 in steps of 4"),
        ({"frozen": "below"}, "frozen = 'below' is outside the space; give one of 'none', 'all'"),
        ({"optimizer": {"low": 1}}, "optimizer has no range; give one of 'adam', 'sgd', 'rmsprop'"),
        ({"lr": {"lower": 1, "step": 2}}, "lr: lower, step: give low, high, log"),
        ({"lr": {"low": 1e-6}}, f"lr = 1e-06 is outside the space; {RATES}"),
        ({"lr": {"high": "1e-3"}}, f"lr = '1e-3' is outside the space; {RATES}"),
        ({"lr": {"low": 1e-3, "high": 1e-4}}, "lr: low 0.001 is above high 0.0001; swap them"),
        ({"lr": {"log": "yes"}}, "lr: log = 'yes'; give true or false"),
        ({"conv_dropout": {"log": True}}, f"conv_dropout cannot be log: {NO_LOG}"),
        ({"units": {"log": True}}, f"units cannot be log: {NO_LOG}"),
    ],
)
@pytest.mark.parametrize("table", ["all", "base_cnn"])
def test_what_is_wrong_is_one_line_with_the_mend(table: str, given: dict[str, Any], line: str) -> None:
    assert line_of({table: given}, BASE) == f"--space: base_cnn: {line}"


@pytest.mark.parametrize("table", ["vgg16", "xception"])
def test_a_table_of_another_architecture_is_one_line(table: str) -> None:
    known = "give [all] or one of base_cnn, densenet121"
    assert line_of({table: {}}) == f"--space: table [{table}] is no architecture of this search; {known}"


@pytest.mark.parametrize("table", ["all", "densenet121"])
def test_an_unknown_name_is_one_line_with_the_known_ones(table: str) -> None:
    line = line_of({table: {"learning_rate": 1e-3}})
    assert line.startswith(f"--space: [{table}] learning_rate is no parameter; give one of augmentation, batch_size,")
    assert ("filters_1" in line) == (table == "all")


def test_a_file_is_read_with_its_tables(tmp_path: Path) -> None:
    file = tmp_path / "space.toml"
    file.write_text('[all]\nlr = { low = 1e-4, high = 1e-3 }\n[densenet121]\nfrozen = ["all"]\n')
    space = make_space((BASE, DENSE), read_narrowing(file), cheap_cuts=False)
    assert space.parameter("base_cnn", "lr") == Real("lr", 1e-4, 1e-3, log=True)
    assert space.parameter("densenet121", "frozen") == Choice("frozen", ("all",), ordered=True)


@pytest.mark.parametrize(
    ("content", "told"),
    [
        (None, "no such file"),
        (b"[all\nlr = 1", "not TOML"),
        (b"lr = 1e-3\n", "lr stands outside a table; put it under [all] or [<architecture>]"),
        (b"\xff\xfe[all]", "cannot be read"),
    ],
)
def test_a_file_that_cannot_be_used_is_one_line_naming_it(tmp_path: Path, content: bytes | None, told: str) -> None:
    file = tmp_path / "space.toml"
    if content is not None:
        file.write_bytes(content)
    with pytest.raises(SpaceError) as raised:
        read_narrowing(file)
    assert str(raised.value).startswith(f"--space {file}: ")
    assert told in str(raised.value)


def test_a_folder_given_as_file_is_one_line(tmp_path: Path) -> None:
    with pytest.raises(SpaceError, match="cannot be read"):
        read_narrowing(tmp_path)
