"""A Keras user's own model, searched with our data, store and resume: `--hypermodel FILE:NAME`.

NAME is a `build(hp)` function or a `keras_tuner.HyperModel`, class or instance, as Keras Tuner's guide writes them. It
is given grey images (batch, size, size, 1), float32 in 0..1, and returns a compiled model with one output, P(abnormal),
or one for each class. The file is run: it is the user's own. Of what it imports from beside it nothing is watched: a
search resumes as long as the file itself is the same.
"""

import hashlib
import importlib.util
import json
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from plumbing.errors import SpaceError, UsageError, UserError
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
    def place(self) -> str:
        """How errors name it."""
        return f"{OPTION} {self.path}:{self.name}"

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
        """Of the file's text: with another it is another search."""
        return hashlib.blake2b(self.path.read_bytes(), digest_size=8).hexdigest()

    @cached_property
    def hypermodel(self) -> Any:
        """The `keras_tuner.HyperModel`.

        Raises: UsageError where the file has nothing of that name, or it is no model.
        """
        from spaces.tensorflow_runtime import keras_tuner

        kind = keras_tuner().HyperModel
        with own_code(self.place, UsageError):
            found = getattr(_module(self.path), self.name, None)
        if found is None:
            raise UsageError(f"{self.place}: the file has no {self.name}; give a name that it has")
        if isinstance(found, type) and issubclass(found, kind):
            found = found()
        if isinstance(found, kind):
            return found
        if not callable(found):
            raise UsageError(f"{self.place}: neither build(hp) nor a HyperModel; give one of them")
        built = kind()
        built.build = found
        return built

    def hyperparameters(self, values: Configuration, space: Sequence[Mapping[str, Any]]) -> Any:
        """`keras_tuner.HyperParameters` with these values.

        Args:
            space: what may vary, as Keras Tuner's configs.
        """
        from spaces.tensorflow_runtime import keras_tuner

        return keras_tuner().HyperParameters.from_config({"space": list(space), "values": dict(values)})

    @cached_property
    def space(self) -> list[dict[str, Any]]:
        """What building it brings up, every condition met once, as Keras Tuner's configs."""
        from spaces.tensorflow_runtime import keras_tuner

        class Builder(keras_tuner().Tuner):  # type: ignore[misc]  # it builds the space when it is made
            def run_trial(self, trial: Any, *arguments: Any, **more: Any) -> Any:
                raise AssertionError

        oracle = keras_tuner().Oracle(keras_tuner().Objective("val_auc", "max"))
        with tempfile.TemporaryDirectory() as folder:
            Builder(oracle=oracle, hypermodel=self.hypermodel, directory=folder, project_name="space")
        plain: list[dict[str, Any]] = json.loads(json.dumps(oracle.hyperparameters.get_config()["space"]))
        return plain

    def build(self, hyperparameters: Any, image_size: int, classes: int, search_seed: int) -> tuple[Any, int]:
        """A model with the initial weights of that seed, all its arrays made; and how many outputs it has.

        Raises: SpaceError where it is no compiled model, or its output does not fit the task. Whatever `build` raises.
        """
        import numpy as np

        from spaces.tensorflow_runtime import keras

        keras().backend.clear_session()  # layers are numbered from one again, so their names do not hang on the past
        keras().utils.set_random_seed(seed_of("own model", search_seed))
        model = self.hypermodel.build(hyperparameters)
        if not isinstance(model, keras().Model):
            raise SpaceError(f"{self.place}: builds {type(model).__name__}; return a keras.Model")
        shape = tuple(model(np.zeros((1, image_size, image_size, 1), np.float32)).shape)
        if not model.compiled:
            raise SpaceError(f"{self.place}: the model is not compiled; call model.compile in it")
        fitting = sorted({classes, outputs_of(classes)})
        if len(shape) != 2 or shape[1] not in fitting:
            told = " or ".join(f"(batch, {each})" for each in fitting)
            found = ", ".join(["batch", *map(str, shape[1:])])
            raise SpaceError(f"{self.place}: its output has shape ({found}); this task needs {told}")
        return model, shape[1]

    def check(self, image_size: int, classes: int) -> None:
        """Run the file and build the model once.

        Raises: UsageError, SpaceError where that fails, or a model as it is saved could not be loaded.
        """
        with own_code(self.place, SpaceError):
            names = {each["config"]["name"] for each in self.space}
            model, _ = self.build(self.hyperparameters({}, []), image_size, classes, 0)
        if "architecture" in names:
            raise SpaceError(f"{self.place}: a parameter is named architecture, which is taken; give it another name")
        with tempfile.TemporaryDirectory() as folder, own_code(f"{self.place}: cannot be saved and loaded", SpaceError):
            save_whole(model, image_size, classes, Path(folder) / "model.keras")
            _load(Path(folder) / "model.keras")


def gives_logits(model: Any) -> bool:
    """Whether the model's loss says that its outputs are logits, not probabilities."""
    return bool(getattr(model.loss, "from_logits", False))


def save_whole(model: Any, image_size: int, classes: int, path: Path) -> None:
    """Save a whole model: grey in 0..255 to (batch, 1) P(abnormal), or (batch, classes). It is not compiled."""
    from spaces.tensorflow_runtime import keras

    layers = keras().layers
    logits, model.compiled = gives_logits(model), False  # a loss of the user's own need not be found again
    grey = keras().Input((image_size, image_size, 1), name="grey")
    flow = model(layers.Rescaling(1 / 255, name="preprocessing")(grey))
    if logits:
        flow = layers.Activation("softmax" if flow.shape[1] > 1 else "sigmoid")(flow)
    if classes == 2 and flow.shape[1] == 2:
        flow = flow[:, 1:]
    keras().Model(grey, flow).save(path)


def _load(path: Path) -> None:
    from spaces.tensorflow_runtime import keras

    keras().models.load_model(path, compile=False)


@contextmanager
def own_code(place: str, kind: type[Exception]) -> Iterator[None]:
    """Errors inside become one of that kind, in one line: a user's own code may raise anything."""
    try:
        yield
    except (kind, MemoryError):
        raise
    except UserError as error:
        raise kind(str(error)) from None
    except Exception as error:
        line = (str(error).strip().splitlines() or [""])[0]
        raise kind(f"{place}: {type(error).__name__}: {line}; mend it") from error


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
    module = sys.modules[spec.name] = importlib.util.module_from_spec(spec)  # dataclasses look their module up there
    sys.path.insert(0, str(path.resolve().parent))  # stays: functions may import when they are called
    spec.loader.exec_module(module)
    return module
