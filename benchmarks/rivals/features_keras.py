"""A careful engineer's script: the frozen DenseNet121's features once, then Optuna over Keras `fit` of heads."""
# ruff: noqa: E402

import time

START = time.perf_counter()

import argparse
import json
import os
from pathlib import Path

os.environ["TF_CPP_MIN_LOG_LEVEL"] = "2"

import keras
import numpy as np
import optuna
import pandas as pd
from PIL import Image
from sklearn.metrics import cohen_kappa_score, roc_auc_score

MEAN, STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)


def measure(model, images, features):
    """Loss and accuracy by image, AUC and kappa by study."""
    logits = model.predict_on_batch(features)[:, 0].astype(np.float64)
    labels, probability = images["label"].to_numpy(), 1 / (1 + np.exp(-logits))
    studies = images.assign(probability=probability).groupby("study").agg({"label": "first", "probability": "mean"})
    return {
        "val_loss": float(np.mean(np.logaddexp(0, logits) - labels * logits)),
        "val_accuracy": float(np.mean((probability > 0.5) == labels)),
        "val_auc": float(roc_auc_score(studies["label"], studies["probability"])),
        "val_kappa": float(cohen_kappa_score(studies["label"], studies["probability"] > 0.5)),
    }


class StudyMetrics(keras.callbacks.Callback):
    """Adds the valid split's metrics to the epoch's logs, for the callbacks after it."""

    def __init__(self, images, features):
        super().__init__()
        self.images, self.features = images, features

    def on_epoch_end(self, epoch, logs=None):
        logs.update(measure(self.model, self.images, self.features))


def frozen_backbone():
    keras.utils.set_random_seed(0)
    grey = keras.Input((224, 224, 1))
    rgb = keras.layers.Concatenate()([grey, grey, grey])
    normed = keras.layers.Rescaling([1 / 255 / s for s in STD], [-m / s for m, s in zip(MEAN, STD, strict=True)])(rgb)
    densenet = keras.applications.DenseNet121(False, None, input_shape=(224, 224, 3), pooling="avg")
    return keras.Model(grey, densenet(normed, training=False))


def extract(paths):
    """(images, 1024) float32."""
    backbone, found = frozen_backbone(), []
    for start in range(0, len(paths), 32):
        opened = (Image.open(path).convert("L") for path in paths[start : start + 32])
        batch = np.stack([np.asarray(grey.resize((224, 224), Image.Resampling.BILINEAR)) for grey in opened])
        found.append(backbone.predict_on_batch(batch[..., None].astype(np.float32)))
    return np.concatenate(found)


def build(config):
    inputs = keras.Input((1024,))
    x = keras.layers.Dropout(config["conv_dropout"])(inputs)
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


def suggest(trial, least_patience):
    return {
        "lr": trial.suggest_float("lr", 1e-5, 1e-2, log=True),
        "conv_dropout": trial.suggest_float("conv_dropout", 0.0, 0.6),
        "callbacks_patience": trial.suggest_int("callbacks_patience", least_patience, 20),
        "optimizer": trial.suggest_categorical("optimizer", ("adam", "sgd", "rmsprop")),
        "weight_decay": trial.suggest_categorical("weight_decay", (0.0, 1e-5, 1e-4, 1e-3, 1e-2)),
        "label_smoothing": trial.suggest_float("label_smoothing", 0.0, 0.2),
        "class_weights": trial.suggest_categorical("class_weights", ("none", "balanced")),
        "batch_size": trial.suggest_categorical("batch_size", (16, 32, 64)),
        "units": trial.suggest_categorical("units", (0, 64, 128, 256)),
    }


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--images", required=True)
    parser.add_argument("--features", type=Path)
    parser.add_argument("--enqueue", type=Path, help="a JSON list of configurations to train in place of proposals")
    for name, default in (("--trials", 50), ("--epochs", 20), ("--least-patience", 3), ("--seed", 0)):
        parser.add_argument(name, type=int, default=default)
    options = parser.parse_args()
    images = pd.read_csv(options.images)
    begin = time.perf_counter()
    if options.features and options.features.exists():
        features = np.load(options.features)["features"]
    else:
        features = extract(images["path"].tolist())
        if options.features:
            np.savez(options.features, features=features)
    extracted = time.perf_counter()
    masks = (images["split"] == name for name in ("train", "valid", "test"))
    train, valid, test = ((images[mask], features[mask]) for mask in masks)
    labels = train[0]["label"].to_numpy("float32")[:, None]
    balanced = len(labels) / (2 * np.bincount(train[0]["label"]))
    trained = 0

    def objective(trial):
        nonlocal trained
        config = suggest(trial, options.least_patience)
        keras.backend.clear_session()
        keras.utils.set_random_seed(options.seed)
        model = build(config)
        stop = keras.callbacks.EarlyStopping(
            "val_auc", patience=config["callbacks_patience"], mode="max", restore_best_weights=True
        )
        history = model.fit(
            train[1],
            labels,
            config["batch_size"],
            epochs=options.epochs,
            callbacks=[StudyMetrics(*valid), stop],
            class_weight=dict(enumerate(balanced)) if config["class_weights"] == "balanced" else None,
            verbose=0,
        ).history
        trained += len(history["loss"])
        found = measure(model, *test)
        trial.set_user_attr("history", history)
        trial.set_user_attr("test", {"accuracy": found["val_accuracy"], "auc": found["val_auc"]})
        return max(history["val_auc"])

    optuna.logging.set_verbosity(optuna.logging.WARNING)
    sampler = optuna.samplers.TPESampler(seed=options.seed, multivariate=True, group=True)
    study = optuna.create_study(direction="maximize", sampler=sampler)
    for config in json.loads(options.enqueue.read_text()) if options.enqueue else ():
        study.enqueue_trial(config)
    study.optimize(objective, options.trials)
    end = time.perf_counter()
    result = {"rival": "features_keras", "seconds": end - START, "trials": options.trials, "epochs_trained": trained}
    result |= {"best_value": study.best_value, "extraction_seconds": extracted - begin}
    print(json.dumps(result | {"heads_seconds": end - extracted}))


if __name__ == "__main__":
    main()
