"""The search itself: propose, train, store, tell; again after a kill.

A trial is finished when its row is committed. The order of writes makes any instant safe: the running trials of a
batch, then for each its model file, then its result in one transaction; the engine is told when the batch has ended.
"""

import ctypes
import gc
import math
import sys
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from contextlib import contextmanager
from dataclasses import dataclass, replace

from threadpoolctl import threadpool_limits

from features.forward import processors
from plumbing import VERSION
from plumbing.errors import SearchFailed
from results.records import FAILED, RUNNING, NewTrial, Search, Trial
from results.store import Store
from search.engines import Engine, Proposal
from search.models import ModelKeeper, best_trials
from search.progress import SearchProgress
from search.training.fitting import TrialFailed
from search.training.trial import AfterEpoch, Setting, Trained, inputs_of, is_head, run_trial
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

    Raises: SearchFailed after three failures in a row for the same reason, or where memory ran out beside the trials.
    """
    known = {trial.number: trial for trial in run.store.trials(run.search.id)}
    ended = {number: trial for number, trial in known.items() if trial.state != RUNNING}
    begun = {number: trial.configuration for number, trial in known.items()}
    run.keeper.tidy()
    best = best_trials(list(ended.values()), 1)
    setting = run.setting
    bar = SearchProgress(setting.objective, run.trials, len(ended), setting.epochs, best[0].value if best else None)
    # Heads train side by side, each on one core.
    with bar, threadpool_limits(1, "blas"), loaded_things_left_alone():
        while batch := run.engine.propose(run.enqueued, run.trials, begun):
            fresh = [each for each in batch if each.number not in ended]
            for trial in _run_batch(run, fresh, known, bar):
                ended[trial.number] = trial
            run.keeper.tidy()
            for proposal in batch:
                run.engine.tell(ended[proposal.number], _objective(run, ended[proposal.number]))
            if failure := _failures_in_a_row(ended, [each.number for each in fresh]):
                run.engine.save()
                raise SearchFailed(failure)
        run.engine.save()
    if len(ended) < run.trials:
        bar.console.print(f"every configuration of the space was tried: {len(ended)} trials")


@contextmanager
def loaded_things_left_alone() -> Iterator[None]:
    """Keep Python from looking for cycles in all that was loaded before, again and again: a tenth of the time."""
    gc.freeze()
    try:
        yield
    finally:
        gc.unfreeze()


def give_memory_back() -> None:
    """Free a tail's network and graphs, which refer to one another in circles, and what the allocator holds of them."""
    gc.collect()
    if sys.platform == "linux" and hasattr(libc := ctypes.CDLL(None), "malloc_trim"):  # glibc's alone
        libc.malloc_trim(0)


def _objective(run: SearchRun, trial: Trial) -> list[float]:
    """The objective by epoch; NaN, which no database keeps alike, where it was not defined."""
    history = run.store.histories([trial.id]).get(trial.id, {}).get(run.setting.objective, ())
    return [math.nan if value is None else value for value in history]


def _run_batch(
    run: SearchRun, batch: Sequence[Proposal], known: Mapping[int, Trial], bar: SearchProgress
) -> Iterator[Trial]:
    """Train a batch, heads side by side, the rest one after another; each trial as stored when it ended.

    Args:
        known: trials that are stored already, those that a kill left running among them.
    """
    started = run.store.start_trials(
        run.search.id, [_new_trial(run, each) for each in batch if each.number not in known]
    )
    trials = dict(known) | {trial.number: trial for trial in started}
    heads = [proposal for proposal in batch if is_head(proposal.configuration)]
    heads.sort(key=lambda proposal: -int(proposal.configuration["units"]))  # the longest first, to end together
    stop = threading.Event()

    def after_epoch(epoch: int, metrics: Mapping[str, float]) -> None:
        if stop.is_set():
            raise TrialFailed("stopped")
        bar.after_epoch(epoch, metrics)

    def stored(proposal: Proposal, attempt: Attempt) -> Trial:
        trial = _keep(run, trials[proposal.number], attempt)
        bar.after_trial(trial)
        return trial

    for proposal in heads:  # what must be built is, in the main thread
        inputs_of(run.setting, proposal.configuration).frozen()
    pool = ThreadPoolExecutor(processors())
    try:
        running = {pool.submit(_attempt, run, each, after_epoch): each for each in heads}
        run.engine.save()  # of the batches before, while the heads train
        for future in as_completed(running):
            yield stored(running[future], future.result())
        for proposal in batch:
            if proposal not in heads:
                yield stored(proposal, _attempt(run, proposal, after_epoch))
                give_memory_back()
    finally:
        stop.set()
        pool.shutdown(cancel_futures=True)


@dataclass(frozen=True)
class Attempt:
    """How a training ended: well, or for a reason without a result."""

    trained: Trained | None
    reason: str
    seconds: float


def _attempt(run: SearchRun, proposal: Proposal, after_epoch: AfterEpoch) -> Attempt:
    """Train the proposal."""
    start = time.monotonic()
    try:
        trained = run_trial(run.setting, proposal.configuration, after_epoch)
    except TrialFailed as failure:
        return Attempt(None, str(failure), time.monotonic() - start)
    except (MemoryError, _out_of_memory()) as error:
        reason = f"out of memory: {(str(error).splitlines() or [''])[0]}"
        return Attempt(None, reason, time.monotonic() - start)
    return Attempt(trained, "", time.monotonic() - start)


def _keep(run: SearchRun, trial: Trial, attempt: Attempt) -> Trial:
    """Keep the model where it is among the best, then store how the trial ended; the trial as stored."""
    if attempt.trained is None:
        run.store.fail_trial(trial.id, attempt.reason, attempt.seconds)
    else:
        result = attempt.trained.result
        if (path := run.keeper.path_for(trial.number, result.value)) is not None:
            run.keeper.save(attempt.trained.save, path)
            result = replace(result, model_path=str(path.resolve()))
        run.store.finish_trial(trial.id, result)
    return run.store.trials(run.search.id, trial.number)[0]


def _out_of_memory() -> type[BaseException]:
    """What TensorFlow raises out of memory; where it was never imported, it raises nothing."""
    if "tensorflow" not in sys.modules:
        return MemoryError
    from spaces.tensorflow_runtime import tensorflow

    kind: type[BaseException] = tensorflow().errors.ResourceExhaustedError
    return kind


def _new_trial(run: SearchRun, proposal: Proposal) -> NewTrial:
    configuration, setting = proposal.configuration, run.setting
    name = str(configuration["architecture"])
    return NewTrial(
        number=proposal.number,
        part_body=setting.source.dataset.task,
        architecture=name,
        name_code=f"{name}_{configuration['augmentation']}_augment_{setting.epochs}epochs",
        model_name=f"{run.search.name}_{proposal.number:04d}",
        configuration=configuration,
        weights=run.weights[name],
        image_size=setting.source.image_size[name],
        seed=setting.search_seed,
        fit_epochs=setting.epochs,
        code_version=VERSION,
    )


def _failures_in_a_row(ended: Mapping[int, Trial], fresh: Sequence[int]) -> str | None:
    """What to say where a trial of this process is the third in a row to fail for the same reason, else None."""
    for number in fresh:
        last = [ended[each] for each in range(number - FAILURES_IN_A_ROW + 1, number + 1) if each in ended]
        reasons = {(trial.reason or "").split(":")[0] for trial in last}
        if len(last) == FAILURES_IN_A_ROW and all(trial.state == FAILED for trial in last) and len(reasons) == 1:
            return f"{FAILURES_IN_A_ROW} trials in a row failed for one reason: {last[-1].reason}; narrow the --space"
    return None
