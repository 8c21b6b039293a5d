"""A usual script: Keras Tuner over Keras `fit` on the whole frozen DenseNet121, images decoded each epoch."""
# ruff: noqa: E402

import time

START = time.perf_counter()

import argparse
import json
import os
import tempfile

os.environ["TF_CPP_MIN_LOG_LEVEL"] = "2"

import keras
import keras_tuner
import numpy as np
import pandas as pd
import tensorflow as tf
from PIL import Image
from sklearn.metrics import cohen_kappa_score, roc_auc_score

MEAN, STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)


def read(path):
    grey = Image.open(path.decode()).convert("L").resize((224, 224), Image.Resampling.BILINEAR)
    return np.asarray(grey, np.float32)[..., None]


def dataset(images, batch_size, seed=None):
    """Batches of (pixels, labels); shuffled anew each epoch when a seed is given."""
    data = tf.data.Dataset.from_tensor_slices((images["path"].to_numpy(str), images["label"].to_numpy("float32")))
    if seed is not None:
        data = data.shuffle(len(images), seed=seed)

    def decode(path, label):
        pixels = tf.numpy_function(read, [path], tf.float32, stateful=False)
        return tf.ensure_shape(pixels, (224, 224, 1)), label[None]

    return data.map(decode, tf.data.AUTOTUNE).batch(batch_size).prefetch(tf.data.AUTOTUNE)


def measure(model, images, data):
    """Loss and accuracy by image, AUC and kappa by study."""
    logits = np.concatenate([model.predict_on_batch(pixels) for pixels, _ in data])[:, 0].astype(np.float64)
    labels, probability = images["label"].to_numpy(), 1 / (1 + np.exp(-logits))
    studies = images.assign(probability=probability).groupby("study").agg({"label": "first", "probability": "mean"})
    return {
        "val_loss": float(np.mean(np.logaddexp(0, logits) - labels * logits)),
        "val_accuracy": float(np.mean((probability > 0.5) == labels)),
        "val_auc": float(roc_auc_score(studies["label"], studies["probability"])),
        "val_kappa": float(cohen_kappa_score(studies["label"], studies["probability"] > 0.5)),
    }


class EpochSeconds(keras.callbacks.Callback):
    """The time of each epoch; stands last, so that the other callbacks' work counts."""

    def __init__(self):
        super().__init__()
        self.seconds = []

    def on_epoch_begin(self, epoch, logs=None):
        self.begin = time.perf_counter()

    def on_epoch_end(self, epoch, logs=None):
        self.seconds.append(time.perf_counter() - self.begin)


class StudyMetrics(keras.callbacks.Callback):
    """Adds the valid split's metrics to the epoch's logs, for the callbacks after it."""

    def __init__(self, images, data):
        super().__init__()
        self.images, self.data = images, data

    def on_epoch_end(self, epoch, logs=None):
        logs.update(measure(self.model, self.images, self.data))


def frozen_backbone():
    keras.utils.set_random_seed(0)
    grey = keras.Input((224, 224, 1))
    rgb = keras.layers.Concatenate()([grey, grey, grey])
    normed = keras.layers.Rescaling([1 / 255 / s for s in STD], [-m / s for m, s in zip(MEAN, STD, strict=True)])(rgb)
    densenet = keras.applications.DenseNet121(False, None, input_shape=(224, 224, 3), pooling="avg")
    backbone = keras.Model(grey, densenet(normed, training=False))
    backbone.trainable = False
    return backbone


def build(backbone, config):
    inputs = keras.Input((224, 224, 1))
    x = keras.layers.Dropout(config["conv_dropout"])(backbone(inputs, training=False))
    if config["units"]:
        x = keras.layers.Dense(config["units"], activation="relu")(x)
        x = keras.layers.Dropout(config["conv_dropout"])(x)
    model = keras.Model(inputs, keras.layers.Dense(1)(x))
    options = {"learning_rate": config["lr"], "weight_decay": config["weight_decay"] or None}
    optimizer = {
        "adam": lambda: keras.optimizers.Adam(**options),
        "sgd": lambda: keras.optimizers.SGD(momentum=0.9, nesterov=True, **options),
        "rmsprop": lambda: keras.optimizers.RMSprop(**options),
    }[config["optimizer"]]()
    optimizer.exclude_from_weight_decay(var_names=["bias"])
    loss = keras.losses.BinaryCrossentropy(from_logits=True, label_smoothing=config["label_smoothing"])
    model.compile(optimizer, loss)
    return model


class Head(keras_tuner.HyperModel):
    """The frozen backbone, built once, below a head made and trained as the hyperparameters say."""

    def __init__(self, images, options):
        super().__init__()
        splits = ("train", "valid", "test")
        self.train, self.valid, self.test = (images[images["split"] == s].reset_index(drop=True) for s in splits)
        self.valid_data, self.test_data = dataset(self.valid, 32), dataset(self.test, 32)
        self.options, self.backbone = options, frozen_backbone()
        self.trained, self.tests, self.epoch_seconds, self.trial_seconds = 0, [], [], []

    def build(self, hp):
        self.begin = time.perf_counter()
        hp.Int("callbacks_patience", self.options.least_patience, 20)
        hp.Choice("class_weights", ["none", "balanced"])
        hp.Choice("batch_size", [16, 32, 64])
        config = {
            "lr": hp.Float("lr", 1e-5, 1e-2, sampling="log"),
            "conv_dropout": hp.Float("conv_dropout", 0.0, 0.6),
            "optimizer": hp.Choice("optimizer", ["adam", "sgd", "rmsprop"]),
            "weight_decay": hp.Choice("weight_decay", [0.0, 1e-5, 1e-4, 1e-3, 1e-2]),
            "label_smoothing": hp.Float("label_smoothing", 0.0, 0.2),
            "units": hp.Choice("units", [0, 64, 128, 256]),
        }
        keras.utils.set_random_seed(self.options.seed)
        return build(self.backbone, config)

    def fit(self, hp, model, *, callbacks, **_):
        patience = hp.get("callbacks_patience")
        stop = keras.callbacks.EarlyStopping("val_auc", patience=patience, mode="max", restore_best_weights=True)
        balanced = len(self.train) / (2 * np.bincount(self.train["label"]))
        clock = EpochSeconds()
        history = model.fit(
            dataset(self.train, hp.get("batch_size"), self.options.seed),
            epochs=self.options.epochs,
            callbacks=[StudyMetrics(self.valid, self.valid_data), stop, *callbacks, clock],
            class_weight=dict(enumerate(balanced)) if hp.get("class_weights") == "balanced" else None,
            shuffle=False,  # the data set shuffles itself
            verbose=0,
        )
        self.trained += len(history.history["loss"])
        self.epoch_seconds.append(clock.seconds)
        found = measure(model, self.test, self.test_data)
        self.tests.append({"accuracy": found["val_accuracy"], "auc": found["val_auc"]})
        self.trial_seconds.append(time.perf_counter() - self.begin)
        return history


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--images", required=True)
    for name, default in (("--trials", 50), ("--epochs", 20), ("--least-patience", 3), ("--seed", 0)):
        parser.add_argument(name, type=int, default=default)
    options = parser.parse_args()
    head = Head(pd.read_csv(options.images), options)
    with tempfile.TemporaryDirectory() as folder:
        tuner = keras_tuner.BayesianOptimization(
            head,
            objective=keras_tuner.Objective("val_auc", "max"),
            max_trials=options.trials,
            seed=options.seed,
            directory=folder,
            project_name="heads",
        )
        tuner.search(verbose=0)
        best = tuner.oracle.get_best_trials(1)[0].score
    result = {"rival": "naive_keras_tuner", "seconds": time.perf_counter() - START, "trials": options.trials}
    result |= {"epochs_trained": head.trained, "best_value": best}
    print(json.dumps(result | {"epoch_seconds": head.epoch_seconds, "trial_seconds": head.trial_seconds}))


if __name__ == "__main__":
    main()
