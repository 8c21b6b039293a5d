"""The search itself: propose, train, store, tell; again after a kill.

A trial is finished when its row is committed. The order of writes makes any instant safe: the running trials of a
batch with what this worker claims of them, then for each its model and checkpoint files, then its result in one
transaction; the engine is told when the batch has ended.
"""

import hashlib
import json
import sys
import threading
import time
from collections import deque
from collections.abc import Mapping, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path

from threadpoolctl import threadpool_limits

from features.forward import processors
from plumbing import VERSION
from radiographs.parts import class_names
from results.card import add_card, model_card
from results.claims import PATIENCE, Claim, TrialTakenOver
from results.records import FINISHED, RUNNING, NewTrial, Search, Trial
from results.store import Store
from results.trained_kind import add_trained_kind, in_card
from search.engines import Engine, Proposal
from search.engines.tried import key_of
from search.memory import give_memory_back, loaded_things_left_alone
from search.models import ModelKeeper, best_trials
from search.progress import SearchProgress
from search.stopping import Clock, Stopping, reason_to_stop
from search.training.checkpoints import Checkpoints
from search.training.fitting import TrialFailed
from search.training.trial import AfterEpoch, Setting, Task, Trained, inputs_of, is_head, run_trial
from search.workers.feeds import AsynchronousFeed, BatchFeed, Feed, Source, Work
from search.workers.worker import Worker

SHORTEST_PAUSE, LONGEST_PAUSE = 0.05, 1.0  # seconds between looks at the store, where others have all under way


@dataclass(frozen=True)
class SearchRun:
    """All that the loop works with.

    Attributes:
        ends_on_failures: whether three failures in a row for one reason end it.
        clock: the engine's own time, which the loop measures.
        asynchronous: whether proposals are made one by one, from what has ended by then, not by batches.
        alone: no other workers are expected, so this one claims a whole batch at once. quiet: it tells of no trial.
        patience: seconds of silence after which another worker may take over what this one has under way.
        label: by which the command that began this process knows it.
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
    asynchronous: bool = False
    alone: bool = True
    quiet: bool = False
    patience: float = PATIENCE
    label: str | None = None


def run_search(run: SearchRun) -> int:
    """Run trials, beside other workers where there are any, until there are as many as asked for, none is left to try,
    or there is reason to stop; how many were run here.

    Raises: SearchFailed after three failures in a row for the same reason where the run `ends_on_failures`, or where
        memory ran out beside the trials.
    """
    known = run.store.trials(run.search.id)
    run.keeper.tidy()
    if run.alone:
        run.checkpoints.only_under_way({trial.number for trial in known if trial.state == RUNNING})
    bar = progress_of(run, known)
    # Heads train side by side, each on one core.
    with (
        Worker(run.store, run.search.id, run.patience, run.label) as worker,
        bar,
        threadpool_limits(1, "blas"),
        loaded_things_left_alone(),
    ):
        feed = _feed(run, worker, known)
        Training(run, feed, bar).run()
        with run.clock:
            run.engine.save()
    if feed.why:
        bar.console.print(f"{feed.why}: {len(feed.ended)} trials", markup=False)
    return bar.ran


def progress_of(run: SearchRun, trials: Sequence[Trial]) -> SearchProgress:
    """What a person sees of the search, which has these trials."""
    best, done = best_trials(trials, 1), sum(trial.state != RUNNING for trial in trials)
    value, setting = best[0].value if best else None, run.setting
    return SearchProgress(setting.objective, run.trials, done, setting.epochs, value, run.quiet)


def _feed(run: SearchRun, worker: Worker, known: Sequence[Trial]) -> Feed:
    made: type[BatchFeed] | type[AsynchronousFeed] = AsynchronousFeed if run.asynchronous else BatchFeed
    return made(
        Source(
            store=run.store,
            search_id=run.search.id,
            worker=worker,
            engine=run.engine,
            clock=run.clock,
            trials=run.trials,
            objective=run.setting.objective,
            row=partial(_new_trial, run),
            order=partial(_claimed_by, run),
            reason_to_stop=lambda before: reason_to_stop(run.stopping, before, run.setting.epochs),
            tidy=run.keeper.tidy,
            told=lambda last: run.checkpoints.keep_only(run.engine.may_go_on(), last),
            ends_on_failures=run.ends_on_failures,
            alone=run.alone,
        ),
        known,
    )


def _claimed_by(run: SearchRun, proposal: Proposal) -> float:
    """Heads first, of those the longest, to end together."""
    return -float(str(proposal.configuration["units"])) if _is_head(run, proposal) else 1.0


def _is_head(run: SearchRun, proposal: Proposal) -> bool:
    return run.setting.own_model is None and is_head(proposal.configuration)


class Training:
    """Trains what a feed gives: heads side by side, the rest one after another."""

    def __init__(self, run: SearchRun, feed: Feed, bar: SearchProgress) -> None:
        self.search, self.feed, self.bar = run, feed, bar
        self.stop = threading.Event()
        self.heads: dict[Future[Attempt], Work] = {}
        self.others: deque[Work] = deque()
        self.pool = ThreadPoolExecutor(processors())

    def run(self) -> None:
        """Train until the feed is over."""
        pause = Pause()
        try:
            while not self.feed.over or self.heads or self.others:
                begun = self._begin()
                if self.heads:
                    self._wait(pause)
                elif self.others:
                    self._end(work := self.others.popleft(), self._attempt(work))
                    give_memory_back()
                elif not begun and not self.feed.over:
                    pause.wait()
                if begun:
                    pause = Pause()
        finally:
            self.stop.set()
            self.pool.shutdown(cancel_futures=True)

    def _begin(self) -> bool:
        """Begin what there is room for; whether there was anything."""
        room = processors() - len(self.heads)
        found = self.feed.next(room) if room > 0 and not self.others else []
        for work in found:
            if _is_head(self.search, work.proposal):
                inputs_of(self.search.setting, work.proposal.configuration).frozen()  # built in the main thread
                self.heads[self.pool.submit(self._attempt, work)] = work
            else:
                self.others.append(work)
        if found:
            with self.search.clock:
                self.search.engine.save(last=False)  # of what ended before, while heads train
        return bool(found)

    def _wait(self, pause: "Pause") -> None:
        """Until a head has ended, or there may be more to begin beside them."""
        full = len(self.heads) >= processors() or bool(self.others) or self.feed.over
        ended, _ = wait(self.heads, None if full else pause.next(), FIRST_COMPLETED)
        for future in ended:
            self._end(self.heads.pop(future), future.result())

    def _attempt(self, work: Work) -> "Attempt":
        def after_epoch(epoch: int, metrics: Mapping[str, float]) -> None:
            if self.stop.is_set() or self.feed.has_lost(work):
                raise TrialFailed("stopped")
            self.bar.after_epoch(epoch, metrics)

        return _attempt(self.search, work, after_epoch)

    def _end(self, work: Work, attempt: "Attempt") -> None:
        try:
            trial = _keep(self.search, work.claim, attempt)
        except TrialTakenOver as taken:
            self.feed.note(work, None)
            _tell(str(taken))
            return
        self.feed.note(work, trial)
        self.bar.after_trial(trial, len(self.feed.ended), self.feed.best)


class Pause:
    """How long to wait before the store is asked again: longer and longer."""

    def __init__(self) -> None:
        self.seconds = SHORTEST_PAUSE

    def next(self) -> float:
        """Seconds."""
        seconds, self.seconds = self.seconds, min(2 * self.seconds, LONGEST_PAUSE)
        return seconds

    def wait(self) -> None:
        time.sleep(self.next())


@dataclass(frozen=True)
class Attempt:
    """How a training ended: well, or for a reason without a result."""

    trained: Trained | None
    reason: str
    seconds: float


def _attempt(run: SearchRun, work: Work, after_epoch: AfterEpoch) -> Attempt:
    """Train the proposal, from where a worker that died had come to."""
    start, proposal = time.monotonic(), work.proposal
    first = None if proposal.continues is None else run.checkpoints.load(proposal.continues, _tell)
    of = _mark(run, work.claim.trial)
    came_to = run.checkpoints.under_way(proposal.number, of, _tell) if work.claim.attempt > 1 else None
    task = Task(
        configuration=proposal.configuration,
        epochs=proposal.epochs or run.setting.epochs,
        begin=came_to or first,
        first_epoch=first.epochs if first else 0,
        resumable=proposal.resumable,
        keep=partial(run.checkpoints.keep_under_way, proposal.number, of),
    )
    try:
        trained = run_trial(run.setting, task, after_epoch, partial(run.engine.prunes, proposal.number))
    except TrialFailed as failure:
        return Attempt(None, str(failure), time.monotonic() - start)
    except (MemoryError, _out_of_memory()) as error:
        reason = f"out of memory: {(str(error).splitlines() or [''])[0]}"
        return Attempt(None, reason, time.monotonic() - start)
    return Attempt(trained, "", time.monotonic() - start)


def _mark(run: SearchRun, trial: Trial) -> str:
    """What tells a trial from one of the same number in another search of the same name."""
    told = [run.search.created, run.search.data_hash, trial.created, trial.seed, key_of(trial.configuration)]
    return hashlib.blake2b(json.dumps(told).encode(), digest_size=16).hexdigest()


def _tell(line: str) -> None:
    print(f"search.run: {line}", file=sys.stderr)


def _keep(run: SearchRun, claim: Claim, attempt: Attempt) -> Trial:
    """Keep the model where it is among the best, and the checkpoint, then store how it ended; the trial as stored.

    Raises: TrialTakenOver where another worker took it over; nothing is stored then.
    """
    trial = claim.trial
    if attempt.trained is None:
        run.store.fail_trial(trial.id, attempt.reason, attempt.seconds, claim)
    else:
        result = attempt.trained.result
        if attempt.trained.checkpoint is not None:
            run.checkpoints.save(trial.number, attempt.trained.checkpoint)
        if result.state == FINISHED and (path := run.keeper.path_for(claim, result.value)) is not None:
            run.keeper.save(partial(_write_model, run, trial, attempt.trained), path)
            result = replace(result, model_path=str(path.absolute()))
        run.store.finish_trial(trial.id, result, claim)
    run.checkpoints.remove_under_way(trial.number)
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
