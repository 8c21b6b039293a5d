"""Backbones of keras.applications behind our preprocessing, their layers named alike however often they are built."""

import contextlib
import io
import re
import sys
from typing import Any

from plumbing.errors import SpaceError


def pooled_backbone(application: str, grey: Any, preprocessed: Any, weights: str) -> Any:
    """The application without its top, from `grey` through `preprocessed` to its average pool `avg_pool`.

    Raises: SpaceError where ImageNet weights are asked for and can be neither found nor downloaded.
    """
    from spaces.tensorflow_runtime import keras

    make = getattr(keras().applications, application)
    known = "imagenet" if weights == "imagenet" else None
    try:
        # Keras tells of its download on stdout, which is for results; nobody reads it where there is no terminal.
        with contextlib.redirect_stdout(sys.stderr if sys.stderr.isatty() else io.StringIO()):
            backbone = make(include_top=False, weights=known, input_tensor=preprocessed)
    # Keras raises a bare Exception where a download fails; nothing narrower exists to catch.
    except Exception as error:
        if "URL fetch failure" not in str(error):
            raise
        raise SpaceError(
            f"ImageNet weights of {application} cannot be downloaded here; on a machine with network run "
            f"`keras.applications.{application}(include_top=False).save_weights('DIR/<architecture>.weights.h5')`, "
            f"copy DIR here and give --weights DIR; or --architecture efficientnet_lite0, whose weights are here; or "
            f"--weights random"
        ) from error
    for layer in backbone.layers:
        layer.name = _stable_name(layer.name, backbone.layers, layer)
    pooled = keras().layers.GlobalAveragePooling2D(name="avg_pool")(backbone.output)
    return keras().Model(grey, pooled, name=application.lower())


def _stable_name(name: str, layers: list[Any], layer: Any) -> str:
    """Keras numbers unnamed layers over the whole process (add, add_1, ...): number them within the network instead."""
    kind = re.sub(r"(?<!^)(?=[A-Z])", "_", type(layer).__name__.replace("2D", "2d")).lower()
    if not re.fullmatch(rf"{kind}(_\d+)?", name):
        return name
    same_kind = [other for other in layers if type(other) is type(layer)]
    return f"{kind}_{same_kind.index(layer)}"
