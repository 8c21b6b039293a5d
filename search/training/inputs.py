"""What a trial trains on: the features of a split at a cut, or the views themselves where nothing is frozen."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from features.cache import FeatureCache, FrozenPart
from features.extractor import Extractor, view_batches
from radiographs.dataset import Dataset, SizedPixels
from spaces.architecture import Architecture, Cut
from spaces.declaration import Configuration
from spaces.network import make_trunk
from spaces.weights import build_backbone, weights_digest


@dataclass(frozen=True)
class Backbone:
    """A built backbone with what its features are keyed by."""

    architecture: Architecture
    image_size: int
    model: Any
    digest: str


class Backbones:
    """The backbones of a search, each built once.

    An architecture whose shape the configuration changes (base_cnn) is built again where the shape does.
    """

    def __init__(self, weights: Mapping[str, str]) -> None:
        self.weights = weights
        self._built: dict[str, tuple[tuple[object, ...], Backbone]] = {}
        self._extractors: dict[tuple[str, str], Extractor] = {}

    def get(self, architecture: Architecture, image_size: int, configuration: Configuration) -> Backbone:
        """Raises: SpaceError where its weights are absent or do not fit."""
        shape = (
            image_size,
            *(value for name, value in configuration.items() if name.startswith(("blocks", "filters"))),
        )
        known = self._built.get(architecture.name)
        if known is None or known[0] != shape:
            self._extractors = {key: value for key, value in self._extractors.items() if key[0] != architecture.name}
            model = build_backbone(architecture, image_size, self.weights[architecture.name], configuration)
            known = (shape, Backbone(architecture, image_size, model, weights_digest(model)))
            self._built[architecture.name] = known
        return known[1]

    def extractor(self, backbone: Backbone, cut: Cut) -> Extractor:
        """The extractor of a backbone at a cut that freezes something."""
        key = (backbone.architecture.name, cut.name)
        if key not in self._extractors:
            self._extractors[key] = Extractor(make_trunk(backbone.model, cut))
        return self._extractors[key]


@dataclass(frozen=True)
class Inputs:
    """Inputs of a trial's tail, split by split and view by view."""

    dataset: Dataset
    pixels: SizedPixels
    backbone: Backbone
    cut: Cut
    cache: FeatureCache
    extractor: Extractor | None

    def get(self, split: str, level: str = "no", view: int = 0) -> NDArray[Any]:
        """(images, *features at the cut), in the order of the split; float32 features, or uint8 grey views."""
        digests = self.dataset.split(split)["digest"].tolist()
        if self.extractor is None:
            return np.concatenate([views for _, views in view_batches(self.pixels, digests, level, view)])
        part = FrozenPart(self.backbone.architecture.name, self.backbone.digest, self.cut.name, self.pixels.size)
        return self.cache.features(part, self.extractor, self.pixels, digests, level, view)
