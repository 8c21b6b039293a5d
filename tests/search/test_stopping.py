"""Searches that stop before they have all their trials: by time, and when nothing is gained any more."""

import time
from dataclasses import fields
from typing import Any

import pytest

from results.records import FAILED, FINISHED, PRUNED, Trial
from search.stopping import Clock, Stopping, reason_to_stop, trials_without_gain
from tests.search.conftest import Searcher

Capsys = pytest.CaptureFixture[str]


EPOCHS = 9


def trials_of(*values: float | str | None, epochs: int = EPOCHS) -> list[Trial]:
    """Ended trials with these values; a state stands for a trial that ended so with the highest value of all."""
    nothing: dict[str, Any] = {**dict.fromkeys(each.name for each in fields(Trial)), "fit_epochs": epochs}
    return [
        Trial(**{**nothing, "number": number, "state": value, "value": None if value == FAILED else 9.0})
        if isinstance(value, str)
        else Trial(**{**nothing, "number": number, "state": FINISHED, "value": value})
        for number, value in enumerate(values)
    ]


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ([], 0),
        ([0.5], 0),
        ([0.5, 0.6, 0.7], 0),
        ([-0.4, -0.2], 0),  # as kappa can be
        ([0.5, 0.5], 1),
        ([0.7, 0.6, 0.7], 2),
        ([0.7, 0.6, 0.8, 0.1], 1),
        ([0.0, 0.0], 1),
        ([FAILED], 1),
        ([FAILED, FAILED, 0.1], 0),
        ([0.5, FAILED, 0.4], 2),
        ([0.5, PRUNED], 1),
        ([PRUNED, 0.5], 0),
        ([None, 0.5, None], 1),  # the objective was not defined
    ],
)
def test_trials_are_counted_from_the_one_that_last_raised_the_best(
    values: list[float | str | None], expected: int
) -> None:
    assert trials_without_gain(trials_of(*values), EPOCHS) == expected


def test_trials_of_fewer_epochs_do_not_count_though_they_may_gain() -> None:
    """As in Hyperband's first rounds."""
    short, whole = trials_of(0.6, 0.5, 0.5, epochs=3), trials_of(0.6, 0.5)
    assert trials_without_gain(short, EPOCHS) == 0
    assert trials_without_gain([*whole, *short], EPOCHS) == 1
    assert trials_without_gain([*whole, *trials_of(0.7, epochs=3), *trials_of(0.65)], EPOCHS) == 1


@pytest.mark.parametrize(("values", "stops"), [([0.5, 0.4], False), ([0.5, 0.4, 0.5], True), ([0.5, 0.4, 0.6], False)])
def test_a_search_has_reason_to_stop_once_so_many_trials_gained_nothing(values: list[float], stops: bool) -> None:
    reason = reason_to_stop(Stopping(no_gain=2), trials_of(*values), EPOCHS)
    assert reason == ("the last 2 trials gained nothing (--stop-when-no-gain 2)" if stops else None)


def test_trials_beyond_those_asked_for_are_told() -> None:
    reason = reason_to_stop(Stopping(no_gain=1), trials_of(0.5, 0.4, 0.3, 0.2), EPOCHS)
    assert reason == "the last 3 trials gained nothing (--stop-when-no-gain 1)"


@pytest.mark.parametrize(("seconds", "stops"), [(4.5, True), (3600.0, False)])
def test_a_search_has_reason_to_stop_once_its_time_is_over(seconds: float, stops: bool) -> None:
    reason = reason_to_stop(Stopping(seconds, started=time.monotonic() - 5), trials_of(0.5, 0.6), EPOCHS)
    assert reason == ("--timeout 4.5 s is over; the same command goes on" if stops else None)


def test_without_limits_there_is_no_reason_to_stop() -> None:
    assert reason_to_stop(Stopping(started=time.monotonic() - 1e6), trials_of(*[0.5] * 99), EPOCHS) is None


def test_a_clock_adds_up_the_time_inside_it_also_where_something_fails() -> None:
    clock, started = Clock(), time.monotonic()

    def fail() -> None:
        with clock:
            time.sleep(0.02)
            raise ValueError("inside")

    with clock:
        time.sleep(0.02)
    time.sleep(0.2)
    with pytest.raises(ValueError, match="inside"):
        fail()
    assert 0.04 <= clock.seconds <= time.monotonic() - started - 0.2


# Searches

knowing = pytest.mark.usefixtures("knowing")


def heads(searcher: Searcher, engine: str, trials: int) -> tuple[object, ...]:
    """In batches of two, which train in milliseconds."""
    more = ("--engine", engine, "--sampler", "random", "--batch-trials", 2, "--trials", trials)
    return (*more, "--space", searcher.space(frozen="all", augmentation="no", units=0))


def ends_at(values: list[float], batch: int, no_gain: int) -> int:
    """How many trials there are at the end of the first batch that the rule stops after."""
    for count in range(batch, len(values), batch):
        best = max(values[:count])
        if count - 1 - values.index(best) >= no_gain:
            return count
    return len(values)


@knowing
@pytest.mark.parametrize("engine", ["optuna", "keras-tuner"])
@pytest.mark.parametrize("no_gain", [1, 3])
def test_a_search_stops_at_the_end_of_the_batch_after_which_so_many_trials_gained_nothing(
    searcher: Searcher, other: Searcher, capsys: Capsys, engine: str, no_gain: int
) -> None:
    more = heads(searcher, engine, 16)
    assert other.here(capsys, *more).code == 0
    whole = other.trials()
    expected = ends_at([max(trial["history"]["val_auc"]) for trial in whole], 2, no_gain)
    assert expected < 16  # else this would prove nothing

    ended = searcher.here(capsys, *more, "--stop-when-no-gain", no_gain)

    assert (ended.code, ended.summary["trials"], ended.summary["finished"]) == (0, expected, expected)
    assert f"gained nothing (--stop-when-no-gain {no_gain}): {expected} trials" in ended.err
    assert searcher.trials() == whole[:expected]


@knowing
@pytest.mark.parametrize("engine", ["optuna", "keras-tuner"])
def test_a_search_that_gained_nothing_adds_nothing_when_it_is_asked_again_and_goes_on_without_the_rule(
    searcher: Searcher, other: Searcher, capsys: Capsys, engine: str
) -> None:
    more = heads(searcher, engine, 16)
    assert searcher.here(capsys, *more, "--stop-when-no-gain", 2).code == 0
    stopped = searcher.trials()
    assert len(stopped) < 16  # else this would prove nothing

    again = searcher.here(capsys, *more, "--stop-when-no-gain", 2)

    assert again.code == 0
    assert "gained nothing" in again.err
    assert "\ntrial " not in f"\n{again.err}"
    assert searcher.trials() == stopped
    assert searcher.here(capsys, *more).code == 0
    assert other.here(capsys, *more).code == 0
    assert searcher.trials() == other.trials()


@knowing
@pytest.mark.parametrize("engine", ["optuna", "keras-tuner"])
def test_a_search_without_time_trains_nothing_and_the_command_without_the_limit_goes_on(
    searcher: Searcher, other: Searcher, capsys: Capsys, engine: str
) -> None:
    more = heads(searcher, engine, 4)
    ended = searcher.here(capsys, *more, "--timeout", 1e-9)
    assert (ended.code, ended.summary["trials"], ended.summary["best_trial"]) == (0, 0, None)
    assert "--timeout 1e-09 s is over; the same command goes on: 0 trials" in ended.err
    assert "no trial finished" in ended.out
    assert searcher.trials() == []

    assert searcher.here(capsys, *more).code == 0
    assert other.here(capsys, *more).code == 0
    assert searcher.trials() == other.trials()


@knowing
@pytest.mark.parametrize("engine", ["optuna", "keras-tuner"])
def test_a_search_whose_time_is_over_ends_its_batch_and_goes_on_batch_by_batch(
    searcher: Searcher, other: Searcher, capsys: Capsys, monkeypatch: pytest.MonkeyPatch, engine: str
) -> None:
    import search.loop

    more, train = heads(searcher, engine, 6), search.loop.run_trial
    assert other.here(capsys, *more).code == 0
    seconds = 2.0

    def slow(*arguments: Any) -> Any:
        time.sleep(seconds)
        return train(*arguments)

    with monkeypatch.context() as patch:
        patch.setattr("search.loop.run_trial", slow)
        for expected in (2, 4):
            ended = searcher.here(capsys, *more, "--timeout", seconds)
            assert (ended.code, ended.summary["finished"]) == (0, expected), ended.err
            assert f"--timeout 2 s is over; the same command goes on: {expected} trials" in ended.err
            assert searcher.trials() == other.trials()[:expected]

    assert searcher.here(capsys, *more, "--timeout", 3600).code == 0
    assert searcher.trials() == other.trials()
    assert searcher.leaderboard(capsys) == other.leaderboard(capsys)


@knowing
def test_a_search_that_has_all_its_trials_gives_no_reason(searcher: Searcher, capsys: Capsys) -> None:
    more = heads(searcher, "optuna", 2)
    assert searcher.here(capsys, *more).code == 0
    ended = searcher.here(capsys, *more, "--timeout", 1e-9, "--stop-when-no-gain", 1)
    assert (ended.code, ended.err) == (0, "")


@pytest.mark.parametrize(
    ("more", "told"),
    [
        (("--timeout", 0), "argument --timeout: 0 is not above 0; give a number above 0"),
        (("--timeout", "inf"), "argument --timeout: inf is not above 0"),
        (("--timeout", "soon"), "argument --timeout: 'soon' is not a number"),
        (("--stop-when-no-gain", 0), "argument --stop-when-no-gain: 0 is below 1; give 1 or more"),
        (("--stop-when-no-gain", 1.5), "argument --stop-when-no-gain: '1.5' is not a whole number"),
    ],
)
def test_a_wrong_limit_is_one_line(searcher: Searcher, capsys: Capsys, more: tuple[object, ...], told: str) -> None:
    ended = searcher.here(capsys, *more)
    assert ended.code == 2
    (line,) = ended.err.splitlines()
    assert line.startswith(f"search.run: {told}")
    assert not (searcher.folder / "results.db").exists()
