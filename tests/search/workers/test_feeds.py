"""What a worker trains next, beside others that may be of another mind."""

from contextlib import closing
from dataclasses import replace

import pytest

from results import claims
from results.store import Store
from search.workers.worker import Worker
from tests.search.conftest import Searcher

Capsys = pytest.CaptureFixture[str]


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
