"""A titled table for people and for machines, and all forms that it can take.

Names come from users' files and stores: in no form can they break it, nor run in a browser or a spreadsheet.
"""

import json
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

import pandas as pd

from reports.pages import environment
from reports.tables import TextTable, escape_markdown, plain_line, text_table, to_csv, to_markdown
from results.export import plain_rows

_LATEX = {
    "\\": r"\textbackslash{}", "&": r"\&", "%": r"\%", "$": r"\$", "#": r"\#", "_": r"\_", "{": r"\{", "}": r"\}",
    "~": r"\textasciitilde{}", "^": r"\textasciicircum{}", "<": r"\textless{}", ">": r"\textgreater{}",
    "[": "{[}", "*": "{*}",  # else an argument of the line's end before them
    "|": r"\textbar{}", "\"": r"\textquotedbl{}", "`": r"\textasciigrave{}", "'": r"\textquotesingle{}",
}  # fmt: skip


@dataclass(frozen=True)
class Sheet:
    """A table with what is said of it.

    Attributes:
        title: a part's name, or what else it is of.
        before, after: sentences above and below.
        table: as people read it, numbers with their interval in one cell.
        numbers: the same for machines: each number a column of its own, nothing left out.
    """

    title: str
    before: tuple[str, ...]
    table: pd.DataFrame
    numbers: pd.DataFrame
    after: tuple[str, ...]

    @cached_property
    def text(self) -> TextTable:
        """The table's cells as text, made once."""
        return text_table(self.table)


def as_markdown(sheets: Sequence[Sheet]) -> str:
    """A heading, sentences and a table each."""
    return "\n".join(_markdown(sheet) for sheet in sheets)


def _markdown(sheet: Sheet) -> str:
    before, after = (
        [f"{escape_markdown(plain_line(each))}\n" for each in said] for said in (sheet.before, sheet.after)
    )
    table = [to_markdown(sheet.table)] if len(sheet.table) else []
    return "\n".join([f"## {escape_markdown(plain_line(sheet.title))}\n", *before, *table, *after])


def as_csv(sheets: Sequence[Sheet]) -> str:
    """All rows under one header; sentences are left out."""
    tables = [sheet.numbers for sheet in sheets if len(sheet.numbers)]
    if not tables:
        return ""
    columns = list(dict.fromkeys(column for table in tables for column in table.columns))
    together = pd.DataFrame([row for table in tables for row in table.to_dict("records")], columns=columns)
    return to_csv(together)


def as_json(sheets: Sequence[Sheet]) -> str:
    """Strict JSON: a list of title, sentences and rows; absent numbers are null, whole ones have no point."""
    plain = [
        {
            "title": sheet.title,
            "sentences": [*sheet.before, *sheet.after],
            "rows": plain_rows(sheet.numbers.convert_dtypes()),
        }
        for sheet in sheets
    ]
    return json.dumps(plain, indent=1, allow_nan=False) + "\n"


def as_latex(sheets: Sequence[Sheet]) -> str:
    """A `table` each, for a document that loads booktabs and textcomp."""
    return "\n".join(_latex(sheet) for sheet in sheets)


def _latex(sheet: Sheet) -> str:
    text = sheet.text
    lines = [[latex_text(cell) for cell in row] for row in (text.columns, *text.rows)]
    head, *body = (" & ".join(line) + r" \\" for line in lines)
    align = "".join("r" if column in text.numeric else "l" for column in text.columns)
    caption = latex_text(" ".join([f"{plain_line(sheet.title)}.", *map(plain_line, (*sheet.before, *sheet.after))]))
    table = [rf"\begin{{tabular}}{{{align}}}", r"\toprule", head, r"\midrule", *body, r"\bottomrule", r"\end{tabular}"]
    whole = [r"\begin{table}", r"\centering", rf"\caption{{{caption}}}", *(table if len(text.columns) else [])]
    return "\n".join([*whole, r"\end{table}"]) + "\n"


def latex_text(text: str) -> str:
    r"""Text that LaTeX sets as it is.

    >>> latex_text(r"50 % of a_b \input{x}")
    '50 \\% of a\\_b \\textbackslash{}input\\{x\\}'
    """
    return re.sub("-(?=-)", "-{}", "".join(_LATEX.get(sign, sign) for sign in text))  # else two become a dash


def as_html(sheets: Sequence[Sheet]) -> str:
    """A page of its own without scripts, which needs nothing beside it."""
    shown = [(plain_line(sheet.title), sheet, sheet.text) for sheet in sheets]
    return environment().get_template("sheets.html.j2").render(sheets=shown)


WRITERS: Mapping[str, Callable[[Sequence[Sheet]], str]] = {
    "markdown": as_markdown,
    "csv": as_csv,
    "json": as_json,
    "latex": as_latex,
    "html": as_html,
}
