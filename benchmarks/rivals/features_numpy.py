"""The strongest throw-away script we know: ONNX Runtime, numpy heads, Optuna in memory, nothing stored."""
# ruff: noqa: E402

import time

START = time.perf_counter()

import argparse
import csv
import json
import os
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from multiprocessing import get_context
from pathlib import Path

os.environ["TF_CPP_MIN_LOG_LEVEL"] = "2"
os.environ["OPENBLAS_NUM_THREADS"] = "1"  # its threads (numpy's and SciPy's own) fight; trials run side by side

import numpy as np
import optuna
from numpy_head import split_of, train

MEAN, STD = np.array((0.485, 0.456, 0.406), "f"), np.array((0.229, 0.224, 0.225), "f")


def graph_by_tf2onnx(base):
    import tensorflow as tf
    import tf2onnx

    def features(grey):
        rgb = tf.repeat(tf.transpose(grey, (0, 2, 3, 1)), 3, axis=3)
        return base((rgb / 255 - MEAN) / STD, training=False)

    signature = [tf.TensorSpec((None, 1, 224, 224), tf.float32, name="grey")]
    return tf2onnx.convert.from_function(tf.function(features), signature, opset=17)[0]


def extract(paths, by_hand):
    """(images, 1024) float32; threads decode while TensorFlow starts, the model is exported and ONNX Runtime runs."""
    from PIL import Image

    def decode(path):
        return np.asarray(Image.open(path).convert("L").resize((224, 224), Image.Resampling.BILINEAR), np.float32)

    with ThreadPoolExecutor(os.cpu_count()) as pool:
        decoded = [pool.submit(decode, path) for path in paths]
        import keras
        import onnxruntime

        keras.utils.set_random_seed(0)
        base = keras.applications.DenseNet121(False, None, input_shape=(224, 224, 3), pooling="avg")
        if by_hand:
            from densenet_onnx import graph_by_hand
        model = graph_by_hand(base) if by_hand else graph_by_tf2onnx(base)
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = os.cpu_count()
        session = onnxruntime.InferenceSession(model.SerializeToString(), options, ["CPUExecutionProvider"])
        batches = (decoded[start : start + 32] for start in range(0, len(paths), 32))
        greys = (np.stack([each.result() for each in batch])[:, None] for batch in batches)
        return np.concatenate([session.run(None, {"grey": grey})[0] for grey in greys])


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
    parser.add_argument("--images", type=Path, required=True)
    parser.add_argument("--features", type=Path)
    parser.add_argument("--enqueue", type=Path, help="a JSON list of configurations to train in place of proposals")
    parser.add_argument("--by-hand", action="store_true", help="densenet_onnx.py instead of tf2onnx")
    for name, default in (
        ("--trials", 50),
        ("--epochs", 20),
        ("--least-patience", 3),
        ("--seed", 0),
        ("--jobs", os.cpu_count()),
    ):
        parser.add_argument(name, type=int, default=default)
    options = parser.parse_args()
    rows = list(csv.DictReader(options.images.open()))
    begin = time.perf_counter()
    if options.features and options.features.exists():
        features = np.load(options.features)["features"]
    else:
        features = extract([row["path"] for row in rows], options.by_hand)
        if options.features:
            np.savez(options.features, features=features)
    extracted = time.perf_counter()
    splits = {name: split_of(rows, features, name) for name in ("train", "valid", "test")}
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    sampler = optuna.samplers.TPESampler(seed=options.seed, multivariate=True, group=True)
    study, trained = optuna.create_study(direction="maximize", sampler=sampler), 0
    for config in json.loads(options.enqueue.read_text()) if options.enqueue else ():
        study.enqueue_trial(config)
    with ProcessPoolExecutor(options.jobs, get_context("spawn")) as pool:
        for start in range(0, options.trials, options.jobs):  # the same proposals each time, as n_jobs would not give
            trials = [study.ask() for _ in range(min(options.jobs, options.trials - start))]
            configs = [suggest(trial, options.least_patience) for trial in trials]
            runs = [pool.submit(train, config, splits, options.epochs, options.seed) for config in configs]
            for trial, run in zip(trials, runs, strict=True):
                history, best, test = run.result()
                trial.set_user_attr("history", history)
                trial.set_user_attr("test", {"accuracy": test["val_accuracy"], "auc": test["val_auc"]})
                study.tell(trial, best)
                trained += len(history)
    end = time.perf_counter()
    result = {"rival": "features_numpy", "seconds": end - START, "trials": options.trials, "epochs_trained": trained}
    result |= {
        "best_value": study.best_value,
        "extraction_seconds": extracted - begin,
        "heads_seconds": end - extracted,
    }
    print(json.dumps(result))


if __name__ == "__main__":
    main()
