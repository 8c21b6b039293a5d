"""What a worker trains next, beside others that may be of another mind."""

from collections.abc import Collection, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, nullcontext
from dataclasses import replace
from pathlib import Path
from threading import Barrier

import pytest

from results import claims
from results.records import NewSearch, NewTrial
from results.store import Store
from search.engines import Proposal
from search.engines.optuna_engine import OptunaEngine
from search.stopping import Clock
from search.workers.feeds import AsynchronousFeed, Source
from search.workers.worker import Worker
from spaces.declaration import Configuration
from tests.postgres import ON_POSTGRESQL
from tests.search.conftest import Searcher
from tests.search.proposing import request_of

Capsys = pytest.CaptureFixture[str]
TRIALS, WORKERS = 24, 6


def test_configuration_that_another_machine_stored_first_is_trained_and_told(
    searcher: Searcher, knowing: None, capsys: Capsys, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Another library may propose otherwise for the same batch: what was stored first stands, in the study too."""
    take = Worker.take

    def late(self: Worker, wish: claims.Wish) -> list[claims.Claim]:
        first = [replace(each, configuration={**each.configuration, "lr": 0.0015}) for each in wish.new]
        self.store.write(lambda connection: claims.store_running(connection, self.search_id, first))
        return take(self, wish)

    monkeypatch.setattr(Worker, "take", late)
    ended = searcher.here(capsys, "--trials", 3, "--batch-trials", 3, "--space", searcher.space(frozen="all"))
    assert ended.code == 0, ended.err
    with closing(Store.open(searcher.store)) as store:
        assert [trial.configuration["lr"] for trial in store.trials()] == [0.0015] * 3

    import optuna

    study = optuna.load_study(study_name="XR_WRIST-optuna", storage=searcher.store)
    assert [value for trial in study.trials for name, value in trial.params.items() if name.endswith("lr")] == [
        0.0015
    ] * 3
    study._storage.remove_session()


class Counting(OptunaEngine):
    """Remembers for which numbers it proposed."""

    asked: list[int]

    def propose_one(self, number: int, knows: Collection[int], begun: Mapping[int, Configuration]) -> Proposal | None:
        self.asked.append(number)
        return super().propose_one(number, knows, begun)


def row_of(proposal: Proposal) -> NewTrial:
    texts = dict.fromkeys(("part_body", "architecture", "name_code", "model_name", "weights", "code_version"), "x")
    numbers = dict.fromkeys(("image_size", "seed", "fit_epochs"), 0)
    return NewTrial(proposal.number, configuration=proposal.configuration, **texts, **numbers)  # type: ignore[arg-type]


def asynchronous_worker(url: str, search_id: int, engine: Counting, together: Barrier) -> None:
    """A worker whose trials end as soon as they begin, until there are enough."""
    with closing(Store.open(url)) as store, Worker(store, search_id) as worker:
        source = Source(
            store, search_id, worker, engine, Clock(), TRIALS, "val_auc", row_of, lambda _: 0.0, lambda _: None,
            tidy=lambda: None, told=lambda _: None, ends_on_failures=False, alone=False,
        )  # fmt: skip
        feed = AsynchronousFeed(source, [])
        together.wait()
        while not feed.over:
            for work in feed.next(1):
                store.fail_trial(work.claim.trial.id, "as asked", 0.0, work.claim)
                (trial,) = store.trials(search_id, number=work.proposal.number)
                feed.note(work, trial)


@ON_POSTGRESQL
@pytest.mark.parametrize("in_turns", [True, False])
def test_asynchronous_workers_propose_each_trial_once_because_they_take_turns(
    url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, in_turns: bool
) -> None:
    if not in_turns:
        monkeypatch.setattr(Worker, "turn", lambda self: nullcontext())
    with closing(Store.open(url, create=True)) as store:
        search = store.create_search(NewSearch("s", "search", "optuna", "v"))
        engines = [Counting(request_of(tmp_path / str(each), "random")) for each in range(WORKERS)]
        for engine in engines:
            engine.asked = []
        with ThreadPoolExecutor(WORKERS) as pool:
            together = Barrier(WORKERS)
            for each in [pool.submit(asynchronous_worker, url, search.id, engine, together) for engine in engines]:
                each.result()
        asked = sorted(number for engine in engines for number in engine.asked)
        assert [trial.number for trial in store.trials()] == list(range(TRIALS))
        assert (asked == list(range(TRIALS))) is in_turns, asked
    for engine in engines:
        engine.close()
