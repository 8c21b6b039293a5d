"""Seeds are the same on every machine, and different for different names."""

import subprocess
import sys
from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st

from plumbing.seeds import DATA_SEED, generator_of, seed_of

REPOSITORY = Path(__file__).parents[2]


def test_known_seeds_never_change() -> None:
    """Splits, views and searches are made from them: a change here changes every result."""
    assert DATA_SEED == 0
    assert seed_of("split", 0, "patient00001") == 2057731777
    assert seed_of("dropout", 0) == 1250840138
    assert seed_of() == 1515797690


def test_a_known_generator_draws_known_numbers() -> None:
    assert generator_of("view", 0, "deep", "picture", 3).integers(1000, size=4).tolist() == [694, 419, 837, 610]


def test_another_process_with_another_hash_seed_draws_the_same() -> None:
    code = "from plumbing.seeds import seed_of; print(seed_of('a', 1, 2.5, None))"
    environment = {"PYTHONHASHSEED": "123", "PYTHONPATH": str(REPOSITORY)}
    told = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True)
    assert int(told.stdout) == seed_of("a", 1, 2.5, None)


@given(st.lists(st.one_of(st.text(), st.integers(), st.floats(allow_nan=False)), max_size=4))
def test_seeds_have_31_bits(names: list[object]) -> None:
    assert 0 <= seed_of(*names) < 2**31


@given(st.integers(), st.integers())
def test_names_are_kept_apart(one: int, other: int) -> None:
    assert seed_of(one, other) != seed_of(f"{one}{other}")
    assert (seed_of("a", one) == seed_of("a", other)) == (one == other)
