"""One file an architecture: how its network is built, where it can be cut, what may vary. See `declaration` and
`architecture`.

Adding one is a new file here and a line in `ARCHITECTURES`. Listing them loads no TensorFlow.
"""

from plumbing.errors import SpaceError
from spaces.architecture import Architecture
from spaces.base_cnn import BASE_CNN
from spaces.densenet121 import DENSENET121
from spaces.efficientnet_lite0 import EFFICIENTNET_LITE0
from spaces.inception_v3 import INCEPTION_V3
from spaces.resnet152 import RESNET152
from spaces.xception import XCEPTION

ARCHITECTURES: tuple[Architecture, ...] = (
    BASE_CNN,
    DENSENET121,
    RESNET152,
    INCEPTION_V3,
    XCEPTION,
    EFFICIENTNET_LITE0,
)


def architecture_named(name: str) -> Architecture:
    """The architecture of that name.

    Raises: SpaceError naming the known ones where there is none.
    """
    for architecture in ARCHITECTURES:
        if architecture.name == name:
            return architecture
    known = ", ".join(architecture.name for architecture in ARCHITECTURES)
    raise SpaceError(f"no architecture {name!r}; give one of {known}")
