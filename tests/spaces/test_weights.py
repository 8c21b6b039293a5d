"""Where weights come from, and what is said where they cannot be had."""

import urllib.error
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from plumbing.errors import SpaceError
from spaces import ARCHITECTURES, architecture_named
from spaces.tensorflow_runtime import keras
from spaces.weights import IMAGENET, RANDOM, build_backbone, identity_of, weights_digest, weights_of
from tests.spaces.networks import configuration_of, grey_images, smallest

DENSE = architecture_named("densenet121")
LITE = architecture_named("efficientnet_lite0")
BASE = architecture_named("base_cnn")


def changed(backbone: Any) -> Any:
    """The same network with other weights."""
    backbone.set_weights([array + 0.01 for array in backbone.get_weights()])
    return backbone


def fresh(image_size: int, weights: str = RANDOM) -> Any:
    return build_backbone(LITE, image_size, weights, {})


def test_a_folder_stands_for_its_file(tmp_path: Path) -> None:
    file = tmp_path / "densenet121.weights.h5"
    file.touch()
    assert weights_of(DENSE, str(tmp_path)) == str(file)
    assert (weights_of(DENSE, IMAGENET), weights_of(DENSE, RANDOM)) == (IMAGENET, RANDOM)


@pytest.mark.parametrize("given", [IMAGENET, RANDOM, "/no/such/folder"])
def test_the_base_cnn_is_random_whatever_is_given(given: str) -> None:
    assert weights_of(BASE, given) == RANDOM


def test_a_folder_without_the_file_is_one_line_naming_it(tmp_path: Path) -> None:
    with pytest.raises(SpaceError) as raised:
        weights_of(DENSE, str(tmp_path))
    mend = "give imagenet, random or a folder that holds it"
    assert str(raised.value) == f"--weights {tmp_path}: no densenet121.weights.h5 in it; {mend}"


def test_the_identity_is_the_word_or_the_files_content(tmp_path: Path) -> None:
    one, other, same = (tmp_path / name for name in ("one", "other", "same"))
    for path, content in ((one, b"a"), (other, b"b"), (same, b"a")):
        path.write_bytes(content)
    assert (identity_of(IMAGENET), identity_of(RANDOM)) == ("imagenet", "random")
    assert identity_of(str(one)) == identity_of(str(same)) != identity_of(str(other))


def test_a_file_saved_from_our_backbone_loads_at_any_size(tmp_path: Path) -> None:
    source = changed(fresh(48))
    file = tmp_path / "efficientnet_lite0.weights.h5"
    source.save_weights(file)
    loaded = fresh(32, weights_of(LITE, str(tmp_path)))
    assert weights_digest(loaded) == weights_digest(source) != weights_digest(fresh(32))
    assert loaded.trainable_variables == []


@pytest.mark.slow
@pytest.mark.parametrize(("name", "application"), [("densenet121", "DenseNet121"), ("xception", "Xception")])
def test_a_file_saved_as_the_error_advises_gives_the_same_features(tmp_path: Path, name: str, application: str) -> None:
    architecture, size = architecture_named(name), architecture_named(name).least_size
    source = getattr(keras().applications, application)(
        include_top=False, weights=None, input_shape=(size, size, 3), pooling="avg"
    )
    source.save_weights(tmp_path / f"{name}.weights.h5")
    loaded = build_backbone(architecture, size, weights_of(architecture, str(tmp_path)), {})
    assert [array.shape for array in loaded.get_weights()] == [array.shape for array in source.get_weights()]
    images = grey_images(architecture)
    preprocessed = keras().Model(loaded.input, loaded.get_layer("preprocessing").output)(images)
    expected = source(preprocessed, training=False).numpy()
    np.testing.assert_allclose(loaded(images, training=False).numpy(), expected, rtol=1e-5, atol=1e-6 * expected.max())
    assert weights_digest(loaded) != weights_digest(smallest(architecture))


def test_a_file_in_the_layout_of_keras_2_loads(tmp_path: Path) -> None:
    """As the files of keras.applications are: arrays by layer, named in attributes."""
    source = changed(fresh(32))
    file = tmp_path / "efficientnet_lite0.weights.h5"
    import h5py
    from keras.src.legacy.saving.legacy_h5_format import save_weights_to_hdf5_group

    with h5py.File(file, "w") as opened:
        save_weights_to_hdf5_group(opened, source)
    assert weights_digest(fresh(32, str(file))) == weights_digest(source)


def other_network(file: Path) -> None:
    smallest(BASE).save_weights(file)


def truncated(file: Path) -> None:
    fresh(32).save_weights(file)
    file.write_bytes(file.read_bytes()[:-5000])


def not_hdf5(file: Path) -> None:
    file.write_text("weights")


def empty(file: Path) -> None:
    file.touch()


@pytest.mark.parametrize("make", [other_network, truncated, not_hdf5, empty])
def test_a_file_that_does_not_fit_is_one_line_naming_it(tmp_path: Path, make: Any) -> None:
    file = tmp_path / "efficientnet_lite0.weights.h5"
    make(file)
    with pytest.raises(SpaceError) as raised:
        fresh(32, str(file))
    assert str(raised.value).startswith(f"--weights: {file} does not fit the network: ")
    assert str(raised.value).endswith("; save it from the same network")


@pytest.mark.parametrize("name", ["densenet121", "resnet152"])
def test_imagenet_without_network_is_one_line_with_the_mend(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def unreachable(*arguments: object, **options: object) -> None:
        raise urllib.error.URLError("no network in this test")

    monkeypatch.setenv("KERAS_HOME", str(tmp_path))
    monkeypatch.setattr("keras.src.utils.file_utils.urlretrieve", unreachable)
    monkeypatch.setattr("keras.src.utils.file_utils.config.keras_home", lambda: str(tmp_path), raising=False)
    architecture = architecture_named(name)
    with pytest.raises(SpaceError, match=r"cannot be downloaded here; .*--weights DIR; .*--weights random"):
        build_backbone(architecture, architecture.least_size, IMAGENET, configuration_of(architecture))
    assert capsys.readouterr().out == ""


def test_an_error_that_is_no_failed_download_is_not_hidden(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(**options: object) -> None:
        raise RuntimeError("something else")

    monkeypatch.setattr(keras().applications, "DenseNet121", broken)
    with pytest.raises(RuntimeError, match="something else"):
        build_backbone(DENSE, 32, IMAGENET, {})


def test_every_architecture_tells_whether_it_has_imagenet_weights() -> None:
    assert {each.name for each in ARCHITECTURES if not each.has_imagenet} == {"base_cnn"}


def test_a_digest_changes_with_any_array() -> None:
    backbone = fresh(32)
    before = weights_digest(backbone)
    arrays = backbone.get_weights()
    arrays[-1][0] += 1e-6
    backbone.set_weights(arrays)
    assert weights_digest(backbone) != before
