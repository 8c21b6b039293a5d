"""The plots of each part: their numbers against independent ones, what they leave out, and that all can be drawn."""

import csv
import io
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from sklearn.metrics import brier_score_loss, confusion_matrix, roc_auc_score

from radiographs.parts import ALL_PARTS
from reports.benefit_plot import benefit_alt, benefit_figure, benefit_table, thresholds_table
from reports.build import build_report
from reports.figures import DARK, LIGHT, png
from reports.history_plot import history_alt, history_figure, history_table
from reports.importances import LEAST_TOP
from reports.learning_plot import learning_alt, learning_table
from reports.part_plots import PART_PLOTS, drawn_plots, part_tables
from reports.pictures import picture
from reports.recall import Recall
from reports.reliability_plot import RAW, SCALED, calibration_table, reliability_alt, reliability_table
from reports.roc_plot import auc_with_interval, roc_alt, roc_figure, roc_table
from reports.tables import to_csv, to_markdown
from reports.top_trials import PartData, TopTrial, top_trials
from results.calibration import LEAST, MOST, fit_temperature
from results.records import CONFIRM, IMPORT
from results.thresholds import SENSITIVE, YOUDEN
from tests.reports.store_maker import HOSTILE, StoreMaker

LABELS = {"train": [0, 1] * 30, "valid": [0, 1] * 30, "test": [0, 1] * 25}


@pytest.fixture
def hand(made: StoreMaker) -> StoreMaker:
    """Five trials of XR_HAND, the second best apart."""
    made.images("XR_HAND", LABELS)
    search = made.search("hand")
    for number, strength in enumerate((0.4, 1.2, 0.6, 0.8, 0.1)):
        made.measure(search, number, strength)
    return made


def test_top_trials_are_the_first_four_with_probabilities(hand: StoreMaker) -> None:
    hand.finish(hand.search("imported"), 0, valid_auc=0.999)

    found = top_trials(hand.store, hand.trials(), "XR_HAND")

    assert [each.rank for each in found] == [2, 3, 4, 5]
    assert (found[0].search, found[0].trial) == ("hand", 1)
    probability = hand.store.probabilities(2, "valid")
    assert probability is not None
    assert found[0].temperature == fit_temperature(probability.astype(float), np.array(LABELS["valid"]))


def test_of_all_parts_abnormal_is_the_sum_of_the_abnormal_classes(made: StoreMaker) -> None:
    labels = list(range(14)) * 4
    made.images(ALL_PARTS, dict.fromkeys(("valid", "test"), labels))
    trial = made.measure(made.search("all", ALL_PARTS), 0, 2.0, ALL_PARTS)

    (found,) = top_trials(made.store, made.trials(), ALL_PARTS)

    probability = made.store.probabilities(trial.id, "valid")
    assert probability is not None
    order = np.argsort([f"valid{number}" for number in range(len(labels))])  # studies are numbered by name
    assert found.splits["valid"].raw == pytest.approx(probability[order, 7:].sum(axis=1), abs=1e-6)
    assert found.splits["valid"].abnormal.tolist() == [int(labels[image] >= 7) for image in order]


def test_split_of_one_class_and_trials_without_image_list_are_left_out(made: StoreMaker) -> None:
    one = np.array([[0.2], [0.8]], np.float32)
    made.images("XR_HAND", {"valid": [0, 1], "test": [0, 0]})
    made.finish(made.search(), 0, valid_auc=0.7, probabilities={"valid": one, "test": one})
    made.finish(made.search("other", data_hash="e" * 16), 0, valid_auc=0.9, probabilities={"valid": one, "test": one})

    (found,) = top_trials(made.store, made.trials(), "XR_HAND")

    assert (found.search, list(found.splits)) == ("s", ["valid"])


def test_roc_auc_and_interval_are_those_of_the_leaderboard_and_scikit_learn(hand: StoreMaker) -> None:
    trials = hand.trials().set_index("trial")

    table = roc_table(top_trials(hand.store, hand.trials(), "XR_HAND"))

    curves = table.drop_duplicates(["trial", "split"])
    assert curves[["trial", "split"]].to_numpy().tolist()[:2] == [[1, "valid"], [1, "test"]]
    assert curves["split"].tolist().count("test") == 1
    for row in curves.itertuples():
        told = [trials.loc[row.trial, f"{row.split}_auc{bound}"] for bound in ("", "_low", "_high")]
        assert [row.auc, row.auc_low, row.auc_high] == pytest.approx(told)
        probability = hand.store.probabilities(row.trial + 1, row.split)
        assert row.auc == pytest.approx(roc_auc_score(LABELS[row.split], probability))
    corners = table[(table["trial"] == 1) & (table["split"] == "valid")][["false_positive_rate", "sensitivity"]]
    assert corners.iloc[[0, -1]].to_numpy().tolist() == [[0, 0], [1, 1]]
    assert "#1: valid 0." in roc_alt(table)


def test_roc_interval_draws_patients_and_not_their_studies(made: StoreMaker) -> None:
    """Four studies a patient, all of one label: the interval is that of the leaderboard, and wider than by study."""
    labels = [0, 0, 0, 0, 1, 1, 1, 1] * 10
    made.images("XR_HAND", {"valid": labels, "test": labels}, studies_a_patient=4)
    made.measure(made.search(), 0, 0.5)
    (row,) = made.trials().to_dict("records")
    (top,) = top_trials(made.store, made.trials(), "XR_HAND")

    for split, studies in top.splits.items():
        found = auc_with_interval(studies)
        assert found == pytest.approx([row[f"{split}_auc{bound}"] for bound in ("", "_low", "_high")])
        by_study = auc_with_interval(replace(studies, patients=np.arange(len(labels))))
        assert found[1:] != pytest.approx(by_study[1:], abs=1e-3)


def perfect(made: StoreMaker) -> list[TopTrial]:
    """A trial without an error, and as sure as can be."""
    made.images("XR_HAND", LABELS)
    sure = {split: np.array(LABELS[split], np.float32)[:, None] * 0.98 + 0.01 for split in ("valid", "test")}
    made.finish(made.search(), 0, valid_auc=1.0, probabilities=sure)
    return top_trials(made.store, made.trials(), "XR_HAND")


def test_a_trial_without_an_error_has_an_auc_and_no_interval(made: StoreMaker) -> None:
    table = roc_table(perfect(made))

    assert (table["auc"].unique(), table[["auc_low", "auc_high"]].notna().any(axis=None)) == ([1.0], False)
    assert roc_alt(table).endswith("valid 1.00, test 1.00.")
    legend = roc_figure(table).axes[2].get_legend()
    assert legend is not None
    assert legend.get_texts()[0].get_text().endswith("AUC valid 1.00, test 1.00")
    (roc,) = [plot for plot in PART_PLOTS if plot.name == "roc"]
    assert "the bootstrap cannot tell there how sure that is" in roc.reading


def test_thresholds_of_a_trial_without_an_error_are_worth_the_prevalence(made: StoreMaker) -> None:
    chosen = benefit_table(perfect(made)).query("chosen_by != ''")

    assert chosen["threshold"].between(0.01, 0.99).all()
    assert chosen[["sensitivity", "specificity"]].to_numpy().tolist() == [[1.0, 1.0]] * 4
    assert chosen["net_benefit"].tolist() == pytest.approx([0.5] * 4)


def test_a_threshold_of_1_is_told_without_a_net_benefit(made: StoreMaker) -> None:
    (top,) = perfect(made)
    valid = top.splits["valid"]
    scaled = np.where(valid.abnormal == 1, 1.0, np.nextafter(1.0, 0.0))  # only 1 parts them
    table = benefit_table([replace(top, splits={"valid": replace(valid, scaled=scaled)})])

    chosen = table[table["chosen_by"] != ""]
    assert (chosen["threshold"].tolist(), chosen["specificity"].tolist()) == ([1.0, 1.0], [1.0, 1.0])
    assert chosen[["net_benefit", "net_benefit_of_all"]].isna().all(axis=None)
    assert "specificity 1.00; by" in benefit_alt(table)
    assert to_markdown(thresholds_table(table)).splitlines()[2].endswith("|  |  |")
    assert to_csv(chosen[["split", "net_benefit", "sensitivity"]]).splitlines()[1] == "valid,,1"
    assert png(benefit_figure(table)).startswith(b"\x89PNG")


def test_thresholds_are_told_with_four_digits(hand: StoreMaker) -> None:
    table = benefit_table(top_trials(hand.store, hand.trials(), "XR_HAND"))
    table.loc[table["chosen_by"] == YOUDEN, "threshold"] = 0.49936

    assert thresholds_table(table).query("`chosen by` == @YOUDEN")["threshold"].tolist() == ["0.4994"] * 2
    assert f"by {YOUDEN}, 0.4994: on valid" in benefit_alt(table)


def test_a_temperature_at_its_bound_is_named(made: StoreMaker) -> None:
    told = calibration_table(reliability_table(perfect(made)))

    assert told["temperature"].tolist() == ["1.00", "0.05, its bound"] * 2


def test_readings_say_what_the_temperature_was_fitted_on_and_how_many_the_best_tenth_are() -> None:
    reading = {plot.name: plot.reading for plot in PART_PLOTS}
    assert f"a temperature between {LEAST:g} and {MOST:g} that was fitted on valid's images" in reading["reliability"]
    assert "the best tenth, five trials at least," in reading["importances"]
    assert LEAST_TOP == 5


def test_reliability_tells_brier_error_and_chance_before_and_after(hand: StoreMaker) -> None:
    table = reliability_table(top_trials(hand.store, hand.trials(), "XR_HAND"))

    own = table[(table["trial"] == 1) & (table["split"] == "valid")]
    before, after = (own[own["probabilities"] == which] for which in (RAW, SCALED))
    probability = hand.store.probabilities(2, "valid")
    assert before["brier"].iloc[0] == pytest.approx(brier_score_loss(LABELS["valid"], probability))
    assert before["brier"].iloc[0] > after["brier"].iloc[0]  # fitted on these very studies
    assert (before["temperature"].unique(), len(after["temperature"].unique())) == ([1.0], 1)
    apart = (before["mean_probability"] - before["share_abnormal"]).abs()
    assert before["ece"].iloc[0] == pytest.approx(float((apart * before["bin_studies"]).sum() / 60))
    assert 0 < before["ece_by_chance"].iloc[0] < 0.2
    assert before["bin_studies"].tolist() == [10] * 6
    assert (before["share_low"] <= before["share_abnormal"] + 1e-12).all()
    assert len(calibration_table(table)) == 4 * 2 * 2
    assert "on test, by study" in reliability_alt(table)


def test_thresholds_are_chosen_on_valid_and_told_of_both_splits(hand: StoreMaker) -> None:
    table = benefit_table(top_trials(hand.store, hand.trials(), "XR_HAND"))

    chosen = table[table["chosen_by"] != ""]
    assert set(chosen["trial"]) == {1}
    assert chosen.groupby("chosen_by")["threshold"].nunique().to_dict() == {YOUDEN: 1, SENSITIVE: 1}
    assert (chosen["split"].tolist(), len(thresholds_table(table))) == (["valid"] * 2 + ["test"] * 2, 4)
    assert chosen.loc[chosen["chosen_by"] == SENSITIVE, "sensitivity"].iloc[0] >= 0.9
    (trial,) = top_trials(hand.store, hand.trials(), "XR_HAND", top=1)
    for row in chosen.itertuples():
        studies = trial.splits[row.split]
        (right, alarms), (missed, hits) = confusion_matrix(studies.abnormal, studies.scaled >= row.threshold)
        assert (row.sensitivity, row.specificity) == (hits / (hits + missed), right / (right + alarms))
        odds = row.threshold / (1 - row.threshold)
        assert row.net_benefit == pytest.approx((hits - alarms * odds) / row.studies)
    assert f"by {YOUDEN}, 0." in benefit_alt(table)


def test_learning_curves_have_the_epochs_of_the_first_four(hand: StoreMaker) -> None:
    table = learning_table(hand.store, hand.trials(), "XR_HAND")

    assert table["trial"].drop_duplicates().tolist() == [1, 3, 2, 0]
    first = table[table["trial"] == 1]
    assert first["epoch"].tolist() == [1, 2, 3]
    assert first["train_loss"].tolist() == [0.7, 0.5, 0.4]
    assert first["valid_objective"].tolist() == [0.6, 0.8, 0.7]
    assert "best val_auc 0.800 at epoch 2" in learning_alt(table)


def test_history_holds_the_best_so_far_and_trials_without_a_value(hand: StoreMaker) -> None:
    search = hand.search("second")
    hand.store.fail_trial(hand.start(search, 0).id, "no memory", 1.0)
    hand.measure(search, 1, 1.0)
    hand.start(search, 2)
    for kind in (IMPORT, CONFIRM):
        hand.measure(hand.search(kind, kind=kind), 0, 1.0)

    table = history_table(hand.store, hand.trials(), "XR_HAND")

    assert set(table["search"]) == {"hand", "second"}
    own = table[table["search"] == "second"]
    assert own["state"].tolist() == ["failed", "finished", "running"]
    assert own["best_so_far"].tolist() == pytest.approx([np.nan, 0.8, 0.8], nan_ok=True)
    assert "second: 1 failed, 1 finished, 1 running, best val_auc 0.800." in history_alt(table)


def test_history_of_one_trial_has_its_number_and_no_fractions_below_it(made: StoreMaker) -> None:
    made.images("XR_HAND", LABELS)
    made.measure(made.search(), 10, 1.0)
    (axes,) = history_figure(history_table(made.store, made.trials(), "XR_HAND")).axes

    low, high = axes.get_xlim()
    assert [tick for tick in axes.get_xticks() if low <= tick <= high] == [10]


def test_history_of_failed_trials_only_has_no_scale_of_values(made: StoreMaker) -> None:
    search = made.search()
    for number in range(3):
        made.store.fail_trial(made.start(search, number).id, "no memory", 1.0)
    (axes,) = history_figure(history_table(made.store, made.trials(), "XR_HAND")).axes

    assert list(axes.get_yticks()) == []
    assert [text.get_text() for text in axes.texts] == ["no trial has a value"]


def test_all_are_in_the_report_as_plot_table_and_words(hand: StoreMaker, tmp_path: Path) -> None:
    build_report(hand.store, tmp_path)

    page = (tmp_path / "report.html").read_text(encoding="utf-8")
    places = [page.index(f"<h4>{plot.heading}</h4>") for plot in PART_PLOTS]
    assert places == sorted(places)
    for plot in PART_PLOTS:
        table = plot.table(PartData(hand.store, hand.trials(), "XR_HAND"))
        rows = list(csv.reader(io.StringIO((tmp_path / "tables" / f"{plot.name}_XR_HAND.csv").read_text())))
        assert (rows[0], len(rows)) == (list(table.columns), len(table) + 1)
        drawn = plot.figure is not None and plot.drawn(table)
        assert (tmp_path / "plots" / f"{plot.name}_XR_HAND.png").exists() == drawn
    assert [plot.name for plot in PART_PLOTS if plot.figure is None] == ["pairs"]
    assert "Calibration in numbers" in page


def test_hostile_names_can_be_drawn_and_stay_words(made: StoreMaker) -> None:
    part, name = "$\\frac$ \x07 日", "<script>alert(1)</script> " + HOSTILE[5]
    made.images(part, LABELS)
    search = made.search(name, part)
    trial = made.start(search, 0, name=name)
    made.store.fail_trial(trial.id, name, 1.0)
    made.measure(search, 1, 1.0, part)

    pictures = [each.picture for each in drawn_plots(part_tables(made.store, made.trials(), part), "safe", Recall())]
    assert len([drawn for drawn in pictures if drawn]) == len(PART_PLOTS) - 2  # no second trial, no importances
    for drawn in filter(None, pictures):
        assert "\x07" not in drawn.alt
        assert drawn.light.startswith(b"\x89PNG")


def test_a_part_without_anything_has_no_plots(made: StoreMaker) -> None:
    made.finish(made.search("imported", None, kind=IMPORT), 0)

    assert list(part_tables(made.store, made.trials(), "XR_HAND")) == ["learning"]


def test_picture_has_the_papers_of_both_pages_and_is_the_same_again(hand: StoreMaker) -> None:
    table = roc_table(top_trials(hand.store, hand.trials(), "XR_HAND"))

    drawn, again = (picture("roc", "alt", lambda theme: roc_figure(table, theme)) for _ in range(2))

    assert drawn == again
    for content, theme in ((drawn.light, LIGHT), (drawn.dark, DARK)):
        with Image.open(io.BytesIO(content)) as image:
            colours = {f"#{red:02x}{green:02x}{blue:02x}" for _, (red, green, blue) in image.convert("RGB").getcolors()}
            assert {theme.paper, theme.ink, *map(str.lower, (theme.blue, theme.orange, theme.green))} <= colours
            assert len(colours) <= 111
