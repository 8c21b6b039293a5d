"""What a trial trains on: the features of a split at a cut, or the views themselves where nothing is frozen."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property, partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from features.cache import FeatureCache
from features.extractor import Images, Views, view_batches
from features.forward import Forward
from features.frozen import Backbones
from features.records import FrozenNetwork
from radiographs.dataset import Dataset, SizedPixels
from radiographs.splits import SPLITS
from spaces.architecture import Architecture, Cut
from spaces.declaration import Configuration


@dataclass(frozen=True)
class Source:
    """Where a search's inputs come from.

    Attributes:
        pixels: image size -> pixels. image_size: of each architecture.
        kept: architecture -> cuts whose features the cache keeps, all of them in one pass; others are computed anew.
    """

    dataset: Dataset
    pixels: Mapping[int, SizedPixels]
    image_size: Mapping[str, int]
    backbones: Backbones
    cache: FeatureCache
    kept: Mapping[str, tuple[str, ...]]

    @cached_property
    def digests(self) -> dict[str, tuple[str, ...]]:
        """Split -> its images' digests, in its order."""
        return {split: tuple(self.dataset.split(split)["digest"]) for split in SPLITS}

    @cached_property
    def anew(self) -> FeatureCache:
        """Keeps nothing; one for all trials, so that one at a time extracts, on all cores."""
        return FeatureCache(None, ledger=self.cache.ledger)

    def inputs(self, architecture: Architecture, configuration: Configuration) -> "Inputs":
        """The inputs of a configuration."""
        size = self.image_size[architecture.name]
        return Inputs(self, architecture, size, architecture.cut(str(configuration["frozen"])), configuration)


@dataclass(frozen=True)
class Inputs:
    """Inputs of a trial's tail, split by split and view by view."""

    source: Source
    architecture: Architecture
    image_size: int
    cut: Cut
    configuration: Configuration

    def get(self, split: str, level: str = "no", view: int = 0) -> NDArray[Any]:
        """(images, *features at the cut), in the order of the split; float32 features, or uint8 grey views."""
        views = self._views(split, level, view)
        if self.cut.after is None:
            return np.concatenate([made for _, made in view_batches(views, views.batches)])
        while True:
            frozen = self.frozen()
            found = self._cache.features(*self._asked(frozen, views))
            if self.source.backbones.confirmed(*self._backbone, frozen):
                return found

    def extract(self, level: str) -> None:
        """Have the cache extract what a trial at the level is sure to need, where it keeps features of the cut.

        Unlike `get` it does not wait until ONNX Runtime was found to agree with Keras, nor for what others extract.
        """
        if self._is_kept:
            frozen = self.frozen()
            for split in SPLITS:
                views = self._views(split, level if split == "train" else "no", 0)
                self._cache.keep(*self._asked(frozen, views), wait=False)

    @property
    def _is_kept(self) -> bool:
        return self.source.cache.folder is not None and self.cut.name in self.source.kept[self.architecture.name]

    @property
    def _cache(self) -> FeatureCache:
        """The search's, or one that keeps nothing."""
        return self.source.cache if self._is_kept else self.source.anew

    def _asked(
        self, frozen: FrozenNetwork, views: Views
    ) -> tuple[FrozenNetwork, Callable[[], Forward], Views, str, Sequence[str]]:
        """What the cache is asked for."""
        forward = partial(self.source.backbones.forward, *self._backbone, frozen)
        return frozen, forward, views, self.cut.name, self.source.kept[self.architecture.name]

    def frozen(self) -> FrozenNetwork:
        """What is known of the frozen layers."""

        def first_batch() -> NDArray[np.float32]:
            return next(view_batches(self._views("train", "no", 0), [0]))[1].astype(np.float32)

        return self.source.backbones.frozen(*self._backbone, first_batch)

    def folder(self) -> Path:
        """Where what is known of the backbone is kept."""
        return self.source.backbones.folder(*self._backbone)

    def network(self) -> Any:
        """The backbone as a Keras network."""
        return self.source.backbones.network(*self._backbone)

    @property
    def _backbone(self) -> tuple[Architecture, int, Configuration]:
        return self.architecture, self.image_size, self.configuration

    def _views(self, split: str, level: str, view: int) -> Views:
        return Views(self._images[split], level, view)

    @cached_property
    def _images(self) -> dict[str, Images]:
        pixels = self.source.pixels[self.image_size]
        return {split: Images(pixels, digests) for split, digests in self.source.digests.items()}
