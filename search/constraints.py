"""What a model may cost: configurations beyond it are never proposed.

The parameters of a model are counted exactly. Its time is expected, not measured: floating-point operations of the
backbone over this machine's speed at matrix products, which is taken once, when the search begins, and kept with it.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from plumbing.errors import SpaceError
from plumbing.seeds import generator_of
from search.feature_plan import expected_images_per_second
from spaces import architecture_named
from spaces.architecture import Architecture
from spaces.declaration import Configuration, Space, draw
from spaces.network import numbers_in

DRAWS = 200


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

    def architectures(self, candidates: Sequence[Architecture], widest: Space) -> tuple[Architecture, ...]:
        """Those that can keep the limits: fast enough, and some of many random configurations small enough.

        Args:
            widest: the candidates' space.
        Raises: SpaceError where none can.
        """
        left = tuple(each for each in candidates if self._fast(each) and self._small(each, widest))
        if not left:
            names = ", ".join(each.name for each in candidates)
            raise SpaceError(
                f"--max-parameters, --max-seconds-per-image: hardly any model of {names} keeps them; loosen them"
            )
        return left

    def _small(self, architecture: Architecture, widest: Space) -> bool:
        own = Space({architecture.name: widest.parameters[architecture.name]})
        generator = generator_of("constraints", architecture.name)
        return self.parameters is None or any(self.allows(draw(own, generator)) for _ in range(DRAWS))

    def _fast(self, architecture: Architecture) -> bool:
        if self.seconds_per_image is None:
            return True
        size = self.image_size[architecture.name]
        return 1 / expected_images_per_second(architecture, size, self.gigaflops) <= self.seconds_per_image
