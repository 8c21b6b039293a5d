"""Optuna proposes, and keeps a true study in the same database, for `optuna.load_study` and `optuna-dashboard`.

Exact resume. The study holds ended trials only, each added whole in one transaction, in the order of their numbers.
Trials are proposed in batches by number, each by a sampler made for this one trial and seeded from (search seed, trial
number), on a copy of the study in memory that shows the results of earlier batches, and of the batch itself the
parameters alone. So no state is carried from trial to trial, and whatever a kill kept from the study is proposed again,
equal to the last bit.

`CmaEsSampler` is not offered: it unpickles its state from the store.
"""

import importlib.util
import json
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import optuna
import sqlalchemy as sa
from optuna.distributions import (
    BaseDistribution,
    CategoricalDistribution,
    FloatDistribution,
    IntDistribution,
    distribution_to_json,
)
from optuna.storages import InMemoryStorage, RDBStorage
from optuna.storages._rdb import models
from optuna.trial import FrozenTrial, TrialState, create_trial
from sqlalchemy.exc import SQLAlchemyError

from plumbing.errors import StoreError, UsageError
from plumbing.files import locked
from plumbing.seeds import generator_of, seed_of
from results.connection import hide_password, sqlite_path
from results.records import FAILED, Trial
from search.engines import Proposal
from spaces.declaration import (
    Choice,
    Configuration,
    Parameter,
    Real,
    Space,
    Value,
    configurations,
    propose,
)

SAMPLERS = ("tpe", "random", "qmc", "nsga2", "gp")
# Redraws of a repeated configuration: by the sampler under other seeds, then at random, then by enumeration.
SAMPLER_DRAWS, RANDOM_DRAWS = 10, 100


class QMCByNumber(optuna.samplers.QMCSampler):
    """Quasi-Monte Carlo whose point is indexed by the trial's number; Optuna's own counts calls in the storage."""

    def sample_relative(self, study: Any, trial: FrozenTrial, search_space: Any) -> dict[str, Any]:
        self._number = trial.number
        return super().sample_relative(study, trial, search_space)

    def _find_sample_id(self, study: Any, search_space: Any = None) -> int:
        return self._number


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


def make_sampler(name: str, search_seed: int, number: int, attempt: int = 0) -> optuna.samplers.BaseSampler:
    """A sampler for one trial; `attempt` counts redraws of a repeated configuration."""
    seed = seed_of("sampler", search_seed, number, attempt)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
        if name == "tpe":
            return optuna.samplers.TPESampler(seed=seed, multivariate=True, group=True)
        if name == "qmc":
            # One seed for the search: the points of one sequence are told apart by their index.
            return QMCByNumber(seed=seed_of("sampler", search_seed), scramble=True)
        if name == "nsga2":
            return optuna.samplers.NSGAIISampler(seed=seed)
        if name == "gp":
            return optuna.samplers.GPSampler(seed=seed)
        return optuna.samplers.RandomSampler(seed=seed)


def check_sampler(name: str) -> None:
    """Raises: UsageError where the sampler is not offered, or needs a package that is absent."""
    if name not in SAMPLERS:
        raise UsageError(f"--sampler {name} is not one of optuna's here; give one of {', '.join(SAMPLERS)}")
    if name == "gp" and importlib.util.find_spec("torch") is None:
        raise UsageError("--sampler gp needs torch, which is not installed; pip install torch, or give --sampler tpe")


def distribution_of(parameter: Parameter) -> BaseDistribution:
    """The parameter as Optuna's distribution."""
    if isinstance(parameter, Real):
        return FloatDistribution(parameter.low, parameter.high, log=parameter.log)
    if isinstance(parameter, Choice):
        return CategoricalDistribution(parameter.choices)
    return IntDistribution(parameter.low, parameter.high, log=parameter.log, step=parameter.step)


def suggester(trial: optuna.Trial) -> Callable[[str, Parameter], Value]:
    """What `spaces.declaration.propose` asks, answered by an Optuna trial."""

    def ask(name: str, parameter: Parameter) -> Value:
        if isinstance(parameter, Real):
            return trial.suggest_float(name, parameter.low, parameter.high, log=parameter.log)
        if isinstance(parameter, Choice):
            chosen = trial.suggest_categorical(name, parameter.choices)
            assert chosen is not None  # no parameter offers None
            return chosen
        return trial.suggest_int(name, parameter.low, parameter.high, step=parameter.step, log=parameter.log)

    return ask


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


class OptunaEngine:
    """Proposals of one search by one of Optuna's samplers."""

    def __init__(
        self, url: str, name: str, space: Space, sampler: str, search_seed: int, batch_trials: int, fresh: bool
    ) -> None:
        """Open the search's study, or make it.

        Args:
            batch_trials: how many proposals are made at once.
            fresh: the search is new, so a study of its name would be somebody else's.
        Raises: StoreError where the study is somebody else's or the database is of another Optuna.
        """
        optuna.logging.set_verbosity(optuna.logging.ERROR)
        check_sampler(sampler)
        self.space, self.sampler, self.search_seed, self.batch_trials = space, sampler, search_seed, batch_trials
        try:
            with one_creator(url):
                self.storage = WholeTrials(url)
                self.study = optuna.create_study(
                    storage=self.storage, study_name=name, direction="maximize", load_if_exists=True
                )
        except (RuntimeError, SQLAlchemyError) as error:
            raise StoreError(
                f"--store {hide_password(url)}: Optuna cannot open it: {error}; give another store"
            ) from None
        self._told = self.study.get_trials(deepcopy=False)
        self._saved = len(self._told)
        self._drafts: dict[int, FrozenTrial] = {}
        if fresh and self._told:
            raise StoreError(f"an Optuna study named {name}, not ours, is in the store already; give another --name")

    def close(self) -> None:
        """Give the database's connections back."""
        self.storage.engine.dispose()

    def propose(
        self, enqueued: Sequence[Configuration], trials: int, stored: Mapping[int, Configuration]
    ) -> list[Proposal]:
        """What is left of the batch that the next trial to be told of lies in; empty where nothing is left to try.

        Batch b holds the trials from b times the batch's size on.
        """
        known = self._told
        first = len(known) // self.batch_trials * self.batch_trials
        seen = [*known[:first], *(_as_running(trial) for trial in known[first:])]
        self._drafts = {}
        for number in range(len(known), min(first + self.batch_trials, trials)):
            draft = self._draft_of(enqueued[number]) if number < len(enqueued) else self._draw(seen)
            if draft is None:
                break
            if number in stored and _key(stored[number]) != _key(self._configuration(draft)):
                draft = self._draft_of(stored[number])
            self._drafts[number] = draft
            seen.append(_as_running(draft))
        return [Proposal(number, self._configuration(draft)) for number, draft in self._drafts.items()]

    def tell(self, trial: Trial, objective_by_epoch: Sequence[float]) -> None:
        """Note how the next trial ended; its epochs become intermediate values, for Optuna's plots."""
        draft = self._drafts[trial.number]
        ended_well = trial.state != FAILED and trial.value is not None
        ended = create_trial(
            state=TrialState.COMPLETE if ended_well else TrialState.FAIL,
            value=trial.value if ended_well else None,
            params=draft.params,
            distributions=draft.distributions,
            system_attrs=draft.system_attrs,
            intermediate_values=dict(enumerate(objective_by_epoch)),
        )
        self._told.append(ended)

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

    def _configuration(self, trial: FrozenTrial) -> dict[str, Value]:
        """The configuration behind an Optuna trial's parameters."""
        return propose(self.space, lambda name, parameter: trial.params[name])

    def _draft_of(self, configuration: Configuration) -> FrozenTrial:
        """A given configuration as Optuna's parameters."""
        params: dict[str, Value] = {}
        distributions: dict[str, BaseDistribution] = {}

        def ask(name: str, parameter: Parameter) -> Value:
            params[name], distributions[name] = configuration[parameter.name], distribution_of(parameter)
            return params[name]

        propose(self.space, ask)
        return create_trial(state=TrialState.RUNNING, params=params, distributions=distributions)

    def _draw(self, seen: list[FrozenTrial]) -> FrozenTrial | None:
        """A configuration that was not tried before, None where none is left.

        Args:
            seen: the trials before, those of the batch itself without their results.
        """
        tried = {_key(self._configuration(trial)) for trial in seen}
        number = len(seen)
        for attempt in range(SAMPLER_DRAWS + RANDOM_DRAWS):
            name = self.sampler if attempt < SAMPLER_DRAWS else "random"
            draft = self._ask(seen, make_sampler(name, self.search_seed, number, attempt))
            if _key(self._configuration(draft)) not in tried:
                return draft
        every = configurations(self.space)
        if every is None:
            raise AssertionError("a space with a real parameter gave the same configuration over a hundred times")
        left = [each for each in every if _key(each) not in tried]
        if not left:
            return None
        return self._draft_of(left[generator_of("left", self.search_seed, number).integers(len(left))])

    def _ask(self, trials: list[FrozenTrial], sampler: optuna.samplers.BaseSampler) -> FrozenTrial:
        memory = optuna.create_study(storage=InMemoryStorage(), direction="maximize", sampler=sampler)
        memory.add_trials(trials)
        propose(self.space, suggester(memory.ask()))
        return memory.get_trials(deepcopy=False)[-1]


def _as_running(trial: FrozenTrial) -> FrozenTrial:
    return create_trial(
        state=TrialState.RUNNING,
        params=trial.params,
        distributions=trial.distributions,
        system_attrs=trial.system_attrs,
    )


def _key(configuration: Configuration) -> str:
    return json.dumps(dict(configuration), sort_keys=True)
