"""How sure a ranking is: all trials that were measured on the same valid patients, compared in pairs.

Early stopping and the best epoch were chosen on the same patients; that part of the luck stays in every value.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from results.evaluation import all_metrics, image_cases, plain_metrics, study_cases
from results.intervals import patient_weights
from results.metrics import Floats
from results.selection import Comparison, Corrected, bias_corrected, compare
from results.store import Store

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
        column: that the trials are ordered by. trial_ids: those compared. patients: that they were measured on.
        comparison: of the trials, in their order. corrected: of the first, in the column's own unit; None where no
            draw defines the metric.
    """

    column: str
    trial_ids: tuple[int, ...]
    patients: int
    comparison: Comparison
    corrected: Corrected | None

    def rank_of(self, trial_id: int) -> tuple[int, int]:
        """The 95 % interval of its rank."""
        low, high = self.comparison.ranks[self.trial_ids.index(trial_id)]
        return int(low), int(high)

    def could_be_best(self, trial_id: int) -> bool:
        """Whether it cannot be told from the best."""
        return bool(self.comparison.could_be_best[self.trial_ids.index(trial_id)])


def certainty(store: Store, data_hash: str, part: str, trial_ids: Sequence[int], column: str) -> Certainty | None:
    """How sure the order of these trials is.

    Args:
        trial_ids: of finished trials of the part on these data; those without stored probabilities are left out.
        column: one of `RANKED_BY`.
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
    draws = np.stack([of(trial, weight) for trial in range(len(cases))])
    corrected = bias_corrected(of, values, draws, weight)
    scale = sign * (100 if column == "valid_accuracy_eval" else 1)
    return Certainty(
        column,
        tuple(found),
        len(np.unique(cases[0].patients)),
        compare(values, draws),
        None if corrected is None else corrected.scaled(scale),
    )
