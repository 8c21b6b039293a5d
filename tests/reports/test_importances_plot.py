"""What mattered, in the report: what decides the objective is beyond chance, and little is told of little."""

from pathlib import Path

import numpy as np
import pytest

from reports.figures import png
from reports.importances import by_chance, scopes
from reports.importances_plot import (
    COLUMNS,
    importances_alt,
    importances_drawn,
    importances_figure,
    importances_remark,
    importances_table,
)
from reports.part_plots import drawn_plots, part_tables
from reports.recall import Recall
from reports.search_study import study_of
from results.records import CONFIRM
from spaces.declaration import Configuration
from tests.reports.store_maker import StoreMaker
from tests.reports.test_search_study import ONE, by_level, drawn_from, keep, new_search, searched


def test_the_parameter_that_decides_is_first_and_alone_beyond_chance(made: StoreMaker) -> None:
    searched(made, by_level)

    table = importances_table(made.store, made.trials(), "XR_HAND")

    assert list(table.columns) == COLUMNS
    assert table["parameter"].iloc[0] == "level"
    assert (table["ped_anova"] > table["ped_anova_by_chance"]).tolist() == [True, False, False, False]
    assert table[["fanova", "ped_anova"]].sum().tolist() == pytest.approx([1, 1])
    assert importances_remark(table) == "s: 60 trials, 1 of 4 parameters beyond chance."
    assert "level 1.00 and " in importances_alt(table)
    assert png(importances_figure(table)).startswith(b"\x89PNG")


def test_of_parameters_that_decide_nothing_one_in_twenty_is_beyond_chance(made: StoreMaker) -> None:
    noise, beyond = np.random.default_rng(3), []
    for number in range(25):
        search, generator = new_search(made, name=str(number)), np.random.default_rng(number)
        for trial in range(30):
            keep(made, search, trial, drawn_from(ONE, generator), float(noise.random()))
        table = importances_table(made.store, made.trials().query(f"search == '{number}'"), "XR_HAND")
        beyond += (table["ped_anova"] > table["ped_anova_by_chance"]).tolist()
    assert np.mean(beyond) == pytest.approx(0.05, abs=0.06)  # 100 parameters


def test_chance_is_the_same_each_time_and_leaves_the_search_as_it_was(made: StoreMaker) -> None:
    scope = scopes(study_of(made.store, searched(made, by_level, trials=20)))[0]
    before = [trial.value for trial in scope.trials]

    assert by_chance(scope) == by_chance(scope)
    assert [trial.value for trial in scope.trials] == before


def test_few_trials_get_a_sentence_in_place_of_a_plot(made: StoreMaker) -> None:
    searched(made, by_level, trials=9)

    table = importances_table(made.store, made.trials(), "XR_HAND")

    assert not importances_drawn(table)
    assert importances_remark(table) == "s: nothing told, 9 finished, 10 are needed."
    (drawn,) = [
        each
        for each in drawn_plots(part_tables(made.store, made.trials(), "XR_HAND"), "hand", Recall())
        if each.heading == "What mattered"
    ]
    assert drawn.picture is None
    assert drawn.reading.endswith("9 finished, 10 are needed.")


def test_each_of_the_newest_four_searches_is_told_on_its_own_and_confirmations_are_not(made: StoreMaker) -> None:
    def by_dropout(configuration: Configuration) -> float:
        dropout = configuration["dropout"]
        assert isinstance(dropout, float)
        return 0.9 - dropout

    for number in range(5):
        search, generator = new_search(made, name=f"s{number}"), np.random.default_rng(number)
        for trial in range(20):
            configuration = drawn_from(ONE, generator)
            keep(made, search, trial, configuration, (by_level, by_dropout)[number % 2](configuration))
    confirming = made.search("c", kind=CONFIRM, settings={"confirms": "s0", "space": ONE.to_json()})
    keep(made, confirming, 0, drawn_from(ONE, np.random.default_rng(0)), 0.5)

    table = importances_table(made.store, made.trials(), "XR_HAND")

    first = table.drop_duplicates("search")
    assert first["search"].tolist() == ["s1", "s2", "s3", "s4"]
    assert first["parameter"].tolist() == ["dropout", "level", "dropout", "level"]


def test_names_of_any_signs_are_drawn(made: StoreMaker, tmp_path: Path) -> None:
    """Warnings are errors here: matplotlib's of a sign that its font lacks, too."""
    search = made.search("$\\frac$ 日\nx", engine="keras-tuner", settings={"space": {"space": [], "values": {}}})
    for number in range(12):
        odd: Configuration = {"architecture": "<b>", "$x$ 日": number % 3, "a|b": ("$y$", "日")[number % 2]}
        keep(made, search, number, odd, number / 12)

    table = importances_table(made.store, made.trials(), "XR_HAND")

    assert png(importances_figure(table)).startswith(b"\x89PNG")
    assert "\n" not in importances_alt(table) + importances_remark(table)
