"""A data set before any search: leaks first, then duplicates, counts, sizes, greys, outliers, architectures.

    python -m reports.explore DIR --out OUT [--part PART]

writes OUT/explore.html, OUT/plots/*.png and OUT/tables/*.csv. Each file is whole or absent; files of the same name are
replaced, others in the folder are left alone. The same data give the same bytes.
"""

import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from plumbing.command import CommandParser, run_command
from plumbing.errors import DataError
from radiographs.parts import ALL_PARTS, PARTS, TASKS, parts_of
from reports.folder import check_folder, write_all

if TYPE_CHECKING:  # loaded where they are used: --help needs none of them
    import pandas as pd
    from matplotlib.figure import Figure

    from radiographs.survey import Survey
    from radiographs.table import LeftOut
    from reports.duplicates import Duplicate
    from reports.pictures import Picture

COMMAND = "reports.explore"
MOST_LEAK_LINES = 20  # on stdout


@dataclass(frozen=True)
class Exploration:
    """What was found in a folder.

    Attributes:
        survey: the images that can be used, with a column `split`.
        leaking_patients: in both of MURA's folders, as rows of `reports.duplicates.duplicates_table`.
        left_out: sorted by path.
    """

    root: Path
    task: str
    survey: "Survey"
    duplicates: "tuple[Duplicate, ...]"
    leaking_patients: "pd.DataFrame"
    left_out: "tuple[LeftOut, ...]"


def explore(data: Path, task: str = ALL_PARTS) -> Exploration:
    """Read every image of the task's parts once, and look for duplicates and leaks among them.

    Raises: DataError where the folder, its train or valid, or readable images of the task are missing.
    """
    from radiographs.splits import leaking_patients, split_by_patient
    from radiographs.survey import survey
    from radiographs.table import scan
    from reports.duplicates import find_duplicates, patients_in_both

    parts = parts_of(task)
    found = scan(data)
    split, leaking = split_by_patient(found.images)
    surveyed = survey(found.root, split[split["part"].isin(parts)].reset_index(drop=True))
    if surveyed.images.empty:
        raise DataError(f"{data}: no readable image of {task}; radiographs.check tells what is there")
    own = found.images[found.images["part"].isin(parts)]
    both = [patient for patient in leaking_patients(found.images) if patient in set(own["patient"])]
    left_out = [left for left in (*found.left_out, *leaking, *surveyed.unreadable) if _concerns(left.path, parts)]
    return Exploration(
        found.root,
        task,
        surveyed,
        tuple(find_duplicates(surveyed.images, surveyed.pixels)),
        patients_in_both(found.images, both),
        tuple(sorted(left_out, key=lambda left: left.path)),
    )


def _concerns(path: str, parts: Sequence[str]) -> bool:
    """Whether what is left out is of one of the parts, or of none that is known."""
    named = set(path.split("/")[1:2]) & set(PARTS)
    return not named or bool(named & set(parts))


def explore_tables(found: Exploration) -> "dict[str, pd.DataFrame]":
    """File name without ending -> table."""
    import pandas as pd

    from reports import explore_tables as tables
    from reports.duplicates import duplicates_table
    from reports.outliers import outliers_table
    from reports.tables import plain_line

    images, duplicates = found.survey.images, duplicates_table(found.duplicates)
    leaks = [table for table in (found.leaking_patients, duplicates[duplicates["leak"] != ""]) if len(table)]
    return {
        "leaks": pd.concat(leaks, ignore_index=True) if leaks else duplicates.head(0),
        "duplicates": duplicates,
        "counts": tables.counts_table(images),
        "people": tables.people_table(images),
        "views": tables.views_table(images),
        "sizes": tables.sizes_table(images),
        "greys": tables.greys_table(images, found.survey.pixels),
        "outliers": outliers_table(images),
        "left_out": pd.DataFrame(
            # Plain already here: pandas refuses names that are not UTF-8.
            [(plain_line(left.path), plain_line(left.reason)) for left in found.left_out],
            columns=["path", "reason"],
        ),
        "images": tables.image_rows(images),
    }


def explore_pictures(tables: "Mapping[str, pd.DataFrame]") -> "dict[str, list[Picture]]":
    """Section -> its plots."""
    from reports import explore_figures as figures
    from reports.architecture_picture import architecture_alt, architecture_figure
    from reports.data_plot import images_figure
    from reports.figures import DARK, LIGHT, png
    from reports.pictures import Picture
    from spaces import ARCHITECTURES

    counts = tables["counts"].assign(data_hash="")
    counts["task"] = counts["part"]
    total = int(counts["images"].sum())
    drawn: dict[str, list[tuple[str, str, Callable[..., Figure], object]]] = {
        "counts": [
            ("images", f"Images per part, label and split: {total:,} in all.", images_figure, counts),
            ("people", "Patients and studies per part and split.", figures.people_figure, tables["people"]),
            ("views", "Images of a study, per part.", figures.views_figure, tables["views"]),
        ],
        "pixels": [
            ("sizes", "Width and height of the images, per part.", figures.sizes_figure, tables["sizes"]),
            ("greys", "How often each grey occurs, per part and label.", figures.greys_figure, tables["greys"]),
        ],
        "architectures": [
            (f"architecture_{each.name}", architecture_alt(each), architecture_figure, each) for each in ARCHITECTURES
        ],
    }
    return {
        section: [Picture(stem, alt, png(draw(of, LIGHT)), png(draw(of, DARK))) for stem, alt, draw, of in plots]
        for section, plots in drawn.items()
    }


def write_exploration(found: Exploration, tables: "Mapping[str, pd.DataFrame]", out: Path) -> list[Path]:
    """Write all files; the paths, the page first.

    Args:
        tables: as `explore_tables` gives them.
    Raises: OSError where the folder cannot be written.
    """
    from reports.explore_page import explore_page
    from reports.tables import to_csv

    pictures = explore_pictures(tables)
    page = explore_page(found.root, found.task, found.survey.images, found.duplicates, tables, pictures)
    files: dict[str, str | bytes] = {"explore.html": page}
    files |= {f"tables/{name}.csv": to_csv(table) for name, table in tables.items()}
    files |= {f"plots/{each.stem}.png": each.light for section in pictures.values() for each in section}
    return write_all(out, files)


def leak_lines(leaks: "pd.DataFrame", task: str) -> list[str]:
    """The leaks for a terminal, one a line, the first MOST_LEAK_LINES."""
    from reports.tables import plain_line

    if leaks.empty:
        return [
            f"No leaks found in {task}: no patient or image, exactly or nearly, in two splits or of two patients; "
            "mirrored, turned and cropped copies were not looked for."
        ]
    lines = [f"LEAKS in {task}: {len(leaks)}; near duplicates must be looked at, in explore.html"]
    for row in leaks.head(MOST_LEAK_LINES).itertuples():
        what = f"patient {row.patients}" if row.kind == "patient" else f"{row.kind}: {row.paths}"
        lines.append(f"  LEAK {row.leak}: {plain_line(what)}")
    more = len(leaks) - MOST_LEAK_LINES
    return lines + ([f"  and {more} more, in tables/leaks.csv"] if more > 0 else [])


def main(arguments: Sequence[str]) -> int:
    """The command; see the module's head."""
    parser = CommandParser(COMMAND, "Shows what a data set holds, before any search: one HTML page, plots, tables.")
    parser.add_argument("folder", type=Path, metavar="DIR", help="MURA-v1.1, or the folder that holds it")
    parser.add_argument("--out", metavar="OUT", type=Path, required=True, help="the folder; made where it is absent")
    parser.add_argument("--part", metavar="PART", default=ALL_PARTS, help=f"one of {', '.join(TASKS)}")
    options = parser.parse_args(arguments)

    check_folder(options.out)
    found = explore(options.folder, options.part)
    tables = explore_tables(found)
    paths = write_exploration(found, tables, options.out)
    print("\n".join([*leak_lines(tables["leaks"], found.task), *map(str, paths)]))
    return 0


if __name__ == "__main__":
    sys.exit(run_command(COMMAND, main, sys.argv[1:]))
