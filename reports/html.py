"""The report as one HTML file that needs nothing beside it: no network, pictures inside, one small script of ours.

All texts of the store are escaped by the template. The page's content policy forbids requests, and all scripts but that
one, known by its hash; without it the page says the same, unsorted.
"""

import base64
import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache, lru_cache
from pathlib import Path

import pandas as pd
from markupsafe import Markup

from reports import opening, summary
from reports.board import Judge
from reports.cards import CARDS, card_file
from reports.data_look import DataLook
from reports.pages import environment
from reports.part_plots import DrawnPlot
from reports.pictures import Picture
from reports.ranking import state_counts
from reports.sheets import Sheet
from reports.tables import TextTable, plain_line, text_table
from results.records import RUNNING, Search

TEMPLATE, SCRIPT = "report.html.j2", "report.js"
FOLLOW_SECONDS = 5  # from one loading of a followed page to the next
MOST_RANKED, MOST_FAILURES, MOST_LEFT_OUT = 500, 50, 2000  # listed on the page


@dataclass(frozen=True)
class Report:
    """What the page is made from.

    Attributes:
        trials: as `reports.confirmed.with_confirmation` gives them. every_trial: as `results.table.trials_table` does.
        images: as `reports.data_plot.images_table` gives them. data: as `reports.opening.data_table` does.
        cost: as `reports.cost.cost_table` does.
        judge: how sure a ranking is. sheets: the parts' leaderboards. whole: the same with all ranked trials.
        names: part -> its name within file names. tables: part -> what `reports.part_plots.part_tables` gives.
        accuracy_tables: part -> what `reports.accuracy_plot.accuracy_table` gives.
        accuracies: part -> its accuracy plot, where it has accuracies. plots: part -> its other plots.
        image_pictures: of the data. field: beside published figures, None where none are of these data; `field_table`
            is its table. look: at the radiographs, None where their folder was not given. cards: a file's name ->
            its text, as `reports.cards.card_files` gives them.
        store: the store's URL as it may be shown. made: the time, ISO 8601.
    """

    trials: pd.DataFrame
    every_trial: pd.DataFrame
    searches: Sequence[Search]
    images: pd.DataFrame
    data: pd.DataFrame
    cost: pd.DataFrame
    judge: Judge
    sheets: Sequence[Sheet]
    whole: Sequence[Sheet]
    names: Mapping[str, str]
    tables: Mapping[str, Mapping[str, pd.DataFrame]]
    accuracy_tables: Mapping[str, pd.DataFrame]
    accuracies: Mapping[str, Picture]
    plots: Mapping[str, Sequence[DrawnPlot]]
    image_pictures: Sequence[Picture]
    field: DrawnPlot | None
    field_table: pd.DataFrame
    look: DataLook | None
    cards: Mapping[str, str]
    store: str
    made: str


@dataclass(frozen=True)
class Leaderboard:
    """A table of trials, and the architecture of each row."""

    table: TextTable
    architectures: tuple[str, ...]


@dataclass(frozen=True)
class PlotSection:
    """A plot with what stands around it, or that alone."""

    heading: str
    reading: str
    picture: Picture | None
    told: TextTable | None


@dataclass(frozen=True)
class PartSection:
    """What the page says of a part.

    Attributes:
        whole: more trials than `leaderboard`, where there are more. cards: what each is, and its file.
    """

    anchor: str
    part: str
    before: tuple[str, ...]
    leaderboard: Leaderboard | None
    after: tuple[str, ...]
    whole: Leaderboard | None
    accuracy: Picture | None
    plots: tuple[PlotSection, ...]
    cards: tuple[tuple[str, str], ...]


def part_sections(report: Report) -> list[PartSection]:
    """One section for each part in the store, in the order of parts."""
    architecture = {
        (search, trial): plain_line(name)
        for search, trial, name in report.trials[["search", "trial", "architecture"]].itertuples(index=False)
    }

    def leaderboard(sheet: Sheet) -> Leaderboard:
        rows = sheet.numbers[["search", "trial"]].head(MOST_RANKED).itertuples(index=False)
        table = TextTable(sheet.text.columns, sheet.text.rows[:MOST_RANKED], sheet.text.numeric)
        return Leaderboard(table, tuple(architecture[search, trial] for search, trial in rows))

    return [
        PartSection(
            anchor=f"part-{number}",
            part=plain_line(sheet.title),
            before=sheet.before,
            leaderboard=leaderboard(sheet) if len(sheet.table) else None,
            after=sheet.after,
            whole=leaderboard(whole) if len(whole.table) > len(sheet.table) else None,
            accuracy=report.accuracies.get(sheet.title),
            plots=tuple(map(_plot_section, report.plots.get(sheet.title, ()))),
            cards=_cards(report, sheet.title),
        )
        for number, (sheet, whole) in enumerate(zip(report.sheets, report.whole, strict=True))
    ]


def _cards(report: Report, part: str) -> tuple[tuple[str, str], ...]:
    files = {each: card_file(kind, report.names[part]) for kind, each in CARDS.items()}
    return tuple((each, file) for each, file in files.items() if file in report.cards)


def _plot_section(plot: DrawnPlot) -> PlotSection:
    told = None if plot.told is None else text_table(plot.told)
    return PlotSection(plot.heading, plot.reading, plot.picture, told)


@lru_cache(maxsize=100)  # a watched page is made again and again, most of its long tables as they were
def ranked_grid(table: TextTable, label: str, architectures: tuple[str, ...]) -> Markup:
    """The table as the macro `grid` sets it, for the page's sorting and filter."""
    made: Markup = environment().get_template("page_parts.html.j2").module.grid(table, label, True, architectures)  # type: ignore[attr-defined]
    return made


@cache
def page_script() -> str:
    """The script of the page: a file of ours, nothing of any store."""
    return (Path(__file__).parent / SCRIPT).read_text(encoding="utf-8")


def script_hash(script: str) -> str:
    """The script as a content policy names it (W3C Content Security Policy Level 3, section 2.3.1)."""
    return f"sha256-{base64.b64encode(hashlib.sha256(script.encode()).digest()).decode('ascii')}"


def report_page(report: Report, follow: bool = False) -> str:
    """The whole page.

    Args:
        follow: whether the page is going to be made again after each trial, and so loads itself again.
    """
    trials, searches = report.trials, report.searches
    failures, states, parts = summary.failures_table(report.every_trial), state_counts(trials), part_sections(report)
    boards = [section.whole or section.leaderboard for section in parts]
    return environment().get_template(TEMPLATE).render(
        script=Markup(page_script()),
        script_hash=script_hash(page_script()),
        store=report.store,
        made=report.made[:19 if follow else 16].replace("T", " "),
        follow=FOLLOW_SECONDS if follow else None,
        states=states,
        running=states.get(RUNNING, 0),
        searched=opening.searched_sentences(trials, searches),
        searches=_table_or_none(summary.searches_table(searches, report.every_trial, report.images)),
        search_count=len(searches),
        trial_count=len(trials),
        data=_table_or_none(report.data),
        best=_table_or_none(opening.best_table(trials, report.judge)),
        uncertain=opening.uncertain_sentences(trials, report.judge)
        + (opening.leak_sentences(report.look.tables["leaks"]) if report.look else []),
        cost=_table_or_none(report.cost.round(2)),
        absent=summary.absent_classes(searches),
        parts=parts,
        ranked_grid=ranked_grid,
        architectures=sorted({name for board in boards if board for name in board.architectures}),
        image_pictures=report.image_pictures,
        field=None if report.field is None else _plot_section(report.field),
        look=report.look,
        left_out=summary.left_out_images(searches),
        most_left_out=MOST_LEFT_OUT,
        failures=_table_or_none(failures.head(MOST_FAILURES)),
        failure_count=len(failures),
        repeats=summary.how_to_repeat(searches, trials["search"].value_counts().to_dict()),
    )  # fmt: skip


def _table_or_none(table: pd.DataFrame) -> TextTable | None:
    return text_table(table) if len(table) else None
