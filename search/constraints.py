"""What a model may cost: configurations beyond it are never proposed.

The parameters of a model are counted exactly. Its time is expected, not measured: floating-point operations of the
backbone over this machine's speed at matrix products, which is taken once, when the search begins, and kept with it.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from plumbing.errors import SpaceError
from search.feature_plan import expected_images_per_second
from spaces import architecture_named
from spaces.architecture import Architecture
from spaces.declaration import Configuration
from spaces.network import numbers_in


@dataclass(frozen=True)
class Constraints:
    """The limits.

    Attributes:
        parameters: most numbers in a whole model's arrays. seconds_per_image: most time of an image's forward pass.
        gigaflops: this machine's speed, in 1e9 operations a second; 0 where no time is limited.
    """

    parameters: int | None
    seconds_per_image: float | None
    image_size: Mapping[str, int]
    classes: int
    gigaflops: float

    def allows(self, configuration: Configuration) -> bool:
        """Whether the configuration's model has few enough parameters."""
        if self.parameters is None:
            return True
        architecture = architecture_named(str(configuration["architecture"]))
        return (
            numbers_in(architecture, self.image_size[architecture.name], configuration, self.classes) <= self.parameters
        )

    def architectures(self, candidates: Sequence[Architecture]) -> tuple[Architecture, ...]:
        """Those that can keep the limits at all.

        Raises: SpaceError where none can.
        """
        left = tuple(each for each in candidates if self._least(each) and self._fast(each))
        if not left:
            names = ", ".join(each.name for each in candidates)
            raise SpaceError(f"--max-parameters, --max-seconds-per-image: none of {names} keeps them; loosen them")
        return left

    def _least(self, architecture: Architecture) -> bool:
        """Whether its backbone alone, of fixed size, has few enough parameters; one of free size is judged later."""
        if self.parameters is None or architecture.shape_parameters:
            return True
        return architecture.size(self.image_size[architecture.name], {})[0] <= self.parameters

    def _fast(self, architecture: Architecture) -> bool:
        if self.seconds_per_image is None:
            return True
        size = self.image_size[architecture.name]
        return 1 / expected_images_per_second(architecture, size, self.gigaflops) <= self.seconds_per_image
