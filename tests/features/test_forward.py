"""The two ways to run frozen layers: the same bits always, the layers untouched."""

import json
import os
import subprocess
import sys
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest

from features.extractor import Views, extract
from features.forward import ALLOWED_DIFFERENCE, BATCH, PIECE, Forward, difference, keras_forward
from spaces import ARCHITECTURES
from spaces.architecture import Architecture
from spaces.weights import network_digest
from tests.features.networks import frozen_layers, grey_images, lively, lively_onnx, plain_keras

REPOSITORY = Path(__file__).parents[2]
LITE = next(each for each in ARCHITECTURES if each.name == "efficientnet_lite0")

MakeViews = Callable[..., Views]

# On so many of its processors, runs an ONNX model on a batch, twice.
RUN = """
import json, os, sys
if hasattr(os, "sched_setaffinity"):
    os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[: int(sys.argv[1])])
from pathlib import Path
import numpy as np
from features.forward import onnx_forward
folder, layers = Path(sys.argv[2]), json.loads(sys.argv[3])
forward, grey = onnx_forward(folder / "frozen.onnx", layers), np.load(folder / "grey.npy")
for _ in range(2):
    sys.stdout.buffer.write(b"".join(each.tobytes() for each in forward(grey, list(layers))))
"""


def test_every_process_gives_the_same_bits_however_many_processors_it_has(tmp_path: Path) -> None:
    lite, grey = lively_onnx(LITE.name), grey_images(LITE.least_size)
    layers = dict(lite.known.layers)
    (tmp_path / "frozen.onnx").write_bytes(lite.model)
    np.save(tmp_path / "grey.npy", grey)
    expected = b"".join(each.tobytes() for each in lite.forward(grey, list(layers)))
    for processors in (1, os.cpu_count() or 1):
        line = [sys.executable, "-c", RUN, str(processors), str(tmp_path), json.dumps(layers)]
        told = subprocess.run(line, cwd=REPOSITORY, capture_output=True, check=True)
        assert told.stdout == expected * 2


@pytest.mark.parametrize("architecture", ARCHITECTURES, ids=lambda each: each.name)
def test_an_images_features_do_not_depend_on_its_batch_nor_on_the_cuts_asked_for(architecture: Architecture) -> None:
    known, grey = lively_onnx(architecture.name), grey_images(architecture.least_size)
    cuts = list(known.known.shapes)
    among_others = known.forward(grey, cuts)
    reversed_with_zeros = np.zeros_like(grey)
    reversed_with_zeros[:5] = grey[4::-1]
    found = known.forward(reversed_with_zeros, cuts[::-1])[::-1]
    for cut, one, other in zip(cuts, among_others, found, strict=True):
        assert one[:5].tobytes() == other[4::-1].tobytes(), cut


def extracted(forward: Forward, views: Views) -> bytes:
    cuts = list(frozen_layers(LITE))
    found = [found for _, found in extract(forward, views, cuts, views.batches)]
    return b"".join(np.concatenate([each[cut] for each in found]).tobytes() for cut in cuts)


def test_extracting_by_keras_gives_the_same_bits_again_and_changes_no_layer(make_views: MakeViews) -> None:
    network = lively(LITE.name)
    before = network_digest(network)
    forward = keras_forward(network, frozen_layers(LITE))
    views = make_views("strong", 3)
    assert extracted(forward, views) == extracted(forward, views)
    assert network_digest(network) == before


def test_keras_compiled_and_onnx_runtime_give_what_plain_keras_gives() -> None:
    network, layers, grey = lively(LITE.name), frozen_layers(LITE), grey_images(LITE.least_size)
    plain = plain_keras(network, layers, grey)
    cuts = list(layers)[::-1]
    for forward in (keras_forward(network, layers), lively_onnx(LITE.name).forward):
        found = forward(grey, cuts)
        assert [each.shape for each in found] == [plain[cut].shape for cut in cuts]
        assert found[0].shape == (BATCH, 1280)
        assert difference(found, [plain[cut] for cut in cuts]) <= ALLOWED_DIFFERENCE


@pytest.mark.parametrize("count", [1, PIECE, PIECE + 1, 3 * PIECE - 1])
def test_the_last_piece_is_filled_up_with_zeros(count: int) -> None:
    runs = []

    def run(grey: np.ndarray, cuts: Sequence[str]) -> list[np.ndarray]:
        runs.append(grey)
        return [grey + 1]

    grey = grey_images(8, count).astype(np.uint8)
    (found,) = Forward(PIECE, run)(grey, ["all"])
    assert np.array_equal(found, grey.astype(np.float32) + 1)
    assert {(each.shape, each.dtype) for each in runs} == {((PIECE, 8, 8, 1), np.dtype(np.float32))}
    seen = np.concatenate(runs)
    assert not seen[count:].any()
    assert len(seen) == -(-count // PIECE) * PIECE


def test_threads_side_by_side_give_the_bits_of_one_alone() -> None:
    lite, grey = lively_onnx(LITE.name), grey_images(LITE.least_size)
    cuts = list(lite.known.layers)
    alone = [each.tobytes() for each in lite.forward(grey, cuts)]
    with ThreadPoolExecutor(4) as pool:
        for found in pool.map(lambda _: lite.forward(grey, cuts), range(8)):
            assert [each.tobytes() for each in found] == alone


@pytest.mark.parametrize(
    ("found", "expected", "share"),
    [
        ([[1.0, -4.0]], [[1.0, -4.0]], 0.0),
        ([[1.0, -3.0]], [[1.0, -4.0]], 0.25),
        ([[1.0], [10.0]], [[1.0], [8.0]], 0.25),
        ([[2.0], [8.0]], [[1.0], [8.0]], 1.0),
        ([[0.5]], [[0.0]], 0.5),
        ([[np.nan]], [[1.0]], np.inf),
        ([[1.0]], [[np.nan]], np.inf),
        ([[1.0], [np.nan], [1.0]], [[1.0], [1.0], [1.0]], np.inf),
        ([], [], 0.0),
    ],
)
def test_the_difference_is_the_worst_cuts_share_of_its_largest_feature(
    found: list[list[float]], expected: list[list[float]], share: float
) -> None:
    assert difference([np.float32(each) for each in found], [np.float32(each) for each in expected]) == share
