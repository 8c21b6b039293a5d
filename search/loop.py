"""The search itself: propose, train, store, tell; again after a kill.

A trial is finished when its row is committed. The order of writes makes any instant safe: the engine keeps the
proposal, the store the running trial, then the model file, then the result in one transaction, then the engine is told.
"""

import gc
import math
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from plumbing import VERSION
from plumbing.errors import SearchFailed
from results.records import FAILED, RUNNING, NewTrial, Search, Trial
from results.store import Store
from search.engines import Engine, Proposal
from search.models import ModelKeeper, best_trials
from search.progress import SearchProgress
from search.training.fitting import TrialFailed
from search.training.trial import Setting, Trained, run_trial
from spaces.declaration import Configuration

FAILURES_IN_A_ROW = 3


@dataclass(frozen=True)
class SearchRun:
    """All that the loop works with."""

    store: Store
    search: Search
    engine: Engine
    setting: Setting
    keeper: ModelKeeper
    weights: Mapping[str, str]
    trials: int
    enqueued: Sequence[Configuration]


def run_search(run: SearchRun) -> None:
    """Run trials until there are as many as asked for, or none is left to try.

    Raises: SearchFailed after three failures in a row for the same reason.
    """
    known = run.store.trials(run.search.id)
    histories = run.store.histories([trial.id for trial in known])
    run.engine.catch_up(known, {key: _numbers(history, run.setting.objective) for key, history in histories.items()})
    run.keeper.tidy()
    ended = [trial for trial in known if trial.state != RUNNING]
    best = best_trials(ended, 1)
    setting = run.setting
    bar = SearchProgress(setting.objective, run.trials, len(ended), setting.epochs, best[0].value if best else None)
    with bar:
        while len(ended) < run.trials:
            proposal = run.engine.propose(run.enqueued)
            if proposal is None:
                bar.console.print(f"every configuration of the space was tried: {len(ended)} trials")
                return
            trial, objective = _run_one(run, proposal, bar)
            run.engine.tell(trial, objective)
            bar.after_trial(trial)
            gc.collect()  # a trial's network and graphs refer to one another in circles
            ended.append(trial)
            _check_failures(ended)


def _numbers(history: Mapping[str, Sequence[float | None]], metric: str) -> list[float]:
    """The metric by epoch; NaN, which no database keeps alike, where it was not defined."""
    return [math.nan if value is None else value for value in history.get(metric, ())]


def _run_one(run: SearchRun, proposal: Proposal, bar: SearchProgress) -> tuple[Trial, list[float]]:
    """Train the proposal and store how it ended; the trial as stored, and its objective by epoch."""
    trial = _started(run, proposal)
    start = time.monotonic()
    history: list[float] = []
    try:
        trained = run_trial(run.setting, proposal.configuration, bar.after_epoch)
        _finish(run, trial, trained)
        history = list(trained.result.history[run.setting.objective])
    except TrialFailed as failure:
        run.store.fail_trial(trial.id, str(failure), time.monotonic() - start)
    except (MemoryError, _out_of_memory()) as error:
        reason = f"out of memory: {(str(error).splitlines() or [''])[0]}"
        run.store.fail_trial(trial.id, reason, time.monotonic() - start)
    return run.store.trials(run.search.id, proposal.number)[0], history


def _out_of_memory() -> Any:
    from spaces.tensorflow_runtime import tensorflow

    return tensorflow().errors.ResourceExhaustedError


def _started(run: SearchRun, proposal: Proposal) -> Trial:
    """The proposal's trial: the one that a kill left running, else a new one."""
    if left := run.store.trials(run.search.id, proposal.number):
        return left[0]
    configuration, setting = proposal.configuration, run.setting
    name = str(configuration["architecture"])
    return run.store.start_trial(
        run.search.id,
        NewTrial(
            number=proposal.number,
            part_body=setting.dataset.task,
            architecture=name,
            name_code=f"{name}_{configuration['augmentation']}_augment_{setting.epochs}epochs",
            model_name=f"{run.search.name}_{proposal.number:04d}",
            configuration=configuration,
            weights=run.weights[name],
            image_size=setting.image_size[name],
            seed=setting.search_seed,
            fit_epochs=setting.epochs,
            code_version=VERSION,
        ),
    )


def _finish(run: SearchRun, trial: Trial, trained: Trained) -> None:
    """Keep the model where it is among the best, then commit the result, then drop the model that it displaced."""
    result = trained.result
    path = run.keeper.path_for(trial.number, result.value)
    if path is not None:
        run.keeper.save(trained.model(), path)
        result = replace(result, model_path=str(path.resolve()))
    run.store.finish_trial(trial.id, result)
    run.keeper.tidy()


def _check_failures(ended: Sequence[Trial]) -> None:
    last = ended[-FAILURES_IN_A_ROW:]
    reasons = {(trial.reason or "").split(":")[0] for trial in last}
    if len(last) == FAILURES_IN_A_ROW and all(trial.state == FAILED for trial in last) and len(reasons) == 1:
        raise SearchFailed(
            f"{FAILURES_IN_A_ROW} trials in a row failed for one reason: {last[-1].reason}; narrow the --space"
        )
