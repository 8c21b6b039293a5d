"""Which trials a leaderboard shows, in which order, and what it says of the order."""

import csv
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from markdown_it import MarkdownIt

from plumbing.errors import UsageError
from radiographs.parts import ALL_PARTS, PARTS
from reports.board import PUBLISHED, Query, judged_by, leaderboards
from reports.leaderboard import leaderboard_text
from reports.ranking import NUMERIC, least_first, ranked
from reports.tables import to_markdown
from tests.reports.store_maker import HOSTILE, Ended, StoreMaker

Command = Callable[..., Ended]
PUBLISHED_CSV = "published/results_all_models.csv"


def numbers(made: StoreMaker, part: str = "XR_HAND", rank_by: str | None = None) -> list[int]:
    return list(ranked(made.trials(), part, rank_by)["trial"])


def cells(markdown: str) -> list[list[str]]:
    """The table's rows as a markdown reader shows them, texts only; fails on markup within cells."""
    tokens = MarkdownIt("commonmark").enable("table").parse(markdown)
    rows: list[list[str]] = []
    for token in tokens:
        if token.type == "tr_open":
            rows.append([])
        if token.type == "inline":
            assert {child.type for child in token.children or []} <= {"text", "text_special"}, token.content
            rows[-1].append("".join(child.content for child in token.children or []))
    return rows


def text_of(made: StoreMaker, **query: Any) -> str:
    return leaderboard_text(leaderboards(made.trials(), Query(**query), judged_by(made.store)))


def table_of(made: StoreMaker, **query: Any) -> pd.DataFrame:
    (sheet,) = leaderboards(made.trials(), Query(**query), judged_by(made.store))
    return sheet.table


def test_valid_auc_ranks_first_and_trials_without_it_follow_by_valid_accuracy(made: StoreMaker) -> None:
    search = made.search()
    made.finish(search, 0, accuracies=(90, 70, 99))
    made.finish(search, 1, accuracies=(90, 60, 50), valid_auc=0.7)
    made.finish(search, 2, accuracies=(90, 95, 50))
    made.finish(search, 3, accuracies=(90, 50, 50), valid_auc=0.8)

    assert numbers(made) == [3, 1, 2, 0]
    assert "Ranked by valid_auc; rows without it follow" in text_of(made)


def test_valid_accuracy_ranks_where_no_trial_has_valid_auc(made: StoreMaker) -> None:
    search = made.search()
    for number, valid in enumerate((70.0, 95.0, 80.0)):
        made.finish(search, number, accuracies=(90, valid, 99 - valid))

    assert numbers(made) == [1, 2, 0]
    assert "Ranked by valid_accuracy_eval: no trial of this part has valid_auc." in text_of(made)


def test_equal_trials_stay_in_stored_order(made: StoreMaker) -> None:
    first, second = made.search("first"), made.search("second")
    for search in (second, first):
        for number in range(3):
            made.finish(search, number, valid_auc=0.8 if number else 0.9, accuracies=(90, 50 + number, 50))

    rows = ranked(made.trials(), "XR_HAND")

    assert list(zip(rows["search"], rows["trial"], strict=True)) == [
        ("first", 0), ("second", 0), ("first", 1), ("first", 2), ("second", 1), ("second", 2)
    ]  # fmt: skip


def test_ranking_by_a_test_metric_is_labelled_as_flattering(made: StoreMaker) -> None:
    made.finish(made.search(), 0)

    by_test = text_of(made, rank_by="test_accuracy_eval")
    by_valid = text_of(made)

    warning = "The figure of what comes first is flattered by the choice; do not report it as the expected performance."
    assert f"Ranked by test_accuracy_eval: a test metric. {warning}" in by_test
    assert "flattered" not in by_valid


def test_every_test_column_is_labelled_and_no_other(made: StoreMaker) -> None:
    made.finish(made.search(), 0, valid_auc=0.8)
    trials = made.trials()
    for column in NUMERIC:
        trials[column] = 1.0  # so that each has something to rank by
        text = leaderboard_text(leaderboards(trials, Query(rank_by=column), judged_by(made.store)))
        assert ("flattered" in text) == column.startswith("test_"), column


@pytest.mark.parametrize("column", ["seconds", "valid_brier", "test_brier"])
def test_least_comes_first_where_less_is_better(made: StoreMaker, column: str) -> None:
    search = made.search()
    for number in range(3):
        made.finish(search, number)
    trials = made.trials()
    trials[column] = [0.3, 0.1, 0.2]

    assert least_first(column)
    assert list(ranked(trials, "XR_HAND", column)["trial"]) == [1, 2, 0]
    assert f"Ranked by {column}, least first" in leaderboard_text(
        leaderboards(trials, Query(rank_by=column), judged_by(made.store))
    )


def test_trials_without_the_column_come_last_whichever_way_it_ranks(made: StoreMaker) -> None:
    search = made.search()
    for number in range(3):
        made.finish(search, number)
    trials = made.trials()
    trials["seconds"] = trials["valid_kappa"] = [None, 0.1, 0.2]

    assert list(ranked(trials, "XR_HAND", "seconds")["trial"]) == [1, 2, 0]
    assert list(ranked(trials, "XR_HAND", "valid_kappa")["trial"]) == [2, 1, 0]


def test_column_that_is_no_number_is_refused_with_the_choices(made: StoreMaker) -> None:
    with pytest.raises(UsageError, match=r"valid_auc.*seconds"):
        ranked(made.trials(), "XR_HAND", "name_code")


def test_table_has_the_published_columns_after_rank_and_origin(made: StoreMaker) -> None:
    made.finish(made.search("mine"), 7, accuracies=(91, 82, 73), valid_auc=0.87)

    table = table_of(made)

    assert list(table.columns) == ["rank", "search", "valid_auc", "test_auc", *PUBLISHED]
    row = table.iloc[0]
    assert (row["search"], row["valid_auc"], row["model_name"]) == ("mine", "0.87 (0.82-0.92)", "7.keras")
    assert (row["train_accuracy_eval"], row["valid_accuracy_eval"], row["test_accuracy_eval"]) == (91, 82, 73)


def test_columns_of_auc_are_left_out_where_no_trial_has_them(made: StoreMaker) -> None:
    made.finish(made.search(), 0)

    assert list(table_of(made).columns) == ["rank", "search", *PUBLISHED]


def test_the_column_ranked_by_is_shown(made: StoreMaker) -> None:
    made.finish(made.search(), 0, seconds=12.5)

    assert table_of(made, rank_by="seconds")["seconds"].tolist() == [12.5]


def test_unfinished_trials_are_counted_and_not_ranked(made: StoreMaker) -> None:
    search = made.search()
    made.finish(search, 0)
    made.finish(search, 1, state="pruned", valid_auc=0.99)
    made.start(search, 2)
    made.store.fail_trial(made.start(search, 3).id, "out of memory", 1.0)

    text = text_of(made)

    assert len(cells(text.split("\n\n", 2)[2].rsplit("\n\n", 1)[0])) == 2  # heading and one row
    assert "1 of 1 finished trials shown. Not ranked: 1 failed, 1 pruned, 1 running." in text


def test_part_with_failures_only_says_so(made: StoreMaker) -> None:
    made.store.fail_trial(made.start(made.search(), 0).id, "out of memory", 1.0)

    assert text_of(made) == "## XR_HAND\n\nNo finished trial yet. Not ranked: 1 failed.\n"


def test_parts_come_in_their_order_and_all_parts_last(made: StoreMaker) -> None:
    for number, part in enumerate(("all_parts", "XR_WRIST", "zebra", "XR_ELBOW")):
        made.finish(made.search(f"s{number}", None), 0, part=part)

    lines = text_of(made).splitlines()

    assert [line for line in lines if line.startswith("## ")] == [
        "## XR_ELBOW",
        "## XR_WRIST",
        "## zebra",
        "## all_parts",
    ]


@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_name_stays_one_cell_of_plain_text(made: StoreMaker, name: str) -> None:
    made.finish(made.search(name), 0, name=name)

    table = table_of(made)
    header, row = cells(to_markdown(table))

    assert len(row) == len(header) == len(table.columns)
    shown = " ".join(name.replace("\x07", " ").split())
    assert row[header.index("name_code")] == row[header.index("search")] == shown


def test_command_prints_each_part_and_one_part_alone(made: StoreMaker, command: Command) -> None:
    for part in ("XR_HAND", "XR_WRIST"):
        made.finish(made.search(part, part), 0)

    both, one = (
        command("leaderboard", "--store", made.url),
        command("leaderboard", "--store", made.url, "--part", "XR_WRIST"),
    )

    assert (both.code, both.out.count("## ")) == (0, 2)
    assert one.out == both.out[both.out.index("## XR_WRIST") :]


def test_command_shows_top_rows(made: StoreMaker, command: Command) -> None:
    search = made.search()
    for number in range(6):
        made.finish(search, number)

    assert "4 of 6 finished" in command("leaderboard", "--store", made.url).out
    assert "5 of 6 finished" in command("leaderboard", "--store", made.url, "--top", 5).out


def test_empty_store_gives_one_line(made: StoreMaker, command: Command) -> None:
    assert command("leaderboard", "--store", made.url) == Ended(0, "The store holds no trial yet.\n", "")


def test_known_part_without_trials_gives_one_line(made: StoreMaker, command: Command) -> None:
    made.finish(made.search(), 0)

    ended = command("leaderboard", "--store", made.url, "--part", "XR_ELBOW")

    assert ended == Ended(0, "The store holds no trial of XR_ELBOW yet.\n", "")


@pytest.mark.parametrize(
    ("arguments", "mend"),
    [
        (["--part", "XR_KNEE"], "'XR_KNEE': no such part; give one of XR_ELBOW, XR_FINGER"),
        (["--rank-by", "beauty"], "'beauty': no exported column of numbers; give one of trial, lr"),
        (["--top", "0"], "give 1 or more"),
    ],
)
def test_bad_option_ends_with_one_line_and_2(
    made: StoreMaker, command: Command, arguments: list[str], mend: str
) -> None:
    ended = command("leaderboard", "--store", made.url, *arguments)

    assert (ended.code, ended.out, ended.err.count("\n")) == (2, "", 1)
    assert mend in ended.err


def test_absent_store_ends_with_2_and_is_not_made(tmp_path: Path, command: Command) -> None:
    ended = command("leaderboard", "--store", f"sqlite:///{tmp_path}/none/results.db")

    assert (ended.code, ended.out, ended.err.count("\n")) == (2, "", 1)
    assert not (tmp_path / "none").exists()


def published_rows(path: Path, part: str) -> list[dict[str, str]]:
    """The CSV's rows of a part, by test accuracy; sorted() is stable."""
    with path.open(newline="", encoding="utf-8") as file:
        rows = [row for row in csv.DictReader(file) if row["part_body"] == part]
    return sorted(rows, key=lambda row: -float(row["test_accuracy_eval"]))


@pytest.mark.parametrize(
    ("part", "top"),
    [*((part, 4) for part in PARTS), (ALL_PARTS, 8)],
)
def test_published_tables_come_out_again(shared: Path, tmp_path: Path, command: Command, part: str, top: int) -> None:
    from results.import_csv import main

    url = f"sqlite:///{tmp_path}/results.db"
    assert main([str(shared / PUBLISHED_CSV), "--store", url]) == 0

    arguments = ("--store", url, "--part", part, "--top", top, "--rank-by", "test_accuracy_eval")
    table = command("leaderboard", *arguments).out.split("\n\n")[2]

    header, *rows = cells(table)
    shown = [dict(zip(header, row, strict=True)) for row in rows]
    expected = published_rows(shared / PUBLISHED_CSV, part)[:top]
    assert len(shown) == top
    for row, published in zip(shown, expected, strict=True):
        for column in ("name_code", "part_body"):
            assert row[column] == published[column]
        for column in ("test_accuracy_eval", "train_accuracy_eval", "valid_accuracy_eval", "fit_epochs"):
            assert float(row[column]) == float(published[column])
        assert row["model_name"] == published["model_name"].rsplit("/", 1)[-1]
