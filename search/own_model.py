"""A Keras user's own model, searched with our data, store and resume: `--hypermodel FILE:NAME`.

NAME is a `build(hp)` function or a `keras_tuner.HyperModel`, class or instance, as Keras Tuner's guide writes them. It
is given grey images (batch, size, size, 1), float32 in 0..1, and returns a compiled model with one output, P(abnormal),
or one for each class. The file is run: it is the user's own.
"""

import hashlib
import importlib.util
import json
import sys
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from plumbing.errors import SpaceError, UsageError
from plumbing.seeds import seed_of
from spaces.architecture import Architecture, Cut, fixed_size
from spaces.declaration import Configuration
from spaces.network import outputs_of

NATIVE_SIZE = 224
OPTION = "--hypermodel"


def _never_built(image_size: int, weights: str, configuration: Configuration) -> Any:
    raise AssertionError("a user's own model is built by its own function")


@dataclass(frozen=True)
class OwnModel:
    """The file and the name in it."""

    path: Path
    name: str

    @property
    def architecture(self) -> Architecture:
        """What the rest of a search knows of it: nothing is frozen, and what may vary only building it tells."""
        cut = Cut("none", None, (NATIVE_SIZE, NATIVE_SIZE, 1))
        nothing = fixed_size(0, 0)  # only building tells
        return Architecture(
            self.name, _never_built, NATIVE_SIZE, 1, (cut,), ("none",), (), 0.0, nothing, has_imagenet=False
        )

    @cached_property
    def digest(self) -> str:
        """Of the file's text: a changed model is another search."""
        return hashlib.blake2b(self.path.read_bytes(), digest_size=8).hexdigest()

    @cached_property
    def hypermodel(self) -> Any:
        """The `keras_tuner.HyperModel`.

        Raises: UsageError where the file has nothing of that name, or it is no model.
        """
        from spaces.tensorflow_runtime import keras

        keras()  # Keras Tuner imports TensorFlow, which must find its environment set
        from keras_tuner import HyperModel

        found = getattr(_module(self.path), self.name, None)
        if found is None:
            raise UsageError(f"{OPTION} {self.path}:{self.name}: the file has no {self.name}; give a name that it has")
        if isinstance(found, type) and issubclass(found, HyperModel):
            found = found()
        if isinstance(found, HyperModel):
            return found
        if not callable(found):
            raise UsageError(f"{OPTION} {self.path}:{self.name}: neither build(hp) nor a HyperModel; give one of them")
        built = HyperModel()
        built.build = found
        return built

    def hyperparameters(self, values: Configuration, space: Sequence[Mapping[str, Any]]) -> Any:
        """`keras_tuner.HyperParameters` with these values.

        Args:
            space: what may vary, as Keras Tuner's configs.
        """
        from spaces.tensorflow_runtime import keras

        keras()
        from keras_tuner import HyperParameters

        return HyperParameters.from_config({"space": list(space), "values": dict(values)})

    @cached_property
    def space(self) -> list[dict[str, Any]]:
        """What building it brings up, every condition met once, as Keras Tuner's configs."""
        hypermodel = self.hypermodel
        import keras_tuner

        class Builder(keras_tuner.Tuner):  # type: ignore[misc]  # it builds the space when it is made
            def run_trial(self, trial: Any, *arguments: Any, **more: Any) -> Any:
                raise AssertionError

        oracle = keras_tuner.Oracle(keras_tuner.Objective("val_auc", "max"))
        with tempfile.TemporaryDirectory() as folder:
            Builder(oracle=oracle, hypermodel=hypermodel, directory=folder, project_name="space")
        plain: list[dict[str, Any]] = json.loads(json.dumps(oracle.hyperparameters.get_config()["space"]))
        return plain

    def build(self, hyperparameters: Any, image_size: int, search_seed: int) -> Any:
        """A model with the initial weights of that seed, all its arrays made."""
        import numpy as np

        from spaces.tensorflow_runtime import keras

        keras().backend.clear_session()  # layers are numbered from one again, so their names do not hang on the past
        keras().utils.set_random_seed(seed_of("own model", search_seed))
        model = self.hypermodel.build(hyperparameters)
        if not isinstance(model, keras().Model):
            raise SpaceError(f"{OPTION} {self.path}:{self.name}: builds {type(model).__name__}; return a keras.Model")
        model(np.zeros((1, image_size, image_size, 1), np.float32))
        return model

    def check(self, image_size: int, classes: int) -> None:
        """Build it once.

        Raises: SpaceError where it is not compiled, or its output does not fit the task.
        """
        model = self.build(self.hyperparameters({}, []), image_size, 0)
        place = f"{OPTION} {self.path}:{self.name}"
        if not model.compiled:
            raise SpaceError(f"{place}: the model is not compiled; call model.compile in it")
        shape, fitting = model.output_shape, {classes, outputs_of(classes)}
        if not isinstance(shape, tuple) or len(shape) != 2 or shape[1] not in fitting:
            told = " or ".join(f"(batch, {each})" for each in sorted(fitting))
            raise SpaceError(f"{place}: its output has shape {shape}; this task needs {told}")


def own_model(option: str) -> OwnModel:
    """The model of `FILE:NAME`; nothing is run yet.

    Raises: UsageError where it is not of that form, or there is no such file.
    """
    file, colon, name = option.rpartition(":")
    if not colon or not name.isidentifier():
        raise UsageError(f"{OPTION} {option}: give FILE:NAME, as in model.py:build")
    if not Path(file).is_file():
        raise UsageError(f"{OPTION} {option}: there is no file {file}; give its path")
    return OwnModel(Path(file), name)


def _module(path: Path) -> Any:
    """The file run as a module of its own, imports from beside it included."""
    spec = importlib.util.spec_from_file_location("own_model_of_the_user", path)
    if spec is None or spec.loader is None:
        raise UsageError(f"{OPTION} {path}: no Python file; give one that ends in .py")
    module = importlib.util.module_from_spec(spec)
    sys.path.insert(0, str(path.resolve().parent))
    try:
        spec.loader.exec_module(module)
    finally:
        sys.path.remove(str(path.resolve().parent))
    return module
