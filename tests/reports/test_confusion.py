"""The confusion counts of each part's best trial."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from plumbing.seeds import generator_of
from radiographs.parts import ALL_PARTS
from reports.build import build_report
from reports.confusion import COLUMNS, confusion_alt, confusion_figure, confusion_table, confusion_title
from reports.figures import png
from tests.reports.store_maker import StoreMaker

# Three studies: normal called normal, normal called abnormal, abnormal called abnormal.
HAND = np.array([[0.1], [0.9], [0.8]], np.float32)


@pytest.fixture
def hand(made: StoreMaker) -> StoreMaker:
    search = made.search("hand")
    made.images("XR_HAND", {"valid": [0, 0, 1], "test": [0, 0, 1]})
    made.finish(search, 0, valid_auc=0.7, probabilities={"valid": 1 - HAND, "test": 1 - HAND})
    made.finish(search, 1, valid_auc=0.9, probabilities={"valid": HAND, "test": HAND[::-1]})
    return made


def counts(table: pd.DataFrame, split: str) -> list[int]:
    return [int(number) for number in table.loc[table["split"] == split, "studies"]]


def test_counts_are_those_of_the_best_trial_by_true_and_called_label(hand: StoreMaker) -> None:
    table = confusion_table(hand.store, hand.trials(), "XR_HAND")
    assert table.columns.tolist() == COLUMNS
    assert set(table["trial"]) == {1}
    assert table[["true", "called"]].head(4).to_numpy().tolist() == [
        ["normal", "normal"], ["normal", "abnormal"], ["abnormal", "normal"], ["abnormal", "abnormal"],
    ]  # fmt: skip
    assert (counts(table, "valid"), counts(table, "test")) == ([1, 1, 0, 1], [0, 2, 1, 0])
    assert "valid, normal called abnormal: 1;" in confusion_alt(table)


def test_a_title_of_wide_signs_is_not_cut(made: StoreMaker) -> None:
    """Each sign was taken for 0.09 inches wide: a title of capitals ran out of the picture."""
    search = made.search("W" * 40)
    made.images("XR_HAND", {"valid": [0, 0, 1], "test": [0, 0, 1]})
    made.finish(search, 0, valid_auc=0.7, probabilities={"valid": HAND})

    figure = confusion_figure(table := confusion_table(made.store, made.trials(), "XR_HAND"))

    figure.canvas.draw()
    (title,) = [text for text in figure.texts if text.get_text() == confusion_title(table)]
    assert 0 <= title.get_window_extent().x0 < title.get_window_extent().x1 <= figure.bbox.width


def test_all_parts_has_fourteen_labels(made: StoreMaker) -> None:
    labels = list(range(14)) * 3
    made.images(ALL_PARTS, {"test": labels})
    probability = generator_of("confusion").random((42, 14), np.float32)
    made.finish(made.search("all", ALL_PARTS), 0, valid_auc=0.5, probabilities={"test": probability})
    table = confusion_table(made.store, made.trials(), ALL_PARTS)
    assert (len(table), set(table["split"]), table["studies"].sum()) == (14 * 14, {"test"}, 42)
    right = int((probability.argmax(axis=1) == labels).sum())
    assert table.loc[table["true"] == table["called"], "studies"].sum() == right
    assert png(confusion_figure(table)).startswith(b"\x89PNG")


def test_a_trial_without_probabilities_or_image_lists_has_no_counts(made: StoreMaker, tmp_path: Path) -> None:
    made.finish(made.search("none"), 0, part="XR_HAND", valid_auc=0.9)
    made.finish(made.search("unlisted"), 0, part="XR_WRIST", probabilities={"test": HAND})
    for part in ("XR_HAND", "XR_WRIST"):
        assert confusion_table(made.store, made.trials(), part).empty
    build_report(made.store, tmp_path / "out")
    assert not list((tmp_path / "out").rglob("confusion*"))


def test_the_report_has_table_plot_and_picture(hand: StoreMaker, tmp_path: Path) -> None:
    build_report(hand.store, tmp_path)
    lines = (tmp_path / "tables" / "confusion_XR_HAND.csv").read_text().splitlines()
    assert lines[:2] == [",".join(COLUMNS), "XR_HAND,hand,1,valid,normal,normal,1"]
    assert (tmp_path / "plots" / "confusion_XR_HAND.png").read_bytes().startswith(b"\x89PNG")
    page = (tmp_path / "report.html").read_text()
    assert page.index("Leaderboard of XR_HAND") < page.index("called label, best trial (hand, trial 1)")
