"""Backbones of the listed architectures, each built once for all tests."""

from functools import cache
from typing import Any

import numpy as np

from plumbing.seeds import generator_of
from spaces import ARCHITECTURES
from spaces.architecture import Architecture
from spaces.declaration import Choice, Parameter, Space, Value, propose
from spaces.narrowing import full_parameters
from spaces.presets import PRESETS
from spaces.weights import RANDOM, build_backbone

NAMES = tuple(architecture.name for architecture in ARCHITECTURES)
HEAD: dict[str, Value] = {"conv_dropout": 0.0, "units": 0}  # nothing but the output layer


def configuration_of(architecture: Architecture) -> dict[str, Value]:
    """The published configuration, for which shapes are declared, or every parameter's first value."""

    def first(name: str, parameter: Parameter) -> Value:
        return parameter.choices[0] if isinstance(parameter, Choice) else parameter.low

    known = [each for each in PRESETS["published"] if each["architecture"] == architecture.name]
    return known[0] if known else propose(Space({architecture.name: full_parameters(architecture)}), first)


@cache
def backbone_at(architecture: Architecture, image_size: int) -> Any:
    return build_backbone(architecture, image_size, RANDOM, configuration_of(architecture))


def smallest(architecture: Architecture) -> Any:
    """The backbone at its least size, with random weights."""
    return backbone_at(architecture, architecture.least_size)


def grey_images(architecture: Architecture, count: int = 2) -> np.ndarray:
    """(count, least size, least size, 1) float32 in 0..255, black and white among the pixels."""
    size = architecture.least_size
    images = generator_of("grey images").integers(0, 256, (count, size, size, 1)).astype(np.float32)
    images[0, 0, :2, 0] = (0, 255)
    return images
