"""A stored search as an Optuna study: what it holds, which parameter it finds important, what is drawn of it."""

import json
import subprocess
import sys
import warnings
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from matplotlib import get_backend, rcParams
from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution
from optuna.trial import TrialState

from plumbing.command import run_command
from plumbing.errors import StoreError
from reports import study as study_command
from reports.figures import png
from reports.importances import importance_sentence, importance_table, scopes
from reports.search_study import study_of
from reports.study import write_study
from reports.study_plots import Drawn, optuna_drawing, parallel_figure, slice_figure
from results.records import FINISHED, PRUNED, NewSearch, NewTrial, Search, TrialResult
from spaces.declaration import AtLeast, Choice, Configuration, Parameter, Real, Space, Value, Whole, propose
from tests.reports.store_maker import Ended, StoreMaker

RATE = Real("lr", 1e-5, 1e-2, log=True)
LEVEL = Choice("level", ("no", "light", "deep"), ordered=True)
DROPOUT = Real("dropout", 0.0, 0.6)
BLOCKS = Whole("blocks", 2, 4)
DEEPER = Whole("filters_3", 16, 64, step=16, when=AtLeast("blocks", 3))
ONE = Space({"net": (RATE, LEVEL, DROPOUT, BLOCKS, DEEPER)})
TWO = Space({"net": (RATE, LEVEL, Choice("units", (0, 8))), "deep net": (RATE, LEVEL, Choice("units", (64, 128)))})
ENGINES = ("optuna", "keras-tuner")

Objective = Callable[[Configuration], float]


def real(value: Value) -> float:
    assert isinstance(value, int | float)
    return float(value)


def drawn_from(space: Space, generator: np.random.Generator) -> dict[str, Value]:
    def ask(name: str, parameter: Parameter) -> Value:
        if isinstance(parameter, Choice):
            return parameter.choices[generator.integers(len(parameter.choices))]
        if isinstance(parameter, Whole):
            return parameter.low + parameter.step * int(
                generator.integers((parameter.high - parameter.low) // parameter.step + 1)
            )
        if parameter.log:
            return float(np.exp(generator.uniform(np.log(parameter.low), np.log(parameter.high))))
        return float(generator.uniform(parameter.low, parameter.high))

    return propose(space, ask)


def new_search(made: StoreMaker, engine: str = "optuna", space: Any = None, name: str = "s") -> Search:
    return made.search(name, engine=engine, settings={"space": (space or ONE.to_json())})


def keep(
    made: StoreMaker,
    search: Search,
    number: int,
    configuration: Configuration,
    value: float | None,
    state: str = FINISHED,
    epochs: int = 2,
) -> None:
    """An ended trial; its objective rises to the value. None: failed."""
    new = NewTrial(
        number, "XR_HAND", str(configuration.get("architecture")), "n", "m", configuration, "random", 32, 0, 2, "0.1.0"
    )
    trial = made.store.start_trial(search.id, new)
    if value is None:
        made.store.fail_trial(trial.id, "no memory", 1.0)
        return
    history = {"val_auc": [value * (epoch + 1) / epochs for epoch in range(epochs)], "loss": [1.0] * epochs}
    made.store.finish_trial(trial.id, TrialResult(state, value, history, epochs - 1, None, 1.0, {}, (), {}, None))


def searched(
    made: StoreMaker, objective: Objective, trials: int = 60, space: Space = ONE, engine: str = "optuna", **more: Any
) -> Search:
    """A search at random whose objective is as given."""
    search, generator = new_search(made, engine, space.to_json()), np.random.default_rng(0)
    for number in range(trials):
        configuration = drawn_from(space, generator)
        keep(made, search, number, configuration, objective(configuration), **more)
    return search


def by_level(configuration: Configuration) -> float:
    return {"no": 0.6, "light": 0.7, "deep": 0.8}[str(configuration["level"])]


def test_each_ended_trial_is_a_trial_in_its_state_with_its_objective_by_epoch(made: StoreMaker) -> None:
    search, generator = new_search(made), np.random.default_rng(1)
    configurations = [drawn_from(ONE, generator) for _ in range(5)]
    for number, (value, state) in enumerate([(0.75, FINISHED), (0.5, PRUNED), (None, "failed")]):
        keep(made, search, number, configurations[number], value, state)
    made.start(search, 3)  # still running
    keep(made, search, 4, configurations[4], 0.875, epochs=4)

    trials = study_of(made.store, search).trials

    ended = [TrialState.COMPLETE, TrialState.PRUNED, TrialState.FAIL, TrialState.COMPLETE]
    assert [trial.state for trial in trials] == ended
    assert [trial.value for trial in trials] == [0.75, 0.5, None, 0.875]
    assert [trial.user_attrs["number"] for trial in trials] == [0, 1, 2, 4]
    assert trials[1].intermediate_values == {1: 0.25, 2: 0.5}
    assert list(trials[3].intermediate_values) == [1, 2, 3, 4]


def test_distributions_are_the_declared_ones_under_the_engines_names(made: StoreMaker) -> None:
    search = new_search(made, space=TWO.to_json())
    keep(made, search, 0, {"architecture": "deep net", "lr": 1e-3, "level": "deep", "units": 128}, 0.5)

    (trial,) = study_of(made.store, search).trials

    assert trial.params == {"architecture": "deep net", "lr": 1e-3, "level": "deep", "deep net.units": 128}
    assert trial.distributions == {
        "architecture": CategoricalDistribution(("net", "deep net")),
        "lr": FloatDistribution(1e-5, 1e-2, log=True),
        "level": CategoricalDistribution(("no", "light", "deep")),
        "deep net.units": CategoricalDistribution((64, 128)),
    }


def test_distributions_are_those_that_optunas_own_engine_keeps(made: StoreMaker) -> None:
    from spaces.optuna_space import distribution_of as of_the_engine

    search = searched(made, by_level, trials=20)
    declared = {parameter.name: of_the_engine(parameter) for parameter in ONE.parameters["net"]}

    for trial in study_of(made.store, search).trials:
        assert trial.distributions == {
            name: declared.get(name, CategoricalDistribution(("net",))) for name in trial.params
        }


@pytest.mark.parametrize(
    "space",
    [
        {"space": [{"class_name": "Float", "config": {"name": "rate"}}], "values": {"rate": 0.1}},
        {"Own": []},
        {},
    ],
)
def test_a_space_of_somebody_elses_is_what_its_trials_show(made: StoreMaker, space: Any) -> None:
    search = made.search("own", engine="keras-tuner", settings={"space": space})
    seen: list[Configuration] = [
        {"architecture": "Own", "rate": 1e-4, "layers": 3, "flag": True, "width": 8},
        {"architecture": "Own", "rate": 0.1, "layers": 5, "flag": False, "width": 2.5},
        {"architecture": "Own", "rate": 0.01, "layers": 4, "flag": True},
    ]
    for number, configuration in enumerate(seen):
        keep(made, search, number, configuration, 0.5)

    trials = study_of(made.store, search).trials

    assert [trial.params for trial in trials] == seen
    assert trials[0].distributions == {
        "architecture": CategoricalDistribution(("Own",)),
        "rate": FloatDistribution(1e-4, 0.1, log=True),
        "layers": IntDistribution(3, 5),
        "flag": CategoricalDistribution((True, False)),
        "width": FloatDistribution(2.5, 8),
    }


def test_an_import_has_no_study(made: StoreMaker) -> None:
    made.store.import_search(NewSearch("old", "import", "published", "published"), [], [])
    search = made.store.search("old")
    assert search is not None
    with pytest.raises(StoreError, match="old is of kind import, which was not searched for; give a search"):
        study_of(made.store, search)


def ranks(table: Any, scope: str, method: str) -> list[str]:
    rows = table[table["scope"] == scope].sort_values(method, ascending=False)
    return list(rows["parameter"])


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize("method", ["fanova", "ped_anova"])
@pytest.mark.parametrize(
    ("deciding", "objective"),
    [
        ("level", by_level),
        ("dropout", lambda configuration: 0.9 - real(configuration["dropout"])),
        ("blocks", lambda configuration: 0.5 + 0.1 * real(configuration["blocks"])),
    ],
)
def test_the_parameter_that_decides_the_objective_comes_first(
    made: StoreMaker, engine: str, method: str, deciding: str, objective: Objective
) -> None:
    table = importance_table(study_of(made.store, searched(made, objective, engine=engine)))

    assert ranks(table, "all trials", method)[0] == deciding
    assert set(table["parameter"]) == {"lr", "level", "dropout", "blocks"}  # not filters_3, which not all trials have
    assert table[method].sum() == pytest.approx(1)
    assert set(table["trials"]) == {60}


@pytest.mark.parametrize("method", ["fanova", "ped_anova"])
def test_a_logarithmic_parameter_counts_on_the_scale_that_it_was_drawn_on(made: StoreMaker, method: str) -> None:
    """Below 1e-4 lie a third of all draws, but a hundredth of the range: taken as it is, it would decide nothing."""

    def objective(configuration: Configuration) -> float:
        return 0.9 * (real(configuration["lr"]) < 1e-4) - 0.3 * (real(configuration["dropout"]) > 0.4)

    table = importance_table(study_of(made.store, searched(made, objective, trials=100)))

    assert ranks(table, "all trials", method)[0] == "lr"


def test_an_architectures_own_parameter_is_told_among_its_own_trials(made: StoreMaker) -> None:
    def objective(configuration: Configuration) -> float:
        return 0.5 + 0.002 * real(configuration["units"]) * (configuration["architecture"] == "deep net")

    study = study_of(made.store, searched(made, objective, space=TWO))
    table = importance_table(study)

    assert list(dict.fromkeys(table["scope"])) == ["all trials", "deep net"]
    assert set(table.loc[table["scope"] == "all trials", "parameter"]) == {"architecture", "lr", "level"}
    assert ranks(table, "deep net", "fanova")[0] == ranks(table, "deep net", "ped_anova")[0] == "units"
    counts = {scope.name: len(scope.trials) for scope in scopes(study)}
    assert counts["all trials"] == counts["net"] + counts["deep net"] == 60
    sentence = importance_sentence(study)
    assert "all trials: 60 finished, 3 parameters; " in sentence
    assert f"; net: all {counts['net']} finished have the same value, nothing decides it" in sentence


@pytest.mark.parametrize(
    ("trials", "objective", "sentence"),
    [
        (9, by_level, "No importances, all trials: 9 finished, 10 are needed."),
        (12, lambda _: 0.5, "No importances, all trials: all 12 finished have the same value, nothing decides it."),
    ],
)
def test_importances_are_refused_where_trials_cannot_tell(
    made: StoreMaker, tmp_path: Path, trials: int, objective: Objective, sentence: str
) -> None:
    search = searched(made, objective, trials)

    write_study(made.store, search, tmp_path / "out")

    assert importance_table(study_of(made.store, search)).empty
    assert (tmp_path / "out" / "importances.md").read_text() == f"# Importances: s\n\n{sentence}\n"
    assert not (tmp_path / "out" / "importances.csv").exists()
    assert not (tmp_path / "out" / "contour.png").exists()
    assert (tmp_path / "out" / "slice.png").exists()


def test_ten_trials_are_enough(made: StoreMaker) -> None:
    assert len(importance_table(study_of(made.store, searched(made, by_level, trials=10))))


def test_ped_anova_tells_nothing_where_its_best_trials_are_all(made: StoreMaker) -> None:
    search, generator = new_search(made), np.random.default_rng(0)
    for number in range(60):
        keep(made, search, number, drawn_from(ONE, generator), 0.9 if number == 7 else 0.5)

    table = importance_table(study_of(made.store, search))

    assert table["ped_anova"].isna().all()
    assert table["fanova"].sum() == pytest.approx(1)


def test_failed_and_pruned_trials_carry_no_importance(made: StoreMaker) -> None:
    search, generator = searched(made, by_level, trials=12), np.random.default_rng(5)
    before = importance_table(study_of(made.store, search))
    keep(made, search, 12, drawn_from(ONE, generator), None)
    keep(made, search, 13, drawn_from(ONE, generator), 0.99, PRUNED)

    assert importance_table(study_of(made.store, search)).equals(before)


PICTURES = {
    "optimization_history.png", "parallel_coordinates.png", "slice.png", "contour.png", "intermediate_values.png",
}  # fmt: skip


@pytest.mark.parametrize("engine", ENGINES)
def test_command_writes_the_files_and_tells_what_they_rest_on(
    made: StoreMaker, capsys: pytest.CaptureFixture[str], tmp_path: Path, engine: str
) -> None:
    searched(made, by_level, trials=20, engine=engine)
    out = tmp_path / "deep" / "study"

    ended = command(capsys, "s", "--out", out, "--store", made.url)

    *paths, last = ended.out.splitlines()
    assert (ended.code, ended.err) == (0, "")
    assert last == "Importances rest on all trials: 20 finished, 4 parameters."
    assert set(paths) == {str(path) for path in out.iterdir()}
    assert {path.name for path in out.iterdir()} == {"importances.md", "importances.csv"} | PICTURES
    assert all((out / name).read_bytes().startswith(b"\x89PNG") for name in PICTURES)
    text = (out / "importances.md").read_text()
    assert last in text
    assert text.splitlines()[6].startswith("| all trials | level | 20 | ")


def command(capsys: pytest.CaptureFixture[str], *arguments: object) -> Ended:
    code = run_command("reports.study", study_command.main, [str(argument) for argument in arguments])
    captured = capsys.readouterr()
    return Ended(code, captured.out, captured.err)


def test_an_architectures_own_parameters_have_a_picture_of_their_own(made: StoreMaker, tmp_path: Path) -> None:
    paths = write_study(made.store, searched(made, by_level, 20, TWO), tmp_path / "out")
    assert {path.name for path in paths} >= {"slice_net.png", "slice_deep_net.png"}


def test_a_single_trial_of_one_epoch_has_a_history_only(made: StoreMaker, tmp_path: Path) -> None:
    paths = write_study(made.store, searched(made, by_level, 1, epochs=1), tmp_path / "out")
    assert [path.name for path in paths] == ["importances.md", "optimization_history.png"]


def test_names_of_any_signs_are_drawn(made: StoreMaker, tmp_path: Path) -> None:
    """Warnings are errors here: matplotlib's of a sign that its font lacks, too."""
    name = "$\\frac$ 日\nx"
    search = made.search(name, engine="keras-tuner", settings={"space": {"space": [], "values": {}}})
    for number in range(12):
        odd: Configuration = {"architecture": "<b>/..", "$x$ 日": number % 3, "a|b": ("$y$", "日")[number % 2]}
        keep(made, search, number, odd, 0.1 * (number % 3) + 0.01 * number)

    paths = write_study(made.store, search, tmp_path / "out")

    assert {path.name for path in paths} == {"importances.md", "importances.csv"} | PICTURES
    assert {path.parent for path in paths} == {tmp_path / "out"}


def drawn_of(made: StoreMaker, search: Search) -> Drawn:
    study = study_of(made.store, search)
    return Drawn(study.get_trials(), scopes(study)[0])


def test_axes_keep_the_declared_order_and_plain_logarithmic_numbers(made: StoreMaker) -> None:
    drawn = drawn_of(made, searched(made, by_level, 20))
    with optuna_drawing():
        figure = slice_figure(drawn, "title", "val_auc")
        png(figure)  # places the ticks

    panels = {axes.get_xlabel(): axes for axes in figure.axes}
    assert [text.get_text() for text in panels["level"].get_xticklabels()] == ["no", "light", "deep"]
    assert panels["lr"].get_xscale() == "log"
    assert {"0.0001", "0.001"} <= {text.get_text() for text in panels["lr"].get_xticklabels()}
    assert all(float(text.get_text()).is_integer() for text in panels["blocks"].get_xticklabels())


def test_lines_through_parameters_pass_each_axis_at_its_own_choice(made: StoreMaker) -> None:
    drawn = drawn_of(made, searched(made, by_level, 20))
    with optuna_drawing():
        figure = parallel_figure(drawn, "title", "val_auc")
        png(figure)

    axes, _, *twins = figure.axes
    names = [text.get_text() for text in axes.get_xticklabels()]
    place = names.index("level")
    labels = [text.get_text() for text in twins[place - 1].get_yticklabels()]
    assert names == ["val_auc", *sorted(drawn.names)]
    assert labels == ["no", "light", "deep"]


def test_drawn_trials_have_their_numbers_in_the_store(made: StoreMaker) -> None:
    search, generator = new_search(made), np.random.default_rng(0)
    for number in (0, 3, 4):
        keep(made, search, number, drawn_from(ONE, generator), 0.1 * number + 0.1)

    trials = drawn_of(made, search).study.get_trials(states=(TrialState.COMPLETE,))

    assert {trial.number: trial.value for trial in trials} == {0: 0.1, 3: pytest.approx(0.4), 4: 0.5}


def test_drawing_leaves_nothing_of_optunas_settings_behind(made: StoreMaker, tmp_path: Path) -> None:
    from matplotlib import pyplot

    search = searched(made, by_level, 12)
    pyplot.figure()
    before = (dict(rcParams), pyplot.get_fignums(), get_backend(), list(warnings.filters))

    write_study(made.store, search, tmp_path / "out")

    assert (dict(rcParams), pyplot.get_fignums(), get_backend(), list(warnings.filters)) == before
    pyplot.close("all")


def test_pictures_are_the_same_each_time(made: StoreMaker, tmp_path: Path) -> None:
    search = searched(made, by_level, 12)
    once, again = (write_study(made.store, search, tmp_path / name) for name in ("once", "again"))
    assert [path.read_bytes() for path in once] == [path.read_bytes() for path in again]


@pytest.mark.parametrize(
    ("arguments", "line"),
    [
        (["nope"], "nope: no such search in the store, which holds empty"),
        (["empty"], "empty has no finished trial yet; let it run"),
    ],
)
def test_what_cannot_be_told_ends_with_one_line_and_2(
    made: StoreMaker, capsys: pytest.CaptureFixture[str], tmp_path: Path, arguments: Sequence[str], line: str
) -> None:
    new_search(made, name="empty")

    ended = command(capsys, *arguments, "--out", tmp_path / "out", "--store", made.url)

    assert (ended.code, ended.out, ended.err) == (2, "", f"reports.study: {line}\n")
    assert not (tmp_path / "out").exists()


def test_out_that_is_a_file_ends_with_one_line_and_2(
    made: StoreMaker, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    (tmp_path / "out").write_text("mine")
    ended = command(capsys, "s", "--out", tmp_path / "out", "--store", made.url)
    assert ended.err == f"reports.study: --out {tmp_path / 'out'} is a file; give another folder\n"
    assert (ended.code, (tmp_path / "out").read_text()) == (2, "mine")


@pytest.mark.parametrize("module", ["reports.study", "search.compare"])
def test_help_loads_neither_optuna_nor_matplotlib_nor_tensorflow(module: str) -> None:
    code = (
        f"import sys, json; from {module} import main\n"
        "try: main(['--help'])\n"
        "except SystemExit: pass\n"
        "heavy = {'optuna', 'pandas', 'matplotlib', 'sklearn', 'tensorflow', 'keras'}\n"
        "print(json.dumps(sorted(heavy & set(sys.modules))))"
    )
    ended = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert json.loads(ended.stdout.splitlines()[-1]) == []
