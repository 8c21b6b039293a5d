"""Listing searches and imports."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from results.records import NewSearch, NewTrial, Search, TrialResult
from results.store import Store


@pytest.fixture
def filled(
    store: Store, search: Search, new_trial: Callable[..., NewTrial], result: Callable[..., TrialResult]
) -> Store:
    for number, (value, state) in enumerate([(0.75, "finished"), (0.5, "finished"), (0.99, "pruned")]):
        store.finish_trial(store.start_trial(search.id, new_trial(number)).id, result(value, state))
    store.start_trial(search.id, new_trial(3))
    entry = {"source": "old.csv row 4", "field": "lr", "content": "fast", "reason": "not a number"}
    store.import_search(NewSearch("old", "import", "published", "published"), [], [entry])
    return store


def test_states_are_counted_and_best_is_of_finished_trials(filled: Store, command: Callable[..., Any]) -> None:
    (first, second) = json.loads(command("list", "--json").out)
    assert first["trials"] == {"finished": 2, "running": 1, "pruned": 1, "failed": 0}
    assert (first["best_value"], first["task"], first["objective"]) == (0.75, "XR_HAND", "val_auc")
    assert (second["name"], second["kind"], second["best_value"], second["unplaced"]) == ("old", "import", None, 1)


def test_plain_list_is_aligned_under_its_header(filled: Store, command: Callable[..., Any]) -> None:
    header, first, second = command("list").out.splitlines()
    column = header.index("engine")
    assert header.split()[:3] == ["name", "kind", "engine"]
    assert first[column:].startswith("optuna")
    assert second[column:].startswith("published")


def test_unplaced_cells_are_shown_with_their_reason(filled: Store, command: Callable[..., Any]) -> None:
    plain = command("list", "--unplaced").out
    assert all(text in plain for text in ("old.csv row 4", "lr", "'fast'", "not a number"))
    (_, entry) = json.loads(command("list", "--unplaced", "--json").out)
    assert entry["unplaced_entries"][0]["content"] == "fast"


def test_long_unplaced_content_is_cut_in_plain_text_only(store: Store, command: Callable[..., Any]) -> None:
    entry = {"source": "h.json", "field": "history", "content": "0123456789" * 50, "reason": "no row names it"}
    store.import_search(NewSearch("old", "import", "published", "published"), [], [entry])
    assert entry["content"] not in command("list", "--unplaced").out
    assert entry["content"] in command("list", "--unplaced", "--json").out


def test_one_search_is_listed_alone_and_an_unknown_one_refused(filled: Store, command: Callable[..., Any]) -> None:
    assert [entry["name"] for entry in json.loads(command("list", "--search", "old", "--json").out)] == ["old"]
    ended = command("list", "--search", "older")
    assert (ended.code, ended.err) == (2, "results.list: --search older: not in the store, which holds hand, old\n")


def test_empty_store_lists_nothing(store: Store, command: Callable[..., Any]) -> None:
    assert command("list").out == "no searches yet\n"
    assert json.loads(command("list", "--json").out) == []


@pytest.mark.parametrize("arguments", [("list",), ("list", "--json"), ("export", "--format", "csv")])
def test_missing_store_is_one_line_and_nothing_is_made(
    tmp_path: Path, url: str, command: Callable[..., Any], arguments: tuple[str, ...]
) -> None:
    ended = command(*arguments)
    assert (ended.code, ended.out, ended.err.count("\n")) == (2, "", 1)
    assert ("no such store" if url.startswith("sqlite") else "holds no results") in ended.err
    assert list(tmp_path.iterdir()) == []
