"""The rest of a partly frozen backbone with its head, trained by TensorFlow.

A program, network and compiled step, serves every trial whose tail has the same shape: learning rate, dropout, decay
and smoothing are arguments of the step, so a new value of them traces nothing and leaves nothing behind. A trial starts
by putting the program's arrays back to where they began.
"""

from collections import OrderedDict
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from plumbing.seeds import seed_of
from search.training.fitting import Learner
from spaces.architecture import Cut
from spaces.declaration import Configuration
from spaces.network import Weights, initial_head, make_rest, outputs_of

PREDICTION_BATCH = 64
WITHOUT_DECAY = frozenset({"bias", "gamma", "beta"})


class Programs:
    """The programs used last, at most `MOST`."""

    MOST = 2

    def __init__(self) -> None:
        self._kept: OrderedDict[tuple[object, ...], Program] = OrderedDict()

    def get(self, backbone: Any, cut: Cut, configuration: Configuration, classes: int) -> "Program":
        """The program of a tail, built where none is kept; it holds on to the backbone, whose identity is its key."""
        units, optimizer = int(configuration["units"]), str(configuration["optimizer"])
        key = (id(backbone), cut.name, units, optimizer, classes)
        if key not in self._kept:
            while len(self._kept) >= self.MOST:
                self._kept.popitem(last=False)
            self._kept[key] = Program(backbone, cut, units, optimizer, classes)
        self._kept.move_to_end(key)
        return self._kept[key]


class Program:
    """A tail's arrays and its compiled functions.

    The loss is cross-entropy on logits with label smoothing s: a label's share is 1 - s + s / classes, each other's
    s / classes (Szegedy et al. 2015, arXiv:1512.00567, section 7). Weight decay is decoupled (Loshchilov and Hutter
    2019, arXiv:1711.05101) and leaves biases and normalisations alone. The optimizer's own `apply` is not used: it
    registers a gradient function with TensorFlow for ever, and with it each program's whole graph.
    """

    def __init__(self, backbone: Any, cut: Cut, units: int, optimizer: str, classes: int) -> None:
        from spaces.tensorflow_runtime import tensorflow

        self.tf, self.backbone, self.units, self.classes = tensorflow(), backbone, units, classes
        self.rest: Any = make_rest(backbone, cut)  # never None: heads alone are trained by `search.training.heads`
        width = self.rest.output.shape[1]
        names = ("hidden_kernel", "hidden_bias", "kernel", "bias")
        arrays = initial_head(width, units, classes, 0)
        self.head = [self.tf.Variable(array, name=name) for name, array in zip(names, arrays, strict=True)]
        self.trained = [*self.rest.trainable_variables, *(self.head if units else self.head[2:])]
        self.optimizer = make_optimizer(optimizer)
        self.optimizer.build(self.trained)
        self._rest_start = self.rest.get_weights()
        spec = self.tf.TensorSpec
        shape = self.rest.input.shape[1:]
        scalars = [spec((), self.tf.float32)] * 4
        signature = [
            spec((None, *shape)),
            spec((None,), self.tf.int64),
            spec((None,)),
            *scalars,
            spec((2,), self.tf.int32),
        ]
        self.step = self.tf.function(self._step, input_signature=signature)
        batch = [spec((PREDICTION_BATCH, *shape))]
        self.pooled = self.tf.function(lambda inputs: self.rest(inputs, training=False), input_signature=batch)
        self.forward = self.tf.function(
            lambda inputs: self._logits(self.rest(inputs, training=False)), input_signature=batch
        )

    def reset(self, seed: int) -> None:
        """Put everything back to its start, the head to its initial weights of that seed."""
        for variable in self.optimizer.variables:  # counters and moments; the step brings its own learning rate
            variable.assign(self.tf.zeros_like(variable))
        width = self.rest.output.shape[1]
        self.set_weights([*self._rest_start, *initial_head(width, self.units, self.classes, seed)])

    def get_weights(self) -> Weights:
        """The rest's arrays, then the head's four."""
        return [*self.rest.get_weights(), *(variable.numpy() for variable in self.head)]

    def set_weights(self, weights: Sequence[np.ndarray]) -> None:
        """Put back what `get_weights` gave."""
        self.rest.set_weights(weights[: -len(self.head)])
        assign(self.head, weights[-len(self.head) :])

    def _logits(self, pooled: Any, drop: Any = lambda values, layer: values) -> Any:
        hidden_kernel, hidden_bias, kernel, bias = self.head
        flow = drop(pooled, 0)
        if self.units:
            flow = drop(self.tf.nn.relu(flow @ hidden_kernel + hidden_bias), 1)
        return flow @ kernel + bias

    def _loss(self, inputs: Any, labels: Any, weights: Any, dropout: Any, smoothing: Any, seed: Any) -> Any:
        tf = self.tf

        def drop(values: Any, layer: int) -> Any:
            draws = tf.random.stateless_uniform(tf.shape(values), seed + tf.constant([0, layer]))
            return tf.where(draws >= dropout, values / (1 - dropout), 0.0)

        logits = self._logits(self.rest(inputs, training=True), drop)
        if outputs_of(self.classes) == 1:
            target = tf.cast(labels, tf.float32) * (1 - smoothing) + smoothing / 2
            losses = tf.nn.sigmoid_cross_entropy_with_logits(target, logits[:, 0])
        else:
            target = tf.one_hot(labels, self.classes) * (1 - smoothing) + smoothing / self.classes
            losses = tf.nn.softmax_cross_entropy_with_logits(target, logits)
        return tf.reduce_mean(losses * weights)

    def _step(
        self, inputs: Any, labels: Any, weights: Any, rate: Any, decay: Any, dropout: Any, smoothing: Any, seed: Any
    ) -> Any:
        with self.tf.GradientTape() as tape:
            loss = self._loss(inputs, labels, weights, dropout, smoothing, seed)
        for variable, gradient in zip(self.trained, tape.gradient(loss, self.trained), strict=True):
            if variable.name.split(":")[0].rsplit("_")[-1] not in WITHOUT_DECAY:
                variable.assign_sub(variable * (rate * decay))
            self.optimizer.update_step(gradient, variable, rate)
        self.optimizer.iterations.assign_add(1)
        return loss


class Tail:
    """One trial's training by a program; only one may be in training on it at a time."""

    def __init__(
        self,
        program: Program,
        configuration: Configuration,
        labels: NDArray[np.int64],
        class_weight: NDArray[np.float64],
        search_seed: int,
    ) -> None:
        self.program, self.labels, self.search_seed = program, labels, search_seed
        self.weight = class_weight.astype(np.float32)[labels]
        names = ("lr", "weight_decay", "conv_dropout", "label_smoothing")
        self.settings = [np.float32(configuration[name]) for name in names]
        self.batch_size = int(configuration["batch_size"])
        program.reset(search_seed)

    def train_epoch(self, inputs: NDArray[Any], order: NDArray[np.int64], epoch: int) -> float:
        """One pass over the images in that order; the mean loss."""
        seed = seed_of("dropout", self.search_seed, epoch)
        losses, sizes = [], []
        for start in range(0, len(order), self.batch_size):
            rows = order[start : start + self.batch_size]
            batch = inputs[rows].astype(np.float32, copy=False)
            draws = np.array([seed, 2 * start], np.int32)
            losses.append(self.program.step(batch, self.labels[rows], self.weight[rows], *self.settings, draws))
            sizes.append(len(rows))
        return float(np.average([float(loss) for loss in losses], weights=sizes))

    def logits(self, inputs: NDArray[Any]) -> NDArray[np.float64]:
        """(images, 1 or classes), nothing dropped, in fixed padded batches."""
        return by_padded_batches(self.program.forward, inputs)

    def pooled(self, inputs: NDArray[Any]) -> NDArray[np.float64]:
        """(images, features) that the head is put on."""
        return by_padded_batches(self.program.pooled, inputs)

    def get_weights(self) -> Weights:
        """The rest's arrays, then the head's four."""
        return self.program.get_weights()

    def set_weights(self, weights: Sequence[np.ndarray]) -> None:
        """Put back what `get_weights` gave."""
        self.program.set_weights(weights)

    def get_state(self) -> Weights:
        """The weights, then all that the optimizer remembers."""
        return state_of(self, self.program.optimizer)

    def set_state(self, state: Sequence[np.ndarray]) -> None:
        """Put back what `get_state` gave."""
        put_state(self, self.program.optimizer, state)


def by_padded_batches(forward: Callable[[NDArray[np.float32]], Any], inputs: NDArray[Any]) -> NDArray[np.float64]:
    """(images, outputs) of `forward`, which is given batches of one size alone: its last bits hang on it."""
    found = []
    for start in range(0, len(inputs), PREDICTION_BATCH):
        batch = inputs[start : start + PREDICTION_BATCH]
        padded = np.zeros((PREDICTION_BATCH, *inputs.shape[1:]), np.float32)
        padded[: len(batch)] = batch
        found.append(np.asarray(forward(padded)[: len(batch)], np.float64))
    return np.concatenate(found)


def assign(variables: Sequence[Any], arrays: Sequence[np.ndarray]) -> None:
    """Put the arrays into Keras' variables."""
    for variable, array in zip(variables, arrays, strict=True):
        variable.assign(array)


def state_of(learner: Learner, optimizer: Any) -> Weights:
    """A learner's weights, then all that its Keras optimizer remembers."""
    return [*learner.get_weights(), *(np.array(variable) for variable in optimizer.variables)]


def put_state(learner: Learner, optimizer: Any, state: Sequence[np.ndarray]) -> None:
    """Put back what `state_of` gave."""
    remembered = len(optimizer.variables)
    learner.set_weights(state[:-remembered])
    assign(optimizer.variables, state[-remembered:])


def make_optimizer(kind: str) -> Any:
    """Adam, RMSprop, or SGD with Nesterov momentum 0.9, without weight decay; the step gives the learning rate."""
    from spaces.tensorflow_runtime import keras

    optimizers = keras().optimizers
    kinds = {
        "adam": optimizers.Adam,
        "rmsprop": optimizers.RMSprop,
        "sgd": lambda: optimizers.SGD(momentum=0.9, nesterov=True),
    }
    return kinds[kind]()
