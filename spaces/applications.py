"""Backbones of keras.applications behind our preprocessing, with layer names that do not depend on what was built before."""

import re
from typing import Any

from plumbing.errors import SpaceError


def pooled_backbone(application: str, grey: Any, preprocessed: Any, weights: str) -> Any:
    """The application without its top, from `grey` through `preprocessed` to its average pool `avg_pool`.

    Raises: SpaceError where ImageNet weights are asked for and can be neither found nor downloaded.
    """
    from spaces.tensorflow_runtime import keras

    make = getattr(keras().applications, application)
    try:
        backbone = make(include_top=False, weights="imagenet" if weights == "imagenet" else None, input_tensor=preprocessed)
    # Keras raises a bare Exception where a download fails; nothing narrower exists to catch.
    except Exception as error:  # noqa: BLE001
        if "URL fetch failure" not in str(error):
            raise
        raise SpaceError(
            f"ImageNet weights of {application} cannot be downloaded here; on a machine with network run "
            f"`keras.applications.{application}(include_top=False).save_weights('{application.lower()}.weights.h5')`, "
            f"name the file <architecture>.weights.h5, and give its folder as --weights DIR; or --weights random"
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
