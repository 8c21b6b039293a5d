"""Configurations that a search tries first: `--enqueue PRESET|best-of:PART|FILE`."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from plumbing.errors import SpaceError, UsageError
from radiographs.parts import TASKS
from results.records import FINISHED, SEARCH, Trial
from results.store import Store
from search.engines.tried import Allowed, key_of
from spaces.declaration import Configuration, Real, Space, Value, check_configuration
from spaces.presets import PRESETS, preset

BEST_OF = "best-of:"
MOST = 4  # of the best of another part


def enqueued(
    option: str, space: Space, allowed: Allowed, objective: str, store: Store | None
) -> list[dict[str, Value]]:
    """The configurations, each once, in their order.

    Args:
        objective: what the best of another part were best by. store: None where there is none yet.
    Raises: SpaceError, UsageError where there is nothing of that name, or one lies outside the space or the limits.
    """
    if option.startswith(BEST_OF):
        trials = [] if store is None else _trials_of(option.removeprefix(BEST_OF), objective, store)
        return _best_of(option.removeprefix(BEST_OF), space, allowed, trials)
    found = preset(option, space) if option in PRESETS else _of_file(option)
    for place, configuration in enumerate(found):
        try:
            check_configuration(space, {**configuration, "architecture": str(configuration.get("architecture"))})
        except SpaceError as error:
            raise SpaceError(f"--enqueue {option}: configuration {place}: {error}") from None
        if not allowed(configuration):
            raise SpaceError(f"--enqueue {option}: configuration {place} is beyond --max-parameters; leave it out")
    return list({key_of(each): each for each in (_as_declared(space, each) for each in found)}.values())


def _as_declared(space: Space, configuration: Configuration) -> dict[str, Value]:
    """With JSON's `0` as 0.0 where a real number is declared."""
    declared = space.parameters[str(configuration["architecture"])]
    real = {parameter.name for parameter in declared if isinstance(parameter, Real)}
    return {name: float(value) if name in real else value for name, value in configuration.items()}


def _trials_of(part: str, objective: str, store: Store) -> list[Trial]:
    """The part's trials in searches that maximised the same."""
    same = {search.id for search in store.searches() if search.objective == objective and search.kind == SEARCH}
    return [trial for trial in store.trials() if trial.part_body == part and trial.search_id in same]


def _best_of(part: str, space: Space, allowed: Allowed, trials: Sequence[Trial]) -> list[dict[str, Value]]:
    """The best configurations of the trials that lie inside the space and the limits, best first."""
    if part not in TASKS:
        raise UsageError(f"--enqueue {BEST_OF}{part}: no such part; give one of {', '.join(TASKS)}")
    inside = [
        trial
        for trial in _best_first(trials)
        if _is_inside(space, trial.configuration) and allowed(trial.configuration)
    ]
    found = list({key_of(trial.configuration): dict(trial.configuration) for trial in inside}.values())
    if not found:
        raise UsageError(
            f"--enqueue {BEST_OF}{part}: the store has no finished trial of {part} inside this space; search it first"
        )
    return found[:MOST]


def _best_first(trials: Sequence[Trial]) -> list[Trial]:
    finished = [(trial.value, trial) for trial in trials if trial.state == FINISHED and trial.value is not None]
    return [trial for _, trial in sorted(finished, key=lambda each: (-each[0], each[1].id))]


def _is_inside(space: Space, configuration: Configuration) -> bool:
    try:
        check_configuration(space, configuration)
    except SpaceError:
        return False
    return True


def _of_file(option: str) -> list[dict[str, Any]]:
    """A JSON list of configurations, as the column `config` of an export has them."""
    path = Path(option)
    if not path.exists():
        raise UsageError(
            f"--enqueue {option}: neither a preset ({', '.join(PRESETS)}), {BEST_OF}PART, nor a JSON file that exists"
        )
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, json.JSONDecodeError) as error:
        raise UsageError(f"--enqueue {option}: cannot be read as JSON: {error}") from None
    if not isinstance(found, list) or not found or not all(isinstance(each, dict) for each in found):
        raise UsageError(f"--enqueue {option}: give a JSON list of configurations, each name -> value")
    return found
