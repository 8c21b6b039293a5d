"""Optuna proposes, and keeps a true study in the same database, for `optuna.load_study` and `optuna-dashboard`.

Exact resume. The study holds ended trials only, each added whole in one transaction, in the order of their numbers.
Trials are proposed in batches by number, each by a sampler made for this one trial and seeded from (search seed, trial
number), on a copy of the study in memory that shows the results of earlier batches, and of the batch itself the
parameters alone. So no state is carried from trial to trial, and whatever a kill kept from the study is proposed again,
equal to the last bit. Pruners decide on such copies too.

`CmaEsSampler` is not offered: it unpickles its state from the store.
"""

from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import optuna
import sqlalchemy as sa
from optuna.distributions import BaseDistribution, distribution_to_json
from optuna.storages import InMemoryStorage, RDBStorage
from optuna.storages._rdb import models
from optuna.trial import FrozenTrial, TrialState, create_trial
from sqlalchemy.exc import SQLAlchemyError

from plumbing.errors import StoreError
from plumbing.files import locked
from results.connection import hide_password, sqlite_path
from results.records import FINISHED, PRUNED, Trial
from search.engines import Proposal, Request
from search.engines.optuna_pruning import NOTING, PRUNERS, Watch, check_pruner, make_pruner
from search.engines.optuna_sampling import (
    SAMPLERS,
    as_chosen,
    as_sampled,
    check_sampler,
    make_sampler,
    suggester,
)
from search.engines.tried import key_of, one_left
from spaces.declaration import Configuration, Parameter, Value, propose
from spaces.optuna_space import distribution_of

__all__ = ["PRUNERS", "SAMPLERS", "OptunaEngine", "check", "make"]

# Redraws of a repeated configuration: by the sampler under other seeds, then at random, then by enumeration.
SAMPLER_DRAWS, RANDOM_DRAWS = 10, 100


class WholeTrials(RDBStorage):
    """Optuna's storage for trials that are added whole.

    Optuna's own asks the database before each epoch's value whether the trial has one already, which a trial just made
    cannot have, and before each parameter whether the study's other trials declare it alike, which ours do: a search
    whose space changed is refused before. Without asking, fifty trials take a quarter of a second in place of one.
    """

    def _set_trial_param_without_commit(
        self,
        session: Any,
        trial_id: int,
        param_name: str,
        param_value_internal: float,
        distribution: BaseDistribution,
        previous_distribution: BaseDistribution | None = None,
    ) -> None:
        text = distribution_to_json(distribution)
        row = models.TrialParamModel(
            trial_id=trial_id, param_name=param_name, param_value=param_value_internal, distribution_json=text
        )
        session.add(row)

    def _set_trial_intermediate_value_without_commit(
        self, session: Any, trial_id: int, step: int, intermediate_value: float
    ) -> None:
        model = models.TrialIntermediateValueModel
        value, kind = model.intermediate_value_to_stored_repr(intermediate_value)
        session.add(model(trial_id=trial_id, step=step, intermediate_value=value, intermediate_value_type=kind))


@contextmanager
def one_creator(url: str) -> Iterator[None]:
    """Let one process at a time create Optuna's tables, which it does without a lock of its own."""
    path = sqlite_path(url)
    if path is not None:
        with locked(path.with_name(f"{path.name}.lock")):
            yield
        return
    engine = sa.create_engine(url)
    try:
        with engine.begin() as connection:
            if connection.dialect.name == "postgresql":
                connection.execute(sa.text("SELECT pg_advisory_xact_lock(hashtext('optuna tables'))"))
            yield
    finally:
        engine.dispose()


def check(sampler: str, pruner: str) -> None:
    """Raises: UsageError where one is not offered, or they do not go together."""
    check_sampler(sampler)
    check_pruner(pruner, sampler)


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
        try:
            with one_creator(request.url):
                self.storage = WholeTrials(request.url)
                self.study = optuna.create_study(
                    storage=self.storage, study_name=request.name, direction="maximize", load_if_exists=True
                )
        except (RuntimeError, SQLAlchemyError) as error:
            raise StoreError(
                f"--store {hide_password(request.url)}: Optuna cannot open it: {error}; give another store"
            ) from None
        self._told = self.study.get_trials(deepcopy=False)
        if request.fresh and self._told:
            raise StoreError(
                f"an Optuna study named {request.name}, not ours, is in the store already; give another --name"
            )
        self._saved = len(self._told)
        self._known = [self._as_sampled(trial) for trial in self._told]
        self._drafts: dict[int, FrozenTrial] = {}
        self._watches: dict[int, Watch] = {}

    def close(self) -> None:
        """Give the database's connections back."""
        self.storage.engine.dispose()

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
            seen.append(_bare(draft))
        return [Proposal(number, self._configuration(draft)) for number, draft in self._drafts.items()]

    def prunes(self, number: int, values: Sequence[float]) -> bool:
        """What the pruner decides after these epochs."""
        return self.request.pruner != "none" and self._watches[number].stops(len(values), values[-1])

    def may_go_on(self) -> Collection[int]:
        """None: Optuna stops trials, and continues none."""
        return ()

    def tell(self, trial: Trial, objective_by_epoch: Sequence[float]) -> None:
        """Note how the next trial ended; its epochs become intermediate values, for Optuna's plots and pruners."""
        draft = self._drafts[trial.number]
        state, value = TrialState.FAIL, None
        if trial.state == FINISHED and trial.value is not None:
            state, value = TrialState.COMPLETE, trial.value
        elif trial.state == PRUNED:
            state, value = TrialState.PRUNED, objective_by_epoch[-1]
        steps = dict(enumerate(objective_by_epoch, start=1))
        attributes = {**draft.system_attrs, **self._noted(trial.number, objective_by_epoch)}
        configuration = self._configuration(draft)
        for trials, sampled in ((self._known, True), (self._told, False)):
            trials.append(self._frozen(configuration, sampled, state, value, steps, attributes))

    def save(self) -> None:
        """Add what was told to the study.

        Raises: StoreError where the database refuses.
        """
        try:
            while self._saved < len(self._told):
                self.study.add_trial(self._told[self._saved])
                self._saved += 1
        except (optuna.exceptions.StorageInternalError, SQLAlchemyError) as error:
            reason = str(error.__cause__ or error).splitlines()[0]
            raise StoreError(f"--store: Optuna's study cannot be written: {reason}; free it and resume") from None

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
        return [*self._known[:first], *(_bare(trial) for trial in self._known[first:number])]

    def _draw(self, seen: list[FrozenTrial]) -> FrozenTrial | None:
        """A configuration that was not tried before and is allowed, None where none is left.

        Args:
            seen: the trials before, those of the batch itself without their results.
        """
        tried = {key_of(self._configuration(trial)) for trial in seen}
        number, seed = len(seen), self.request.search_seed
        for attempt in range(SAMPLER_DRAWS + RANDOM_DRAWS):
            name = self.request.sampler if attempt < SAMPLER_DRAWS else "random"
            draft = self._ask(seen, make_sampler(name, seed, number, attempt))
            configuration = self._configuration(draft)
            if key_of(configuration) not in tried and self.request.allowed(configuration):
                return draft
        left = one_left(self.space, tried, self.request.allowed, seed, number)
        return None if left is None else self._frozen(left)

    def _ask(self, trials: list[FrozenTrial], sampler: optuna.samplers.BaseSampler) -> FrozenTrial:
        memory = optuna.create_study(
            storage=InMemoryStorage(),
            study_name=self._seed_name,
            direction="maximize",
            sampler=sampler,
            pruner=make_pruner(self.request.pruner, self.request.epochs),
        )
        memory.add_trials(trials)
        propose(self.space, suggester(memory.ask()))
        return memory.get_trials(deepcopy=False)[-1]

    @property
    def _seed_name(self) -> str:
        """Hyperband draws brackets from a study's name: they must hang on the seed, not on what a search is called."""
        return str(self.request.search_seed)

    def _watch(self, seen: Sequence[FrozenTrial], draft: FrozenTrial) -> Watch:
        return Watch(make_pruner(self.request.pruner, self.request.epochs), self._seed_name, seen, draft)

    def _noted(self, number: int, objective_by_epoch: Sequence[float]) -> dict[str, object]:
        """What the pruner notes of a trial, found anew: the trial may have ended before a kill."""
        if self.request.pruner not in NOTING:
            return {}
        watch = self._watch(self._seen_by(number), self._drafts[number])
        for epochs, value in enumerate(objective_by_epoch, start=1):
            if epochs < self.request.epochs and watch.stops(epochs, value):
                break
        return watch.attributes


def _bare(trial: FrozenTrial) -> FrozenTrial:
    """The trial as it runs: its parameters alone."""
    return create_trial(
        state=TrialState.RUNNING,
        params=trial.params,
        distributions=trial.distributions,
        system_attrs={name: value for name, value in trial.system_attrs.items() if not _is_rung(name)},
    )


def _is_rung(attribute: str) -> bool:
    """Whether the pruner noted it, which is a result."""
    return attribute.startswith("completed_rung_")
