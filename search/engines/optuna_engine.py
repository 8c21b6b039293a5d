"""Optuna proposes, and keeps a true study in the same database, for `optuna.load_study` and `optuna-dashboard`.

Exact resume. The study holds ended trials only, each added whole in one transaction, in the order of their numbers.
Each trial is proposed by a sampler made for it alone and seeded from (search seed, trial number), on a copy of the
study in memory that shows the results of the trials that it may know, and of the others before it the parameters alone.
So no state is carried from trial to trial, and whatever a kill kept from the study is proposed again, equal to the last
bit. Pruners decide on such copies too. A trial of a batch knows the batches before; one that is proposed by itself
knows what it is said to know.

TPE and the Gaussian process take a trial without a result for a bad one (`constant_liar`, on by default) or one at its
expected value, and so keep away from it; random and QMC draws hang on the number alone. NSGA-II breeds from what it
noted on whole generations, which another process does not have: it proposes in batches only.

`CmaEsSampler` is not offered: it unpickles its state from the store.
"""

from collections.abc import Collection, Mapping, Sequence
from typing import Any

import optuna
from optuna.distributions import BaseDistribution
from optuna.trial import FrozenTrial, TrialState, create_trial

from plumbing.errors import UsageError
from results.records import FINISHED, PRUNED, Trial
from search.engines import Proposal, Request
from search.engines.optuna_memory import bare, study_in_memory
from search.engines.optuna_pruning import NOTING, PRUNERS, Watch, check_pruner, make_pruner
from search.engines.optuna_sampling import (
    SAMPLERS,
    as_chosen,
    as_sampled,
    check_sampler,
    make_sampler,
    suggester,
)
from search.engines.optuna_study import StoredStudy
from search.engines.tried import key_of, one_left
from spaces.declaration import Configuration, Parameter, Value, propose
from spaces.optuna_space import distribution_of

__all__ = ["PRUNERS", "SAMPLERS", "OptunaEngine", "check", "make"]

# Redraws of a repeated configuration: by the sampler under other seeds, then at random, then by enumeration.
SAMPLER_DRAWS, RANDOM_DRAWS = 10, 100
IN_BATCHES_ONLY = ("nsga2",)


def check(sampler: str, pruner: str) -> None:
    """Raises: UsageError where one is not offered, or they do not go together."""
    check_sampler(sampler)
    check_pruner(pruner, sampler)


def check_one_by_one(sampler: str) -> None:
    """Raises: UsageError where the sampler proposes in batches only."""
    if sampler in IN_BATCHES_ONLY:
        raise UsageError(
            f"--workers above --batch-trials: --sampler {sampler} proposes whole batches; give --batch-trials as many "
            "as --workers, or --sampler tpe"
        )


def make(request: Request) -> "OptunaEngine":
    """The engine. Raises: UsageError, StoreError."""
    return OptunaEngine(request)


class OptunaEngine:
    """Proposals of one search by one of Optuna's samplers, with one of its pruners."""

    def __init__(self, request: Request) -> None:
        """Open the search's study, or make it.

        Raises: StoreError where the study is somebody else's or the database is of another Optuna; UsageError.
        """
        optuna.logging.set_verbosity(optuna.logging.ERROR)
        check(request.sampler, request.pruner)
        self.request, self.space = request, request.space
        self._stored = StoredStudy(request)
        self._told = list(self._stored.trials)
        self._from_store = len(self._told)
        self._known = [self._as_sampled(trial) for trial in self._told]
        self._early: dict[int, tuple[FrozenTrial, FrozenTrial]] = {}  # as known and told, that others go before
        self._drafts: dict[int, FrozenTrial] = {}  # of the batch
        self._watches: dict[int, Watch] = {}

    @property
    def study(self) -> optuna.Study:
        """In the store."""
        return self._stored.study

    def close(self) -> None:
        """Give the database's connections back."""
        self._stored.close()

    def propose(self, trials: int, stored: Mapping[int, Configuration]) -> list[Proposal]:
        """What is left of the batch that the next trial to be told of lies in; empty where nothing is left to try.

        Batch b holds the trials from b times the batch's size on.
        """
        size, enqueued = self.request.batch_trials, self.request.enqueued
        done = len(self._known)
        seen = self._seen_by(done)
        self._drafts, self._watches = {}, {}
        for number in range(done, min((done // size + 1) * size, trials)):
            draft = self._frozen(enqueued[number]) if number < len(enqueued) else self._draw(seen)
            if draft is None:
                break
            if number in stored and key_of(stored[number]) != key_of(self._configuration(draft)):
                draft = self._frozen(stored[number])
            self._drafts[number] = draft
            if self.request.pruner != "none":
                self._watches[number] = self._watch(seen, draft)
            seen.append(bare(draft))
        return [Proposal(number, self._configuration(draft)) for number, draft in self._drafts.items()]

    def propose_one(self, number: int, knows: Collection[int], begun: Mapping[int, Configuration]) -> Proposal | None:
        """The trial of that number, which knows the results of some trials; see `Engine`."""
        check_one_by_one(self.request.sampler)
        seen = self._seen_by_one(number, knows, begun)
        if number in begun:
            configuration: Configuration | None = begun[number]
        elif number < len(self.request.enqueued):
            configuration = self.request.enqueued[number]
        else:
            drawn = self._draw(seen)
            configuration = None if drawn is None else self._configuration(drawn)
        if configuration is None:
            return None
        if self.request.pruner != "none":
            self._watches[number] = self._watch(seen, self._frozen(configuration))
        return Proposal(number, dict(configuration))

    def prunes(self, number: int, values: Sequence[float]) -> bool:
        """What the pruner decides after these epochs."""
        return self.request.pruner != "none" and self._watches[number].stops(values)

    def may_go_on(self) -> Collection[int]:
        """None: Optuna stops trials, and continues none."""
        return ()

    def tell(self, trial: Trial, objective_by_epoch: Sequence[float]) -> None:
        """Note how a trial ended; its epochs become intermediate values, for Optuna's plots and pruners.

        Raises: ValueError where it was told before.
        """
        number = trial.number
        if number < self._from_store:
            return
        if number < len(self._known) or number in self._early:
            raise ValueError(f"trial {number} was told before")
        # Of a number that was proposed here by itself another process may have begun another configuration.
        draft = self._drafts.pop(number, None) or self._frozen(trial.configuration)
        self._watches.pop(number, None)
        state, value = TrialState.FAIL, None
        if trial.state == FINISHED and trial.value is not None:
            state, value = TrialState.COMPLETE, trial.value
        elif trial.state == PRUNED:
            state, value = TrialState.PRUNED, objective_by_epoch[-1]
        steps = dict(enumerate(objective_by_epoch, start=1))
        attributes = {**draft.system_attrs, **self._noted(number, draft, objective_by_epoch)}
        configuration = self._configuration(draft)
        known, told = (
            self._frozen(configuration, sampled, state, value, steps, attributes) for sampled in (True, False)
        )
        self._early[number] = known, told
        while (next_one := self._early.pop(len(self._known), None)) is not None:
            known, told = next_one
            told.number = len(self._told)
            self._known.append(known)
            self._told.append(told)

    def save(self, last: bool = True) -> None:
        """Add to the study what was told, up to the first number that was not.

        Raises: StoreError where it is the last time and the database refuses.
        """
        self._stored.add(self._told, last)

    # Trials in Optuna's form

    def _configuration(self, draft: FrozenTrial) -> dict[str, Value]:
        """The configuration behind a trial as samplers see it."""
        return propose(self.space, lambda name, parameter: as_chosen(parameter, draft.params[name]))

    def _as_sampled(self, trial: FrozenTrial) -> FrozenTrial:
        """A trial of the study, as samplers see it."""
        configuration = propose(self.space, lambda name, parameter: trial.params[name])
        value = None if trial.state == TrialState.FAIL else trial.value
        return self._frozen(configuration, True, trial.state, value, trial.intermediate_values, trial.system_attrs)

    def _frozen(
        self,
        configuration: Configuration,
        sampled: bool = True,
        state: TrialState = TrialState.RUNNING,
        value: float | None = None,
        steps: Mapping[int, float] | None = None,
        attributes: Mapping[str, Any] | None = None,
    ) -> FrozenTrial:
        """A trial of the configuration, as samplers see it or as the study shows it."""
        params: dict[str, Value] = {}
        distributions: dict[str, BaseDistribution] = {}

        def ask(name: str, parameter: Parameter) -> Value:
            chosen = configuration[parameter.name]
            shown = (chosen, distribution_of(parameter))
            params[name], distributions[name] = as_sampled(parameter, chosen) if sampled else shown
            return chosen

        propose(self.space, ask)
        return create_trial(
            state=state,
            value=value,
            params=params,
            distributions=distributions,
            intermediate_values=dict(steps or {}),
            system_attrs=dict(attributes or {}),
        )

    # Drawing and watching

    def _seen_by(self, number: int) -> list[FrozenTrial]:
        """What the trial of that number may know of those before: of its own batch the parameters alone."""
        first = number // self.request.batch_trials * self.request.batch_trials
        return [*self._known[:first], *(bare(trial) for trial in self._known[first:number])]

    def _seen_by_one(
        self, number: int, knows: Collection[int], begun: Mapping[int, Configuration]
    ) -> list[FrozenTrial]:
        """What a trial that is proposed by itself knows of those before.

        Raises: ValueError where it is to know what was not told, or a trial before it is neither known nor begun.
        """
        results = {each: self._result(each) for each in knows}
        if lacking := sorted(each for each, result in results.items() if result is None or each >= number):
            raise ValueError(f"trial {number} cannot know trial {lacking[0]}: it was not told, or does not go before")
        seen = []
        for each in range(number):
            trial = results.get(each)
            if trial is None:
                ended = self._result(each)
                if ended is None and each not in begun:
                    raise ValueError(f"trial {number}: trial {each} before it was not begun")
                # Without what its sampler noted, which this process may not have.
                trial = self._frozen(begun[each] if ended is None else self._configuration(ended))
            seen.append(trial)
        return seen

    def _result(self, number: int) -> FrozenTrial | None:
        """A trial that was told, as samplers see it."""
        if number < len(self._known):
            return self._known[number]
        early = self._early.get(number)
        return None if early is None else early[0]

    def _draw(self, seen: list[FrozenTrial]) -> FrozenTrial | None:
        """A configuration that was not tried before and is allowed, None where none is left.

        Args:
            seen: the trials before, those of the batch itself without their results.
        """
        tried = {key_of(trial.params) for trial in seen}
        number, seed = len(seen), self.request.search_seed
        for attempt in range(SAMPLER_DRAWS + RANDOM_DRAWS):
            name = self.request.sampler if attempt < SAMPLER_DRAWS else "random"
            draft = self._ask(seen, make_sampler(name, seed, number, attempt))
            if key_of(draft.params) not in tried and self.request.allowed(self._configuration(draft)):
                return draft
        tried = {key_of(self._configuration(trial)) for trial in seen}
        left = one_left(self.space, tried, self.request.allowed, seed, number)
        return None if left is None else self._frozen(left)

    def _ask(self, trials: list[FrozenTrial], sampler: optuna.samplers.BaseSampler) -> FrozenTrial:
        pruner = make_pruner(self.request.pruner, self.request.epochs)
        memory, _ = study_in_memory(self._seed_name, trials, pruner, sampler)
        propose(self.space, suggester(memory.ask()))
        return memory.get_trials(deepcopy=False)[-1]

    @property
    def _seed_name(self) -> str:
        """Hyperband draws brackets from a study's name: they must hang on the seed, not on what a search is called."""
        return str(self.request.search_seed)

    def _watch(self, seen: Sequence[FrozenTrial], draft: FrozenTrial) -> Watch:
        return Watch(make_pruner(self.request.pruner, self.request.epochs), self._seed_name, seen, draft)

    def _noted(self, number: int, draft: FrozenTrial, objective_by_epoch: Sequence[float]) -> dict[str, object]:
        """What the pruner notes of a trial: what it reached at each rung, whatever others did."""
        if self.request.pruner not in NOTING:
            return {}
        blank = create_trial(state=TrialState.RUNNING)
        watch = self._watch([blank] * number, draft)  # the number tells Hyperband's bracket
        watch.stops(objective_by_epoch[: self.request.epochs - 1])
        return watch.attributes
