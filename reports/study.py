"""What a search tells of its parameters: their importances, and Optuna's plots, whichever engine proposed it.

    python -m reports.study NAME --out DIR [--store URL]

writes DIR/importances.md and .csv, and PNG files: optimization_history, parallel_coordinates, slice (and one for each
architecture's own parameters), contour of the two most important parameters, intermediate_values. What too few trials
cannot tell is left out, and importances.md says why.
"""

import re
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from plumbing.command import CommandParser, run_command
from plumbing.errors import StoreError, UsageError
from reports.folder import write_all

if TYPE_CHECKING:  # loaded where they are used: --help needs none of them
    import optuna
    import pandas as pd

    from results.records import Search
    from results.store import Store

COMMAND = "reports.study"


def write_study(store: "Store", search: "Search", folder: Path) -> list[Path]:
    """Write the search's importances and plots.

    Returns: the paths written, in the order of their writing.
    Raises: StoreError where it is an import or has no finished trial. OSError where the folder cannot be written.
    """
    from reports.search_study import study_of

    return write_files(study_of(store, search), search.objective or "", folder)


def write_files(study: "optuna.Study", objective: str, folder: Path) -> list[Path]:
    """Write the importances and plots of a search as an Optuna study; see `write_study`."""
    from reports.importances import finished, importance_table

    if not finished(study):
        raise StoreError(f"{study.study_name} has no finished trial yet; let it run")
    table = importance_table(study)
    files: dict[str, str | bytes] = {**importance_files(study, table), **pictures(study, table, objective)}
    return write_all(folder, files)


def importance_files(study: "optuna.Study", table: "pd.DataFrame") -> dict[str, str | bytes]:
    """File name -> text; without the CSV file where no importances can be told."""
    from reports.importances import importance_sentence
    from reports.tables import escape_markdown, plain_line, to_csv, to_markdown

    told = (f"# Importances: {study.study_name}", importance_sentence(study))
    lines = [f"{escape_markdown(plain_line(line))}\n" for line in told]
    if table.empty:
        return {"importances.md": "\n".join(lines)}
    meaning = (
        "Each scope's importances sum to 1. A parameter that not all of a scope's trials have, or that is fixed, is "
        "left out. fANOVA: share of the objective's variance over the space; PED-ANOVA: how far the best trials' "
        "values differ from all.\n"
    )
    return {
        "importances.csv": to_csv(table),
        "importances.md": "\n".join([*lines, to_markdown(table.round({"fanova": 4, "ped_anova": 4})), meaning]),
    }


def pictures(study: "optuna.Study", table: "pd.DataFrame", objective: str) -> dict[str, str | bytes]:
    """File name -> PNG, of what the trials can show.

    Args:
        table: as `reports.importances.importance_table` gives it.
    """
    from plumbing.text import shorten
    from reports import study_plots as plots
    from reports.figures import png
    from reports.importances import ALL, Scope, scopes
    from reports.tables import plain_line

    shared, *others = scopes(study)
    drawn = plots.Drawn(study.get_trials(deepcopy=False), shared)
    name = shorten(plain_line(study.study_name), 40)
    important = [each for each in table.loc[table["scope"] == ALL, "parameter"] if each in drawn.renamed][:2]
    found: dict[str, str | bytes] = {}
    with plots.optuna_drawing():
        found["optimization_history.png"] = png(plots.history_figure(drawn, f"{name}: {objective} by trial", objective))
        if drawn.names:
            title = f"{name}: parameters that all trials have"
            found["parallel_coordinates.png"] = png(plots.parallel_figure(drawn, title, objective))
            found["slice.png"] = png(plots.slice_figure(drawn, title, objective))
        for scope in others:
            own = Scope(scope.name, scope.trials, [each for each in scope.parameters if each not in shared.parameters])
            part = plots.Drawn(own.trials, own)
            if part.names:
                title = f"{name}: parameters of {shorten(plain_line(scope.name), 30)}"
                found[f"slice_{_safe(scope.name)}.png"] = png(plots.slice_figure(part, title, objective))
        if len(important) == 2:
            title = f"{name}: {objective} between trials"
            found["contour.png"] = png(plots.contour_figure(drawn, important, title, objective))
        if any(len(trial.intermediate_values) > 1 for trial in study.get_trials(deepcopy=False)):
            title = f"{name}: {objective} by epoch"
            found["intermediate_values.png"] = png(plots.intermediate_figure(drawn, title, objective))
    return found


def _safe(name: str) -> str:
    """An architecture as part of a file's name: a user's own model may have any."""
    return re.sub(r"[^A-Za-z0-9_-]", "_", name)[:60]


def main(arguments: Sequence[str]) -> int:
    """The command; see the module's head."""
    from results.connection import DEFAULT_URL

    parser = CommandParser(COMMAND, "Writes a search's importances of parameters, and Optuna's plots of it.")
    parser.add_argument("name", metavar="NAME", help="the search")
    parser.add_argument("--out", metavar="DIR", type=Path, required=True, help="the folder; made where it is absent")
    parser.add_argument("--store", metavar="URL", default=DEFAULT_URL, help="the results store")
    options = parser.parse_args(arguments)

    from reports.importances import importance_sentence
    from reports.search_study import study_of
    from results.store import Store

    if options.out.exists() and not options.out.is_dir():
        raise UsageError(f"--out {options.out} is a file; give another folder")
    store = Store.open(options.store)
    try:
        search = store.search(options.name)
        if search is None:
            known = ", ".join(each.name for each in store.searches()) or "nothing"
            raise StoreError(f"{options.name}: no such search in the store, which holds {known}")
        study = study_of(store, search)
        paths = write_files(study, search.objective or "", options.out)
    finally:
        store.close()
    print("\n".join(map(str, paths)))
    print(importance_sentence(study))
    return 0


if __name__ == "__main__":
    sys.exit(run_command(COMMAND, main, sys.argv[1:]))
