"""What a report opens with: what was searched, on what data, what is best without luck, what is not certain."""

from collections.abc import Iterable, Sequence

import pandas as pd

from plumbing.errors import StoreError
from reports.board import Judge
from reports.confirmed import fresh_cell
from reports.luck import STILL_IN_IT, expected_of_ensemble, expected_text
from reports.ranking import ranked, ranked_by, stored_parts
from reports.tables import cell_text, interval_text, plain_line
from results.certainty import LEAST_PATIENTS, Certainty
from results.metrics import FIRST_ABNORMAL
from results.records import CONFIRM, ENSEMBLE, IMPORT, SEARCH, SPLITS, Search
from results.store import Store

FEW_PATIENTS = 100  # on valid: fewer are named
MAY_BE_EMPTY = ("valid AUC", "luck taken off", "could be best", "other seeds", "test AUC")  # then left out
MOST_NAMED = 8  # architectures in a sentence
NOT_TOLD = (
    "No figure tells how a model would do on radiographs of another hospital, or how many of the labels are wrong."
)


def searched_sentences(trials: pd.DataFrame, searches: Sequence[Search]) -> list[str]:
    """What was searched, in a sentence.

    Args:
        trials: as `reports.confirmed.with_confirmation` gives them.
    """
    trials = trials[trials["kind"] != ENSEMBLE]
    if trials.empty:
        return []
    architectures = [plain_line(each) for each in dict.fromkeys(trials["architecture"].dropna())]
    named = architectures[:MOST_NAMED] + (
        [f"{len(architectures) - MOST_NAMED} more"] * (len(architectures) > MOST_NAMED)
    )
    kinds = {SEARCH: ("search", "searches"), IMPORT: ("import", "imports"), CONFIRM: ("confirmation", "confirmations")}
    ensembles = sum(search.kind == ENSEMBLE for search in searches)
    beside = f", beside {_counted(ensembles, 'ensemble', 'ensembles')} of their models" if ensembles else ""
    counts = [
        _counted(number, *names)
        for kind, names in kinds.items()
        if (number := sum(search.kind == kind for search in searches))
    ]
    parts, told = _listed(list(map(plain_line, stored_parts(trials)))), _counted(len(trials), "trial", "trials")
    models = _counted(len(architectures), "architecture", "architectures")
    return [f"{told} of {models} ({', '.join(named)}) for {parts}, in {_listed(counts)}{beside}."]


def _counted(number: int, one: str, several: str) -> str:
    return f"{number:,} {one if number == 1 else several}"


def _listed(texts: Sequence[str]) -> str:
    return " and ".join(([", ".join(texts[:-1])] if texts[:-1] else []) + list(texts[-1:]))


def data_table(store: Store, searches: Iterable[Search]) -> pd.DataFrame:
    """A row for each task and data: images, studies, patients and abnormal studies of train, valid and test.

    Returns: task, data (its hash's first digits), and texts such as "310 / 60 / 61"; no rows for data whose lists the
        store has not.
    """
    wanted = dict.fromkeys((each.task, each.data_hash) for each in searches if each.task and each.data_hash)
    rows = []
    for task, data_hash in wanted:
        counted = [_counts(store, str(data_hash), str(task), split) for split in SPLITS]
        if any(counted):
            names = ("images", "studies", "patients", "abnormal studies")
            told = {name: " / ".join(f"{each[name]:,}" if each else "?" for each in counted) for name in names}
            rows.append({"task": task, "data": str(data_hash)[:12]} | told)
    return pd.DataFrame(rows)


def _counts(store: Store, data_hash: str, task: str, split: str) -> dict[str, int]:
    try:
        images = store.image_list(data_hash, task, split)
    except StoreError:
        return {}  # an import, or a search that ended before its first trial
    abnormal = images.labels >= (FIRST_ABNORMAL if task == "all_parts" else 1)
    return {
        "images": len(images.paths),
        "studies": len(set(images.studies)),
        "patients": len(set(images.patients)),
        "abnormal studies": len({study for study, found in zip(images.studies, abnormal, strict=True) if found}),
    }


def best_table(trials: pd.DataFrame, judge: Judge) -> pd.DataFrame:
    """The first trial of each part's default ranking: its figures, and what they are worth once luck is taken off.

    Args:
        trials: as `reports.confirmed.with_confirmation` gives them.
    """
    rows = []
    for part, ranking in _rankings(trials):
        best, column = ranking.iloc[0], ranked_by(ranking)
        sure = judge(part, ranking, column)
        aucs = {split: [best[f"{split}_auc{bound}"] for bound in ("", "_low", "_high")] for split in ("valid", "test")}
        rows.append(
            {"part": part, "name_code": best["name_code"], "search": best["search"], "trial": best["trial"]}
            | {"valid AUC": interval_text(*aucs["valid"]), "luck taken off": _corrected(sure, best)}
            | {"could be best": f"{_possible(sure)} of {len(sure.trial_ids)}" if sure else ""}
            | {"other seeds": fresh_cell(best, "valid_auc")}
            | {"test AUC": interval_text(*aucs["test"])}
            | {f"{split} accuracy": cell_text("_accuracy_eval", best[f"{split}_accuracy_eval"]) for split in aucs}
            | {"chosen by": column}
        )
    table = pd.DataFrame(rows)
    empty = [name for name in MAY_BE_EMPTY if name in table and not any(table[name])]
    return table.drop(columns=empty)


def _rankings(trials: pd.DataFrame) -> list[tuple[str, pd.DataFrame]]:
    found = [(part, ranked(trials, part)) for part in stored_parts(trials)]
    return [(part, ranking) for part, ranking in found if len(ranking)]


def _possible(sure: Certainty) -> int:
    return int(sure.comparison.could_be_best.sum())


def _corrected(sure: Certainty | None, best: pd.Series) -> str:
    if best["kind"] == ENSEMBLE:
        return expected_of_ensemble(best)
    return expected_text(sure) if sure is not None and sure.best == best["trial_id"] else ""


def uncertain_sentences(trials: pd.DataFrame, judge: Judge) -> list[str]:
    """What the figures of this store leave open, in plain words; nothing where no trial has finished.

    Args:
        trials: as `reports.confirmed.with_confirmation` gives them.
    """
    rankings = _rankings(trials)
    if not rankings:
        return []
    sure = {plain_line(part): judge(part, ranking, ranked_by(ranking)) for part, ranking in rankings}
    known = {part: each for part, each in sure.items() if each is not None}
    told = {part: each for part, each in known.items() if not each.too_few}
    compared = [f"{part} {_possible(each)} of {len(each.trial_ids)}" for part, each in told.items()]
    few = [f"{part} {each.patients}" for part, each in known.items() if each.patients < FEW_PATIENTS]
    too_few = [f"{part} {each.rarest}" for part, each in known.items() if each.too_few]
    bare = [part for part in sure if part not in known]
    found = []
    if compared:
        found.append(
            "The best of many trials looks better than it is, because luck helped to choose it. “Luck taken off” is "
            f"what to expect without the luck of that choice. {STILL_IN_IT} So many trials could truly be the best "
            f"(95 %): {', '.join(compared)}."
        )
    if few:
        found.append(f"Few patients make wide intervals; on valid there are: {', '.join(few)}.")
    if too_few:
        found.append(
            f"Fewer than {LEAST_PATIENTS} patients of a class on valid ({', '.join(too_few)}) are too few to tell "
            "trials apart or to take luck off."
        )
    if bare:
        of = f"Of {_listed(bare)} fewer" if known else "Fewer"
        more = "" if known else " of any part"
        found.append(
            f"{of} than two trials{more} have stored probabilities on the same patients: luck cannot be taken off the "
            "figures."
        )
    return [*found, _seed_sentence(rankings), NOT_TOLD]


def leak_sentences(leaks: pd.DataFrame) -> list[str]:
    """That the splits share images or patients, where they were looked at and do.

    Args:
        leaks: as `reports.data_look.look_at` finds them, a row each.
    """
    if leaks.empty:
        return []
    return [
        f"{_counted(len(leaks), 'leak was', 'leaks were')} found between splits or patients, near duplicates counted; "
        "until they are looked at (under Data), figures of valid and test may be too good."
    ]


def _seed_sentence(rankings: Sequence[tuple[str, pd.DataFrame]]) -> str:
    trained = ((part, ranking[ranking["kind"] != ENSEMBLE]) for part, ranking in rankings)
    firsts = [(plain_line(part), ranking.iloc[0]) for part, ranking in trained if len(ranking)]
    ours = [(part, best) for part, best in firsts if best["kind"] != IMPORT]
    if not ours:
        return "How much of these figures is due to the seed of their training is not known."
    again = {part: best["valid_auc_fresh_trainings"] for part, best in ours}
    once = [part for part, trainings in again.items() if pd.isna(trainings)]
    failed = [part for part, trainings in again.items() if trainings == 0]
    found = [f"Of {_listed(failed)} every training of the best under other seeds failed."] if failed else []
    if len(once) + len(failed) < len(again):
        found.append("“Other seeds” is what the best reached when trained again, on the same patients that chose it.")
    if once:
        which = "The best trials were" if len(once) == len(ours) else f"The best of {_listed(once)} was"
        found.append(
            f"{which} trained under one seed only, and intervals do not hold that luck: search.run --confirm trains "
            "again."
        )
    return " ".join(found)
