"""Which models are kept, in whatever order the trials of a batch end."""

from collections.abc import Iterator
from itertools import permutations
from pathlib import Path

import pytest

from results.claims import Claim
from results.records import FINISHED, NewSearch, NewTrial, Search, TrialResult
from results.store import Store
from search.models import ModelKeeper, best_trials


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    opened = Store.open(f"sqlite:///{tmp_path / 'results.db'}", create=True)
    yield opened
    opened.close()


@pytest.fixture
def search(store: Store) -> Search:
    return store.create_search(NewSearch("one", "search", "optuna", "v"))


def end(
    store: Store, search: Search, keeper: ModelKeeper, number: int, value: float, continues: int | None = None
) -> None:
    """A trial trained, its model kept where it is among the best, and committed."""
    texts = dict.fromkeys(("part_body", "architecture", "name_code", "model_name", "weights", "code_version"), "x")
    numbers = dict.fromkeys(("image_size", "seed", "fit_epochs"), 0)
    trial = store.start_trial(
        search.id, NewTrial(number=number, configuration={}, continues=continues, **texts, **numbers)
    )  # type: ignore[arg-type]
    path = keeper.path_for(Claim(trial, 1, 0), value)
    if path is not None:
        keeper.save(lambda file: file.write_text(str(number)), path)
    nothing: dict[str, float] = {}
    model_path = str(path) if path else None
    result = TrialResult(FINISHED, value, {"val_auc": [value]}, 0, None, 1.0, nothing, (), {}, model_path)
    store.finish_trial(trial.id, result)


@pytest.mark.parametrize("count", [0, 1, 2])
@pytest.mark.parametrize("values", [(0.5, 0.7, 0.9), (0.8, 0.8, 0.8), (0.6, 0.8, 0.8)])
@pytest.mark.parametrize("order", list(permutations(range(3))))
def test_the_best_keep_their_models_whatever_the_order_in_which_trials_end(
    store: Store, search: Search, tmp_path: Path, count: int, values: tuple[float, ...], order: tuple[int, ...]
) -> None:
    """Earlier ones first among equals, as the leaderboard has them."""
    keeper = ModelKeeper(store, search, tmp_path / "models", count)
    keeper.folder.mkdir()
    for number in order:
        end(store, search, keeper, number, values[number])
    keeper.tidy()
    best = sorted(trial.number for trial in best_trials(store.trials(), count))
    assert sorted(int(path.stem) for path in keeper.folder.glob("*.keras")) == best
    assert sorted(trial.number for trial in store.trials() if trial.model_path) == best


def test_of_a_training_that_went_on_twice_the_last_model_alone_is_kept(
    store: Store, search: Search, tmp_path: Path
) -> None:
    """Its value may be no higher: the best epoch can lie in the first round."""
    keeper = ModelKeeper(store, search, tmp_path / "models", 1)
    keeper.folder.mkdir()
    for number, continues in ((0, None), (1, 0), (2, 1)):
        end(store, search, keeper, number, 0.9, continues)
        keeper.tidy()
        assert [int(path.stem) for path in keeper.folder.glob("*.keras")] == [number]


def test_tidying_leaves_alone_a_model_that_is_being_written(store: Store, search: Search, tmp_path: Path) -> None:
    keeper = ModelKeeper(store, search, tmp_path / "models", 1)
    keeper.folder.mkdir()
    end(store, search, keeper, 0, 0.5)

    def write(file: Path) -> None:
        file.write_text("half")
        keeper.tidy()
        assert file.exists()

    keeper.save(write, keeper.folder / "0001.keras")
    assert (keeper.folder / "0001.keras").read_text() == "half"


def test_a_write_that_fails_leaves_no_model(store: Store, search: Search, tmp_path: Path) -> None:
    keeper = ModelKeeper(store, search, tmp_path / "models", 1)
    keeper.folder.mkdir()

    def full(file: Path) -> None:
        file.write_text("half")
        raise OSError(28, "No space left on device")

    with pytest.raises(OSError, match="No space"):
        keeper.save(full, keeper.folder / "0001.keras")
    assert list(keeper.folder.iterdir()) == []


def test_an_attempt_beside_one_that_may_still_live_has_a_file_of_its_own(
    store: Store, search: Search, tmp_path: Path
) -> None:
    keeper = ModelKeeper(store, search, tmp_path / "models", 1)
    keeper.folder.mkdir()
    new = NewTrial(0, "x", "x", "x", "x", {}, "x", 0, 0, 0, "x")
    trial = store.start_trial(search.id, new)
    first, second = Claim(trial, 1, 0), Claim(trial, 2, 1, shared=True)
    paths = [keeper.path_for(claim, 0.5) for claim in (first, second, Claim(trial, 2, 1))]
    assert [path.name for path in paths if path] == ["0000.keras", "0000-2.keras", "0000.keras"]
    for path in paths[:2]:
        assert path is not None
        path.touch()
    keeper.tidy()
    assert len(list(keeper.folder.iterdir())) == 2  # the trial is under way
    result = TrialResult(FINISHED, 0.5, {"val_auc": [0.5]}, 0, None, 1.0, {}, (), {}, str(paths[1]))
    store.finish_trial(trial.id, result)
    keeper.tidy()
    assert [path.name for path in keeper.folder.iterdir()] == ["0000-2.keras"]


def test_a_kept_model_whose_file_is_not_there_is_known(store: Store, search: Search, tmp_path: Path) -> None:
    keeper = ModelKeeper(store, search, tmp_path / "models", 2)
    keeper.folder.mkdir()
    for number, value in enumerate((0.5, 0.7, 0.9)):
        end(store, search, keeper, number, value)
    keeper.tidy()
    assert keeper.lost() == []
    (keeper.folder / "0001.keras").unlink()
    assert keeper.lost() == [str(keeper.folder / "0001.keras")]
