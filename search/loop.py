"""The search itself: propose, train, store, tell; again after a kill.

A trial is finished when its row is committed. The order of writes makes any instant safe: the running trials of a
batch, then for each its model and checkpoint files, then its result in one transaction; the engine is told when the
batch has ended.
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
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path

from threadpoolctl import threadpool_limits

from features.forward import processors
from plumbing import VERSION
from plumbing.errors import SearchFailed
from radiographs.parts import class_names
from results.card import add_card, model_card
from results.records import FAILED, FINISHED, RUNNING, NewTrial, Search, Trial
from results.store import Store
from results.trained_kind import add_trained_kind, in_card
from search.engines import Engine, Proposal
from search.models import ModelKeeper, best_trials
from search.progress import SearchProgress
from search.stopping import Clock, Stopping, reason_to_stop
from search.training.checkpoints import Checkpoints
from search.training.fitting import TrialFailed
from search.training.trial import AfterEpoch, Setting, Task, Trained, inputs_of, is_head, run_trial

FAILURES_IN_A_ROW = 3


@dataclass(frozen=True)
class SearchRun:
    """All that the loop works with.

    Attributes:
        ends_on_failures: whether three failures in a row for one reason end it.
        clock: the engine's own time, which the loop measures.
    """

    store: Store
    search: Search
    engine: Engine
    setting: Setting
    keeper: ModelKeeper
    weights: Mapping[str, str]
    trials: int
    checkpoints: Checkpoints
    stopping: Stopping
    ends_on_failures: bool = True
    clock: Clock = field(default_factory=Clock)


def run_search(run: SearchRun) -> None:
    """Run trials until there are as many as asked for, none is left to try, or there is reason to stop.

    Raises: SearchFailed after three failures in a row for the same reason where the run `ends_on_failures`, or where
        memory ran out beside the trials.
    """
    known = {trial.number: trial for trial in run.store.trials(run.search.id)}
    ended = {number: trial for number, trial in known.items() if trial.state != RUNNING}
    run.keeper.tidy()
    best = best_trials(list(ended.values()), 1)
    setting = run.setting
    bar = SearchProgress(setting.objective, run.trials, len(ended), setting.epochs, best[0].value if best else None)
    # Heads train side by side, each on one core.
    with bar, threadpool_limits(1, "blas"), loaded_things_left_alone():
        why = _run_batches(run, known, ended, bar)
        with run.clock:
            run.engine.save()
    if why:
        bar.console.print(f"{why}: {len(ended)} trials", markup=False)


def _run_batches(
    run: SearchRun, known: Mapping[int, Trial], ended: dict[int, Trial], bar: SearchProgress
) -> str | None:
    """Run batch after batch; why it ended before there were as many trials as asked for, None where there are."""
    begun = {number: trial.configuration for number, trial in known.items()}
    while True:
        with run.clock:
            batch = run.engine.propose(run.trials, begun)
        if not batch:
            return None if len(ended) >= run.trials else "every configuration of the space was tried"
        fresh = [each for each in batch if each.number not in ended]
        before = [trial for number, trial in sorted(ended.items()) if number < batch[0].number]
        if fresh and (why := reason_to_stop(run.stopping, before, run.setting.epochs)):
            return why
        if fresh:
            for trial in _run_batch(run, fresh, known, bar):
                ended[trial.number] = trial
            run.keeper.tidy()
        histories = _objectives(run, [ended[each.number] for each in batch])
        with run.clock:
            for proposal in batch:
                trial = ended[proposal.number]
                run.engine.tell(trial, histories[trial.id])
        if fresh:  # an engine that is still being told what ended before knows of fewer
            run.checkpoints.keep_only(run.engine.may_go_on())
        failure = _failures_in_a_row(ended, [each.number for each in fresh]) if run.ends_on_failures else None
        if failure:
            run.engine.save()
            raise SearchFailed(failure)


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


def _objectives(run: SearchRun, trials: Sequence[Trial]) -> dict[int, list[float]]:
    """Each trial's objective by epoch, by its id; NaN, which no database keeps alike, where it was not defined."""
    found = run.store.histories([trial.id for trial in trials])
    return {
        trial.id: [
            math.nan if value is None else value for value in found.get(trial.id, {}).get(run.setting.objective, ())
        ]
        for trial in trials
    }


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
    own = run.setting.own_model is not None
    heads = [proposal for proposal in batch if not own and is_head(proposal.configuration)]
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
        with run.clock:
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
    begin = None if proposal.continues is None else run.checkpoints.load(proposal.continues, _tell)
    task = Task(proposal.configuration, proposal.epochs or run.setting.epochs, begin, proposal.resumable)
    try:
        trained = run_trial(run.setting, task, after_epoch, partial(run.engine.prunes, proposal.number))
    except TrialFailed as failure:
        return Attempt(None, str(failure), time.monotonic() - start)
    except (MemoryError, _out_of_memory()) as error:
        reason = f"out of memory: {(str(error).splitlines() or [''])[0]}"
        return Attempt(None, reason, time.monotonic() - start)
    return Attempt(trained, "", time.monotonic() - start)


def _tell(line: str) -> None:
    print(f"search.run: {line}", file=sys.stderr)


def _keep(run: SearchRun, trial: Trial, attempt: Attempt) -> Trial:
    """Keep the model where it is among the best, and the checkpoint, then store how it ended; the trial as stored."""
    if attempt.trained is None:
        run.store.fail_trial(trial.id, attempt.reason, attempt.seconds)
    else:
        result = attempt.trained.result
        if attempt.trained.checkpoint is not None:
            run.checkpoints.save(trial.number, attempt.trained.checkpoint)
        if result.state == FINISHED and (path := run.keeper.path_for(trial, result.value)) is not None:
            run.keeper.save(partial(_write_model, run, trial, attempt.trained), path)
            result = replace(result, model_path=str(path.resolve()))
        run.store.finish_trial(trial.id, result)
    return run.store.trials(run.search.id, trial.number)[0]


def _write_model(run: SearchRun, trial: Trial, trained: Trained, path: Path) -> None:
    size = trial.image_size
    facts = {
        "model": trial.model_name,
        "task": trial.part_body,
        "classes": class_names(trial.part_body),
        "input": f"Pillow: ImageOps.exif_transpose(image).convert('L').resize(({size}, {size}), Resampling.BILINEAR), "
        "as float32 in 0..255; where a value is above 255, 16 bits are made 8 before, by numpy.rint(values / 257)",
        "name_code": trial.name_code,
        "search": run.search.name,
        "trial": trial.number,
        "data_hash": run.search.data_hash,
        "code_version": trial.code_version,
    }
    trained.save(path)
    if trained.kind is not None:
        kind = trained.kind()
        add_trained_kind(path, kind)
        facts |= in_card(kind)
    add_card(path, model_card(facts, run.setting.lists["valid"], trained.result.probabilities["valid"]))


def _out_of_memory() -> type[BaseException]:
    """What TensorFlow raises out of memory; where it was never imported, it raises nothing."""
    if "tensorflow" not in sys.modules:
        return MemoryError
    from spaces.tensorflow_runtime import tensorflow

    kind: type[BaseException] = tensorflow().errors.ResourceExhaustedError
    return kind


def _new_trial(run: SearchRun, proposal: Proposal) -> NewTrial:
    configuration, setting = proposal.configuration, run.setting
    level = "no" if setting.own_model else configuration["augmentation"]
    name, epochs = str(configuration["architecture"]), proposal.epochs or setting.epochs
    return NewTrial(
        number=proposal.number,
        part_body=setting.source.dataset.task,
        architecture=name,
        name_code=f"{name}_{level}_augment_{epochs}epochs",
        model_name=f"{run.search.name}_{proposal.number:04d}",
        configuration=configuration,
        weights=run.weights[name],
        image_size=setting.source.image_size[name],
        seed=setting.search_seed,
        fit_epochs=epochs,
        code_version=VERSION,
        continues=proposal.continues,
    )


def _failures_in_a_row(ended: Mapping[int, Trial], fresh: Sequence[int]) -> str | None:
    """What to say where a trial of this process is the third in a row to fail for the same reason, else None."""
    for number in fresh:
        last = [ended[each] for each in range(number - FAILURES_IN_A_ROW + 1, number + 1) if each in ended]
        reasons = {(trial.reason or "").split(":")[0] for trial in last}
        if len(last) == FAILURES_IN_A_ROW and all(trial.state == FAILED for trial in last) and len(reasons) == 1:
            return f"{FAILURES_IN_A_ROW} trials in a row failed for one reason: {last[-1].reason}; narrow the --space"
    return None
