"""All reports of a store into one folder.

    python -m reports.build --out DIR [--store URL] [--top N] [--data DIR] [--watch]

writes DIR/leaderboard.md, DIR/report.html, DIR/plots/*.png, DIR/tables/*.csv, DIR/cards/*.md. Each file is
whole or absent; files of the same name are replaced, others in the folder are left alone. With --watch again after each
trial (`reports.watch`).
"""

import re
import sys
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from plumbing.command import CommandParser, at_least, run_command
from reports.folder import Content, check_folder, write_all

if TYPE_CHECKING:  # loaded where they are used: --help needs none of them
    import pandas as pd

    from reports.board import Judge
    from reports.data_look import DataLook
    from reports.html import Report
    from reports.pictures import Picture
    from reports.recall import Recall
    from reports.sheets import Sheet
    from results.store import Store

COMMAND = "reports.build"
DEFAULT_TOP = 4


def build_report(store: "Store", out: Path, top: int = DEFAULT_TOP, look: "DataLook | None" = None) -> list[Path]:
    """Write all reports of the store.

    Args:
        look: as `reports.data_look.look_at` gives it.
    Returns: the paths written, in the order of their writing.
    Raises: OSError where the folder cannot be written.
    """
    from reports.board import judged_by
    from reports.recall import Recall

    recall = Recall()
    return write_all(out, report_files(made_report(store, top, judged_by(store), recall, look), recall))


def made_report(store: "Store", top: int, judge: "Judge", recall: "Recall", look: "DataLook | None" = None) -> "Report":
    """All that the reports tell.

    Args:
        judge: as `reports.board.judged_by` gives it for the store; it and `recall` may be those of an earlier report.
        look: as `reports.data_look.look_at` gives it.
    """
    from reports.accuracy_plot import accuracy_table
    from reports.board import Query, leaderboards
    from reports.cards import card_files
    from reports.chosen_model import Looked
    from reports.confirmed import with_confirmation
    from reports.cost import cost_table
    from reports.data_plot import images_table
    from reports.field_plot import drawn_field, field_table
    from reports.html import Report
    from reports.opening import data_table
    from reports.part_plots import begin_plots, begin_tables, drawn_plots, part_tables
    from reports.whole_pictures import accuracy_pictures, begin_accuracies, image_pictures
    from results.records import utc_now
    from results.table import trials_table

    every_trial, searches = trials_table(store), store.searches()
    trials, images = with_confirmation(every_trial), images_table(store, searches)
    names = file_names(trials)
    # Each part from its own rows alone, numbered anew: what changes in one part leaves the others as they are.
    own = {part: trials[trials["part_body"] == part].reset_index(drop=True) for part in names}
    for part, rows in own.items():
        begin_tables(store, rows, part, recall)
    accuracies = {
        part: recall(("accuracies", part), [rows], partial(accuracy_table, rows, part)) for part, rows in own.items()
    }
    begin_accuracies(accuracies, names, recall)
    tables = {}
    for part, rows in own.items():
        tables[part] = recall(("tables", part), [rows], partial(part_tables, store, rows, part, recall))
        begin_plots(tables[part], names[part], recall)

    def sheets(top: int | None) -> "list[Sheet]":
        query = Query(top=top)
        found = (
            recall(("sheets", part, query), [rows], partial(leaderboards, rows, query, judge))
            for part, rows in own.items()
        )
        return [sheet for of_part in found for sheet in of_part]

    field = field_table(store, trials, searches)
    looked = Looked(look.images, look.tables["leaks"]) if look else None
    return Report(
        trials=trials,
        every_trial=every_trial,
        searches=searches,
        images=images,
        data=data_table(store, searches),
        cost=cost_table(searches, every_trial, images),
        judge=judge,
        sheets=sheets(top),
        whole=sheets(None),
        names=names,
        tables=tables,
        accuracy_tables=accuracies,
        accuracies=accuracy_pictures(accuracies, names, recall),
        plots={part: drawn_plots(tables[part], name, recall) for part, name in names.items()},
        image_pictures=image_pictures(images, recall),
        field=drawn_field(field, recall),
        field_table=field,
        look=look,
        cards=card_files(store, trials, searches, judge, names, recall, looked),
        store=store.engine.url.render_as_string(hide_password=True),
        made=utc_now(),
    )


def report_files(report: "Report", recall: "Recall", follow: bool = False) -> dict[str, Content]:
    """A file's name within the folder -> its content.

    Args:
        recall: of this report or an earlier one. follow: as `reports.html.report_page` takes it.
    """
    from reports.html import report_page
    from reports.leaderboard import leaderboard_text
    from reports.tables import to_csv

    files: dict[str, Content] = {
        f"tables/{name}.csv": recall(("csv", name), [table], partial(to_csv, table))
        for name, table in machine_tables(report).items()
    }
    files |= {f"plots/{picture.stem}.png": picture.light for picture in all_pictures(report)}
    files |= report.cards
    files["leaderboard.md"] = f"# Leaderboard\n\n{leaderboard_text(report.sheets)}"
    files["report.html"] = report_page(report, follow)
    return files


def file_names(trials: "pd.DataFrame") -> dict[str, str]:
    """Part -> its name within file names. Parts come from users' files: none may leave the folder, or be another's."""
    from reports.ranking import stored_parts

    names: dict[str, str] = {}
    for part in stored_parts(trials):
        safe = re.sub(r"[^A-Za-z0-9_-]", "_", part)[:60]
        taken = {name.lower() for name in names.values()}
        number, name = 2, safe
        while name.lower() in taken:
            number, name = number + 1, f"{safe}-{number}"
        names[part] = name
    return names


def machine_tables(report: "Report") -> "dict[str, pd.DataFrame]":
    """A CSV file's name without ending -> its table: each part's ranked trials, accuracies and plots; images, cost,
    failures."""
    from reports.summary import failures_table

    names = report.names
    found = {f"leaderboard_{names[sheet.title]}": sheet.numbers for sheet in report.whole}
    found |= {f"accuracy_{names[part]}": table for part, table in report.accuracy_tables.items()}
    found |= {f"{kind}_{names[part]}": table for part, own in report.tables.items() for kind, table in own.items()}
    found |= {"cost": report.cost} if len(report.cost) else {}
    found |= {"published": report.field_table} if len(report.field_table) else {}
    found |= report.look.tables if report.look else {}
    return found | {"images": report.images, "failures": failures_table(report.every_trial)}


def all_pictures(report: "Report") -> list["Picture"]:
    """Every picture of the page."""
    drawn = [plot.picture for plots in report.plots.values() for plot in plots if plot.picture is not None]
    field = [report.field.picture] if report.field and report.field.picture else []
    sizes = [report.look.sizes] if report.look else []
    return [*report.accuracies.values(), *drawn, *report.image_pictures, *field, *sizes]


def main(arguments: Sequence[str]) -> int:
    """The command; see the module's head."""
    from results.connection import DEFAULT_URL

    parser = CommandParser(COMMAND, "Writes leaderboards, plots, tables and one HTML page.")
    parser.add_argument("--out", metavar="DIR", type=Path, required=True, help="the folder; made where it is absent")
    parser.add_argument("--store", metavar="URL", default=DEFAULT_URL, help="the results store")
    parser.add_argument("--top", metavar="N", type=at_least(1), default=DEFAULT_TOP, help="rows a leaderboard")
    parser.add_argument(
        "--data",
        metavar="DIR",
        type=Path,
        help="the radiographs' folder: adds examples, sizes, duplicates and a check for leaks. The page then shows "
        "radiographs, which MURA's agreement forbids to pass on",
    )
    parser.add_argument("--watch", action="store_true", help="build again after each trial, until Ctrl-C")
    options = parser.parse_args(arguments)

    from results.store import Store

    check_folder(options.out)
    store = Store.open(options.store)
    try:
        look = None
        if options.data is not None:
            from reports.data_look import look_at

            look = look_at(options.data, store.searches())
        if options.watch:
            from reports.watch import watch

            watch(store, options.out, options.top, look)
        paths = build_report(store, options.out, options.top, look)
    finally:
        store.close()
    print("\n".join(map(str, paths)))
    return 0


if __name__ == "__main__":
    sys.exit(run_command(COMMAND, main, sys.argv[1:]))
