"""The report as one HTML file that needs nothing beside it: no network, no scripts, pictures inside.

All texts of the store are escaped by the template; its content policy forbids scripts and requests besides.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import pandas as pd

from reports import summary
from reports.pages import environment
from reports.ranking import state_counts
from reports.sheets import Sheet
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
    before: tuple[str, ...]
    leaderboard: TextTable | None
    after: tuple[str, ...]
    confusion: Picture | None
    picture: Picture | None


def part_sections(
    sheets: Sequence[Sheet], pictures: Mapping[str, Picture], confusions: Mapping[str, Picture]
) -> list[PartSection]:
    """One section for each part in the store, in the order of parts.

    Args:
        sheets: the parts' leaderboards. pictures: part -> its accuracy plot; parts without finished trials have none.
        confusions: part -> its best trial's confusion counts; parts without stored probabilities have none.
    """
    return [
        PartSection(
            anchor=f"part-{number}",
            part=plain_line(sheet.title),
            before=sheet.before,
            leaderboard=text_table(sheet.table) if len(sheet.table) else None,
            confusion=confusions.get(sheet.title),
            after=sheet.after,
            picture=pictures.get(sheet.title),
        )
        for number, sheet in enumerate(sheets)
    ]


def report_page(
    trials: pd.DataFrame,
    searches: Sequence[Search],
    images: pd.DataFrame,
    sheets: Sequence[Sheet],
    accuracy_pictures: Mapping[str, Picture],
    confusion_pictures: Mapping[str, Picture],
    image_pictures: Sequence[Picture],
    *,
    store: str,
    made: str,
) -> str:
    """The whole page.

    Args:
        trials: as `results.table.trials_table` gives them.
        images: as `reports.data_plot.images_table` gives them. sheets: the parts' leaderboards.
        store: the store's URL as it may be shown.
        made: the time, ISO 8601.
    """
    failures = summary.failures_table(trials)
    states = state_counts(trials)
    best = summary.best_table(trials)
    return environment().get_template(TEMPLATE).render(
        store=store,
        made=made[:16].replace("T", " "),
        states=states,
        running=states.get(RUNNING, 0),
        searches=_table_or_none(summary.searches_table(searches, trials, images)),
        search_count=len(searches),
        trial_count=len(trials),
        best=_table_or_none(best),
        absent=summary.absent_classes(searches),
        parts=part_sections(sheets, accuracy_pictures, confusion_pictures),
        image_pictures=image_pictures,
        left_out=summary.left_out_images(searches),
        most_left_out=MOST_LEFT_OUT,
        failures=_table_or_none(failures.head(MOST_FAILURES)),
        failure_count=len(failures),
        repeats=summary.how_to_repeat(searches),
    )  # fmt: skip


def _table_or_none(table: pd.DataFrame) -> TextTable | None:
    return text_table(table) if len(table) else None
