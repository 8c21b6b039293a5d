"""TensorFlow, imported in one place: quiet, with oneDNN, and bit-identical from run to run.

Read by everything that computes with a network; nothing that only lists, stores or reports imports it.
"""

import ctypes
import os
import sys
import tempfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any


@cache
def tensorflow() -> Any:
    """The TensorFlow module, with deterministic kernels switched on.

    The environment is set before the import, as TensorFlow reads it then only: oneDNN is switched on, which is off by
    default on CPUs without AVX-512, and log lines below errors are silenced (a user's own settings win).
    """
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
    os.environ.setdefault("TF_ENABLE_ONEDNN_OPTS", "1")
    os.environ.setdefault("KERAS_BACKEND", "tensorflow")
    with _native_stderr_held_back():
        import tensorflow as tf

        tf.get_logger().setLevel("ERROR")  # each trial traces its own step: no news for a user
        tf.config.experimental.enable_op_determinism()
        for gpu in tf.config.list_physical_devices("GPU"):
            tf.config.experimental.set_memory_growth(gpu, True)
        tf.zeros(1)  # the first operation starts the devices, which talks too
    return tf


@cache
def versions() -> str:
    """The versions of TensorFlow, under whatever name it was installed, and of Keras; neither is imported."""
    for name in ("tensorflow", "tensorflow-cpu", "tensorflow-rocm", "tensorflow-macos"):
        try:
            return f"keras {version('keras')}, {name} {version(name)}"
        except PackageNotFoundError:
            continue
    return f"keras {version('keras')}, tensorflow {tensorflow().__version__}"


@cache
def keras() -> Any:
    """The Keras module on the TensorFlow of `tensorflow()`."""
    tensorflow()
    import keras

    return keras


@cache
def keras_tuner() -> Any:
    """The Keras Tuner module on the Keras of `keras()`: it imports TensorFlow, which must find its environment set."""
    keras()
    import keras_tuner

    return keras_tuner


# Keras draws initial weights by Python's global random numbers: one thread at a time may make what draws them.
drawing_weights = threading.RLock()


def has_gpu() -> bool:
    """Whether TensorFlow sees a GPU; where no driver is installed it is not asked, as its import takes seconds."""
    if sys.platform == "linux" and not _has_gpu_driver():
        return False
    return bool(tensorflow().config.list_physical_devices("GPU"))


def _has_gpu_driver() -> bool:
    if Path("/dev/kfd").exists():  # AMD's
        return True
    try:
        ctypes.CDLL("libcuda.so.1")
    except OSError:
        return False
    return True


@contextmanager
def _native_stderr_held_back() -> Iterator[None]:
    """Hold back what native code writes to file descriptor 2, and write it after all where the block fails.

    TensorFlow's start-up lines come before its log level is read, so nothing gentler silences them.
    """
    sys.stderr.flush()
    with tempfile.TemporaryFile() as held, os.fdopen(os.dup(2), "wb", closefd=True) as real:
        os.dup2(held.fileno(), 2)
        try:
            yield
        except Exception:
            held.seek(0)
            real.write(held.read())
            raise
        finally:
            sys.stderr.flush()
            os.dup2(real.fileno(), 2)
