"""What an architecture says of itself, without loading TensorFlow."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from plumbing.errors import SpaceError
from spaces.declaration import Configuration, Parameter

# A backbone as a Keras functional model: (batch, size, size, 1) float32 grey in 0..255 to (batch, features) float32,
# its own preprocessing inside. `weights` is "imagenet" or "random".
Build = Callable[[int, str, Configuration], Any]


SizeOf = Callable[[int, Configuration], tuple[int, int]]


def fixed_size(numbers: int, features: int) -> SizeOf:
    """The size of a backbone that pools its features: the same for each image size and configuration."""
    return lambda image_size, configuration: (numbers, features)


@dataclass(frozen=True)
class Cut:
    """A named boundary: the layers up to and including `after` are frozen, the rest is trained.

    Attributes:
        name: as a configuration's `frozen` names it.
        after: name of the last frozen layer; None where nothing is frozen.
        features: shape of what that layer puts out for one image at the native size.
    """

    name: str
    after: str | None
    features: tuple[int, ...]


@dataclass(frozen=True)
class Architecture:
    """One network: how it is built, where it can be cut, what may vary.

    Attributes:
        cuts: from nothing frozen (`none`) to all frozen (`all`).
        cheap_cuts: those a search offers where no GPU is there; deeper ones by --space.
        has_imagenet: whether `--weights imagenet` means anything; else the weights are random.
        parameters: without `frozen`, which is made from the cuts.
        shape_parameters: names of those parameters that `build` reads.
        gigaflops: floating-point operations of one image's forward pass at the native size, in 1e9, a multiplication
            and an addition counted as two.
        size: numbers in the backbone's arrays, and features below the head, of an image size and a configuration.
    """

    name: str
    build: Build
    native_size: int
    least_size: int
    cuts: tuple[Cut, ...]
    cheap_cuts: tuple[str, ...]
    parameters: tuple[Parameter, ...]
    gigaflops: float
    size: SizeOf
    shape_parameters: tuple[str, ...] = ()
    has_imagenet: bool = True

    def cut(self, name: str) -> Cut:
        """The cut of that name.

        Raises: SpaceError naming the known ones where there is none.
        """
        for cut in self.cuts:
            if cut.name == name:
                return cut
        raise SpaceError(f"{self.name} has no cut {name!r}; give one of {', '.join(cut.name for cut in self.cuts)}")

    def check_size(self, image_size: int) -> None:
        """Raises: SpaceError where the image size is below the least that the network takes."""
        if image_size < self.least_size:
            raise SpaceError(f"--image-size {image_size} is below {self.name}'s least; give {self.least_size} or more")
