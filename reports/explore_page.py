"""What a data set holds as one HTML file: no scripts, no network, pictures inside. Leaks stand first.

All texts of users' files are escaped by the template; its content policy forbids scripts and requests besides.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path

import pandas as pd

from radiographs import perceptual, survey
from reports.duplicates import EXACT, NEAR, Duplicate
from reports.outliers import rule_in_words
from reports.pages import environment
from reports.pictures import Picture
from reports.small_radiographs import Exhibit, exhibit
from reports.tables import TextTable, plain_line, text_table

TEMPLATE = "explore.html.j2"
MOST_ROWS, MOST_EXHIBITS = 100, 12  # on the page; the CSV files have all


def explore_page(
    root: Path,
    task: str,
    images: pd.DataFrame,
    duplicates: Sequence[Duplicate],
    tables: Mapping[str, pd.DataFrame],
    pictures: Mapping[str, Sequence[Picture]],
) -> str:
    """The whole page.

    Args:
        images: as `radiographs.survey` gives them, with `split`.
        tables: those of `reports.explore.explore_tables`: leaks, duplicates, counts, outliers, left_out.
        pictures: of the sections counts, pixels and architectures.
    Raises: OSError or radiographs.decoding.Unreadable where an image has gone or changed since it was surveyed.
    """
    odd = tables["outliers"].drop_duplicates("path").head(MOST_EXHIBITS)
    return environment().get_template(TEMPLATE).render(
        data=plain_line(root),
        task=task,
        figures=_figures(images),
        leaks=first_rows(tables["leaks"]),
        leak_count=len(tables["leaks"]),
        leak_sentences=leak_sentences(tables["leaks"]),
        duplicates=first_rows(tables["duplicates"]),
        duplicate_count=len(duplicates),
        duplicate_sentences=duplicate_sentences(duplicates),
        pairs=near_exhibits(root, images, duplicates),
        counts=text_table(tables["counts"]),
        count_pictures=pictures["counts"],
        side=survey.SIDE,
        pixel_pictures=pictures["pixels"],
        outlier_rule=rule_in_words(),
        outliers=first_rows(tables["outliers"][["path", "measure", "z", "reason"]]),
        outlier_count=len(tables["outliers"]),
        odd=_odd_exhibits(root, images, odd),
        left_out=first_rows(tables["left_out"]),
        left_out_count=len(tables["left_out"]),
        architecture_pictures=pictures["architectures"],
    )  # fmt: skip


def leak_sentences(leaks: pd.DataFrame) -> list[str]:
    """What leaks there are, and what they do."""
    if leaks.empty:
        return [
            "No patient and no image, exactly or nearly, is in two splits, and no image is of two patients. Mirrored, "
            "turned and cropped copies were not looked for."
        ]
    across = leaks["leak"].str.startswith("between splits")
    found = [
        f"{number} {'is' if number == 1 else 'are'} {kind}"
        for kind, number in (("between splits", int(across.sum())), ("between patients", int((~across).sum())))
        if number
    ]
    sentences = [
        f"Of these leaks {' and '.join(found)}. A leak between splits makes what is measured look better than it is; "
        f"one between patients does so as soon as the splits are cut anew. Mend: remove all but one of the files."
    ]
    if (leaks["kind"] == NEAR).any():
        sentences.append("Near duplicates are a guess: look at them below before you remove any.")
    return sentences


def duplicate_sentences(duplicates: Sequence[Duplicate]) -> list[str]:
    """How many there are, and how they are judged."""
    exact, near = (sum(each.kind == kind for each in duplicates) for kind in (EXACT, NEAR))
    conflicts = sum(len(each.labels) > 1 for each in duplicates)
    sentences = [
        f"Groups of equal files: {exact}. Pairs of near duplicates: {near}.",
        f"Near duplicates are judged in two steps: their perceptual hashes (64 bits of the cosine transform, Zauner "
        f"2010) differ in at most {perceptual.MOST_BITS} bits, and their {survey.SIDE} x {survey.SIDE} pixels "
        f"correlate by {perceptual.LEAST_CORRELATION} or more. Copies in another size, file format or brightness are "
        f"found; mirrored, turned or cropped ones are not, nor blank images. Two exposures of one limb may be taken "
        f"for one image: look at them.",
    ]
    if conflicts:
        sentences.append(f"Labelled normal in one place and abnormal in another: {conflicts} of them.")
    return sentences


def _figures(images: pd.DataFrame) -> list[tuple[str, str]]:
    numbers = (
        ("image", "images", len(images)),
        ("study", "studies", images["study"].nunique()),
        ("patient", "patients", images["patient"].nunique()),
        ("part", "parts", images["part"].nunique()),
    )
    return [(one if number == 1 else many, f"{number:,}") for one, many, number in numbers]


def near_exhibits(root: Path, images: pd.DataFrame, duplicates: Sequence[Duplicate]) -> list[Exhibit]:
    """The first near duplicates, to be looked at.

    Args:
        images: as `radiographs.survey` gives them.
    Raises: OSError or radiographs.decoding.Unreadable where an image has gone or changed since it was surveyed.
    """
    near = [each for each in duplicates if each.kind == NEAR][:MOST_EXHIBITS]
    return [exhibit(root, images, each.paths, _remark(each)) for each in near]


def _remark(duplicate: Duplicate) -> str:
    leak = duplicate.leak or "same patient, same split"
    labels = " and ".join(duplicate.labels)
    return f"{leak}; {labels}; hashes {duplicate.distance} bits apart, correlation {duplicate.correlation:.3f}"


def _odd_exhibits(root: Path, images: pd.DataFrame, outliers: pd.DataFrame) -> list[Exhibit]:
    return [exhibit(root, images, [row.path], row.reason) for row in outliers.itertuples()]


def first_rows(table: pd.DataFrame) -> TextTable | None:
    """The rows of a table that stand on a page, None of none."""
    return text_table(table.head(MOST_ROWS)) if len(table) else None
