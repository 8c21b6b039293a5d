"""Optuna's pruners, which stop a trial that does worse than others did.

A decision depends on what the trial knew of others at its proposal and on its own epochs, never on what its neighbours
have come to meanwhile: so it is the same after a kill, in whatever order others end, and for a worker that takes the
trial over. A step is a number of epochs
trained. Trials stopped by Hyperband or successive halving leave what they reached at each rung in the study's
attributes, as Optuna keeps it.
"""

from collections.abc import Sequence

import optuna
from optuna.trial import FrozenTrial

from plumbing.errors import UsageError
from search.engines.optuna_memory import study_in_memory

PRUNERS = ("none", "median", "percentile", "successive-halving", "hyperband")
# These learn from finished trials alone, so what a pruned one cost would teach them nothing.
WITHOUT_PRUNERS = ("nsga2", "gp")
# These note on a trial what it reached.
NOTING = ("successive-halving", "hyperband")
REDUCTION = 3  # of `n` trials at a rung, n / 3 go on; Optuna's and Keras Tuner's default for Hyperband


def check_pruner(pruner: str, sampler: str) -> None:
    """Raises: UsageError where there is no such pruner, or the sampler learns nothing from pruned trials."""
    if pruner not in PRUNERS:
        raise UsageError(f"--pruner {pruner} is not one of optuna's here; give one of {', '.join(PRUNERS)}")
    if pruner != "none" and sampler in WITHOUT_PRUNERS:
        raise UsageError(
            f"--pruner {pruner}: --sampler {sampler} learns nothing from pruned trials; give --sampler tpe"
        )


def make_pruner(name: str, epochs: int) -> optuna.pruners.BasePruner:
    """The pruner for trainings of up to so many epochs.

    Median and percentile stop a trial whose best epoch so far is below the median (the upper quartile) of finished
    trials at the same epoch, from a fifth of the epochs on, once five have finished.
    """
    if name == "median":
        return optuna.pruners.MedianPruner(n_startup_trials=5, n_warmup_steps=_warm_up(epochs))
    if name == "percentile":
        return optuna.pruners.PercentilePruner(25.0, n_startup_trials=5, n_warmup_steps=_warm_up(epochs))
    if name == "successive-halving":
        least = max(1, epochs // REDUCTION**2)
        return optuna.pruners.SuccessiveHalvingPruner(min_resource=least, reduction_factor=REDUCTION)
    if name == "hyperband":
        pruner = optuna.pruners.HyperbandPruner(1, epochs, REDUCTION)
        # It makes its brackets when first asked, and samplers ask for a trial's bracket before.
        pruner.prune(optuna.create_study(), optuna.trial.create_trial(state=optuna.trial.TrialState.RUNNING))
        return pruner
    return optuna.pruners.NopPruner()


def _warm_up(epochs: int) -> int:
    return max(1, epochs // 5)


class Watch:
    """Decides on one trial, epoch by epoch."""

    def __init__(
        self, pruner: optuna.pruners.BasePruner, study_name: str, seen: Sequence[FrozenTrial], trial: FrozenTrial
    ) -> None:
        """Begin.

        Args:
            study_name: Hyperband draws a trial's bracket from it and the trial's number.
            seen: all trials before, those that the trial does not know without results.
        """
        self._study, self._storage = study_in_memory(study_name, [*seen, trial], pruner)
        self._pruner, self._begun = pruner, self._study.get_trials(deepcopy=False)[-1]
        self._id, self._asked = self._begun._trial_id, 0

    def stops(self, values: Sequence[float]) -> bool:
        """Whether the trial is stopped in these epochs, those left out that were asked of before.

        Args:
            values: the objective, one value an epoch. A trial that was taken over brings several new ones at once, one
                that is trained anew those of before.
        """
        stopped = False
        if len(values) <= self._asked:
            self._storage._set_trial(self._id, self._begun)
            self._asked = 0
        for epochs in range(self._asked + 1, len(values) + 1):
            self._storage.set_trial_intermediate_value(self._id, epochs, values[epochs - 1])
            stopped = stopped or self._pruner.prune(self._study, self._storage.get_trial(self._id))
        self._asked = len(values)
        return stopped

    @property
    def attributes(self) -> dict[str, object]:
        """What the pruner noted of the trial."""
        return dict(self._storage.get_trial(self._id).system_attrs)
