"""`--confirm K`: the best K trials trained again under fresh seeds, because one training's seed can be lucky.

Each is trained with the same seeds, by the same code and on the same features; what differs is batch order, dropout and
the head's first weights. The trainings are trials of a search of their own, of kind `confirm`; no ranking holds them.
Killed, the same command does what is left.
"""

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace

from plumbing import VERSION
from plumbing.progress import console
from plumbing.seeds import seed_of
from results.records import CONFIRM, RUNNING, NewSearch, Search, Trial
from results.store import Store
from search.engines import Proposal
from search.engines.tried import key_of
from search.loop import SearchRun, run_search
from search.models import ModelKeeper, best_trials
from search.options import MOST
from search.plan import confirmations_of, known_confirmations
from search.stopping import is_over
from search.training.checkpoints import Checkpoints
from spaces.declaration import Configuration

SEEDS = 5


@dataclass
class ListedProposals:
    """An engine that proposes what it is given, in batches, and learns nothing."""

    proposals: Sequence[Proposal]
    batch_trials: int
    told: set[int] = field(default_factory=set)

    def propose(self, trials: int, stored: Mapping[int, Configuration]) -> list[Proposal]:
        left = [each for each in self.proposals if each.number not in self.told]
        return left[: self.batch_trials]

    def propose_one(self, number: int, knows: Collection[int], begun: Mapping[int, Configuration]) -> Proposal | None:
        return next((each for each in self.proposals if each.number == number), None)

    def prunes(self, number: int, values: Sequence[float]) -> bool:
        return False

    def may_go_on(self) -> Collection[int]:
        return ()

    def tell(self, trial: Trial, objective_by_epoch: Sequence[float]) -> None:
        self.told.add(trial.number)

    def save(self, last: bool = True) -> None:
        """Nothing: the store has it all."""

    def close(self) -> None:
        """Nothing is held open."""


def confirm(run: SearchRun, best: int, batch_trials: int) -> None:
    """Train the best trials of an ended search again, what was trained before left out, within the search's time.

    A training that a kill left under way is begun again where it is still wanted. Where it is not, because there are
    other best trials or fewer are asked for, its row is removed: it holds no result, and a training that was too large
    for the machine must not stand in the way of a command that leaves it out.

    Args:
        best: so many trials of the search, as the objective ranks them.
    Raises: SearchFailed where memory ran out; StoreError where the name of the confirming search is another's.
    """
    confirmed = best_trials(run.store.trials(run.search.id), best)
    if not confirmed:
        return
    search, seeds = _search_of(run.store, run.search), _seeds(run.search)
    _remove_unwanted(run.store, search, confirmed, seeds)
    for place, seed in enumerate(seeds, start=1):
        proposals, ended = list(_proposals(run.store, search, confirmed, seed)), _ended(run.store, search)
        wanted = {each.number for each in proposals}
        if wanted <= ended:
            continue
        if is_over(run.stopping):
            console().print("--timeout is over; the same command goes on confirming", markup=False)
            return
        console().print(f"the best {len(confirmed)} again, seed {place} of {SEEDS}", markup=False)
        run_search(
            replace(
                run,
                search=search,
                engine=ListedProposals(proposals, batch_trials),
                setting=replace(run.setting, search_seed=seed),
                keeper=ModelKeeper(run.store, search, run.keeper.folder / CONFIRM, 0),
                checkpoints=Checkpoints(run.checkpoints.folder / CONFIRM),  # the search's own are for its promotions
                trials=len(ended | wanted),
                stopping=replace(run.stopping, no_gain=None),
                asynchronous=False,
                ends_on_failures=False,  # that a trial fails under other seeds is what was asked
            )
        )
        if not wanted <= _ended(run.store, search):
            return  # its time is over, as was told


def _seeds(search: Search) -> list[int]:
    return [seed_of("confirm", search.seed, place) % MOST for place in range(SEEDS)]


def _search_of(store: Store, confirmed: Search) -> Search:
    known = known_confirmations(store, confirmed.name)
    if known is not None:
        return known
    details = {name: value for name, value in confirmed.details.items() if name != "left_out"}
    return store.create_search(
        NewSearch(
            name=confirmations_of(confirmed.name),
            kind=CONFIRM,
            engine=confirmed.engine,
            code_version=VERSION,
            task=confirmed.task,
            objective=confirmed.objective,
            data_hash=confirmed.data_hash,
            settings={"confirms": confirmed.name},
            details=details,
        )
    )


def _remove_unwanted(store: Store, search: Search, confirmed: Sequence[Trial], seeds: Collection[int]) -> None:
    """Remove the trainings under way that are none of these trials' under these seeds."""
    wanted = {_what(trial) for trial in confirmed}
    under_way = [trial for trial in store.trials(search.id) if trial.state == RUNNING]
    store.remove_running([each.id for each in under_way if each.seed not in seeds or _what(each) not in wanted])


def _proposals(store: Store, search: Search, confirmed: Sequence[Trial], seed: int) -> Iterator[Proposal]:
    """Each trial under the number that it was given with this seed before, else the next that is free."""
    known = {(trial.seed, _what(trial)): trial.number for trial in store.trials(search.id)}
    free = max(known.values(), default=-1) + 1
    for trial in confirmed:
        number = known.get((seed, _what(trial)))
        if number is None:
            number, free = free, free + 1
        yield Proposal(number, dict(trial.configuration), trial.fit_epochs)


def _what(trial: Trial) -> tuple[str, int | None]:
    return key_of(trial.configuration), trial.fit_epochs


def _ended(store: Store, search: Search) -> set[int]:
    return {trial.number for trial in store.trials(search.id) if trial.state != RUNNING}
