"""All reports of a store into one folder.

    python -m reports.build --out DIR [--store URL] [--top N]

writes DIR/leaderboard.md, DIR/report.html, DIR/plots/*.png, DIR/tables/*.csv. Each file is whole or absent; files of
the same name are replaced, others in the folder are left alone.
"""

import re
import sys
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from plumbing.command import CommandParser, at_least, run_command
from reports.folder import check_folder, write_all

if TYPE_CHECKING:  # loaded where they are used: --help needs none of them
    import pandas as pd

    from reports.html import Report
    from reports.pictures import Picture
    from results.store import Store

COMMAND = "reports.build"
DEFAULT_TOP = 4


def build_report(store: "Store", out: Path, top: int = DEFAULT_TOP) -> list[Path]:
    """Write all reports of the store.

    Returns: the paths written, in the order of their writing.
    Raises: OSError where the folder cannot be written.
    """
    from reports.board import Query, judged_by, leaderboards
    from reports.confirmed import with_confirmation
    from reports.cost import cost_table
    from reports.data_plot import images_table
    from reports.html import Report, report_page
    from reports.leaderboard import leaderboard_text
    from reports.opening import data_table
    from reports.part_plots import drawn_plots, part_tables
    from results.store import now
    from results.table import trials_table

    every_trial, searches, judge = trials_table(store), store.searches(), judged_by(store)
    trials, images = with_confirmation(every_trial), images_table(store, searches)
    names = file_names(trials)
    tables = {part: part_tables(store, trials, part) for part in names}
    report = Report(
        trials=trials,
        every_trial=every_trial,
        searches=searches,
        images=images,
        data=data_table(store, searches),
        cost=cost_table(searches, every_trial, images),
        judge=judge,
        sheets=leaderboards(trials, Query(top=top), judge),
        whole=leaderboards(trials, Query(top=None), judge),
        accuracies=accuracy_pictures(trials, names),
        plots={part: drawn_plots(tables[part], name) for part, name in names.items()},
        image_pictures=image_pictures(images),
        store=store.engine.url.render_as_string(hide_password=True),
        made=now(),
    )
    files: dict[str, str | bytes] = {
        f"tables/{name}.csv": text for name, text in csv_tables(report, tables, names).items()
    }
    files |= {f"plots/{picture.stem}.png": picture.light for picture in all_pictures(report)}
    files["leaderboard.md"] = f"# Leaderboard\n\n{leaderboard_text(report.sheets)}"
    files["report.html"] = report_page(report)
    return write_all(out, files)


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


def csv_tables(
    report: "Report", tables: "Mapping[str, Mapping[str, pd.DataFrame]]", names: dict[str, str]
) -> dict[str, str]:
    """File name without ending -> CSV: each part's ranked trials, accuracies and plots; images, cost, failures.

    Args:
        tables: part -> what `reports.part_plots.part_tables` gives. names: part -> its name within file names.
    """
    from reports.accuracy_plot import accuracy_table
    from reports.summary import failures_table
    from reports.tables import to_csv

    found = {f"leaderboard_{names[sheet.title]}": sheet.numbers for sheet in report.whole}
    found |= {f"accuracy_{name}": accuracy_table(report.trials, part) for part, name in names.items()}
    found |= {f"{kind}_{names[part]}": table for part, own in tables.items() for kind, table in own.items()}
    found |= {"cost": report.cost} if len(report.cost) else {}
    found |= {"images": report.images, "failures": failures_table(report.trials)}
    return {name: to_csv(table) for name, table in found.items()}


def accuracy_pictures(trials: "pd.DataFrame", names: dict[str, str]) -> dict[str, "Picture"]:
    """Part -> its accuracy plot, if it has accuracies. Parts share a scale; all_parts, of 14 classes, has its own."""
    from radiographs.parts import ALL_PARTS
    from reports.accuracy_plot import accuracy_figure, accuracy_limits, accuracy_table, accuracy_title
    from reports.pictures import picture

    tables = {part: accuracy_table(trials, part) for part in names}
    tables = {part: table for part, table in tables.items() if len(table)}
    shared = accuracy_limits(table for part, table in tables.items() if part != ALL_PARTS)
    limits = {part: accuracy_limits([table]) if part == ALL_PARTS else shared for part, table in tables.items()}
    return {
        part: picture(
            f"accuracy_{names[part]}",
            f"{accuracy_title(table)}; train, valid and test, per cent.",
            partial(accuracy_figure, table, limits[part]),
        )
        for part, table in tables.items()
    }


def image_pictures(images: "pd.DataFrame") -> list["Picture"]:
    """The bars of the parts' own data and of all_parts' data, where the store has their image lists."""
    from radiographs.parts import ALL_PARTS
    from reports.data_plot import images_figure
    from reports.pictures import picture

    whole = images["task"] == ALL_PARTS
    kinds = {"images_parts": images[~whole], "images_all_parts": images[whole]}
    return [
        picture(
            stem,
            f"Images per part and label: {table['images'].sum():,} of {', '.join(dict.fromkeys(table['task']))}.",
            partial(images_figure, table),
        )
        for stem, table in kinds.items()
        if len(table)
    ]


def all_pictures(report: "Report") -> list["Picture"]:
    """Every picture of the page."""
    drawn = [plot.picture for plots in report.plots.values() for plot in plots]
    return [*report.accuracies.values(), *drawn, *report.image_pictures]


def main(arguments: Sequence[str]) -> int:
    """The command; see the module's head."""
    from results.connection import DEFAULT_URL

    parser = CommandParser(COMMAND, "Writes leaderboards, plots, tables and one HTML page.")
    parser.add_argument("--out", metavar="DIR", type=Path, required=True, help="the folder; made where it is absent")
    parser.add_argument("--store", metavar="URL", default=DEFAULT_URL, help="the results store")
    parser.add_argument("--top", metavar="N", type=at_least(1), default=DEFAULT_TOP, help="rows a leaderboard")
    options = parser.parse_args(arguments)

    from results.store import Store

    check_folder(options.out)
    store = Store.open(options.store)
    try:
        paths = build_report(store, options.out, options.top)
    finally:
        store.close()
    print("\n".join(map(str, paths)))
    return 0


if __name__ == "__main__":
    sys.exit(run_command(COMMAND, main, sys.argv[1:]))
