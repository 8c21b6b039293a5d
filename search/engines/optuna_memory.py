"""Optuna's studies in memory: copies of what a proposal or a pruner may know, made in no time."""

import copy
from collections.abc import Sequence

import optuna
from optuna.storages import InMemoryStorage
from optuna.trial import FrozenTrial, TrialState, create_trial


class SharedTrials(InMemoryStorage):
    """Optuna's storage in memory, which takes trials as they are.

    Optuna's own copies each trial in depth, though it never changes one that it holds: it replaces it. With a thousand
    trials these copies were most of a proposal's time.
    """

    def create_new_trial(self, study_id: int, template_trial: FrozenTrial | None = None) -> int:
        """The id of a new trial."""
        with self._lock:
            trial_id = super().create_new_trial(study_id)
            if template_trial is not None:
                trial = copy.copy(template_trial)
                trial.number, trial._trial_id = self._get_trial(trial_id).number, trial_id
                self._set_trial(trial_id, trial)
                self._update_cache(trial_id, study_id)
            return trial_id


def study_in_memory(
    name: str,
    trials: Sequence[FrozenTrial],
    pruner: optuna.pruners.BasePruner,
    sampler: optuna.samplers.BaseSampler | None = None,
) -> tuple[optuna.Study, SharedTrials]:
    """A study of these trials, numbered from 0, and its storage."""
    storage = SharedTrials()
    study = optuna.create_study(storage=storage, study_name=name, direction="maximize", sampler=sampler, pruner=pruner)
    for trial in trials:
        storage.create_new_trial(study._study_id, trial)
    return study, storage


def bare(trial: FrozenTrial) -> FrozenTrial:
    """The trial as it runs: its parameters, and what its sampler noted."""
    return create_trial(
        state=TrialState.RUNNING,
        params=trial.params,
        distributions=trial.distributions,
        system_attrs={name: value for name, value in trial.system_attrs.items() if not _is_rung(name)},
    )


def _is_rung(attribute: str) -> bool:
    """Whether the pruner noted it, which is a result."""
    return attribute.startswith("completed_rung_")
