"""What a search may be called, and an ensemble, whose name stands beside those of the models that searches keep."""

import re

from plumbing.errors import UsageError

BEST = "best"  # asks for the model best on valid, whatever its name
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}")
_OF_TRIALS = re.compile(r".+_(\d{4,}|\d+epochs)")  # how a trial's model_name and name_code end


def check_name(name: str) -> None:
    """Raises: UsageError where no search may be called so."""
    if not _NAME.fullmatch(name):
        raise UsageError(f"--name {name!r}: give letters, digits, dot, dash and underscore, at most 100")


def check_model_name(name: str) -> None:
    """Raises: UsageError where what predicts by that name could be mistaken for a trial's model, of now or later.

    >>> check_model_name("XR_HAND-optuna_0002")
    Traceback (most recent call last):
    plumbing.errors.UsageError: --name XR_HAND-optuna_0002: that is how models of searches are called; give another ...
    """
    check_name(name)
    if name == BEST:
        raise UsageError(f"--name {name}: that asks for the best model; give another --name")
    if _OF_TRIALS.fullmatch(name):
        raise UsageError(f"--name {name}: that is how models of searches are called; give another --name")
