"""Who may write a trial's result: one attempt alone, whoever comes back late."""

import subprocess
import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from typing import Any

import pytest
import sqlalchemy as sa

from plumbing.processes import identity
from results import claims, schema
from results.claims import GONE, LOST, RELEASED, Claim, TrialTakenOver, Wish
from results.records import FAILED, FINISHED, RUNNING, NewTrial, Search, TrialResult
from results.store import Store
from tests.postgres import ON_POSTGRESQL


def join(store: Store, search: Search, patience: float = 60.0) -> int:
    return store.write(lambda connection: claims.join(connection, search.id, patience))


def take(store: Store, worker: int, search: Search, new: list[NewTrial], most: int = 1, **more: bool) -> list[Claim]:
    wish = Wish([each.number for each in new], new, most, **more)
    return store.write(lambda connection: claims.take(connection, worker, search.id, wish))


def silent(store: Store, worker: int) -> None:
    """As if it had given no sign of life for an hour, from a machine that nobody here can see."""
    table = schema.workers
    gone_quiet = sa.update(table).filter_by(id=worker).values(heartbeat=table.c.heartbeat - 3600, identity="")
    store.write(lambda connection: connection.execute(gone_quiet))


def log(store: Store) -> list[tuple[int, int, str | None]]:
    """Attempt, worker, outcome."""
    query = sa.select(schema.claims.c.attempt, schema.claims.c.worker_id, schema.claims.c.outcome)
    return store.read(
        lambda connection: [tuple(row) for row in connection.execute(query.order_by("trial_id", "attempt"))]
    )


@pytest.fixture
def batch(new_trial: Callable[..., NewTrial]) -> list[NewTrial]:
    return [new_trial(number) for number in range(4)]


def test_trial_is_claimed_by_one_worker_alone(store: Store, search: Search, batch: list[NewTrial]) -> None:
    one, other = join(store, search), join(store, search)
    assert [claim.trial.number for claim in take(store, one, search, batch)] == [0]
    assert [claim.trial.number for claim in take(store, other, search, batch, most=2)] == [1, 2]
    assert [claim.trial.number for claim in take(store, one, search, batch, most=9)] == [3]
    assert take(store, other, search, batch) == []


def test_whole_batch_is_stored_as_running_with_the_first_claim(
    store: Store, search: Search, batch: list[NewTrial]
) -> None:
    take(store, join(store, search), search, batch)
    assert [trial.state for trial in store.trials(search.id)] == [RUNNING] * 4


def test_worker_alone_takes_all_and_beside_another_its_share(
    store: Store, search: Search, batch: list[NewTrial]
) -> None:
    one = join(store, search)
    assert len(take(store, one, search, batch[:2], all_if_alone=True)) == 2
    join(store, search)
    assert len(take(store, one, search, batch, all_if_alone=True)) == 1


def test_configuration_that_was_stored_first_stands(
    store: Store, search: Search, new_trial: Callable[..., NewTrial]
) -> None:
    take(store, join(store, search), search, [new_trial(0), new_trial(1)])
    (claim,) = take(store, join(store, search), search, [new_trial(0), new_trial(1, configuration={"lr": 0.5})])
    assert claim.trial.configuration["lr"] == 1e-3


def test_many_workers_at_once_claim_each_trial_once(
    url: str, store: Store, search: Search, new_trial: Callable[..., NewTrial]
) -> None:
    wanted = [new_trial(number) for number in range(12)]

    def work(_: int) -> list[int]:
        with closing(Store.open(url)) as own:  # one store lets one thread write at a time
            worker, mine = join(own, search), []
            while claimed := take(own, worker, search, wanted):
                mine += [claim.trial.number for claim in claimed]
            return mine

    with ThreadPoolExecutor(6) as pool:
        found = [number for mine in pool.map(work, range(6)) for number in mine]
    assert sorted(found) == list(range(12))


def test_trial_of_a_silent_worker_is_taken_over_and_its_late_result_is_refused(
    store: Store, search: Search, batch: list[NewTrial], result: Callable[..., TrialResult]
) -> None:
    late, other = join(store, search), join(store, search)
    (first,) = take(store, late, search, batch[:1])
    silent(store, late)
    (second,) = take(store, other, search, batch[:1])
    assert (second.attempt, second.shared) == (2, True)

    for write in (
        lambda: store.finish_trial(first.trial.id, result(0.9), first),
        lambda: store.fail_trial(first.trial.id, "late", 1.0, first),
    ):
        with pytest.raises(TrialTakenOver, match="trial 0 was taken over"):
            write()
    assert store.trials(search.id, 0)[0].state == RUNNING
    assert store.histories([first.trial.id]) == {}

    store.finish_trial(second.trial.id, result(0.5), second)
    with pytest.raises(TrialTakenOver):
        store.finish_trial(first.trial.id, result(0.9), first)
    assert store.trials(search.id, 0)[0].value == 0.5
    assert log(store) == [(1, late, LOST), (2, other, FINISHED)]


def test_worker_that_gives_signs_of_life_keeps_its_trial_and_hears_what_it_lost(
    store: Store, search: Search, batch: list[NewTrial]
) -> None:
    living, other = join(store, search), join(store, search)
    (claim,) = take(store, living, search, batch[:1])
    silent(store, living)
    assert store.write(lambda connection: claims.beat(connection, living)) == frozenset()
    assert take(store, other, search, batch[:1]) == []
    silent(store, living)
    assert len(take(store, other, search, batch[:1])) == 1
    lost = store.write(lambda connection: claims.beat(connection, living))
    assert lost == {(claim.trial.id, claim.attempt)}


def test_trial_of_a_process_that_is_gone_is_taken_over_at_once(
    store: Store, search: Search, batch: list[NewTrial]
) -> None:
    if not identity():
        pytest.skip("this system has no /proc, so a process's end is not seen")
    dead, other = join(store, search), join(store, search)
    take(store, dead, search, batch[:1])
    code = "from plumbing.processes import identity; print(identity())"
    ended = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.strip()
    table = schema.workers
    store.write(lambda connection: connection.execute(sa.update(table).filter_by(id=dead).values(identity=ended)))
    assert {each.id: each.alive for each in store.read(claims.workers)} == {dead: False, other: True}
    (claim,) = take(store, other, search, batch[:1])
    assert (claim.attempt, claim.shared) == (2, False)
    assert log(store)[0] == (1, dead, GONE)


def test_worker_that_leaves_gives_its_trials_back(store: Store, search: Search, batch: list[NewTrial]) -> None:
    one, other = join(store, search), join(store, search)
    (claim,) = take(store, one, search, batch[:1])
    store.write(lambda connection: claims.leave(connection, one))
    assert len(take(store, other, search, batch[:1])) == 1
    assert log(store)[0] == (1, one, RELEASED)
    with pytest.raises(TrialTakenOver):
        store.fail_trial(claim.trial.id, "late", 1.0, claim)


def test_trial_that_is_given_up_is_failed_and_its_worker_writes_nothing(
    store: Store, search: Search, batch: list[NewTrial], result: Callable[..., TrialResult]
) -> None:
    (claim,) = take(store, join(store, search), search, batch[:1])
    give_up(store, claim)
    trial = store.trials(search.id, 0)[0]
    assert (trial.state, trial.reason) == (FAILED, "its worker died")
    with pytest.raises(TrialTakenOver):
        store.finish_trial(claim.trial.id, result(), claim)


def test_trial_that_ended_is_not_given_up(
    store: Store, search: Search, batch: list[NewTrial], result: Callable[..., TrialResult]
) -> None:
    (claim,) = take(store, join(store, search), search, batch[:1])
    store.finish_trial(claim.trial.id, result(), claim)
    give_up(store, claim)
    assert store.trials(search.id, 0)[0].state == FINISHED


def give_up(store: Store, claim: Claim) -> None:
    store.write(lambda connection: claims.give_up(connection, claim.trial.id, "its worker died", "2026-01-01"))


def test_trial_that_a_worker_died_of_is_claimed_alone(store: Store, search: Search, batch: list[NewTrial]) -> None:
    """So that it is known which trial workers die of."""
    dead, other, third = join(store, search), join(store, search), join(store, search)
    take(store, dead, search, batch[:1])
    silent(store, dead)
    assert take(store, other, search, batch[:1], idle=False) == []
    (claim,) = take(store, third, search, batch, most=3)
    assert (claim.trial.number, claim.suspect) == (0, True)


def test_claims_of_a_dead_worker_are_ended_by_its_label(store: Store, search: Search, batch: list[NewTrial]) -> None:
    worker = store.write(lambda connection: claims.join(connection, search.id, label="one"))
    (claim,) = take(store, worker, search, batch[:1])
    assert store.write(lambda connection: claims.reap(connection, "one")) == ([claim.trial.id], 1)
    assert store.write(lambda connection: claims.reap(connection, "one")) == ([], 1)
    assert store.write(lambda connection: claims.reap(connection, "none")) == ([], 0)
    assert len(take(store, join(store, search), search, batch[:1])) == 1


def test_silence_is_not_believed_by_a_worker_that_was_cut_off_itself(
    store: Store, search: Search, batch: list[NewTrial]
) -> None:
    quiet, other = join(store, search), join(store, search)
    take(store, quiet, search, batch[:1])
    silent(store, quiet)
    assert take(store, other, search, batch[:1], believe_silence=False) == []
    assert len(take(store, other, search, batch[:1])) == 1


def test_worker_leaves_the_others_their_share(store: Store, search: Search, batch: list[NewTrial]) -> None:
    one, other = join(store, search), join(store, search)
    assert len(take(store, one, search, batch, most=9)) == 2
    assert len(take(store, other, search, batch, most=9)) == 1


def test_workers_are_listed_with_what_they_have_under_way(store: Store, search: Search, batch: list[NewTrial]) -> None:
    one, other = join(store, search), join(store, search)
    take(store, one, search, batch, most=2)
    silent(store, other)
    found = store.read(lambda connection: claims.workers(connection, search.id))
    assert [(each.id, each.alive, each.trials) for each in found] == [(one, True, 2), (other, False, 0)]
    assert found[1].silent > 3599


def test_trials_that_ended_are_not_claimed(
    store: Store, search: Search, batch: list[NewTrial], result: Callable[..., TrialResult]
) -> None:
    worker = join(store, search)
    (claim,) = take(store, worker, search, batch[:1])
    store.finish_trial(claim.trial.id, result(), claim)
    assert take(store, join(store, search), search, batch[:1]) == []


@ON_POSTGRESQL  # on SQLite nobody can write meanwhile
def test_trial_that_ends_while_another_asks_for_it_is_not_claimed_again(
    store: Store, search: Search, batch: list[NewTrial], result: Callable[..., TrialResult]
) -> None:
    # The other had seen it running, then its attempt ended, and took it for a trial that had been given back.
    (claim,) = take(store, join(store, search), search, batch[:1])
    other, own = Store.open(store.engine.url.render_as_string(hide_password=False)), []

    def end_it(connection: sa.Connection, cursor: Any, statement: str, *_: Any) -> None:
        if not own and "FROM results_trials" in statement:
            own.append(statement)
            store.finish_trial(claim.trial.id, result(), claim)

    sa.event.listen(other.engine, "after_cursor_execute", end_it)
    try:
        assert take(other, join(other, search), search, batch[:1]) == []
    finally:
        other.close()
    assert own
    assert [outcome for _, _, outcome in log(store)] == [FINISHED]


def test_running_trial_without_a_claim_can_be_claimed(store: Store, search: Search, batch: list[NewTrial]) -> None:
    store.start_trials(search.id, batch[:1])  # as versions before claims did
    (claim,) = take(store, join(store, search), search, batch[:1])
    assert claim.attempt == 1
