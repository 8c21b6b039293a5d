"""Tables as text: CSV that no spreadsheet runs, passwords left out."""

import csv
import io

import pandas as pd
import pytest

from reports.tables import plain_line, to_csv, without_passwords
from results.export import harmless
from tests.reports.store_maker import HOSTILE


@pytest.mark.parametrize("name", [*HOSTILE, "+1+cmd", "-2+3", "@SUM(A1)", "\t=1"])
def test_hostile_text_is_one_cell_and_no_formula(name: str) -> None:
    header, row = list(csv.reader(io.StringIO(to_csv(pd.DataFrame({"name": [name], "n": [1]})))))

    assert header == ["name", "n"]
    assert len(row) == 2
    assert not row[0].startswith(("=", "+", "-", "@"))
    assert "\n" not in row[0]


def test_numbers_stay_numbers_in_csv() -> None:
    table = pd.DataFrame({"epochs": [20.0, None], "accuracy": [-0.5, 80.25], "lr": ["-0.1", "x"]})

    assert to_csv(table) == "epochs,accuracy,lr\n20,-0.5,-0.1\n,80.25,x\n"


@pytest.mark.parametrize("text", [*HOSTILE, "+1+cmd", "-2+3", "@SUM(A1)", "-0.1", "+1e-4", "-inf", "a-b"])
def test_reports_and_export_disarm_the_same_texts(text: str) -> None:
    (_, row) = csv.reader(io.StringIO(to_csv(pd.DataFrame({"name": [text]}))))
    assert row == [harmless(plain_line(text))]


@pytest.mark.parametrize("text", ["postgresql+psycopg://me:secret@host/db", "x --store mysql://:secret@h/d --seed 3"])
def test_password_in_a_url_is_left_out(text: str) -> None:
    assert "secret" not in without_passwords(text)
    assert ":***@" in without_passwords(text)
