"""What a model may cost: parameters counted as Keras counts them, time from the machine's speed."""

import itertools
import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest

from plumbing.errors import SearchFailed, SpaceError
from results.store import Store
from search.constraints import Constraints
from search.engines import Engine, Request, engine_module
from search.feature_plan import expected_images_per_second
from spaces import ARCHITECTURES, architecture_named
from spaces.architecture import Architecture
from spaces.base_cnn import filters_name
from spaces.declaration import Configuration, Value
from spaces.narrowing import make_space
from spaces.network import make_tail, numbers_in, whole_model
from spaces.weights import RANDOM, build_backbone
from tests.search.conftest import Searcher
from tests.spaces.networks import configuration_of, smallest

Capsys = pytest.CaptureFixture[str]
LITE, BASE = architecture_named("efficientnet_lite0"), architecture_named("base_cnn")
NAMES = [each.name for each in ARCHITECTURES]
# efficientnet_lite0 has 3,413,024 numbers below 1,280 features.
WITH_64_UNITS = 3_413_024 + 1_281 * 64 + 65


def shaped(*filters: int) -> dict[str, Value]:
    """A base CNN of so many blocks."""
    widths: dict[str, Value] = {filters_name(block): each for block, each in enumerate(filters, start=1)}
    return {**configuration_of(BASE), "blocks": len(filters), **widths}


def counted_by_keras(
    backbone: Any, architecture: Architecture, cut: str, configuration: Configuration, classes: int
) -> int:
    where = architecture.cut(cut)
    tail = make_tail(backbone, where, configuration, classes)
    return int(whole_model(backbone, where, tail, classes).count_params())


@pytest.mark.parametrize("name", NAMES)
def test_the_numbers_of_a_model_are_those_that_keras_counts(name: str) -> None:
    architecture = architecture_named(name)
    backbone = smallest(architecture)
    for units, classes in itertools.product((0, 64), (2, 14)):
        configuration = {**configuration_of(architecture), "units": units}
        found = numbers_in(architecture, architecture.least_size, configuration, classes)
        assert found == counted_by_keras(backbone, architecture, "all", configuration, classes)


def test_the_numbers_of_a_model_are_the_same_wherever_it_is_cut() -> None:
    configuration = {**configuration_of(LITE), "units": 64}
    counted = {
        counted_by_keras(smallest(LITE), LITE, cut.name, configuration, 2) for cut in (LITE.cuts[0], *LITE.cuts[-2:])
    }
    assert counted == {numbers_in(LITE, 32, configuration, 2)}


@pytest.mark.parametrize("image_size", [32, 33, 47, 128])
@pytest.mark.parametrize("filters", [(16, 16), (224, 16, 32), (16, 32, 64, 128), (16, 16, 16, 16, 16, 224)])
def test_the_numbers_of_a_base_cnn_follow_its_shape_and_the_image_size(
    image_size: int, filters: tuple[int, ...]
) -> None:
    configuration = shaped(*filters)
    backbone = build_backbone(BASE, image_size, RANDOM, configuration)
    for units, classes in ((0, 2), (64, 14)):
        whole = {**configuration, "units": units}
        assert numbers_in(BASE, image_size, whole, classes) == counted_by_keras(backbone, BASE, "none", whole, classes)


# The limits themselves


def limits(parameters: int | None = None, seconds: float | None = None, gigaflops: float = 100.0) -> Constraints:
    sizes = {each.name: each.native_size for each in ARCHITECTURES}
    return Constraints(parameters, seconds, sizes, classes=2, gigaflops=gigaflops)


def within(limit: Constraints, candidates: Sequence[Architecture] = ARCHITECTURES) -> list[str]:
    """Names of the architectures that keep the limits."""
    return [each.name for each in limit.architectures(candidates, make_space(candidates, {}, cheap_cuts=False))]


def head(units: int) -> dict[str, Value]:
    return {**configuration_of(LITE), "units": units}


def test_a_model_of_just_as_many_parameters_is_allowed_and_one_more_is_not() -> None:
    assert limits(WITH_64_UNITS).allows(head(64))
    assert not limits(WITH_64_UNITS - 1).allows(head(64))
    assert not limits(WITH_64_UNITS).allows(head(128))


def test_without_a_limit_everything_is_allowed() -> None:
    assert limits().allows(shaped(*[224] * 6))
    assert within(limits()) == NAMES


def test_architectures_whose_backbone_alone_is_too_large_are_left_out() -> None:
    assert within(limits(10_000_000)) == ["base_cnn", "densenet121", "efficientnet_lite0"]
    assert within(limits(3_413_024)) == ["base_cnn"]


def test_an_architecture_none_of_whose_configurations_is_small_enough_is_left_out() -> None:
    least = numbers_in(BASE, 128, {**shaped(16, 16, 16, 16, 16, 16), "units": 32}, 2)
    assert within(limits(1_000_000), [LITE, BASE]) == ["base_cnn"]
    with pytest.raises(SpaceError, match="hardly any model of base_cnn keeps them"):
        within(limits(least // 2), [BASE])


def test_a_narrowed_space_decides_which_architectures_are_small_enough() -> None:
    large = make_space([LITE], {"all": {"units": [128, 256]}}, cheap_cuts=False)
    with pytest.raises(SpaceError, match="hardly any model of efficientnet_lite0 keeps them"):
        limits(WITH_64_UNITS).architectures([LITE], large)


def test_architectures_too_slow_for_the_machines_speed_are_left_out() -> None:
    seconds = sorted(1 / expected_images_per_second(each, each.native_size, 100.0) for each in ARCHITECTURES)
    assert within(limits(seconds=seconds[1])) == ["base_cnn", "efficientnet_lite0"]
    assert within(limits(seconds=seconds[-1])) == NAMES
    assert within(limits(seconds=seconds[1], gigaflops=1e6)) == NAMES


@pytest.mark.parametrize("beyond", [limits(parameters=10), limits(seconds=1e-9)])
def test_no_architecture_within_the_limits_is_told_with_their_names(beyond: Constraints) -> None:
    large = [architecture_named(name) for name in ("densenet121", "xception")]
    with pytest.raises(SpaceError, match="hardly any model of densenet121, xception keeps them; loosen them"):
        within(beyond, large)


# What engines propose

SAMPLERS = [("optuna", "tpe"), ("optuna", "random"), ("optuna", "qmc"), ("optuna", "nsga2")]
SAMPLERS += [("keras-tuner", "bayesian"), ("keras-tuner", "random"), ("keras-tuner", "hyperband")]


def engine_of(engine: str, sampler: str, folder: Path, **given: Any) -> Engine:
    common = {"pruner": "none", "objective": "val_auc", "search_seed": 0, "epochs": 9, "fresh": True}
    common |= {"url": f"sqlite:///{folder / 'results.db'}", "folder": folder, "name": "one", "batch_trials": 30}
    Store.open(str(common["url"]), create=True).close()
    made: Engine = engine_module(engine).make(Request(sampler=sampler, **common, **given))
    return made


@pytest.fixture
def folders(tmp_path: Path) -> Iterator[Path]:
    return (tmp_path / str(number) for number in itertools.count())


@pytest.mark.parametrize(("engine", "sampler"), SAMPLERS)
def test_no_engine_proposes_a_base_cnn_beyond_the_limit(engine: str, sampler: str, folders: Iterator[Path]) -> None:
    def proposed(limit: int | None) -> list[int]:
        allowed = Constraints(limit, None, {"base_cnn": 32}, 2, 0).allows
        folder = next(folders)
        folder.mkdir()
        made = engine_of(engine, sampler, folder, space=make_space([BASE], {}, cheap_cuts=True), allowed=allowed)
        found = [numbers_in(BASE, 32, each.configuration, 2) for each in made.propose(20, {})]
        made.close()
        return found

    free = proposed(None)
    limit = sorted(free)[len(free) // 2]
    within = proposed(limit)
    assert len(within) == len(free) >= 10
    assert max(within) <= limit < max(free)


@pytest.mark.parametrize("engine", ["optuna", "keras-tuner"])
def test_where_hardly_any_configuration_is_allowed_the_search_says_so(engine: str, folders: Iterator[Path]) -> None:
    folder = next(folders)
    folder.mkdir()
    space = make_space([BASE], {}, cheap_cuts=True)
    made = engine_of(engine, "random", folder, space=space, allowed=lambda configuration: False)
    with pytest.raises(SearchFailed, match="hardly any configuration is allowed; loosen --max-parameters"):
        made.propose(1, {})
    made.close()


# As a command


def units_of(searcher: Searcher) -> list[int]:
    return [json.loads(trial["config"])["units"] for trial in searcher.trials()]


@pytest.mark.parametrize(
    ("engine", "sampler"), [("optuna", "tpe"), ("keras-tuner", "bayesian"), ("keras-tuner", "hyperband")]
)
def test_a_search_within_a_limit_tries_no_larger_model(
    searcher: Searcher, other: Searcher, capsys: Capsys, knowing: None, engine: str, sampler: str
) -> None:
    """Beyond the draws at random, with which TPE and the Gaussian process begin."""
    more = ("--engine", engine, "--sampler", sampler, "--trials", 14, "--epochs", 2)
    more += ("--space", searcher.space(frozen="all", augmentation="no"))
    for each, limit in ((searcher, ("--max-parameters", WITH_64_UNITS)), (other, ())):
        ended = each.here(capsys, *more, *limit)
        assert (ended.code, ended.summary["finished"]) == (0, 14), ended.err
    assert max(units_of(other)) > 64  # else this would prove nothing
    assert max(units_of(searcher)) <= 64


def test_a_finite_space_ends_with_its_allowed_configurations(searcher: Searcher, capsys: Capsys, knowing: None) -> None:
    fixed = {"frozen": "all", "augmentation": "no", "batch_size": 16, "optimizer": "adam", "weight_decay": 0.0}
    fixed |= {"class_weights": "none", "callbacks_patience": 3, "conv_dropout": 0.0, "label_smoothing": 0.0}
    more = ("--space", searcher.space(lr=0.001, **fixed), "--epochs", 1, "--trials", 9)
    ended = searcher.here(capsys, *more, "--max-parameters", WITH_64_UNITS)
    assert ended.code == 0
    assert "every configuration of the space was tried" in ended.err
    assert sorted(units_of(searcher)) == [0, 64]


def test_an_explained_plan_names_only_architectures_within_the_limit(searcher: Searcher, capsys: Capsys) -> None:
    named = [part for name in NAMES for part in ("--architecture", name)]
    ended = searcher.here(capsys, "--image-size", 96, *named, "--max-parameters", 4_000_000, flags=("--explain",))
    assert ended.code == 0, ended.err
    told = [name for name in NAMES if f"\n{name} at 96 px" in ended.out]
    assert told == ["base_cnn", "efficientnet_lite0"]


@pytest.mark.parametrize(
    "limit", [("--max-parameters", 1_000_000), ("--max-seconds-per-image", 1e-9)], ids=["parameters", "seconds"]
)
def test_no_architecture_within_the_limit_is_one_line_and_nothing_is_made(
    searcher: Searcher, capsys: Capsys, limit: tuple[object, ...]
) -> None:
    ended = searcher.here(capsys, *limit)
    assert ended.code == 2
    (line,) = ended.err.splitlines()
    told = "--max-parameters, --max-seconds-per-image: hardly any model of efficientnet_lite0 keeps them"
    assert line.startswith(f"search.run: {told}")
    assert not searcher.folder.exists()


@pytest.mark.parametrize(
    ("more", "told"),
    [
        (("--max-parameters", 0), "argument --max-parameters: 0 is below 1"),
        (("--max-seconds-per-image", 0), "argument --max-seconds-per-image: 0 is not above 0"),
        (("--max-seconds-per-image", "inf"), "argument --max-seconds-per-image: inf is not above 0"),
        (
            ("--engine", "keras-tuner", "--sampler", "grid", "--max-parameters", 10**9),
            "--sampler grid goes through every combination: leave --enqueue and --max-parameters out",
        ),
    ],
)
def test_a_wrong_limit_is_one_line(searcher: Searcher, capsys: Capsys, more: tuple[object, ...], told: str) -> None:
    ended = searcher.here(capsys, *more)
    assert ended.code == 2
    (line,) = ended.err.splitlines()
    assert told in line
    assert not searcher.folder.exists()


@pytest.mark.parametrize("engine", ["optuna", "keras-tuner"])
def test_what_is_enqueued_beyond_the_limit_is_told_and_not_tried(
    searcher: Searcher, capsys: Capsys, knowing: None, tmp_path: Path, engine: str
) -> None:
    small = {**configuration_of(LITE), "augmentation": "no"}
    (tmp_path / "first.json").write_text(json.dumps([small, {**small, "units": 256}]))
    more = ("--engine", engine, "--sampler", "random", "--enqueue", tmp_path / "first.json", "--epochs", 1)
    ended = searcher.here(capsys, *more, "--trials", 2, "--max-parameters", WITH_64_UNITS)
    assert (ended.code, len(ended.err.splitlines())) == (2, 1)
    assert "configuration 1" in ended.err
    assert not (searcher.folder / "results.db").exists()


# The machine's speed


HEADS: dict[str, object] = {"frozen": "all", "units": 0, "optimizer": "adam", "augmentation": "no"}
BOTH = """
[all]
optimizer = "adam"
[efficientnet_lite0]
frozen = "all"
[base_cnn]
blocks = 2
filters_1 = 16
filters_2 = 16
"""


def speed_kept(searcher: Searcher) -> float:
    store = Store.open(searcher.store)
    try:
        (search,) = store.searches()
        return float(search.details["gigaflops"])
    finally:
        store.close()


def test_the_machines_speed_is_kept_with_the_search_and_used_again_by_the_one_that_goes_on(
    searcher: Searcher,
    other: Searcher,
    capsys: Capsys,
    knowing: None,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
) -> None:
    """As on a machine that others keep busy today: what the limit leaves hangs on the speed."""
    (tmp_path / "both.toml").write_text(BOTH)
    more = ("--architecture", "base_cnn", "--architecture", "efficientnet_lite0", "--space", tmp_path / "both.toml")
    lite, base = (1 / expected_images_per_second(each, 32, 1.0) for each in (LITE, BASE))
    assert lite > base
    more += ("--max-seconds-per-image", lite, "--sampler", "random", "--epochs", 1, "--batch-trials", 2)
    monkeypatch.setattr("search.plan.matrix_speed", lambda: 1.0)
    assert searcher.here(capsys, *more, "--trials", 2).code == 0
    assert speed_kept(searcher) == 1.0
    assert other.here(capsys, *more, "--trials", 4).code == 0

    monkeypatch.setattr("search.plan.matrix_speed", lambda: 0.9)
    resumed = searcher.here(capsys, *more, "--trials", 4)

    assert resumed.code == 0, resumed.err
    assert searcher.trials() == other.trials()
    assert {trial["architecture"] for trial in searcher.trials()} == {"efficientnet_lite0", "base_cnn"}
    new = searcher.here(capsys, *more, "--name", "new", flags=("--explain",))
    assert "\nefficientnet_lite0 at" not in new.out  # else this would prove nothing
    assert "\nbase_cnn at" in new.out


def test_the_speed_that_is_kept_is_this_machines(searcher: Searcher, capsys: Capsys, knowing: None) -> None:
    from search.feature_plan import matrix_speed

    more = ("--space", searcher.space(**HEADS), "--epochs", 1, "--trials", 1, "--max-seconds-per-image", 10)
    assert searcher.here(capsys, *more).code == 0
    assert matrix_speed() / 20 < speed_kept(searcher) < matrix_speed() * 20


def test_without_a_limit_of_time_no_speed_is_taken(
    searcher: Searcher, capsys: Capsys, knowing: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("search.plan.matrix_speed", lambda: pytest.fail("the speed was taken"))
    assert searcher.here(capsys, "--space", searcher.space(**HEADS), "--epochs", 1, "--trials", 1).code == 0
    assert speed_kept(searcher) == 0


@pytest.mark.parametrize(
    ("limit", "named"),
    [
        (("--max-parameters", 10**8), "most parameters None, now 100000000"),
        (("--max-seconds-per-image", 10.0), "most seconds an image None, now 10.0"),
    ],
)
def test_a_limit_that_changed_is_named_and_nothing_is_touched(
    searcher: Searcher, capsys: Capsys, knowing: None, limit: tuple[object, ...], named: str
) -> None:
    more = ("--space", searcher.space(**HEADS), "--epochs", 1, "--trials", 1)
    assert searcher.here(capsys, *more).code == 0
    before = (searcher.folder / "results.db").read_bytes()
    ended = searcher.here(capsys, *more, *limit)
    assert (ended.code, len(ended.err.splitlines())) == (2, 1)
    assert named in ended.err
    assert (searcher.folder / "results.db").read_bytes() == before
