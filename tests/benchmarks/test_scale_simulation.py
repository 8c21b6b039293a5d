"""What the simulation is fed with, and the client processes that measure a part of it."""

from contextlib import closing

import pytest

from benchmarks.scale_clients import SEARCH, SIDES, Optunas, measure, prepare
from benchmarks.scale_simulation import KINDS, Inputs, campaign, costs_of, images
from benchmarks.scale_world import Costs, Operation, Search, simulate
from results import claims
from results.records import RUNNING
from results.store import Store

MURA = 40_005  # images (Rajpurkar et al. 2017, arXiv:1712.06957)
INPUTS = Inputs(Costs(), {"base_cnn": 200.0, "densenet121": 40.0, "xception": 10.0}, 0.02, 0.0001)


def test_simulated_tasks_have_muras_images_once_by_part_and_once_together() -> None:
    counts = {task: sum(each) for task, each in images().items()}
    assert len(counts) == 8
    assert counts.pop("all_parts") == sum(counts.values()) == MURA


def test_campaign_has_a_search_for_each_task_and_architecture_and_is_always_the_same() -> None:
    default, heads = (KINDS[name] for name in ("default campaign", "heads alone, features ready"))
    searches = campaign(INPUTS, 10, default)
    assert len(searches) == 24
    assert all(len(each.seconds) == 10 for each in searches)
    assert searches == campaign(INPUTS, 10, default)
    assert {each.extraction > 0 for each in searches} == {True, False}  # base_cnn has nothing to extract
    assert {each.extraction for each in campaign(INPUTS, 10, heads)} == {0.0}


def test_costs_give_the_latency_of_one_client_and_the_rate_of_sixty_four() -> None:
    ms = {"claim": [4.0, 9.0], "finish": [6.0, 9.0], "sign of life": [2.0, 3.0]}
    rates = {"1 clients": 80.0, "64 clients": 200.0}
    costs = costs_of(
        {
            "store": {
                "ours": {
                    width: {"a second": rate, "ms, median and 99th percentile": ms} for width, rate in rates.items()
                }
            },
            "one client": {
                "claim, ms by workers of the search": {"1": 4.0, "1000": 4.0},
                "look, ms by trials read": {"10": 1.0, "1000": 1.0},
                "histories, ms by trials read": {"10": 1.0, "1000": 1.0},
            },
            "proposal, ms by known trials": {"10": 20, "100": 30},
        },
        start=5.0,
    )
    assert costs.claim.store + costs.claim.besides == pytest.approx(0.004)
    assert costs.finish.store + costs.finish.besides == pytest.approx(0.006)
    assert costs.claim.store + costs.finish.store == pytest.approx(1 / 200)
    assert costs.history == Operation(0.0, 0.0)


def test_simulation_of_measured_costs_is_the_same_each_time() -> None:
    costs = Costs(Operation(0.01), finish=Operation(0.02), proposal=((0, 0.1), (100, 0.2)))
    one, again = (simulate(costs, 20, [Search([0.5] * 100)]) for _ in range(2))
    assert one == again


@pytest.mark.parametrize("side", SIDES)
def test_client_processes_end_each_trial_once(postgres_url: str, side: str) -> None:
    prepare(postgres_url, side)
    _, _, told = measure(postgres_url, side, 3, 0.3, lambda: 0.0)
    done = sum(each.trials for each in told)
    assert done > 0
    assert all(each.processor_seconds > 0 for each in told)
    if SIDES[side] is Optunas or side == "signs of life":
        return
    with closing(Store.open(postgres_url)) as store:
        search = store.search(SEARCH)
        assert search is not None
        trials = store.trials(search.id)
        assert done <= len(trials) <= done + 3  # the first of each was not counted
        assert RUNNING not in {trial.state for trial in trials}
        assert all(not worker.alive for worker in store.read(lambda connection: claims.workers(connection, search.id)))
