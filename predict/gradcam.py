"""Grad-CAM: where in an image lies what speaks for a class.

Source: Selvaraju et al. 2017, arXiv:1610.02391, equations 1 and 2.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from predict.heat import Heat, spread
from predict.last_map import Halves, halves
from predict.networks import ONE_AT_A_TIME
from predict.predictor import Predictor

# An image's grey pixels (size, size) at each size that a network wants.
Sizes = Mapping[int, NDArray[np.uint8]]


class GradCam:
    """Heat maps of a loaded model. For a part's model they show what speaks for abnormal, whatever it is called."""

    def __init__(self, predictor: Predictor, is_compiled: bool = False) -> None:
        """Args: is_compiled: whether a graph is made of each network at its first map, which takes seconds; later maps
            then take a tenth of the time.
        Raises: ModelError where the model, or one of an ensemble, has no convolutional map before its end.
        """
        name = predictor.model.name
        self._members = [
            (halves(network, name), int(network.input.shape[1]), weight) for network, weight in predictor.keras_models
        ]
        self._asked = [evidence(parts, size, is_compiled) for parts, size, _ in self._members]
        self.classes = predictor.classes
        self.sizes = {size for _, size, _ in self._members}

    def shown(self, label: str) -> str:
        """What a heat map of an image with that label speaks for: abnormal, or the label of the 14 classes."""
        return label if len(self.classes) > 2 else self.classes[1]

    def heats(self, grey: Sequence[Sizes], labels: Sequence[str]) -> Heat:
        """Where lies what speaks for each image's class: 0 nothing, 1 the most of this image.

        Each channel of the network's last map is weighted by the class logit's mean slope over the channel; the
        channels are added, an ensemble's members too, by their weights, and what is below zero is left out. All is 0
        where nothing speaks for the class.

        Args:
            grey: at each of `sizes`, as `radiographs.decoding.decode` gives it. labels: one of `classes` an image; of a
                part's model it does not matter.
        Returns: (images, height, width) of the last map, an ensemble's largest; it covers the whole image.
        """
        binary = len(self.classes) == 2
        columns = [0 if binary else self.classes.index(label) for label in labels]
        with ONE_AT_A_TIME:
            found = [
                weight * asked(np.stack([each[size] for each in grey]), columns)
                for asked, (_, size, weight) in zip(self._asked, self._members, strict=True)
            ]
        height, width = max(each.shape[1:] for each in found)
        total = np.maximum(np.sum([[spread(each, width, height) for each in one] for one in found], axis=0), 0)
        most = total.max(axis=(1, 2), keepdims=True)
        return np.divide(total, most, out=np.zeros_like(total), where=most > 0)


Evidence = Callable[[NDArray[np.uint8], Sequence[int]], Heat]


def evidence(parts: Halves, size: int, is_compiled: bool) -> Evidence:
    """What tells what each place of the last map adds to a logit, by Grad-CAM's linear view of it.

    Returns: called with (images, size, size) and each image's logit, gives (images, height, width), below zero what
        speaks against it; behind average pooling and one layer its mean is the logit but for the bias.
    """
    from spaces.tensorflow_runtime import tensorflow

    tf = tensorflow()

    def asked(grey: Any, columns: Any) -> Any:
        last_map = _through(parts.front, grey)
        with tf.GradientTape() as tape:
            tape.watch(last_map)
            logits = tf.gather(_through(parts.back, last_map), columns, axis=1, batch_dims=1)
        slopes = tf.reduce_sum(tape.gradient(logits, last_map), axis=(1, 2), keepdims=True)
        return tf.reduce_sum(slopes * last_map, axis=-1)

    if is_compiled:  # for any number of images
        given = (tf.TensorSpec((None, size, size, 1), tf.float32), tf.TensorSpec((None,), tf.int32))
        asked = tf.function(asked, input_signature=given)
    return lambda grey, columns: np.asarray(asked(tf.constant(grey[..., None], tf.float32), tf.constant(columns)))


def _through(models: Sequence[Any], flow: Any) -> Any:
    for model in models:
        flow = model(flow, training=False)
    return flow
