"""What the report says beside leaderboards and plots: searches, failures, images left out, repeating."""

import json
import shlex
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import pandas as pd

from reports.ranking import state_counts, stored_parts
from reports.tables import cell_text, plain_line, without_passwords
from results.records import FAILED, FINISHED, PRUNED, RUNNING, SEARCH, SPLITS, Search


def searches_table(searches: Iterable[Search], trials: pd.DataFrame, images: pd.DataFrame) -> pd.DataFrame:
    """One row a search or import: what it searched, its images by split, its trials by state.

    Args:
        images: as `reports.data_plot.images_table` gives them; used where a search does not tell its own counts.
    """
    rows = []
    for search in searches:
        own = trials[trials["search"] == search.name]
        states = state_counts(own)
        tasks = [search.task] if search.task else stored_parts(own)
        rows.append(
            {
                "search": search.name,
                "task": ", ".join(tasks),
                "engine": search.engine,
                "objective": search.objective,
                "architectures": ", ".join(dict.fromkeys(own["architecture"].dropna())),
                "seed": search.seed,
                "data": (search.data_hash or "")[:12],
            }
            | {"images (train / valid / test)": _images(search, images)}
            | {state: states.get(state, 0) for state in (FINISHED, FAILED, PRUNED, RUNNING)}
            | {"begun": search.created[:16].replace("T", " ")}
        )
    return pd.DataFrame(rows).convert_dtypes()


def _images(search: Search, images: pd.DataFrame) -> str:
    counts = image_counts(search, images)
    return " / ".join(f"{counts[split]:,}" if split in counts else "?" for split in SPLITS) if counts else ""


def image_counts(search: Search, images: pd.DataFrame) -> dict[str, int]:
    """Split -> its images, as the search tells them or else by the image lists; empty where neither does.

    Args:
        images: as `reports.data_plot.images_table` gives them.
    """
    told = search.details.get("counts")
    if isinstance(told, Mapping):
        return dict(told)
    listed = images[(images["task"] == search.task) & (images["data_hash"] == search.data_hash)]
    return {str(split): int(number) for split, number in listed.groupby("split")["images"].sum().items()}


def failures_table(trials: pd.DataFrame) -> pd.DataFrame:
    """Failed trials with their reasons: search, trial, part_body, name_code, reason."""
    failed = trials[trials["state"] == FAILED]
    columns = ["search", "trial", "part_body", "name_code", "reason"]
    table = failed[columns].astype({"reason": object}).reset_index(drop=True)
    table["reason"] = [
        without_passwords(reason) if isinstance(reason, str) else "unknown" for reason in table["reason"]
    ]
    return table


@dataclass(frozen=True)
class LeftOut:
    """Images that searches over the same data did not use; `images`: path and reason."""

    searches: tuple[str, ...]
    images: tuple[tuple[str, str], ...]


def left_out_images(searches: Iterable[Search]) -> list[LeftOut]:
    """The images left out, each list once, with the names of the searches that left them out."""
    found: dict[tuple[tuple[str, str], ...], list[str]] = {}
    for search in searches:
        entries = search.details.get("left_out") or []
        images = tuple((plain_line(each.get("path", "")), plain_line(each.get("reason", ""))) for each in entries)
        if images:
            found.setdefault(images, []).append(search.name)
    return [LeftOut(tuple(names), images) for images, names in found.items()]


def absent_classes(searches: Iterable[Search]) -> list[str]:
    """A sentence for each search whose data lack classes."""
    return [
        f"{plain_line(search.name)}: no images of {', '.join(map(plain_line, absent))}; "
        "its averages are over the classes present."
        for search in searches
        if (absent := search.details.get("classes_absent"))
    ]


@dataclass(frozen=True)
class Repeat:
    """How to repeat a search: the command, and what it depends on as name and value."""

    search: str
    imported: bool
    command: str
    facts: tuple[tuple[str, str], ...]
    settings: str


def how_to_repeat(searches: Iterable[Search], trials: Mapping[str, int]) -> list[Repeat]:
    """One entry a search; passwords in URLs are left out.

    Args:
        trials: search -> how many it has.
    """
    return [
        Repeat(
            search=plain_line(search.name),
            imported=search.kind == "import",
            command=without_passwords(plain_line(_command(search, trials.get(search.name, 0)), longest=10_000)),
            facts=tuple((name, cell_text(name, value)) for name, value in _facts(search).items() if value is not None),
            settings=without_passwords(json.dumps(dict(search.settings), indent=2, sort_keys=True))
            if search.settings
            else "",
        )
        for search in searches
    ]


def _command(search: Search, trials: int) -> str:
    """The command that began the search, asking for as many trials as there are, however long they take."""
    begun = str(search.details.get("command") or "")
    if search.kind != SEARCH or trials == 0:
        return begun
    try:
        words = iter(shlex.split(begun))
    except ValueError:  # not ours
        return begun
    told: list[str] = []
    for word in words:
        option, _, value = word.partition("=")
        if option in ("--trials", "--timeout") and not value:
            next(words, None)
        if option == "--trials":
            told += [option, str(trials)]
        elif option != "--timeout":
            told.append(word)
    return shlex.join(told)


def _facts(search: Search) -> dict[str, Any]:
    return {"seed": search.seed, "code_version": search.code_version, "data_hash": search.data_hash}
