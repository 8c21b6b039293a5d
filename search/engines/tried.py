"""Which configurations a search has tried, and those that are left."""

import json
from collections.abc import Callable, Collection

from plumbing.errors import SearchFailed
from plumbing.seeds import generator_of
from spaces.declaration import Configuration, Space, Value, configurations

Allowed = Callable[[Configuration], bool]


def everything(configuration: Configuration) -> bool:
    """No configuration is forbidden."""
    return True


def key_of(configuration: Configuration) -> str:
    """Equal for equal configurations, whatever the order of their names."""
    return json.dumps(dict(configuration), sort_keys=True)


def one_left(
    space: Space, tried: Collection[str], allowed: Allowed, search_seed: int, number: int
) -> dict[str, Value] | None:
    """A configuration drawn evenly from those of a finite space that were not tried; None where none is left.

    Args:
        tried: their keys. number: of the trial.
    Raises: SearchFailed for an infinite space, where draws are new, but none of many was allowed.
    """
    every = configurations(space)
    if every is None:
        raise SearchFailed("hardly any configuration is allowed; loosen --max-parameters, or narrow --space")
    left = [each for each in every if key_of(each) not in tried and allowed(each)]
    return left[generator_of("left", search_seed, number).integers(len(left))] if left else None
