"""Training by scripted scores: what is kept, what stops it, what it passes; for heads and for tails."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
import pytest
from sklearn.utils.class_weight import compute_class_weight

from search.training.fitting import Course, Fit, Learner, TrialFailed, class_weights, finite_logits, fit
from tests.search.training.learners import IMAGES, PLAIN, learner_of, orders

NAN = float("nan")
both = pytest.mark.parametrize("kind", ["head", "tail"])


@pytest.mark.parametrize("present", [[0, 1], [0, 3, 13], range(14)])
def test_balanced_class_weights_are_those_of_scikit_learn(present: Iterable[int]) -> None:
    classes = 2 if max(present) == 1 else 14
    labels = np.repeat(list(present), [1 + 2 * each for each in present])
    weights = class_weights("balanced", labels, classes)
    expected = compute_class_weight("balanced", classes=np.unique(labels), y=labels)
    np.testing.assert_allclose(weights[np.unique(labels)], expected, rtol=1e-12)
    assert weights[labels].mean() == pytest.approx(1)
    assert (weights.shape, weights.dtype) == ((classes,), np.float64)


def test_class_weights_of_none_are_ones() -> None:
    np.testing.assert_array_equal(class_weights("none", np.array([0, 0, 1]), 2), [1, 1])


@dataclass
class Script:
    """A course whose scores are written beforehand; keeps what it saw.

    Attributes:
        weights: the learner's after each epoch.
    """

    objectives: Sequence[float]
    losses: Sequence[float] | None = None
    search_seed: int = 0
    inputs: np.ndarray | None = None
    views: list[int] = field(default_factory=list)
    scored: list[np.ndarray] = field(default_factory=list)
    weights: list[list[np.ndarray]] = field(default_factory=list)

    def fit(self, learner: Learner, patience: int = 99) -> Fit:
        assert self.inputs is not None
        scores = iter(zip(self.objectives, self.losses or [1.0] * len(self.objectives), strict=True))

        def score(logits: np.ndarray) -> Mapping[str, float]:
            self.scored.append(logits)
            return dict(zip(("val_auc", "val_loss"), next(scores), strict=True))

        course = Course(
            inputs_of_epoch=self._inputs_of_epoch,
            valid=self.inputs[:4],
            score=score,
            objective="val_auc",
            epochs=len(self.objectives),
            patience=patience,
            search_seed=self.search_seed,
            after_epoch=lambda epoch, metrics: self.weights.append(learner.get_weights()),
        )
        return fit(learner, course)

    def _inputs_of_epoch(self, epoch: int) -> np.ndarray:
        assert self.inputs is not None
        self.views.append(epoch)
        return self.inputs


@dataclass
class Recorder:
    """A learner that learns nothing and keeps what it was given; its weight counts epochs."""

    orders: list[np.ndarray] = field(default_factory=list)
    epochs: list[int] = field(default_factory=list)
    state: int = 0

    def train_epoch(self, inputs: np.ndarray, order: np.ndarray, epoch: int) -> float:
        self.orders.append(order)
        self.epochs.append(epoch)
        self.state += 1
        return float(order[0])

    def logits(self, inputs: np.ndarray) -> np.ndarray:
        return np.zeros((len(inputs), 1))

    def get_weights(self) -> list[np.ndarray]:
        return [np.array(self.state)]

    def set_weights(self, weights: Sequence[np.ndarray]) -> None:
        self.state = int(weights[0])


def recorded(script: Script, patience: int = 99) -> tuple[Recorder, Fit]:
    learner = Recorder()
    script.inputs = np.zeros((IMAGES, 1), np.float32)
    return learner, script.fit(learner, patience)


def test_history_holds_the_scores_of_every_epoch() -> None:
    script = Script([0.5, 0.7, 0.6], [3.0, 2.0, 1.0])
    learner, fitted = recorded(script)
    assert (fitted.history["val_auc"], fitted.history["val_loss"]) == ([0.5, 0.7, 0.6], [3.0, 2.0, 1.0])
    assert fitted.history["loss"] == [float(order[0]) for order in learner.orders]
    assert set(fitted.history) == {"loss", "val_auc", "val_loss"}
    assert script.views == learner.epochs == [0, 1, 2]


@pytest.mark.parametrize(
    ("objectives", "losses", "best"),
    [
        ([0.5, 0.9, 0.7], [3, 2, 1], 1),
        ([0.5, 0.6, 0.9], [1, 2, 3], 2),
        ([0.8, 0.8, 0.8], [2, 1, 3], 1),
        ([0.8, 0.8, 0.8], [1, 1, 1], 0),
        ([0.8, 0.9, 0.8], [2, 3, 1], 1),
        ([NAN, 0.2, 0.1], [1, 2, 3], 1),
        ([0.1, NAN, NAN], [2, 1, 1], 0),
        ([NAN, NAN, NAN], [2, 1, 3], 1),
    ],
)
def test_best_epoch_has_the_highest_objective_then_the_lowest_loss_then_comes_first(
    objectives: list[float], losses: list[float], best: int
) -> None:
    learner, fitted = recorded(Script(objectives, losses))
    assert fitted.best_epoch == best
    assert learner.state == best + 1


@pytest.mark.parametrize(
    ("objectives", "patience", "trained", "stopped"),
    [
        ([0.9, 0.1, 0.1, 0.1, 0.1], 3, 4, 4),
        ([0.5, 0.9, 0.1, 0.1, 0.95], 2, 4, 4),
        ([0.5, 0.4, 0.6, 0.4, 0.7, 0.4], 2, 6, None),
        ([0.9, 0.1, 0.1], 3, 3, None),
        ([0.1, 0.2, 0.3], 1, 3, None),
        ([NAN, NAN, NAN, NAN], 2, 3, 3),
    ],
)
def test_training_stops_after_as_many_epochs_without_a_better_one_as_patience_says(
    objectives: list[float], patience: int, trained: int, stopped: int | None
) -> None:
    learner, fitted = recorded(Script(objectives), patience)
    assert {len(values) for values in fitted.history.values()} == {len(learner.epochs)} == {trained}
    assert fitted.early_stop_at_epoch == stopped


def test_every_epoch_passes_each_image_once_in_an_order_of_its_own() -> None:
    found = recorded(Script([0.5, 0.6]))[0].orders
    assert [sorted(order) for order in found] == [list(range(IMAGES))] * 2
    assert found[0].tolist() != found[1].tolist()


def test_the_order_hangs_on_the_search_seed_and_the_epoch_alone() -> None:
    first, again, other = (recorded(Script([0.5, 0.6], search_seed=seed))[0].orders for seed in (0, 0, 1))
    np.testing.assert_array_equal(first, again)
    np.testing.assert_array_equal(first, orders(2))
    assert not np.array_equal(first, other)


@both
def test_a_learner_trains_on_images_in_the_order_given_with_the_rest_as_a_last_batch(kind: str) -> None:
    """Trained on the images moved to the order's places, in their own order, it is the same to the last bit."""
    (learner, inputs), (moved, _) = learner_of(kind, PLAIN), learner_of(kind, PLAIN)
    order = orders(1)[0]
    moved.labels = learner.labels[order]
    if hasattr(moved, "weight"):
        moved.weight = learner.weight[order]
    assert learner.train_epoch(inputs, order, 0) == moved.train_epoch(inputs[order], np.arange(IMAGES), 0)
    for one, other in zip(learner.get_weights(), moved.get_weights(), strict=True):
        np.testing.assert_array_equal(one, other)


@both
@pytest.mark.parametrize("patience", [2, 99])
def test_the_best_epochs_weights_are_restored(kind: str, patience: int) -> None:
    learner, inputs = learner_of(kind, PLAIN)
    script = Script([0.5, 0.9, 0.1, 0.1], inputs=inputs)
    script.fit(learner, patience)
    for restored, best, last in zip(learner.get_weights(), script.weights[1], script.weights[-1], strict=True):
        np.testing.assert_array_equal(restored, best)
        assert not best.size or not np.array_equal(best, last)  # else this would prove nothing
    np.testing.assert_array_equal(learner.logits(inputs[:4]), script.scored[1])


@both
def test_a_loss_that_is_nan_fails_the_trial_before_its_epoch_counts(kind: str) -> None:
    learner, inputs = learner_of(kind, PLAIN)
    learner.set_weights([*learner.get_weights()[:-1], np.array([np.nan], np.float32)])  # the output's bias
    script = Script([0.5], inputs=inputs)
    with pytest.raises(TrialFailed, match="the loss is nan"):
        script.fit(learner)
    assert script.weights == script.scored == []


@both
def test_outputs_that_are_no_number_fail_the_trial_though_the_loss_was_one(kind: str) -> None:
    """The last update of an epoch can spoil the weights after its loss was computed."""
    learner, inputs = learner_of(kind, {**PLAIN, "lr": 1e38, "batch_size": 16})
    script = Script([0.5], inputs=inputs * 1e4)
    with pytest.raises(TrialFailed, match="output is not a number"):
        script.fit(learner)
    assert script.weights == script.scored == []


@both
def test_finite_logits_are_the_learners_own(kind: str) -> None:
    learner, inputs = learner_of(kind, PLAIN)
    np.testing.assert_array_equal(finite_logits(learner, inputs), learner.logits(inputs))
    learner.set_weights([*learner.get_weights()[:-1], np.array([np.inf], np.float32)])  # the output's bias
    with pytest.raises(TrialFailed, match="output is not a number"):
        finite_logits(learner, inputs)


@both
def test_another_seed_is_another_start(kind: str) -> None:
    from tests.search.training import learners

    one, _ = learner_of(kind, PLAIN)
    other = (
        learners.tail_of(PLAIN, search_seed=1)
        if kind == "tail"
        else learners.Head(learners.WIDTH, PLAIN, learners.labels_of(2), np.ones(2), 1)
    )
    assert not np.array_equal(one.get_weights()[-2], other.get_weights()[-2])
