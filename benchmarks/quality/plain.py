"""Optuna and Keras Tuner by themselves, through their own public interfaces, with their defaults; no code of ours.

Neither looks whether a configuration was tried before, apart from Keras Tuner's random draws.
"""

import tempfile
import warnings
from collections.abc import Callable
from typing import Any

import optuna

from benchmarks.quality.replay import Ledger, Run, processor_clock, search_seed
from benchmarks.tables.recorded import RecordedTable
from spaces.declaration import Choice, Value

MakeSampler = Callable[..., optuna.samplers.BaseSampler]


def plain_optuna(make_sampler: MakeSampler, table: RecordedTable, repeat: int, trials: int) -> Run:
    """A study in memory that asks and tells trial after trial."""
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    ledger, clock = Ledger(table, repeat), processor_clock()
    study = optuna.create_study(direction="maximize", sampler=make_sampler(seed=search_seed(table, repeat)))
    for _ in range(trials):
        with clock:
            trial = study.ask()
            configuration = {axis.parameter.name: _suggested(trial, axis.parameter) for axis in table.axes}
        value = ledger.note(configuration, table.epochs)
        with clock:
            study.tell(trial, value)
    return ledger.run(clock.seconds)


def _suggested(trial: optuna.Trial, parameter: Any) -> Value:
    if isinstance(parameter, Choice):
        chosen = trial.suggest_categorical(parameter.name, parameter.choices)
        assert chosen is not None  # no parameter offers None
        return chosen
    return trial.suggest_int(parameter.name, parameter.low, parameter.high)


def plain_keras_tuner(table: RecordedTable, repeat: int, trials: int) -> Run:
    """`keras_tuner.BayesianOptimization` with its own number of initial points, three a hyperparameter.

    Its Gaussian process predicts by `LeanRegressor`, to the same last bit and in less time.
    """
    from spaces.tensorflow_runtime import keras

    keras()  # Keras Tuner imports TensorFlow, which must find its environment set
    import keras_tuner

    from benchmarks.quality.lean_regressor import lean

    ledger, clock, looking_up = Ledger(table, repeat), processor_clock(), processor_clock()

    class Replayed(keras_tuner.BayesianOptimization):  # type: ignore[misc]
        def run_trial(self, trial: Any, *arguments: Any, **more: Any) -> dict[str, float]:
            with looking_up:
                return {"value": ledger.note(dict(trial.hyperparameters.values), table.epochs)}

    space = keras_tuner.HyperParameters()
    for axis in table.axes:
        parameter = axis.parameter
        if isinstance(parameter, Choice):
            space.Choice(parameter.name, list(parameter.choices))
        else:
            space.Int(parameter.name, parameter.low, parameter.high)
    with tempfile.TemporaryDirectory() as folder, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        tuner = Replayed(
            objective=keras_tuner.Objective("value", "max"),
            max_trials=trials,
            hyperparameters=space,
            seed=search_seed(table, repeat) or 1,  # it takes 0 for no seed
            directory=folder,
        )
        tuner.oracle.gpr = lean(tuner.oracle.gpr)
        with clock:
            tuner.search(verbose=0)
    return ledger.run(clock.seconds - looking_up.seconds)
