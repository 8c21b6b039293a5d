"""A head on 1024 features in plain numpy: one trial in pre-allocated float32 buffers."""

import numpy as np
from scipy.linalg.blas import saxpy


def stepper(kind, rate, weights, gradient):
    """Steps as Keras takes them, in few passes: the moments lack its factors 1 - decay, the rate makes up for them."""
    first, second, scratch = np.zeros_like(weights), np.zeros_like(weights), np.empty_like(weights)
    decay, epsilon = {"sgd": (0, 0), "rmsprop": (0.9, 1e-7 / 0.1), "adam": (0.999, 1e-7 / 0.001**0.5)}[kind]
    decay, epsilon, momentum = np.float32(decay), np.float32(epsilon), np.float32(0.9)

    def step(count):
        if kind != "rmsprop":
            np.add(np.multiply(first, momentum, out=first), gradient, out=first)
        if kind == "sgd":  # Nesterov
            saxpy(first, weights, a=-0.9 * rate)
            saxpy(gradient, weights, a=-rate)
            return
        np.multiply(second, decay, out=second)
        np.add(second, np.multiply(gradient, gradient, out=scratch), out=second)
        if kind == "rmsprop":
            np.divide(gradient, np.sqrt(np.add(second, epsilon, out=scratch), out=scratch), out=scratch)
            saxpy(scratch, weights, a=-rate / 0.1**0.5)
        else:
            np.divide(first, np.add(np.sqrt(second, out=scratch), epsilon, out=scratch), out=scratch)
            saxpy(scratch, weights, a=-rate * 0.1 / 0.001**0.5 * (1 - 0.999**count) ** 0.5 / (1 - 0.9**count))

    return step


def split_of(rows, features, name):
    """Features, labels, each image's study, the studies' sizes and labels."""
    chosen = [i for i, row in enumerate(rows) if row["split"] == name]
    labels = np.array([int(rows[i]["label"]) for i in chosen])
    _, firsts, study = np.unique([rows[i]["study"] for i in chosen], return_index=True, return_inverse=True)
    return features[chosen], labels, study, np.bincount(study), labels[firsts]


def measure(logits, labels, study, sizes, truth):
    """Loss and accuracy by image; AUC (by ranks, ties half) and kappa by study."""
    probability = 1 / (1 + np.exp(-logits))
    mean = np.bincount(study, probability) / sizes
    negative, positive, called = np.sort(mean[truth == 0]), mean[truth == 1], mean > 0.5
    ranks = np.searchsorted(negative, positive) + np.searchsorted(negative, positive, "right")
    chance = truth.mean() * called.mean() + (1 - truth.mean()) * (1 - called.mean())
    return {
        "val_loss": float(np.mean(np.logaddexp(0, logits) - logits * labels)),
        "val_accuracy": float(np.mean((probability > 0.5) == labels)),
        "val_auc": float(ranks.sum() / (2 * len(positive) * len(negative))),
        "val_kappa": float((np.mean(called == truth) - chance) / (1 - chance)),
    }


def train(config, splits, epochs, seed, initial=None):
    """(history, best val_auc, test metrics); `initial`: kernels then biases, flat, else Glorot's and zeros."""
    x, y = splits["train"][:2]
    n, units, batch, drop = len(x), config["units"], config["batch_size"], config["conv_dropout"]
    random, scale = np.random.Generator(np.random.SFC64(seed)), np.float32(1 / (1 - drop))
    smoothing, shrink = config["label_smoothing"], np.float32(1 - config["lr"] * config["weight_decay"])
    shapes = [(1024, units), (units, 1), (units,), (1,)] if units else [(1024, 1), (1,)]
    ends = np.cumsum([np.prod(shape) for shape in shapes])
    weights, gradient = np.zeros(ends[-1], np.float32), np.empty(ends[-1], np.float32)
    first, *second, bias = [a.reshape(s) for a, s in zip(np.split(weights, ends[:-1]), shapes, strict=True)]
    to_first, *to_second, to_bias = [a.reshape(s) for a, s in zip(np.split(gradient, ends[:-1]), shapes, strict=True)]
    for kernel in (first, *second[:1]):
        kernel[:] = random.uniform(-1, 1, kernel.shape) * (6 / sum(kernel.shape)) ** 0.5
    weights[:] = weights if initial is None else initial
    step, decayed = stepper(config["optimizer"], config["lr"], weights, gradient), weights[: ends[len(ends) // 2 - 1]]
    balance = n / (2 * np.bincount(y)) if config["class_weights"] == "balanced" else np.ones(2)
    target, weight = (y * (1 - smoothing) + smoothing / 2).astype("f"), balance[y].astype("f")
    scaled, shuffled, logits = x * scale, np.empty_like(x), np.empty(n, np.float32)

    def kept(shape):  # 16 random bits are enough for an element of a dropout mask
        draws = random.bit_generator.random_raw(np.prod(shape) // 4 + 1).view(np.uint16)
        return draws[: np.prod(shape)].reshape(shape) >= round(drop * 65536)

    def outputs(name):
        inputs = splits[name][0]
        inner, last = (np.maximum(inputs @ first + second[1], 0), second[0]) if units else (inputs, first)
        return (inner @ last + bias)[:, 0].astype(np.float64)

    history, best, best_weights, best_epoch, count = [], -1.0, weights.copy(), 0, 0
    for epoch in range(epochs):
        order = random.permutation(n)
        np.multiply(np.take(scaled, order, axis=0, out=shuffled, mode="clip"), kept(x.shape), out=shuffled)
        targets, shares, masks = target[order], weight[order], kept((n, units)) if units else None
        for start in range(0, n, batch):
            rows = slice(start, min(start + batch, n))
            inputs = shuffled[rows]
            inner, last = inputs, first[:, 0]
            if units:
                inner, last = np.maximum(inputs @ first + second[1], 0) * scale, second[0][:, 0]
                inner *= masks[rows]
            z = logits[rows] = inner @ last + bias
            delta = (1 / (1 + np.exp(-z)) - targets[rows]) * shares[rows] / np.float32(len(z))
            to_bias[0] = delta.sum()
            if units:
                np.dot(delta, inner, out=to_second[0][:, 0])
                back = np.multiply.outer(delta, last * scale) * (inner > 0)
                np.dot(inputs.T, back, out=to_first)
                back.sum(0, out=to_second[1])
            else:
                np.dot(delta, inputs, out=to_first[:, 0])
            count += 1
            if config["weight_decay"]:
                np.multiply(decayed, shrink, out=decayed)
            step(count)
        loss = float(np.mean((np.logaddexp(0, logits) - logits * targets) * shares))
        history.append({"loss": loss, **measure(outputs("valid"), *splits["valid"][1:])})
        if history[-1]["val_auc"] > best:
            best, best_epoch, best_weights[:] = history[-1]["val_auc"], epoch, weights
        elif epoch - best_epoch >= config["callbacks_patience"]:
            break
    weights[:] = best_weights
    return history, best, measure(outputs("test"), *splits["test"][1:])
