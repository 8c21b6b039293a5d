"""The report as one HTML file that needs nothing beside it: no network, no scripts, pictures inside.

All texts of the store are escaped by the template; its content policy forbids scripts and requests besides.
"""

import base64
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd
from jinja2 import Environment, FileSystemLoader, StrictUndefined

from reports import summary
from reports.leaderboard import leaderboard_table
from reports.ranking import count_sentence, ranked, ranking_sentence, state_counts, stored_parts
from reports.tables import TextTable, plain_line, text_table
from results.records import RUNNING, Search

TEMPLATE = "report.html.j2"
MOST_FAILURES, MOST_LEFT_OUT = 50, 2000  # listed on the page


@dataclass(frozen=True)
class Picture:
    """A plot for light and dark pages.

    Attributes:
        stem: of its file's name.
        alt: what it shows, in words.
        light, dark: PNG files.
    """

    stem: str
    alt: str
    light: bytes
    dark: bytes


@dataclass(frozen=True)
class PartSection:
    """What the page says of a part."""

    anchor: str
    part: str
    sentence: str
    leaderboard: TextTable | None
    confusion: Picture | None
    counts: str
    picture: Picture | None


def part_sections(
    trials: pd.DataFrame, top: int, pictures: Mapping[str, Picture], confusions: Mapping[str, Picture]
) -> list[PartSection]:
    """One section for each part in the store, in the order of parts.

    Args:
        pictures: part -> its accuracy plot; parts without finished trials have none.
        confusions: part -> its best trial's confusion counts; parts without stored probabilities have none.
    """
    sections = []
    for number, part in enumerate(stored_parts(trials)):
        rows = ranked(trials, part)
        sections.append(
            PartSection(
                anchor=f"part-{number}",
                part=plain_line(part),
                sentence=ranking_sentence(rows) if len(rows) else "",
                leaderboard=text_table(leaderboard_table(trials, part, top)) if len(rows) else None,
                confusion=confusions.get(part),
                counts=count_sentence(trials, part, min(top, len(rows))),
                picture=pictures.get(part),
            )
        )
    return sections


def report_page(
    trials: pd.DataFrame,
    searches: Sequence[Search],
    images: pd.DataFrame,
    accuracy_pictures: Mapping[str, Picture],
    confusion_pictures: Mapping[str, Picture],
    image_pictures: Sequence[Picture],
    *,
    top: int,
    store: str,
    made: str,
) -> str:
    """The whole page.

    Args:
        trials: as `results.table.trials_table` gives them.
        images: as `reports.data_plot.images_table` gives them.
        store: the store's URL as it may be shown.
        made: the time, ISO 8601.
    """
    failures = summary.failures_table(trials)
    states = state_counts(trials)
    best = summary.best_table(trials)
    return _environment().get_template(TEMPLATE).render(
        store=store,
        made=made[:16].replace("T", " "),
        states=states,
        running=states.get(RUNNING, 0),
        searches=_table_or_none(summary.searches_table(searches, trials, images)),
        search_count=len(searches),
        trial_count=len(trials),
        best=_table_or_none(best),
        absent=summary.absent_classes(searches),
        parts=part_sections(trials, top, accuracy_pictures, confusion_pictures),
        image_pictures=image_pictures,
        left_out=summary.left_out_images(searches),
        most_left_out=MOST_LEFT_OUT,
        failures=_table_or_none(failures.head(MOST_FAILURES)),
        failure_count=len(failures),
        repeats=summary.how_to_repeat(searches),
    )  # fmt: skip


def _table_or_none(table: pd.DataFrame) -> TextTable | None:
    return text_table(table) if len(table) else None


def _environment() -> Environment:
    environment = Environment(
        loader=FileSystemLoader(Path(__file__).parent),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["base64"] = _base64
    return environment


def _base64(content: Any) -> str:
    return base64.b64encode(content).decode("ascii")
