"""Hostile names are harmless in every form of a table."""

import csv
import json
import re
from html.parser import HTMLParser
from io import StringIO

import pandas as pd
import pytest

from reports.sheets import Sheet, as_csv, as_html, as_json, as_latex, as_markdown, latex_text
from tests.reports.store_maker import HOSTILE


def sheet(name: str) -> Sheet:
    table = pd.DataFrame({"name_code": [name, "b"], "lr": [0.1, None]})
    return Sheet(name, ("Before.",), table, table, ("After.",))


def one_line(name: str) -> str:
    return " ".join(name.replace("\x07", " ").split())


class Text(HTMLParser):
    """The page's tags and texts as a browser reads them."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.tags: set[str] = set()
        self.texts: list[str] = []
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)
        assert not any(name.startswith("on") for name, _ in attrs)

    def handle_data(self, data: str) -> None:
        self.texts.append(data)


@pytest.mark.parametrize("name", HOSTILE)
def test_html_shows_the_name_and_runs_nothing(name: str) -> None:
    page = Text(as_html([sheet(name)]))
    assert not page.tags & {"script", "img", "a", "i", "b", "iframe"}
    assert one_line(name) in page.texts


@pytest.mark.parametrize("name", HOSTILE)
def test_csv_holds_the_name_in_one_cell_that_no_spreadsheet_runs(name: str) -> None:
    header, first, second = list(csv.reader(StringIO(as_csv([sheet(name)]))))
    assert header == ["name_code", "lr"]
    assert first[0].removeprefix("'") == one_line(name)
    assert not first[0].startswith(("=", "+", "-", "@"))
    assert second == ["b", ""]


@pytest.mark.parametrize("name", HOSTILE)
def test_json_holds_the_very_name(name: str) -> None:
    (found,) = json.loads(as_json([sheet(name)]), parse_constant=pytest.fail)
    assert found["title"] == name
    assert found["rows"] == [{"name_code": name, "lr": 0.1}, {"name_code": "b", "lr": None}]


@pytest.mark.parametrize("name", HOSTILE)
def test_latex_has_no_command_or_special_sign_of_the_names(name: str) -> None:
    text = as_latex([sheet(name)])
    assert text.count(r" \\") == 3  # header and two rows
    assert len(re.findall(r"(?<!\\)&", text)) == 3
    ours = {"begin", "end", "centering", "caption", "toprule", "midrule", "bottomrule"}
    commands = set(re.findall(r"\\([A-Za-z]+)", text)) - ours
    assert all(each.startswith("text") for each in commands)
    assert not re.search(r"(?<!\\)[#$%_^~<>|]", text)


@pytest.mark.parametrize("name", ["[2cm] x", "*x"])
def test_a_name_that_begins_a_row_is_no_argument_of_latexs_line_end(name: str) -> None:
    """After \\\\ a star and brackets are its own, spaces and line ends between them or not."""
    (row,) = [line for line in as_latex([sheet(name)]).splitlines() if name.strip("[*]2cm ") in line and "&" in line]
    assert not row.lstrip().startswith(("[", "*"))


def test_latex_keeps_two_hyphens_apart() -> None:
    assert latex_text("a--b---c") == "a-{}-b-{}-{}-c"


@pytest.mark.parametrize("name", HOSTILE)
def test_markdown_has_one_heading_and_one_table(name: str) -> None:
    lines = as_markdown([sheet(name)]).splitlines()
    assert sum(line.startswith("## ") for line in lines) == 1
    assert sum(line.startswith("| ") for line in lines) == 4
    assert "<" not in "".join(lines)
