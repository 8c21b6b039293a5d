"""A head on pooled features of a fully frozen backbone, trained by compiled code without TensorFlow."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from plumbing.seeds import seed_of
from search.training import kernels
from spaces.declaration import Configuration
from spaces.network import Weights, initial_head

RULES = {"adam": kernels.ADAM, "sgd": kernels.SGD, "rmsprop": kernels.RMSPROP}


class Head:
    """Dropout, hidden units where there are any, and the output layer, with their optimizer.

    Every draw comes from the search seed, the epoch, the image and the unit, so heads of one search share them, however
    they are batched, and each ends with the bits that it would have alone.
    """

    def __init__(
        self,
        width: int,
        configuration: Configuration,
        labels: NDArray[np.int64],
        class_weight: NDArray[np.float64],
        search_seed: int,
    ) -> None:
        self.labels, self.class_weight, self.search_seed = labels, class_weight, search_seed
        self.weights = initial_head(width, int(configuration["units"]), len(class_weight), search_seed)
        self._first = tuple(np.zeros_like(array) for array in self.weights)
        self._second = tuple(np.zeros_like(array) for array in self.weights)
        self.batch_size, self.step = int(configuration["batch_size"]), 0
        self.dropout, self.smoothing = float(configuration["conv_dropout"]), float(configuration["label_smoothing"])
        self.rule, self.rate = RULES[str(configuration["optimizer"])], float(configuration["lr"])
        self.decay = float(configuration["weight_decay"])

    def train_epoch(self, inputs: NDArray[np.float32], order: NDArray[np.int64], epoch: int) -> float:
        """One pass over the images in that order; the mean loss."""
        keys = np.array([seed_of(layer, self.search_seed, epoch) for layer in ("dropout", "hidden dropout")], np.uint32)
        loss = kernels.train_epoch(
            np.ascontiguousarray(inputs),
            self.labels,
            self.class_weight,
            order,
            self.batch_size,
            keys,
            self.dropout,
            self.smoothing,
            tuple(self.weights),
            self._first,
            self._second,
            self.rule,
            self.rate,
            self.step,
            self.decay,
        )
        self.step += -(-len(order) // self.batch_size)
        return float(loss)

    def logits(self, inputs: NDArray[np.float32]) -> NDArray[np.float64]:
        """(images, 1 or classes), nothing dropped."""
        found = kernels.predict(np.ascontiguousarray(inputs), tuple(self.weights))
        return np.asarray(found, np.float64)

    def pooled(self, inputs: NDArray[np.float32]) -> NDArray[np.float32]:
        """(images, features) that the head is put on: the inputs."""
        return inputs

    def get_weights(self) -> Weights:
        """A copy of hidden kernel, hidden bias, kernel and bias."""
        return [array.copy() for array in self.weights]

    def set_weights(self, weights: Sequence[Any]) -> None:
        """Put back what `get_weights` gave."""
        self.weights = [np.array(array) for array in weights]

    def get_state(self) -> Weights:
        """The weights, both moments, and the number of steps."""
        return [array.copy() for array in (*self.weights, *self._first, *self._second)] + [np.array(self.step)]

    def set_state(self, state: Sequence[Any]) -> None:
        """Put back what `get_state` gave."""
        *arrays, step = (np.array(array) for array in state)
        self.weights, self._first, self._second = arrays[:4], tuple(arrays[4:8]), tuple(arrays[8:])
        self.step = int(step)
