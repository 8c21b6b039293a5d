"""A user's own Keras model as a learner: an epoch is one call of its HyperModel's `fit`.

What Keras draws inside (shuffling, dropout) is seeded anew for each epoch, so a training that goes on from a checkpoint
ends as one that never stopped.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from plumbing.seeds import seed_of
from search.own_model import OwnModel, gives_logits, own_code, save_whole
from search.training.fitting import TrialFailed
from search.training.tails import assign, by_padded_batches, put_state, state_of

LEAST = 1e-7  # Keras' own epsilon, which its losses keep probabilities from 0 and 1 by


class OwnLearner:
    """One training of a user's own model.

    Attributes:
        hyperparameters: what building and fitting asked for, values included.
    """

    def __init__(
        self,
        own: OwnModel,
        hyperparameters: Any,
        labels: NDArray[np.int64],
        valid: tuple[NDArray[Any], NDArray[np.int64]],
        classes: int,
        search_seed: int,
    ) -> None:
        """Build the model.

        Args:
            valid: images and labels that the HyperModel's `fit` may look at.
        Raises: TrialFailed where the user's code fails, or its model does not fit.
        """
        self.own, self.hyperparameters, self.labels, self.classes = own, hyperparameters, labels, classes
        self.image_size, self.search_seed = valid[0].shape[1], search_seed
        with own_code(own.place, TrialFailed):
            self.model, self.outputs = own.build(hyperparameters, self.image_size, classes, search_seed)
            self.model.optimizer.build(self.model.trainable_variables)
            self.gives_logits = gives_logits(self.model)
        self.valid = scaled(valid[0]), self._targets(valid[1])

    def train_epoch(self, inputs: NDArray[Any], order: NDArray[np.int64], epoch: int) -> float:
        """One call of `fit` on the images in that order; its loss."""
        from spaces.tensorflow_runtime import keras

        keras().utils.set_random_seed(seed_of("own epoch", self.search_seed, epoch))
        with own_code(self.own.place, TrialFailed):
            found = self.own.hypermodel.fit(
                self.hyperparameters,
                self.model,
                scaled(inputs[order]),
                self._targets(self.labels[order]),
                validation_data=self.valid,
                callbacks=[],
                verbose=0,
            )
            if hasattr(found, "history"):
                return float(found.history["loss"][-1])
            return float(found["loss"]) if isinstance(found, dict) else float(found)

    def logits(self, inputs: NDArray[Any]) -> NDArray[np.float64]:
        """(images, 1 or classes), of the model's probabilities."""
        outputs = by_padded_batches(lambda grey: self.model.predict_on_batch(scaled(grey)), inputs)
        if not self.gives_logits:
            if outputs.min() < 0 or outputs.max() > 1:
                raise TrialFailed(
                    f"{self.own.place}: outputs outside 0..1: end in sigmoid or softmax, or from_logits=True"
                )
            outputs = np.clip(outputs, LEAST, 1 - LEAST)
            outputs = np.log(outputs) - (np.log1p(-outputs) if outputs.shape[1] == 1 else 0)
        return outputs[:, 1:] - outputs[:, :1] if self.classes == 2 and outputs.shape[1] == 2 else outputs

    def get_weights(self) -> list[np.ndarray]:
        """All variables of the model, those of its random generators included."""
        return [np.array(variable) for variable in self.model.variables]

    def set_weights(self, weights: Sequence[np.ndarray]) -> None:
        """Put back what `get_weights` gave."""
        assign(self.model.variables, weights)

    def get_state(self) -> list[np.ndarray]:
        """The variables, then the optimizer's."""
        return state_of(self, self.model.optimizer)

    def set_state(self, state: Sequence[np.ndarray]) -> None:
        """Put back what `get_state` gave."""
        put_state(self, self.model.optimizer, state)

    def save(self, path: Path) -> None:
        """Save the whole model."""
        save_whole(self.model, self.image_size, self.classes, path)

    def _targets(self, labels: NDArray[np.int64]) -> NDArray[Any]:
        """Labels as the model's loss takes them."""
        if self.outputs == 1:
            return labels[:, None].astype(np.float32)
        if "sparse" in _loss_name(self.model):
            return labels
        return np.eye(self.outputs, dtype=np.float32)[labels]


def scaled(grey: NDArray[Any]) -> NDArray[np.float32]:
    """Grey in 0..255 as float32 in 0..1."""
    return grey.astype(np.float32) / np.float32(255)


def _loss_name(model: Any) -> str:
    loss = model.loss
    return loss if isinstance(loss, str) else str(getattr(loss, "name", None) or getattr(loss, "__name__", ""))
