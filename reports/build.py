"""All reports of a store into one folder.

    python -m reports.build --out DIR [--store URL] [--top N]

writes DIR/leaderboard.md, DIR/report.html, DIR/plots/*.png, DIR/tables/*.csv. Each file is whole or absent; files of
the same name are replaced, others in the folder are left alone.
"""

import re
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from plumbing.command import CommandParser, at_least, run_command
from plumbing.errors import UsageError
from plumbing.files import atomic_path, write_text_atomically

if TYPE_CHECKING:  # loaded where they are used: --help needs none of them
    import pandas as pd

    from reports.board import Judge
    from reports.html import Picture
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
    from reports.data_plot import images_table
    from reports.html import report_page
    from reports.leaderboard import leaderboard_text
    from results.store import now
    from results.table import trials_table

    trials, searches, judge = with_confirmation(trials_table(store)), store.searches(), judged_by(store)
    images = images_table(store, searches)
    names = file_names(trials)
    accuracies = accuracy_pictures(trials, names)
    counts = confusion_tables(store, trials, names)
    confusions = confusion_pictures(counts, names)
    bars = image_pictures(images)
    files: dict[str, str | bytes] = {
        f"tables/{name}.csv": text for name, text in csv_tables(trials, images, counts, names, judge).items()
    }
    pictures = (*accuracies.values(), *confusions.values(), *bars)
    files |= {f"plots/{picture.stem}.png": picture.light for picture in pictures}
    files["leaderboard.md"] = f"# Leaderboard\n\n{leaderboard_text(trials, Query(top=top), judge)}"
    url = store.engine.url.render_as_string(hide_password=True)
    sheets = leaderboards(trials, Query(top=top), judge)
    files["report.html"] = report_page(
        trials, searches, images, sheets, accuracies, confusions, bars, store=url, made=now()
    )  # fmt: skip
    return [_write(out / name, content) for name, content in files.items()]


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


def confusion_tables(store: "Store", trials: "pd.DataFrame", names: dict[str, str]) -> dict[str, "pd.DataFrame"]:
    """Part -> its best trial's confusion counts, if the store has that trial's probabilities."""
    from reports.confusion import confusion_table

    tables = {part: confusion_table(store, trials, part) for part in names}
    return {part: table for part, table in tables.items() if len(table)}


def csv_tables(
    trials: "pd.DataFrame",
    images: "pd.DataFrame",
    confusions: "Mapping[str, pd.DataFrame]",
    names: dict[str, str],
    judge: "Judge",
) -> dict[str, str]:
    """File name without ending -> CSV: each part's ranked trials, accuracies and confusions; images, failures."""
    from reports.accuracy_plot import accuracy_table
    from reports.board import Query, leaderboards
    from reports.summary import failures_table
    from reports.tables import to_csv

    sheets = leaderboards(trials, Query(top=None), judge)
    tables = {f"leaderboard_{names[sheet.title]}": sheet.numbers for sheet in sheets}
    tables |= {f"accuracy_{name}": accuracy_table(trials, part) for part, name in names.items()}
    tables |= {f"confusion_{names[part]}": table for part, table in confusions.items()}
    tables |= {"images": images, "failures": failures_table(trials)}
    return {name: to_csv(table) for name, table in tables.items()}


def accuracy_pictures(trials: "pd.DataFrame", names: dict[str, str]) -> dict[str, "Picture"]:
    """Part -> its accuracy plot, if it has accuracies. Parts share a scale; all_parts, of 14 classes, has its own."""
    from radiographs.parts import ALL_PARTS
    from reports.accuracy_plot import accuracy_figure, accuracy_limits, accuracy_table, accuracy_title
    from reports.figures import DARK, LIGHT, png
    from reports.html import Picture

    tables = {part: accuracy_table(trials, part) for part in names}
    tables = {part: table for part, table in tables.items() if len(table)}
    shared = accuracy_limits(table for part, table in tables.items() if part != ALL_PARTS)
    limits = {part: accuracy_limits([table]) if part == ALL_PARTS else shared for part, table in tables.items()}
    return {
        part: Picture(
            f"accuracy_{names[part]}",
            f"{accuracy_title(table)}; train, valid and test, per cent.",
            png(accuracy_figure(table, limits[part], LIGHT)),
            png(accuracy_figure(table, limits[part], DARK)),
        )
        for part, table in tables.items()
    }


def confusion_pictures(tables: "Mapping[str, pd.DataFrame]", names: dict[str, str]) -> dict[str, "Picture"]:
    """Part -> the picture of its confusion counts."""
    from reports.confusion import confusion_alt, confusion_figure
    from reports.figures import DARK, LIGHT, png
    from reports.html import Picture

    return {
        part: Picture(
            f"confusion_{names[part]}",
            confusion_alt(table),
            png(confusion_figure(table, LIGHT)),
            png(confusion_figure(table, DARK)),
        )
        for part, table in tables.items()
    }


def image_pictures(images: "pd.DataFrame") -> list["Picture"]:
    """The bars of the parts' own data and of all_parts' data, where the store has their image lists."""
    from radiographs.parts import ALL_PARTS
    from reports.data_plot import images_figure
    from reports.figures import DARK, LIGHT, png
    from reports.html import Picture

    whole = images["task"] == ALL_PARTS
    kinds = {"images_parts": images[~whole], "images_all_parts": images[whole]}
    return [
        Picture(
            stem,
            f"Images per part and label: {table['images'].sum():,} of {', '.join(dict.fromkeys(table['task']))}.",
            png(images_figure(table, LIGHT)),
            png(images_figure(table, DARK)),
        )
        for stem, table in kinds.items()
        if len(table)
    ]


def _write(path: Path, content: str | bytes) -> Path:
    if isinstance(content, str):
        write_text_atomically(path, content)
    else:
        with atomic_path(path) as temporary:
            temporary.write_bytes(content)
    return path


def _check_folder(out: Path) -> None:
    for folder in (out, out / "plots", out / "tables"):
        if folder.exists() and not folder.is_dir():
            raise UsageError(f"--out {out}: {folder} is a file; give another folder")


def main(arguments: Sequence[str]) -> int:
    """The command; see the module's head."""
    from results.connection import DEFAULT_URL

    parser = CommandParser(COMMAND, "Writes leaderboards, plots, tables and one HTML page.")
    parser.add_argument("--out", metavar="DIR", type=Path, required=True, help="the folder; made where it is absent")
    parser.add_argument("--store", metavar="URL", default=DEFAULT_URL, help="the results store")
    parser.add_argument("--top", metavar="N", type=at_least(1), default=DEFAULT_TOP, help="rows a leaderboard")
    options = parser.parse_args(arguments)

    from results.store import Store

    _check_folder(options.out)
    store = Store.open(options.store)
    try:
        paths = build_report(store, options.out, options.top)
    finally:
        store.close()
    print("\n".join(map(str, paths)))
    return 0


if __name__ == "__main__":
    sys.exit(run_command(COMMAND, main, sys.argv[1:]))
