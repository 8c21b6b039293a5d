"""A head's training, an epoch at a time, compiled by Numba: no framework's start-up in a step, and no lock of Python's.

Arrays are float32 and C-contiguous. Matrix products go to BLAS, which must run on one thread (its last bits depend on
the number of threads); everything else is loops. A head's numbers depend on nothing but its arguments, so heads can be
trained side by side in threads and end with the bits that each would have alone.
"""

import numpy as np
import scipy.linalg  # noqa: F401  its BLAS is what Numba calls; loaded now, a limit on BLAS threads reaches it
from numba import njit

ADAM, SGD, RMSPROP = 0, 1, 2

compiled = njit(nogil=True, cache=True, error_model="numpy")


@compiled
def _mix(x):  # type: ignore[no-untyped-def]
    """Thirty-two bits stirred: `lowbias32` (Wellons 2018, "Prospecting for hash functions")."""
    x = np.uint32(x ^ (x >> np.uint32(16)))
    x = np.uint32(x * np.uint32(0x7FEB352D))
    x = np.uint32(x ^ (x >> np.uint32(15)))
    x = np.uint32(x * np.uint32(0x846CA68B))
    return np.uint32(x ^ (x >> np.uint32(16)))


@compiled
def _dropped(values, row, key, rate):  # type: ignore[no-untyped-def]
    """Drop a row's values in place with that rate; the draw depends on key, image and position alone."""
    if rate == 0:
        return
    threshold = np.uint32(rate * 4294967296.0)
    scale = np.float32(1 / (1 - rate))
    start = _mix(np.uint32(np.uint32(row) + key))
    for j in range(len(values)):
        draw = _mix(np.uint32(start + np.uint32(j)))
        values[j] = values[j] * scale if draw >= threshold else np.float32(0)


@compiled
def _losses(logits, labels, rows, class_weight, smoothing, gradient):  # type: ignore[no-untyped-def]
    """Sum of the rows' weighted losses; `gradient` becomes that of their mean by the logits.

    Cross-entropy on logits; with label smoothing s a label's share is 1 - s + s / classes, each other's s / classes
    (Szegedy et al. 2015, arXiv:1512.00567, section 7). One column of logits stands for two classes.
    """
    count, columns = logits.shape
    total = 0.0
    for i in range(count):
        label, weight = labels[rows[i]], class_weight[labels[rows[i]]]
        if columns == 1:
            z = np.float64(logits[i, 0])
            target = label * (1 - smoothing) + smoothing / 2
            total += weight * (max(z, 0.0) - z * target + np.log1p(np.exp(-abs(z))))
            gradient[i, 0] = weight * (1 / (1 + np.exp(-z)) - target) / count
        else:
            top = np.float64(logits[i].max())
            mass = 0.0
            for c in range(columns):
                mass += np.exp(logits[i, c] - top)
            for c in range(columns):
                log_share = logits[i, c] - top - np.log(mass)
                target = smoothing / columns + (1 - smoothing if c == label else 0.0)
                total -= weight * target * log_share
                gradient[i, c] = weight * (np.exp(log_share) - target) / count
    return total


@compiled
def _update(weights, gradients, first, second, rule, rate, step, decay):  # type: ignore[no-untyped-def]
    """One step of the rule on one array, as Keras computes it, after a decoupled decay.

    Adam: Kingma and Ba 2015, arXiv:1412.6980, section 2 (efficient order). SGD: Nesterov momentum 0.9 (Sutskever et al.
    2013). RMSprop: Hinton's lecture 6e, rho 0.9. Decay: Loshchilov and Hutter 2019, arXiv:1711.05101.
    """
    w, g, a, b = weights.ravel(), gradients.ravel(), first.ravel(), second.ravel()
    keep = np.float32(1 - rate * decay)
    lr = np.float32(rate)
    if rule == ADAM:
        lr = np.float32(rate * np.sqrt(1 - 0.999**step) / (1 - 0.9**step))
        for i in range(w.size):
            a[i] += (g[i] - a[i]) * np.float32(0.1)
            b[i] += (g[i] * g[i] - b[i]) * np.float32(0.001)
            w[i] = w[i] * keep - a[i] * lr / (np.sqrt(b[i]) + np.float32(1e-7))
    elif rule == SGD:
        for i in range(w.size):
            a[i] = a[i] * np.float32(0.9) - g[i] * lr
            w[i] = w[i] * keep + a[i] * np.float32(0.9) - g[i] * lr
    else:
        for i in range(w.size):
            b[i] = b[i] * np.float32(0.9) + g[i] * g[i] * np.float32(0.1)
            w[i] = w[i] * keep - g[i] * lr / np.sqrt(b[i] + np.float32(1e-7))


@compiled
def _column_sums(values, into):  # type: ignore[no-untyped-def]
    into[:] = 0
    for i in range(values.shape[0]):
        for j in range(values.shape[1]):
            into[j] += values[i, j]


@compiled
def _rectified(values, bias):  # type: ignore[no-untyped-def]
    for j in range(len(values)):
        values[j] = max(values[j] + bias[j], np.float32(0))


@compiled
def train_epoch(  # type: ignore[no-untyped-def]
    features,
    labels,
    class_weight,
    order,
    batch_size,
    keys,
    dropout,
    smoothing,
    head,
    first,
    second,
    rule,
    rate,
    step,
    decay,
):
    """One pass over the images; head and moments change in place.

    Args:
        features: (images, width). labels: (images,) int64. class_weight: (classes,) float64.
        order: (images,) int64, the rows in the order of training. keys: (2,) uint32, the epoch's draws for features and
            hidden units. head, first, second: (hidden kernel, hidden bias, kernel, bias) and their moments; a hidden
            kernel of no columns stands for no hidden units. step: updates made before.
    Returns: the mean loss over the images, float64.
    """
    hidden_kernel, hidden_bias, kernel, bias = head
    images, width = len(order), features.shape[1]
    units, columns = hidden_kernel.shape[1], kernel.shape[1]
    inputs = np.empty((batch_size, width), np.float32)
    hidden = np.empty((batch_size, units), np.float32)
    hidden_gradient = np.empty((batch_size, units), np.float32)
    logits = np.empty((batch_size, columns), np.float32)
    gradient = np.empty((batch_size, columns), np.float32)
    by_hidden_kernel, by_hidden_bias = np.empty_like(hidden_kernel), np.empty_like(hidden_bias)
    by_kernel, by_bias = np.empty_like(kernel), np.empty_like(bias)
    scale = np.float32(1 / (1 - dropout))
    total = 0.0
    for start in range(0, images, batch_size):
        rows = order[start : start + batch_size]
        count = len(rows)
        x, h, dh, z, dz = inputs[:count], hidden[:count], hidden_gradient[:count], logits[:count], gradient[:count]
        for i in range(count):
            x[i] = features[rows[i]]
            _dropped(x[i], rows[i], keys[0], dropout)
        last = x
        if units:
            np.dot(x, hidden_kernel, h)
            for i in range(count):
                _rectified(h[i], hidden_bias)
                _dropped(h[i], rows[i], keys[1], dropout)
            last = h
        np.dot(last, kernel, z)
        for i in range(count):
            for c in range(columns):
                z[i, c] += bias[c]
        total += _losses(z, labels, rows, class_weight, smoothing, dz)
        np.dot(last.T, dz, by_kernel)
        _column_sums(dz, by_bias)
        step += 1
        if units:
            np.dot(dz, kernel.T, dh)
            for i in range(count):
                for j in range(units):
                    dh[i, j] = dh[i, j] * scale if h[i, j] > 0 else np.float32(0)
            np.dot(x.T, dh, by_hidden_kernel)
            _column_sums(dh, by_hidden_bias)
            _update(hidden_kernel, by_hidden_kernel, first[0], second[0], rule, rate, step, decay)
            _update(hidden_bias, by_hidden_bias, first[1], second[1], rule, rate, step, 0.0)
        _update(kernel, by_kernel, first[2], second[2], rule, rate, step, decay)
        _update(bias, by_bias, first[3], second[3], rule, rate, step, 0.0)
    return total / images


@compiled
def predict(features, head):  # type: ignore[no-untyped-def]
    """Logits (images, columns) float32 of features (images, width), nothing dropped."""
    hidden_kernel, hidden_bias, kernel, bias = head
    last = features
    if hidden_kernel.shape[1]:
        last = np.dot(features, hidden_kernel)
        for i in range(len(last)):
            _rectified(last[i], hidden_bias)
    logits = np.dot(last, kernel)
    for i in range(len(logits)):
        for c in range(logits.shape[1]):
            logits[i, c] += bias[c]
    return logits
