"""The table of a part's accuracies, and what its figure is made of."""

from itertools import pairwise

import pytest
from matplotlib.collections import LineCollection

from reports.accuracy_plot import MOST_ROWS, accuracy_figure, accuracy_limits, accuracy_table, accuracy_title
from reports.figures import png
from tests.reports.store_maker import HOSTILE, StoreMaker

LONG = "an_architecture_with_a_name_of_quite_unusual_length_{}_deep_augment_100epochs"


def filled(made: StoreMaker, trials: int) -> StoreMaker:
    search = made.search()
    for number in range(trials):
        made.finish(search, number, accuracies=(95.0, 50.0 + number / 4, 60.0), name=f"net{number}_no_augment_20epochs")
    return made


def test_table_has_the_accuracies_best_first(made: StoreMaker) -> None:
    table = accuracy_table(filled(made, 3).trials(), "XR_HAND")

    assert list(table["label"]) == [f"net{number}_no_augment_20epochs" for number in (2, 1, 0)]
    assert table[["train", "valid", "test"]].to_numpy().tolist() == [[95, 50.5, 60], [95, 50.25, 60], [95, 50, 60]]


def test_rows_of_one_name_are_told_apart_by_trial_and_search(made: StoreMaker) -> None:
    for name in ("a", "b"):
        made.finish(made.search(name), 5, name="same")
    made.finish(made.search("c"), 6, name="same")
    made.finish(made.search("d"), 7, name="other")

    assert set(accuracy_table(made.trials(), "XR_HAND")["label"]) == {"same #5 a", "same #5 b", "same #6", "other"}


def test_long_names_are_shortened_and_stay_unique(made: StoreMaker) -> None:
    search = made.search()
    for number, word in enumerate(("blue", "pink", "pink")):
        made.finish(search, number, name=LONG.format(word))

    labels = list(accuracy_table(made.trials(), "XR_HAND")["label"])

    assert len(set(labels)) == 3
    assert all(len(label) <= 60 and label.startswith("an_arch") and "augment_100epochs" in label for label in labels)


def test_trials_without_any_accuracy_are_not_plotted(made: StoreMaker) -> None:
    trials = filled(made, 2).trials()
    trials.loc[0, ["train_accuracy_eval", "valid_accuracy_eval", "test_accuracy_eval"]] = None

    assert list(accuracy_table(trials, "XR_HAND")["trial"]) == [1]


@pytest.mark.parametrize(
    ("trials", "said"), [(1, "of 1 model,"), (40, "of 40 models,"), (63, "of the best 40 of 63 models,")]
)
def test_figure_has_a_row_a_model_and_says_how_many(made: StoreMaker, trials: int, said: str) -> None:
    table = accuracy_table(filled(made, trials).trials(), "XR_HAND")

    figure = accuracy_figure(table)

    (axes,) = figure.axes
    assert [text.get_text() for text in axes.get_yticklabels()] == list(table["label"][:MOST_ROWS])
    assert said in accuracy_title(table)
    assert {handle.get_label() for handle in axes.get_legend_handles_labels()[0]} == {"train", "valid", "test"}


def test_figure_grows_with_its_rows(made: StoreMaker) -> None:
    table = accuracy_table(filled(made, 40).trials(), "XR_HAND")

    assert accuracy_figure(table).get_figheight() > 3 * accuracy_figure(table.head(4)).get_figheight()


def test_labels_do_not_overlap_at_40_models(made: StoreMaker) -> None:
    figure = accuracy_figure(accuracy_table(filled(made, 40).trials(), "XR_HAND"))
    figure.draw_without_rendering()

    boxes = [text.get_window_extent() for text in figure.axes[0].get_yticklabels()]

    assert all(above.y0 > below.y1 for above, below in pairwise(boxes))
    assert min(box.x0 for box in boxes) >= 0


def test_hostile_names_are_drawn_as_they_stand(made: StoreMaker) -> None:
    search = made.search("$\\frac$")
    for number, name in enumerate(HOSTILE):
        made.finish(search, number, name=name)

    assert png(accuracy_figure(accuracy_table(made.trials(), "XR_HAND"))).startswith(b"\x89PNG")


def test_same_figure_gives_the_same_bytes(made: StoreMaker) -> None:
    table = accuracy_table(filled(made, 3).trials(), "XR_HAND")

    assert png(accuracy_figure(table)) == png(accuracy_figure(table))


def test_limits_cover_all_tables_and_default_to_the_whole_scale(made: StoreMaker) -> None:
    table = accuracy_table(filled(made, 3).trials(), "XR_HAND")

    assert accuracy_limits([table]) == (50, 100)
    assert accuracy_limits([]) == (0, 100)


def test_valid_and_test_have_their_patient_intervals_beside_the_dots_and_imports_none(made: StoreMaker) -> None:
    made.images("XR_HAND", dict.fromkeys(("train", "valid", "test"), [0, 1] * 20))
    made.measure(made.search("ours"), 0, 1.0)
    made.finish(made.search("imported", kind="import"), 0)
    stored = {each.split: each for _, each in made.store.measures("image", "accuracy")}

    table = accuracy_table(made.trials(), "XR_HAND").set_index("search")
    axes = accuracy_figure(table.reset_index()).axes[0]

    segments = [
        each for lines in axes.collections if isinstance(lines, LineCollection) for each in lines.get_segments()
    ]
    for split in ("valid", "test"):
        bounds = [100 * stored[split].low, 100 * stored[split].high]
        assert table.loc["ours", [f"{split}_low", f"{split}_high"]].tolist() == pytest.approx(bounds)
        assert any(list(segment[:, 0]) == pytest.approx(bounds) for segment in segments if len(segment))
    assert table.loc["imported", ["valid_low", "test_high"]].isna().all()
    assert "95 % intervals" in axes.get_xlabel()
    assert "95 %" not in accuracy_figure(table.loc[["imported"]].reset_index()).axes[0].get_xlabel()
