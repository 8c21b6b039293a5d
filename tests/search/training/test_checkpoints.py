"""Trainings that go on from a checkpoint in a file, and files that cannot be trusted."""

import json
import pickle
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from search.training.checkpoints import Checkpoints
from search.training.fitting import Checkpoint, Course, Fit, Learner, fit
from spaces.declaration import Configuration, Value
from tests.search.training.learners import (
    ALL_BUT_DROPOUT,
    CUT,
    OPTIMIZERS,
    features_of,
    learner_of,
    program_of,
    tail_of,
)

both = pytest.mark.parametrize("kind", ["head", "tail"])
RISING, BEST_EARLY = (0.5, 0.6, 0.7, 0.9, 0.8), (0.5, 0.9, 0.8, 0.7, 0.6)
WORSE = (0.5, 0.9, 0.1, 0.1, 0.1)  # with a patience of 2 it ends after the fourth epoch


def configured(optimizer: str) -> dict[str, Value]:
    """Everything that draws or remembers: dropout, hidden units, decay, an optimizer with moments."""
    return {**ALL_BUT_DROPOUT, "conv_dropout": 0.3, "units": 6, "optimizer": optimizer}


def trained(
    learner: Learner,
    inputs: np.ndarray,
    objectives: Sequence[float],
    epochs: int = 5,
    begin: Checkpoint | None = None,
    **more: Any,
) -> tuple[Fit, list[int]]:
    """The fit and the epochs that were trained; objectives are written beforehand, `val_loss` is of the logits."""
    known = len(begin.history["loss"]) if begin else 0
    left, seen = iter(objectives[known:]), []

    def score(logits: np.ndarray) -> Mapping[str, float]:
        return {"val_auc": next(left), "val_loss": float(np.abs(logits).sum())}

    course = Course(
        inputs_of_epoch=lambda epoch: inputs * np.float32(1 + epoch / 8),  # a view of its own each epoch
        valid=inputs[:4],
        score=score,
        objective="val_auc",
        epochs=epochs,
        patience=int(more.pop("patience", 99)),
        search_seed=0,
        after_epoch=lambda epoch, metrics: seen.append(epoch),
        begin=begin,
        **more,
    )
    return fit(learner, course), seen


def through_file(checkpoint: Checkpoint | None, folder: Path) -> Checkpoint:
    assert checkpoint is not None
    checkpoints = Checkpoints(folder / "checkpoints")
    checkpoints.save(7, checkpoint)
    found = checkpoints.load(7, pytest.fail)
    assert found is not None
    return found


@dataclass(frozen=True)
class End:
    """How a training ended."""

    fitted: Fit
    weights: list[np.ndarray]
    epochs: list[int]

    def __eq__(self, other: object) -> bool:
        """Whether history, best epoch and the weights that are left are equal to the last bit."""
        return isinstance(other, End) and self._bits == other._bits

    @property
    def _bits(self) -> tuple[object, ...]:
        fitted, weights = self.fitted, [array.tobytes() for array in self.weights]
        return fitted.history, fitted.best_epoch, fitted.early_stop_at_epoch, weights


def train(kind: str, configuration: Configuration, objectives: Sequence[float], *more: Any, **named: Any) -> End:
    """A fresh learner's training."""
    learner, inputs = learner_of(kind, configuration)
    fitted, epochs = trained(learner, inputs, objectives, *more, **named)
    return End(fitted, learner.get_weights(), epochs)


@cache
def undisturbed(kind: str, optimizer: str, objectives: Sequence[float] = RISING, patience: int = 99) -> End:
    return train(kind, configured(optimizer), objectives, patience=patience)


@both
@pytest.mark.parametrize("optimizer", OPTIMIZERS)
@pytest.mark.parametrize(("objectives", "best"), [(RISING, 3), (BEST_EARLY, 1)])
def test_five_epochs_are_two_and_from_a_file_three_more(
    kind: str, optimizer: str, objectives: Sequence[float], best: int, tmp_path: Path
) -> None:
    first = train(kind, configured(optimizer), objectives, 2, resumable=True)
    begin = through_file(first.fitted.checkpoint, tmp_path)
    continued = train(kind, configured(optimizer), objectives, begin=begin)
    assert continued.epochs == [2, 3, 4]
    assert continued.fitted.best_epoch == best
    assert continued == undisturbed(kind, optimizer, objectives)


@both
@pytest.mark.parametrize("optimizer", OPTIMIZERS)
def test_without_what_the_optimizer_remembers_the_end_would_be_another(
    kind: str, optimizer: str, tmp_path: Path
) -> None:
    """So the tests here can fail."""
    first = train(kind, configured(optimizer), RISING, 2, resumable=True)
    begin, weights = through_file(first.fitted.checkpoint, tmp_path), len(first.weights)
    forgotten = [*begin.last[:weights], *(np.zeros_like(array) for array in begin.last[weights:])]
    continued = train(kind, configured(optimizer), RISING, begin=replace(begin, last=forgotten))
    assert continued.epochs == [2, 3, 4]
    assert continued != undisturbed(kind, optimizer)


@both
@pytest.mark.parametrize("cut", [1, 2, 3, 4])
def test_a_training_that_patience_ends_ends_alike_wherever_it_was_cut(kind: str, cut: int, tmp_path: Path) -> None:
    whole = undisturbed(kind, "adam", WORSE, patience=2)
    assert (whole.epochs, whole.fitted.early_stop_at_epoch) == ([0, 1, 2, 3], 4)
    first = train(kind, configured("adam"), WORSE, cut, patience=2, resumable=True)
    begin = through_file(first.fitted.checkpoint, tmp_path)
    continued = train(kind, configured("adam"), WORSE, begin=begin, patience=2)
    assert continued.epochs == whole.epochs[cut:]
    assert continued == whole


def test_a_tail_goes_on_though_its_program_trained_another_trial_meanwhile(tmp_path: Path) -> None:
    inputs, program = features_of(CUT.features), program_of(configured("adam"))
    first, _ = trained(tail_of(configured("adam"), program=program), inputs, RISING, 2, resumable=True)
    trained(tail_of({**configured("adam"), "lr": 0.1}, program=program), inputs, BEST_EARLY)
    again = tail_of(configured("adam"), program=program)
    fitted, epochs = trained(again, inputs, RISING, begin=through_file(first.checkpoint, tmp_path))
    assert End(fitted, again.get_weights(), epochs) == undisturbed("tail", "adam")


def test_a_training_cut_twice_ends_alike(tmp_path: Path) -> None:
    begin = None
    for epochs in (1, 3, 5):  # as Hyperband's rounds
        ended = train("head", configured("adam"), RISING, epochs, begin, resumable=True)
        begin = through_file(ended.fitted.checkpoint, tmp_path)
    assert ended == undisturbed("head", "adam")


@both
def test_keeping_a_checkpoint_changes_nothing(kind: str) -> None:
    kept = train(kind, configured("adam"), RISING, resumable=True)
    assert kept.fitted.checkpoint is not None
    assert undisturbed(kind, "adam").fitted.checkpoint is None
    assert kept == undisturbed(kind, "adam")


# Files

LARGE = np.arange(2000, dtype=np.float32).reshape(50, 40)
SMALL = Checkpoint(
    history={"loss": [0.5, 0.1 + 0.2], "val_auc": [float("nan"), 1 / 3]},
    best_epoch=1,
    early_stop_at_epoch=None,
    best=[np.array([[1.5], [-0.0]], np.float32), np.zeros((5, 0), np.float32)],
    last=[np.array([np.nan, np.inf], np.float32), np.array(7), np.array([1, 2], np.uint32)],
)

Load = Callable[[], tuple[Checkpoint | None, list[str]]]


@pytest.fixture
def checkpoints(tmp_path: Path) -> Checkpoints:
    return Checkpoints(tmp_path / "checkpoints")


@pytest.fixture
def load(checkpoints: Checkpoints) -> Load:
    """Loads checkpoint 3, with what was told."""

    def loaded() -> tuple[Checkpoint | None, list[str]]:
        told: list[str] = []
        return checkpoints.load(3, told.append), told

    return loaded


def file_of(checkpoints: Checkpoints) -> Path:
    (path,) = checkpoints.folder.iterdir()
    return path


def as_bits(checkpoint: Checkpoint) -> tuple[object, ...]:
    arrays = [
        [(array.dtype, array.shape, array.tobytes()) for array in each] for each in (checkpoint.best, checkpoint.last)
    ]
    return json.dumps(checkpoint.history), checkpoint.best_epoch, checkpoint.early_stop_at_epoch, arrays


@pytest.mark.parametrize("stopped", [None, 4])
def test_a_checkpoint_comes_back_from_its_file_to_the_last_bit(
    checkpoints: Checkpoints, load: Load, stopped: int | None
) -> None:
    given = Checkpoint(SMALL.history, 0, stopped, SMALL.best, SMALL.last)
    checkpoints.save(3, given)
    found, told = load()
    assert found is not None
    assert as_bits(found) == as_bits(given)
    assert told == []


def test_saving_again_replaces_the_checkpoint(checkpoints: Checkpoints, load: Load) -> None:
    checkpoints.save(3, SMALL)
    checkpoints.save(3, Checkpoint({"loss": [9.0]}, 0, 1, [LARGE], [LARGE]))
    found, _ = load()
    assert found is not None
    assert found.history == {"loss": [9.0]}
    assert len(list(checkpoints.folder.iterdir())) == 1


def test_a_missing_file_is_told_and_is_no_checkpoint(checkpoints: Checkpoints, load: Load) -> None:
    checkpoints.save(2, SMALL)
    found, (line,) = load()
    assert found is None
    assert line == f"{checkpoints.folder / '0003.npz'}: gone; its trial is trained again from the first epoch"


def spoil_cut(content: bytes) -> bytes:
    return content[: len(content) // 2]


def spoil_byte(content: bytes) -> bytes:
    middle = len(content) // 2
    return content[:middle] + bytes([content[middle] ^ 1]) + content[middle + 1 :]


def spoil_shape(content: bytes) -> bytes:
    """One bit: NumPy alone then reads an array of ten rows, and misses that the rest was left out."""
    return content.replace(b"(50, 40)", b"(10, 40)", 1)


def spoil_header(content: bytes) -> bytes:
    """An array's header that no longer ends: NumPy raises what is no ValueError."""
    return content.replace(b"(50, 40), }", b"(50, 40(, }", 1)


def spoil_method(content: bytes) -> bytes:
    """The directory asks for a compression that Python does not know."""
    entry = content.index(b"PK\x01\x02")
    return content[: entry + 10] + b"\x01" + content[entry + 11 :]


def spoil_all(content: bytes) -> bytes:
    return b""


def other_file(content: bytes) -> bytes:
    return b"text"


@pytest.mark.parametrize(
    "spoil", [spoil_cut, spoil_byte, spoil_shape, spoil_header, spoil_method, spoil_all, other_file]
)
def test_a_damaged_file_is_told_and_is_no_checkpoint(
    checkpoints: Checkpoints, load: Load, spoil: Callable[[bytes], bytes]
) -> None:
    checkpoints.save(3, Checkpoint(SMALL.history, 1, None, [LARGE], [LARGE]))
    path = file_of(checkpoints)
    content = path.read_bytes()
    path.write_bytes(spoil(content))
    assert path.read_bytes() != content  # else this would prove nothing
    found, (line,) = load()
    assert found is None
    assert line.startswith(f"{path}: damaged (")
    assert line.endswith("; its trial is trained again from the first epoch")


def test_a_flipped_bit_is_told_or_changes_nothing(checkpoints: Checkpoints, load: Load) -> None:
    checkpoints.save(3, SMALL)
    path, whole = file_of(checkpoints), as_bits(SMALL)
    content, damaged = path.read_bytes(), 0
    for place in range(0, len(content), 3):
        path.write_bytes(content[:place] + bytes([content[place] ^ (1 << place % 8)]) + content[place + 1 :])
        found, told = load()
        damaged += found is None
        assert (found is None and len(told) == 1) or (found is not None and as_bits(found) == whole and not told)
    assert damaged > len(content) / 6


@pytest.mark.parametrize("missing", ["plain", "best_0", "last_1"])
def test_a_file_that_lacks_an_array_is_damaged(checkpoints: Checkpoints, load: Load, missing: str) -> None:
    checkpoints.save(3, SMALL)
    path = file_of(checkpoints)
    with np.load(path) as file:
        arrays = {name: file[name] for name in file if name != missing}
    np.savez(path, **arrays)
    found, (line,) = load()
    assert found is None
    assert missing in line


class Trap:
    """Touches a file when it is unpickled."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[Any, ...]:
        return Path.touch, (self.path,)


@pytest.mark.parametrize("where", ["the array of an npz", "a npz of its own", "a plain pickle"])
def test_invariant_7_what_is_pickled_in_a_checkpoint_is_not_loaded(
    checkpoints: Checkpoints, load: Load, tmp_path: Path, where: str
) -> None:
    trap = tmp_path / "trap"
    checkpoints.save(3, SMALL)
    path = file_of(checkpoints)
    spoiled = np.array([Trap(trap)], object)
    if where == "a plain pickle":
        path.write_bytes(pickle.dumps(Trap(trap)))
    else:
        with np.load(path) as file:
            arrays = dict(file) if where == "the array of an npz" else {}
        np.savez(path, **{**arrays, ("last_0" if arrays else "plain"): spoiled})
    pickle.loads(pickle.dumps(Trap(trap)))  # noqa: S301  the trap works
    trap.unlink()

    found, (line,) = load()

    assert found is None
    assert "damaged" in line
    assert not trap.exists()


def test_only_the_checkpoints_that_may_go_on_are_kept(checkpoints: Checkpoints) -> None:
    for number in (0, 3, 12, 12345):
        checkpoints.save(number, SMALL)
    checkpoints.keep_only({3, 12345, 99}, 99999)
    assert sorted(path.name for path in checkpoints.folder.iterdir()) == ["0003.npz", "12345.npz"]
    checkpoints.keep_only((), 99999)
    assert list(checkpoints.folder.iterdir()) == []


def test_keeping_none_where_there_was_no_checkpoint_makes_no_folder(checkpoints: Checkpoints) -> None:
    checkpoints.keep_only((), 99999)
    assert not checkpoints.folder.exists()
