"""The simulated store and workers, where their times can be reckoned by hand."""

from collections.abc import Sequence

import pytest

from benchmarks.scale_world import BEAT_SECONDS, Costs, Operation, Search, simulate


def searches(count: int, seconds: Sequence[float], extraction: float = 0.0) -> list[Search]:
    return [Search(list(seconds), extraction) for _ in range(count)]


def test_one_worker_takes_the_sum_of_all_that_it_does() -> None:
    costs = Costs(
        claim=Operation(0.1, 0.2), look=Operation(0.01), finish=Operation(0.3), proposal=((0, 0.5),), start=2.0
    )
    run = simulate(costs, 1, searches(2, [1.0, 2.0, 3.0], extraction=90.0))
    trials = 6.0 + 3 * (0.01 + 0.5 + 0.3 + 0.3)
    a_search = 2.0 + 90.0 + trials + 0.01 + 2 * 0.01  # nothing is left; what the second and third trial hear of
    assert 3600 * run["hours"] == pytest.approx(2 * a_search)
    assert run["useful"] == pytest.approx((6.0 + 90.0) / a_search)
    assert run["proposals lost a trial"] == 0


@pytest.mark.parametrize("workers", [1, 4, 10])
def test_workers_beside_a_store_without_delay_are_that_many_times_as_fast(workers: int) -> None:
    run = simulate(Costs(), workers, searches(1, [1.0] * 40))
    assert run["trials an hour"] == pytest.approx(3600 * workers)
    assert run["useful"] == pytest.approx(1)


def test_store_saturates_at_one_over_what_a_trial_takes_of_it() -> None:
    costs = Costs(claim=Operation(0.2), finish=Operation(0.3))
    few, many = (simulate(costs, lanes, searches(lanes, [1.0] * 200), roaming=True) for lanes in (1, 20))
    assert few["trials an hour"] == pytest.approx(3600 / 1.5)
    assert many["trials an hour"] == pytest.approx(3600 / 0.5, rel=0.01)
    assert many["store busy"] == pytest.approx(1, rel=0.01)


def test_proposals_of_one_search_come_one_after_another() -> None:
    costs = Costs(proposal=((0, 0.5),))
    run = simulate(costs, 50, searches(1, [1.0] * 200))
    assert run["trials an hour"] == pytest.approx(3600 / 0.5, rel=0.02)
    assert run["proposals lost a trial"] > 1


def test_who_waits_for_a_turn_loses_no_proposal() -> None:
    costs = Costs(proposal=((0, 0.5),), claim=Operation(0.1))
    racing, in_turns = (simulate(costs, 50, searches(1, [1.0] * 200), in_turns=each) for each in (False, True))
    assert in_turns["proposals lost a trial"] == 0
    assert in_turns["trials an hour"] == pytest.approx(3600 / 0.6, rel=0.02)
    assert racing["trials an hour"] < in_turns["trials an hour"] / 5  # the lost claims are in the store's way


def test_workers_at_many_searches_propose_side_by_side() -> None:
    costs = Costs(proposal=((0, 0.5),))
    run = simulate(costs, 50, searches(10, [1.0] * 200), roaming=True)
    assert run["trials an hour"] == pytest.approx(10 * 3600 / 0.5, rel=0.02)


def test_workers_share_extraction_and_wait_for_its_last_piece() -> None:
    run = simulate(Costs(), 3, searches(1, [1.0] * 3, extraction=240.0))
    assert 3600 * run["hours"] == pytest.approx(120.0 + 1.0)
    assert run["shares of the time at work"]["waiting for a search's end"] == pytest.approx(120.0 / 363.0)


def test_next_search_waits_for_the_last_trial_of_the_one_before() -> None:
    run = simulate(Costs(), 2, searches(2, [10.0, 1.0]))
    assert 3600 * run["hours"] == pytest.approx(20.0)
    assert run["useful"] == pytest.approx(22.0 / 40.0)


def test_no_more_workers_are_at_a_search_than_it_has_trials() -> None:
    run = simulate(Costs(), 8, searches(1, [1.0] * 2))
    assert (run["at work"], run["workers"]) == (2, 8)
    assert run["useful"] == pytest.approx(0.25)


def test_roaming_workers_go_where_most_is_left_and_wait_for_no_end() -> None:
    run = simulate(Costs(), 2, [Search([10.0]), Search([4.0, 4.0, 4.0])], roaming=True)
    assert 3600 * run["hours"] == pytest.approx(12.0)
    assert run["useful"] == pytest.approx(22.0 / 24.0)


def test_signs_of_life_take_their_share_of_the_store() -> None:
    costs = Costs(finish=Operation(1.0), beat=Operation(BEAT_SECONDS / 2))
    run = simulate(costs, 1, searches(1, [0.0] * 5))
    assert 3600 * run["hours"] == pytest.approx(5 * 2.0)


def test_proposals_get_slower_in_a_straight_line_beyond_what_was_measured() -> None:
    costs = Costs(proposal=((10, 1.0), (100, 2.0), (1000, 5.0)))
    assert [costs.proposing(known) for known in (0, 10, 55, 1000, 1300)] == pytest.approx([1, 1, 1.5, 5, 6])
