"""How sure a ranking is: all trials that were measured on the same valid patients, compared in pairs.

Early stopping and the best epoch were chosen on the same patients; that part of the luck stays in every value. With few
patients of a class nothing is claimed: all trials could be best, at any rank, and no luck is taken off.
"""

from collections.abc import MutableMapping, Sequence
from dataclasses import dataclass

import numpy as np

from results.evaluation import all_metrics, image_cases, plain_metrics, study_cases
from results.intervals import patient_weights
from results.metrics import Floats, Integers
from results.selection import Comparison, Corrected, bias_corrected, compare, undecided
from results.store import Store

# Patients of each class. Of as many, one trial right about all and another about none differ by chance in 1 of 512
# (McNemar's exact test), so that even the best of dozens of trials would seldom be taken for surely better.
LEAST_PATIENTS = 10

# Exported column -> metric, by study or by image, and -1 where less is better.
RANKED_BY = {
    "valid_auc": ("auc", "study", 1),
    "valid_kappa": ("kappa", "study", 1),
    "valid_sensitivity": ("sensitivity", "study", 1),
    "valid_specificity": ("specificity", "study", 1),
    "valid_brier": ("brier", "study", -1),
    "valid_accuracy_eval": ("accuracy", "image", 1),
}


@dataclass(frozen=True)
class Certainty:
    """What is known of an order of trials.

    Attributes:
        column: that the trials are ordered by. trial_ids: those compared. best: the one with the best value.
        patients: that they were measured on. rarest: patients of the class that has the fewest.
        comparison: of the trials, in their order. corrected: of the best, in the column's own unit; None where no
            draw defines the metric, or `too_few`.
    """

    column: str
    trial_ids: tuple[int, ...]
    best: int
    patients: int
    rarest: int
    comparison: Comparison
    corrected: Corrected | None

    @property
    def too_few(self) -> bool:
        """Whether a class has too few patients for any claim."""
        return self.rarest < LEAST_PATIENTS

    def rank_of(self, trial_id: int) -> tuple[int, int]:
        """The 95 % interval of its rank."""
        low, high = self.comparison.ranks[self.trial_ids.index(trial_id)]
        return int(low), int(high)

    def could_be_best(self, trial_id: int) -> bool:
        """Whether it cannot be told from the best."""
        return bool(self.comparison.could_be_best[self.trial_ids.index(trial_id)])


# (trial, column) to its values in the bootstrap draws, (draws,): they never change once the trial has finished.
Drawn = MutableMapping[tuple[int, str], Floats]


def certainty(
    store: Store, data_hash: str, part: str, trial_ids: Sequence[int], column: str, drawn: Drawn | None = None
) -> Certainty | None:
    """How sure the order of these trials is.

    Args:
        trial_ids: of finished trials of the part on these data; those without stored probabilities are left out.
        column: one of `RANKED_BY`.
        drawn: of this store, from earlier calls; what is not in it is put there. 16 kB a trial.
    Returns: None where fewer than two trials have probabilities, or a trial lacks the metric.
    Raises: StoreError where the store has no image list of the part and data.
    """
    metric, level, sign = RANKED_BY[column]
    make_cases = study_cases if level == "study" else image_cases
    found = store.all_probabilities(trial_ids, "valid")
    if len(found) < 2:
        return None
    images = store.image_list(data_hash, part, "valid")
    cases = [make_cases(images, probability) for probability in found.values()]
    weight = patient_weights(cases[0].patients, cases[0].labels)

    def of(trial: int, weight: Floats) -> Floats:
        return sign * all_metrics(cases[trial], weight, [metric])[metric]

    values = np.array([sign * plain_metrics(each, [metric])[metric] for each in cases])
    if np.isnan(values).any():
        return None
    known, patients = tuple(found), len(np.unique(cases[0].patients))
    best, rarest = known[int(values.argmax())], rarest_class(cases[0].patients, cases[0].labels)
    if rarest < LEAST_PATIENTS:
        return Certainty(column, known, best, patients, rarest, undecided(len(known)), None)
    drawn = {} if drawn is None else drawn
    for trial, trial_id in enumerate(found):
        if (trial_id, column) not in drawn:
            drawn[trial_id, column] = of(trial, weight)
    draws = np.stack([drawn[trial_id, column] for trial_id in found])
    corrected = bias_corrected(of, values, draws, weight)
    scale = sign * (100 if column == "valid_accuracy_eval" else 1)
    return Certainty(
        column,
        known,
        best,
        patients,
        rarest,
        compare(values, draws),
        None if corrected is None else corrected.scaled(scale),
    )


def rarest_class(patients: Integers, labels: Integers) -> int:
    """How many patients the class has that has the fewest.

    Args:
        patients, labels: (cases,).
    """
    pairs = np.unique(np.stack([labels, patients]), axis=1)
    return int(np.unique(pairs[0], return_counts=True)[1].min())
