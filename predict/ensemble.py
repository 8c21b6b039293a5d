"""The kept models of a part put together: which of them, how often, and how good that is; nothing is trained.

    python -m predict.ensemble --part XR_HAND [--most N] [--name NAME]

Chosen by the AUC of valid's studies among the models that `search.run --keep-models K` kept. The store then has it as
a trial, and `python -m predict --model NAME` predicts by it. The same command again changes nothing; where it would
choose other members by now, the name is refused.
"""

import shlex
import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING

from plumbing.command import CommandParser, at_least, run_command
from radiographs.parts import TASKS
from results.connection import DEFAULT_URL, without_password

if TYPE_CHECKING:  # NumPy and what reads a store are loaded where they are used: --help needs neither
    from results.records import Measure, Trial
    from results.store import Store

COMMAND = "predict.ensemble"
MOST = 20


def main(arguments: Sequence[str]) -> int:
    """The command: 0 where an ensemble is stored, or none is better than the best model."""
    parser = CommandParser(COMMAND, "Puts the kept models of a part together into an ensemble. Nothing is trained.")
    parser.add_argument("--part", required=True, choices=TASKS, help="whose models")
    parser.add_argument(
        "--most", type=at_least(2), default=MOST, metavar="N", help="picks, a model's each time counted"
    )
    parser.add_argument("--name", help="of the ensemble; default: PART-ensemble")
    parser.add_argument("--store", default=DEFAULT_URL, metavar="URL", help="the results store")
    options = parser.parse_args(arguments)

    from results.ensemble_trial import make_ensemble
    from results.store import Store

    name = f"{options.part}-ensemble" if options.name is None else options.name
    command = shlex.join(["python", "-m", COMMAND, *without_password(arguments, options.store)])
    store = Store.open(options.store)
    try:
        trial = make_ensemble(store, options.part, options.most, name, command)
        lines = NO_BETTER if trial is None else told(store, trial)
    finally:
        store.close()
    print("\n".join(lines))
    return 0


NO_BETTER = ["No mean of kept models is better on valid than the best of them alone: nothing was stored."]


def told(store: "Store", trial: "Trial") -> list[str]:
    """A stored ensemble in lines for a person, the best of its members beside it."""
    from results.records import EXPECTED_AUC, MEMBERS

    figures = {(trial_id, each.split, each.metric): each for trial_id, each in store.measures("study")}
    ids = {(search.name, each.number): each.id for search in store.searches() for each in store.trials(search.id)}
    members = trial.configuration[MEMBERS]
    picks = sum(each["picks"] for each in members)
    lines = [f"{trial.model_name}: a mean of {len(members)} of {trial.configuration['models']} kept models"]
    lines += [f"  {each['picks']} of {picks}  {each['search']}, trial {each['trial']}" for each in members]
    alone = max(
        (ids[each["search"], each["trial"]] for each in members),
        key=lambda trial_id: figures[trial_id, "valid", "auc"].value or 0.0,
    )
    for split in ("valid", "test"):
        own, other = (_text(figures.get((trial_id, split, "auc"))) for trial_id in (trial.id, alone))
        lines.append(f"{split} AUC by study: {own}; of the best member alone: {other}")
    return [*lines, _expected(figures.get((trial.id, "valid", EXPECTED_AUC)))]


def _text(measure: "Measure | None") -> str:
    if measure is None or measure.value is None:
        return "not known"
    return f"{measure.value:.3f}" + ("" if measure.low is None else f" ({measure.low:.3f}-{measure.high:.3f})")


def _expected(measure: "Measure | None") -> str:
    if measure is None:
        return "How much of its valid AUC is the luck of the choice is not known: too few patients of a class."
    return (
        "It was chosen on these studies of valid, so its valid AUC is too good: to be expected on other such patients "
        f"is {_text(measure)}."
    )


if __name__ == "__main__":
    sys.exit(run_command(COMMAND, main, sys.argv[1:]))
