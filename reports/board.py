"""Leaderboards as sheets: which trials, in which order, how sure it is, and what is shown of them.

How trials are ranked stands in `reports.ranking`, how sure that is in `results.certainty`.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cache, partial
from typing import Any

import pandas as pd

from plumbing.errors import UsageError
from radiographs.parts import TASKS
from reports.confirmed import FIGURES, fresh_cell, with_confirmation
from reports.luck import ensemble_sentence, luck_sentences
from reports.ranking import check_rank_by, count_sentence, ranked, ranked_by, ranking_sentence, stored_parts
from reports.sheets import Sheet
from reports.tables import base_name, interval_text, plain_line
from results.certainty import RANKED_BY, Certainty, certainty
from results.records import CONFIRM, ENSEMBLE
from results.store import Store
from results.table import EXPORTED, ranking_table, trials_table

DEFAULT_TOP = 4  # as published
PUBLISHED = [
    "name_code", "part_body", "lr", "conv_dropout", "callbacks_patience", "fit_epochs", "early_stop_at_epoch",
    "test_accuracy_eval", "train_accuracy_eval", "valid_accuracy_eval", "model_name",
]  # fmt: skip
WITH_INTERVAL = tuple(column for column in EXPORTED if f"{column}_low" in EXPORTED)
CONFIRMED = ("valid_auc_fresh", "test_auc_fresh")
OWN = ("rank", "rank_95", "could_be_best", "trials", *CONFIRMED)  # columns beside the exported ones
GROUPED_BY = ("architecture", "augmentation", "frozen", "search", "engine", "weights", "image_size")

# More trials of a part than this are not compared: a thousand take seconds and 16 MB, and more of them more.
MOST_COMPARED = 1_000

# (part, ranked trials, the column they are ranked by) to how sure that is.
Judge = Callable[[str, pd.DataFrame, str], Certainty | None]
# Rows of a leaderboard, made whole.
Complete = Callable[[pd.DataFrame], pd.DataFrame]


@dataclass(frozen=True)
class Query:
    """Which trials a leaderboard is of, and what it shows of them.

    Attributes:
        part: None for all in the store. top: rows a part, None for all. rank_by: an exported column of numbers, None
            for the default. columns: exported ones or of `OWN`; empty for the published ones. group_by: the best row of
            each value alone. search, since: these trials alone; since: ISO 8601, when they ended.
    """

    part: str | None = None
    top: int | None = DEFAULT_TOP
    rank_by: str | None = None
    columns: tuple[str, ...] = ()
    group_by: str | None = None
    search: str | None = None
    since: str | None = None


def judged_by(store: Store) -> Judge:
    """Compares the trials measured on the same data as the first one that has any; remembers what it found."""
    known = cache(partial(certainty, store, drawn={}))

    def judge(part: str, rows: pd.DataFrame, column: str) -> Certainty | None:
        of_data = rows[rows["data_hash"].notna() & (rows["kind"] != ENSEMBLE)]  # chosen by what it would be compared by
        if column not in RANKED_BY or of_data.empty:
            return None
        data_hash = of_data.iloc[0]["data_hash"]
        same = of_data.loc[of_data["data_hash"] == data_hash, "trial_id"]
        if len(same) > MOST_COMPARED:
            return None
        return known(data_hash, part, tuple(map(int, same)), column)

    return judge


def quick_trials(store: Store, query: Query) -> pd.DataFrame | None:
    """The trials with no more than what ranks them, None where the query or the store asks for all of each."""
    plain = query.rank_by in (None, "valid_auc", "valid_accuracy_eval") and query.group_by is None
    if not plain or query.top is None or {ENSEMBLE, CONFIRM} & {each.kind for each in store.searches()}:
        return None
    trials = ranking_table(store, ends=query.since is not None)
    if {ENSEMBLE, CONFIRM} & set(trials["kind"].unique()):  # stored since
        return None
    return with_confirmation(trials)


def completed(store: Store) -> Complete:
    """Fills the rows of `quick_trials` that are shown."""

    def complete(rows: pd.DataFrame) -> pd.DataFrame:
        whole = trials_table(store, rows["trial_id"].tolist()).drop(columns="continued").set_index("trial_id")
        whole = whole.loc[rows["trial_id"]].reset_index().set_index(rows.index)
        return pd.concat([rows.drop(columns=rows.columns.intersection(whole.columns)), whole], axis=1)

    return complete


def chosen(trials: pd.DataFrame, query: Query) -> pd.DataFrame:
    """The trials that the query is of, all parts.

    Raises: UsageError where `search` is not among them, or `since` no time.
    """
    if query.search is not None:
        known = list(trials["search"].unique())
        if query.search not in known:
            raise UsageError(f"--search {query.search}: no trial of it; the store holds {', '.join(known) or 'none'}")
        trials = trials[trials["search"] == query.search]
    if query.since is not None:
        try:
            since = datetime.fromisoformat(query.since)
        except ValueError:
            raise UsageError(f"--since {query.since}: no time; give it as 2026-01-31 or 2026-01-31T12:00") from None
        since = since.replace(tzinfo=since.tzinfo or UTC)
        ended = pd.to_datetime(trials["finished"], utc=True, format="ISO8601")
        trials = trials[ended >= since]
    return trials


def chosen_parts(trials: pd.DataFrame, query: Query) -> list[tuple[pd.DataFrame, str]]:
    """The trials that the query is of, once for each part that they hold and the query asks for, and that part.

    Raises: UsageError as `chosen`, and where the query's part is none; names the choices.
    """
    known = list(dict.fromkeys((*TASKS, *stored_parts(trials))))
    if query.part is not None and query.part not in known:
        raise UsageError(f"--part {query.part!r}: no such part; give one of {', '.join(known)}")
    trials = chosen(trials, query)
    return [(trials, part) for part in stored_parts(trials) if query.part in (None, part)]


def leaderboards(trials: pd.DataFrame, query: Query, judge: Judge, complete: Complete | None = None) -> list[Sheet]:
    """A sheet for each part.

    Args:
        trials: as `reports.confirmed.with_confirmation` gives them. complete: fills the rows that are shown, where the
            trials came with no more than what ranks them.
    Raises: UsageError where something in the query is not there; names the choices.
    """
    check_query(query)
    return [_board(trials, part, query, judge, complete) for trials, part in chosen_parts(trials, query)]


def check_query(query: Query) -> None:
    """Raises: UsageError where a column is none; names the choices."""
    check_rank_by(query.rank_by)
    for column in query.columns:
        if column not in (*EXPORTED, *OWN):
            choices = ", ".join((*OWN, *EXPORTED))
            raise UsageError(f"--columns: {column!r} is no column; give some of {choices}")
    if "trials" in query.columns and query.group_by is None:
        raise UsageError("--columns trials counts those of a group; give --group-by too")
    if query.group_by is not None and query.group_by not in GROUPED_BY:
        raise UsageError(f"--group-by {query.group_by!r}: give one of {', '.join(GROUPED_BY)}")


def _board(trials: pd.DataFrame, part: str, query: Query, judge: Judge, complete: Complete | None) -> Sheet:
    rows = ranked(trials, part, query.rank_by)
    if rows.empty:
        return Sheet(part, (), pd.DataFrame(), pd.DataFrame(), (count_sentence(trials, part, 0),))
    column = ranked_by(rows, query.rank_by)
    sure = _of_each_data(part, rows, column, judge)
    before = [ranking_sentence(rows, query.rank_by)]
    every = rows = _with_certainty(rows, sure)
    if query.group_by is not None:
        before.append(f"The best of each {query.group_by}.")
        groups = rows.groupby(query.group_by, sort=False, dropna=False)
        rows = groups.head(1).assign(trials=groups["rank"].transform("size"))
    shown = rows if query.top is None else rows.head(query.top)
    shown = complete(shown) if complete else shown
    columns = query.columns or _default_columns(rows, query, column, bool(sure))
    fresh, count = _fresh_sentence(shown, columns), count_sentence(trials, part, len(shown))
    after = [*_certainty_sentences(sure, every), *_too_many_sentence(every, column), *fresh, count]
    return Sheet(part, tuple(before), _for_people(shown, columns), _for_machines(shown, columns), tuple(after))


def _default_columns(rows: pd.DataFrame, query: Query, column: str, sure: bool) -> tuple[str, ...]:
    own = ("rank", *(("rank_95", "could_be_best") if sure else ()), *(("trials",) if query.group_by else ()))
    known = {name: f"{name}_trainings" if name in CONFIRMED else name for name in ("valid_auc", *CONFIRMED, "test_auc")}
    measured = (name for name, column in known.items() if rows[column].notna().any())
    extra = (name for name in (query.group_by, query.rank_by) if name is not None)
    return tuple(dict.fromkeys((*own, "search", *extra, *measured, *PUBLISHED)))


def _of_each_data(part: str, rows: pd.DataFrame, column: str, judge: Judge) -> list[Certainty]:
    """Trials measured on other patients cannot be compared in pairs: those of each data are judged apart."""
    found = [judge(part, own, column) for _, own in rows.groupby("data_hash", sort=False)]
    return [each for each in found if each is not None]


def _with_certainty(rows: pd.DataFrame, sure: Sequence[Certainty]) -> pd.DataFrame:
    if not sure:
        return rows.assign(rank_low=None, rank_high=None, could_be_best=None)
    known = {trial: (*each.rank_of(trial), each.could_be_best(trial)) for each in sure for trial in each.trial_ids}
    found = [known.get(trial, (None, None, None)) for trial in rows["trial_id"]]
    columns = zip(("rank_low", "rank_high", "could_be_best"), zip(*found, strict=True), strict=True)
    return rows.assign(**{name: pd.Series(values, rows.index, dtype=object) for name, values in columns})


def _too_many_sentence(rows: pd.DataFrame, column: str) -> list[str]:
    """What stands below the table where a part has too many trials to say how sure the order is."""
    most = rows.loc[rows["kind"] != ENSEMBLE, "data_hash"].value_counts().max() if column in RANKED_BY else 0
    if not most > MOST_COMPARED:
        return []
    return [
        f"{most} trials are too many to be compared here, {MOST_COMPARED} at most: how sure the order is, is not said."
    ]


def _certainty_sentences(sure: Sequence[Certainty], rows: pd.DataFrame) -> list[str]:
    """What stands below the table on how sure it is.

    Args:
        rows: all that are ranked.
    """
    found = [sentence for each in sure for sentence in _certainty_of_data(each, rows)]
    if any(not each.too_few for each in sure):
        found.append(
            "rank_95 holds the trial's true rank, and the truly best is among those that could_be_best marks yes, each "
            "with 95 % confidence; the second asks less and so can tell more."
        )
    compared = {trial for each in sure for trial in each.trial_ids}
    ensembles = rows[rows["kind"] == ENSEMBLE]
    if sure and (len(sure) > 1 or not compared.issuperset(set(rows["trial_id"]) - set(ensembles["trial_id"]))):
        found.append("Both count trials measured on the same patients alone; where they are empty, nothing is known.")
    return [*found, *(ensemble_sentence(row) for _, row in ensembles.iterrows())]


def _certainty_of_data(sure: Certainty, rows: pd.DataFrame) -> list[str]:
    best = rows.set_index("trial_id").loc[sure.best]
    several = rows["data_hash"].dropna().nunique() > 1
    of_data = f" (data {plain_line(best['data_hash'])[:12]})" if several else ""
    compared = f"{len(sure.trial_ids)} trials were measured on the same {sure.patients} valid patients{of_data}"
    if sure.too_few:
        return [f"{compared}, {sure.rarest} of a class: too few to tell the trials apart, or to take luck off."]
    possible = int(sure.comparison.could_be_best.sum())
    name = f"{plain_line(best['search'])}, trial {best['trial']}"
    return [
        f"{compared}; {possible} of them could truly be the best (95 %).",
        *luck_sentences(sure, f"The {sure.column} of the first of them ({name})"),
    ]


def _fresh_sentence(rows: pd.DataFrame, columns: Sequence[str]) -> list[str]:
    if not set(CONFIRMED) & set(columns) or not rows["valid_auc_fresh_trainings"].notna().any():
        return []
    return [
        "valid_auc_fresh, test_auc_fresh: mean ± standard deviation under other seeds (trainings that finished), on "
        "the same patients; to choose again by them would bring luck back."
    ]


def _for_people(rows: pd.DataFrame, columns: tuple[str, ...]) -> pd.DataFrame:
    return pd.DataFrame({column: _shown(rows, column) for column in columns})


def _shown(rows: pd.DataFrame, column: str) -> Any:
    if column == "rank_95":
        ranks = zip(rows["rank_low"], rows["rank_high"], strict=True)
        return [None if low is None else f"{low}-{high}" for low, high in ranks]
    if column == "could_be_best":
        return [None if found is None else "yes" if found else "no" for found in rows["could_be_best"]]
    if column == "model_name":
        return [base_name(name) if isinstance(name, str) else None for name in rows["model_name"]]
    if column in CONFIRMED:
        return [fresh_cell(row, column.removesuffix("_fresh")) for _, row in rows.iterrows()]
    if column in WITH_INTERVAL:
        bounds = zip(rows[column], rows[f"{column}_low"], rows[f"{column}_high"], strict=True)
        return [interval_text(*each) for each in bounds]
    return rows[column].tolist() if rows[column].dtype == object else rows[column].to_numpy()


def _for_machines(rows: pd.DataFrame, columns: tuple[str, ...]) -> pd.DataFrame:
    names: list[str] = []
    for column in columns:
        if column == "rank_95":
            names += ["rank_low", "rank_high"]
        elif column in CONFIRMED:
            names += [f"{column}{of}" for of in FIGURES]
        elif column in WITH_INTERVAL:
            names += [column, f"{column}_low", f"{column}_high"]
        else:
            names.append(column)
    names += [] if "trial" in names else ["trial"]
    return rows[list(dict.fromkeys(names))].reset_index(drop=True)
