"""What a search tries first: presets, the best of another part, a file."""

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from plumbing.errors import SpaceError, UsageError
from results.records import FAILED, FINISHED, PRUNED, RUNNING, NewSearch, NewTrial, TrialResult
from results.store import Store
from search.engines.tried import Allowed, everything
from search.enqueue import enqueued
from spaces import architecture_named
from spaces.declaration import Space, Value
from spaces.narrowing import make_space
from spaces.presets import PRESETS
from tests.search.conftest import Searcher

Capsys = pytest.CaptureFixture[str]
SPACE = make_space([architecture_named("efficientnet_lite0"), architecture_named("base_cnn")], {}, cheap_cuts=True)
HEAD: dict[str, Value] = {
    "architecture": "efficientnet_lite0",
    "frozen": "all",
    "lr": 0.001,
    "conv_dropout": 0.25,
    "callbacks_patience": 5,
    "augmentation": "no",
    "optimizer": "adam",
    "weight_decay": 0.0,
    "label_smoothing": 0.0,
    "class_weights": "none",
    "batch_size": 32,
    "units": 0,
}


def heads(*rates: float) -> list[dict[str, Value]]:
    return [{**HEAD, "lr": rate} for rate in rates]


def first(
    option: str, space: Space = SPACE, allowed: Allowed = everything, store: Store | None = None
) -> list[dict[str, Value]]:
    """What a search for the best AUC tries first."""
    return enqueued(option, space, allowed, "val_auc", store)


def rates(found: list[dict[str, Value]]) -> list[Value]:
    return [each["lr"] for each in found]


# Presets


def test_a_preset_is_its_configurations_of_the_spaces_architectures_in_their_order() -> None:
    space = make_space([architecture_named("efficientnet_lite0")], {}, cheap_cuts=True)
    found = first("published", space)
    assert found == [each for each in PRESETS["published"] if each["architecture"] == "efficientnet_lite0"]
    assert [each["augmentation"] for each in found] == ["no", "light", "deep"]


def test_a_preset_with_nothing_of_the_spaces_architectures_is_told() -> None:
    space = make_space([architecture_named("efficientnet_lite0")], {}, cheap_cuts=True)
    with pytest.raises(SpaceError, match="published_tuned: holds nothing of efficientnet_lite0; leave --enqueue out"):
        first("published_tuned", space)


def test_a_preset_outside_a_narrowed_space_is_told_with_its_place_and_value() -> None:
    space = make_space([architecture_named("efficientnet_lite0")], {"all": {"augmentation": ["no", "deep"]}}, True)
    with pytest.raises(SpaceError, match=r"--enqueue published: configuration 1: .*augmentation = 'light' is outside"):
        first("published", space)


# A file

Write = Callable[[Any], str]


@pytest.fixture
def write(tmp_path: Path) -> Write:
    """Writes JSON, or text as it is; gives its path."""

    def written(content: Any) -> str:
        path = tmp_path / "first.json"
        path.write_text(content if isinstance(content, str) else json.dumps(content))
        return str(path)

    return written


def test_a_file_gives_its_configurations_in_their_order(write: Write) -> None:
    assert first(write(heads(0.003, 0.001, 0.002))) == heads(0.003, 0.001, 0.002)


def test_a_configuration_given_twice_is_tried_once_whatever_the_order_of_its_names(write: Write) -> None:
    one, other = heads(0.003, 0.001)
    found = first(write([one, other, dict(reversed(one.items())), other]))
    assert found == [one, other]


def test_a_whole_number_where_a_real_one_is_declared_is_that_real_number(write: Write) -> None:
    """0 and 0.0 were two configurations."""
    (found,) = first(write([{**HEAD, "conv_dropout": 0}, {**HEAD, "conv_dropout": 0.0}]))
    assert (found["conv_dropout"], type(found["conv_dropout"])) == (0.0, float)


@pytest.mark.parametrize(
    ("changed", "told"),
    [
        ({"lr": 0.5}, "efficientnet_lite0: lr = 0.5 is outside the space; give a number from 1e-05 to 0.01"),
        ({"lr": float("nan")}, "efficientnet_lite0: lr = nan is outside the space"),
        ({"lr": "fast"}, "efficientnet_lite0: lr = 'fast' is outside the space"),
        ({"batch_size": True}, "efficientnet_lite0: batch_size = True is outside the space; give one of 16, 32, 64"),
        ({"units": None}, "efficientnet_lite0: units = None is outside the space"),
        ({"frozen": "none"}, "efficientnet_lite0: frozen = 'none' is outside the space"),
        ({"depth": 3}, "efficientnet_lite0: no such parameter here: depth"),
        ({"architecture": "xception"}, "architecture 'xception' is not in the space; give one of efficientnet_lite0"),
        ({"architecture": "base_cnn"}, "base_cnn: frozen = 'all' is outside the space"),
        ({"architecture": ["base_cnn"]}, "architecture \"['base_cnn']\" is not in the space"),
    ],
)
def test_a_value_outside_the_space_is_named_with_its_place(write: Write, changed: dict[str, object], told: str) -> None:
    option = write([HEAD, {**HEAD, "lr": 0.002}, {**HEAD, **changed}])
    with pytest.raises(SpaceError) as raised:
        first(option)
    assert str(raised.value).startswith(f"--enqueue {option}: configuration 2: {told}")


def test_a_parameter_that_is_missing_is_named_with_its_place(write: Write) -> None:
    option = write([{name: value for name, value in HEAD.items() if name != "units"}])
    with pytest.raises(SpaceError, match="configuration 0: efficientnet_lite0: units is missing; give one of 0, 64"):
        first(option)


@pytest.mark.parametrize("content", [HEAD, [], [HEAD, 3], [[HEAD]], "null", "3"])
def test_what_is_no_list_of_configurations_is_told(write: Write, content: Any) -> None:
    option = write(content)
    with pytest.raises(UsageError) as raised:
        first(option)
    assert str(raised.value) == f"--enqueue {option}: give a JSON list of configurations, each name -> value"


@pytest.mark.parametrize("content", ["", "[{", "lr = 1"])
def test_what_is_no_json_is_told(write: Write, content: str) -> None:
    option = write(content)
    with pytest.raises(UsageError, match="cannot be read as JSON"):
        first(option)


def test_a_folder_is_no_file_of_configurations(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="cannot be read as JSON"):
        first(str(tmp_path))


def test_a_configuration_beyond_the_limits_is_told_with_its_place(write: Write) -> None:
    option = write([HEAD, {**HEAD, "units": 256}])
    with pytest.raises(SpaceError, match="configuration 1 is beyond --max-parameters; leave it out"):
        first(option, allowed=lambda configuration: configuration["units"] != 256)


# The best of another part


class Filled:
    """A store with trials as given."""

    def __init__(self, store: Store) -> None:
        self.store, self.searches = store, 0

    def add(
        self,
        part: str,
        value: float,
        configuration: dict[str, Value],
        state: str = FINISHED,
        objective: str = "val_auc",
    ) -> None:
        """A search with one trial."""
        self.searches += 1
        new_search = NewSearch(f"search {self.searches}", "search", "optuna", "v", objective=objective)
        search = self.store.create_search(new_search)
        texts = dict.fromkeys(("architecture", "name_code", "model_name", "weights", "code_version"), "x")
        new = NewTrial(0, part, configuration=configuration, image_size=32, seed=0, fit_epochs=1, **texts)
        trial = self.store.start_trial(search.id, new)
        if state == FAILED:
            self.store.fail_trial(trial.id, "the loss is nan", 1.0)
        elif state != RUNNING:
            result = TrialResult(state, value, {"val_auc": [value]}, 0, None, 1.0, {}, (), {}, None)
            self.store.finish_trial(trial.id, result)


@pytest.fixture
def filled(tmp_path: Path) -> Iterator[Filled]:
    store = Store.open(f"sqlite:///{tmp_path / 'results.db'}", create=True)
    yield Filled(store)
    store.close()


def best_of_hand(filled: Filled, space: Space = SPACE, allowed: Allowed = everything) -> list[dict[str, Value]]:
    return first("best-of:XR_HAND", space, allowed, filled.store)


def test_the_best_of_a_part_come_best_first_from_all_its_searches(filled: Filled) -> None:
    for value, rate in ((0.6, 0.001), (0.9, 0.002), (0.7, 0.003)):
        filled.add("XR_HAND", value, {**HEAD, "lr": rate})
    filled.add("XR_WRIST", 0.99, {**HEAD, "lr": 0.004})
    assert best_of_hand(filled) == heads(0.002, 0.003, 0.001)


def test_of_equals_the_earlier_comes_first(filled: Filled) -> None:
    for rate in (0.003, 0.001, 0.002):
        filled.add("XR_HAND", 0.8, {**HEAD, "lr": rate})
    assert rates(best_of_hand(filled)) == [0.003, 0.001, 0.002]


def test_no_more_than_the_best_four_are_taken_each_once(filled: Filled) -> None:
    for place, rate in enumerate((0.001, 0.002, 0.002, 0.001, 0.003, 0.004, 0.005)):
        filled.add("XR_HAND", 0.9 - place / 10, {**HEAD, "lr": rate})
    assert rates(best_of_hand(filled)) == [0.001, 0.002, 0.003, 0.004]


def test_the_best_outside_the_space_give_way_to_those_inside(filled: Filled) -> None:
    filled.add("XR_HAND", 0.9, {**HEAD, "augmentation": "deep"})
    filled.add("XR_HAND", 0.8, {**HEAD, "architecture": "xception"})
    filled.add("XR_HAND", 0.7, {"architecture": "build_model", "lr": 0.001, "num_layers": 2})  # a user's own model
    filled.add("XR_HAND", 0.6, {})
    filled.add("XR_HAND", 0.5, HEAD)
    space = make_space([architecture_named("efficientnet_lite0")], {"all": {"augmentation": "no"}}, cheap_cuts=True)
    assert best_of_hand(filled, space) == [HEAD]


@pytest.mark.parametrize("state", [FAILED, PRUNED, RUNNING])
def test_a_trial_that_did_not_finish_is_not_among_the_best(filled: Filled, state: str) -> None:
    filled.add("XR_HAND", 0.9, {**HEAD, "lr": 0.002}, state)
    filled.add("XR_HAND", 0.5, HEAD)
    assert best_of_hand(filled) == [HEAD]


def test_the_best_by_another_objective_are_not_compared(filled: Filled) -> None:
    filled.add("XR_HAND", 0.9, {**HEAD, "lr": 0.002}, objective="val_accuracy")
    filled.add("XR_HAND", 0.5, HEAD)
    assert best_of_hand(filled) == [HEAD]


def test_the_best_beyond_a_limit_give_way_to_those_within(filled: Filled) -> None:
    filled.add("XR_HAND", 0.9, {**HEAD, "units": 256})
    filled.add("XR_HAND", 0.5, HEAD)
    assert best_of_hand(filled, allowed=lambda configuration: configuration["units"] != 256) == [HEAD]


def test_a_part_without_a_finished_trial_inside_the_space_is_told(filled: Filled) -> None:
    told = "--enqueue best-of:XR_HAND: the store has no finished trial of XR_HAND inside this space; search it first"
    with pytest.raises(UsageError, match=told):
        best_of_hand(filled)
    filled.add("XR_HAND", 0.9, {**HEAD, "architecture": "xception"})
    with pytest.raises(UsageError, match=told):
        best_of_hand(filled)


@pytest.mark.parametrize("part", ["XR_KNEE", "", "xr_hand"])
def test_a_part_that_does_not_exist_is_told_with_those_that_do(part: str) -> None:
    with pytest.raises(UsageError, match=f"--enqueue best-of:{part}: no such part; give one of XR_ELBOW, XR_FINGER"):
        first(f"best-of:{part}")


# As a command


@pytest.mark.parametrize(
    ("option", "told"),
    [
        ("nothing.json", "--enqueue nothing.json: neither a preset (published, published_tuned), best-of:PART, nor a"),
        ("best-of:XR_HAND", "the store has no finished trial of XR_HAND inside this space; search it first"),
        ("best-of:XR_KNEE", "no such part"),
        ("published_tuned", "holds nothing of efficientnet_lite0"),
    ],
)
def test_what_cannot_be_enqueued_is_one_line_and_nothing_is_made(
    searcher: Searcher, capsys: Capsys, option: str, told: str
) -> None:
    ended = searcher.here(capsys, "--enqueue", option)
    assert ended.code == 2
    (line,) = ended.err.splitlines()
    assert line.startswith("search.run: --enqueue ")
    assert told in line
    assert not searcher.folder.exists()


def configurations(searcher: Searcher, name: str) -> list[dict[str, Value]]:
    return [json.loads(trial["config"]) for trial in searcher.trials() if trial["search"] == name]


@pytest.mark.parametrize(
    ("engine", "sampler"), [("optuna", "tpe"), ("keras-tuner", "bayesian"), ("keras-tuner", "random")]
)
def test_each_engine_tries_a_files_configurations_first(
    searcher: Searcher, capsys: Capsys, knowing: None, write: Write, engine: str, sampler: str
) -> None:
    given = heads(0.003, 0.001, 0.003, 0.002)
    more = ("--engine", engine, "--sampler", sampler, "--enqueue", write(given), "--trials", 5, "--epochs", 1)
    ended = searcher.here(capsys, *more, "--batch-trials", 2, "--space", searcher.space(frozen="all", units=0))
    assert ended.code == 0, ended.err
    found = configurations(searcher, f"XR_WRIST-{engine}")
    assert found[:3] == heads(0.003, 0.001, 0.002)
    assert len({json.dumps(each, sort_keys=True) for each in found}) == 5


@pytest.mark.parametrize("engine", ["optuna", "keras-tuner"])
def test_a_search_goes_on_with_the_best_that_it_began_with_though_the_store_got_better_ones_since(
    searcher: Searcher, other: Searcher, capsys: Capsys, knowing: None, write: Write, engine: str
) -> None:
    quick = ("--engine", engine, "--sampler", "random", "--epochs", 1, "--batch-trials", 1)
    quick += ("--space", searcher.space(frozen="all", units=0))
    for each in (searcher, other):
        ended = each.here(capsys, "--part", "XR_HAND", "--trials", 2, "--enqueue", write(heads(0.001, 0.002)), *quick)
        assert ended.code == 0, ended.err
    best = ("--enqueue", "best-of:XR_HAND", *quick)
    assert searcher.here(capsys, *best, "--trials", 1).code == 0

    store = Store.open(searcher.store)
    Filled(store).add("XR_HAND", 1.1, {**HEAD, "lr": 0.009})
    store.close()
    resumed = searcher.here(capsys, *best, "--trials", 4)
    assert resumed.code == 0, resumed.err
    assert other.here(capsys, *best, "--trials", 4).code == 0

    found = configurations(searcher, f"XR_WRIST-{engine}")
    assert found == configurations(other, f"XR_WRIST-{engine}")
    assert sorted(rates(found[:2])) == [0.001, 0.002]
    assert searcher.here(capsys, *best, "--trials", 1, "--name", "new").code == 0
    assert rates(configurations(searcher, "new")) == [0.009]  # else this would prove nothing


def test_a_file_that_changed_since_is_named_and_nothing_is_touched(
    searcher: Searcher, capsys: Capsys, knowing: None, write: Write
) -> None:
    more = ("--trials", 1, "--epochs", 1, "--enqueue")
    assert searcher.here(capsys, *more, write(heads(0.001))).code == 0
    before = (searcher.folder / "results.db").read_bytes()
    ended = searcher.here(capsys, *more, write(heads(0.002)))
    assert (ended.code, len(ended.err.splitlines())) == (2, 1)
    assert "was started with other enqueued configurations" in ended.err
    assert (searcher.folder / "results.db").read_bytes() == before
