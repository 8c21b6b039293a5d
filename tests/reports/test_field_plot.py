"""Beside published figures: only where the data are MURA's by their numbers of images, and never of other data."""

from pathlib import Path

import pandas as pd
import pytest

from reports.build import build_report
from reports.field_plot import COLUMNS, HEADING, field_alt, field_figure, field_table, field_told
from reports.figures import png
from reports.mura import TRAIN_IMAGES, VALID_IMAGES, is_mura
from results.records import IMPORT
from tests.reports.store_maker import HOSTILE, StoreMaker


def as_mura(made: StoreMaker, part: str, missing: dict[str, int] | None = None, data_hash: str = "d" * 16) -> None:
    """Image lists with MURA's numbers of images, less those missing."""
    lacking = missing or {}
    valid = TRAIN_IMAGES[part] // 10
    counts = {"train": TRAIN_IMAGES[part] - valid, "valid": valid, "test": VALID_IMAGES[part]}
    labels = {split: [number % 2 for number in range(count - lacking.get(split, 0))] for split, count in counts.items()}
    made.images(part, labels, data_hash)


def table_of(made: StoreMaker) -> pd.DataFrame:
    return field_table(made.store, made.trials(), made.store.searches())


def test_the_best_trial_stands_beside_the_published_figure(made: StoreMaker, tmp_path: Path) -> None:
    for part in ("XR_FINGER", "XR_HUMERUS"):
        as_mura(made, part)
        search = made.search(part, part)
        for number, strength in enumerate((0.3, 1.0)):
            made.measure(search, number, strength, part)

    table = table_of(made)

    assert list(table.columns) == COLUMNS
    (row,) = table.to_dict("records")  # of XR_HUMERUS no figure could be checked against two sources
    assert (row["part_body"], row["trial"], row["published_kappa"]) == ("XR_FINGER", 1, 0.389)
    best = made.trials().query("part_body == 'XR_FINGER' and trial == 1").iloc[0]
    assert row["test_kappa"] == best["test_kappa"] > row["test_kappa_low"] == best["test_kappa_low"]
    assert field_alt(table).endswith("published 0.389.")
    assert field_told(table)["published, hidden test set"].tolist() == [0.389]
    build_report(made.store, tmp_path)
    page = (tmp_path / "report.html").read_text(encoding="utf-8")
    assert HEADING in page
    assert "not measured on the same studies" in page
    assert "Theirs is an ensemble of five networks" in page
    assert (tmp_path / "plots" / "published.png").exists()
    assert len((tmp_path / "tables" / "published.csv").read_text().splitlines()) == 2


def test_other_data_have_no_published_figures(made: StoreMaker, tmp_path: Path) -> None:
    made.images("XR_HAND", {"train": [0, 1] * 233, "valid": [0, 1] * 27, "test": [0, 1] * 65})
    made.measure(made.search("hand"), 0, 1.0)
    made.finish(made.search("imported", None, kind=IMPORT, data_hash=None), 0, part="XR_WRIST")

    assert table_of(made).empty
    build_report(made.store, tmp_path)
    assert HEADING not in (tmp_path / "report.html").read_text(encoding="utf-8")
    assert not (tmp_path / "tables" / "published.csv").exists()


@pytest.mark.parametrize(
    ("missing", "named", "known"),
    [
        ({"train": 97}, 0, True),  # 1 % of 9,752
        ({"train": 98}, 0, False),
        ({"test": 2}, 2, True),  # two files that could not be read, and are named
        ({"test": 2}, 1, False),
        ({"test": -1}, 5, False),
        ({"train": -1}, 0, False),
    ],
)
def test_what_was_left_out_by_name_may_lack(made: StoreMaker, missing: dict[str, int], named: int, known: bool) -> None:
    as_mura(made, "XR_WRIST", missing)
    files = [f"valid/XR_WRIST/patient{number}/study1_negative/image1.png" for number in range(named)]
    left_out = [{"path": path, "reason": "unreadable"} for path in (*files, "train/XR_WRIST/a", "valid/XR_HAND/b")]
    made.measure(made.search("wrist", "XR_WRIST", details={"left_out": left_out}), 0, 1.0, "XR_WRIST")

    assert len(table_of(made)) == int(known)


def test_a_better_trial_on_other_data_is_passed_over(made: StoreMaker) -> None:
    as_mura(made, "XR_FINGER")
    made.measure(made.search("mura", "XR_FINGER"), 0, 0.5, "XR_FINGER")
    other = made.search("other", "XR_FINGER", data_hash="e" * 16)
    made.images("XR_FINGER", {"train": [0, 1], "valid": [0, 1], "test": [0, 1]}, "e" * 16)
    made.finish(other, 0, valid_auc=0.999, part="XR_FINGER")

    assert table_of(made)["search"].tolist() == ["mura"]


def test_every_part_is_told_by_its_own_numbers() -> None:
    for part, train in TRAIN_IMAGES.items():
        assert [other for other in TRAIN_IMAGES if is_mura(other, train, 0, VALID_IMAGES[part])] == [part]


def test_names_of_any_signs_are_drawn(made: StoreMaker) -> None:
    as_mura(made, "XR_FINGER")
    made.measure(made.search(HOSTILE[5], "XR_FINGER"), 0, 1.0, "XR_FINGER", name=HOSTILE[5])

    table = table_of(made)

    assert png(field_figure(table)).startswith(b"\x89PNG")
    assert "\x07" not in field_alt(table)
