"""A stored model as a file that other programs run, checked against Keras before it is left.

    python -m predict.export --part XR_HAND --format onnx|tflite|saved_model --out PATH [--model NAME]

docs/export.md says how each is run. The model's card goes along: in ONNX's metadata, as `card.json` in a SavedModel's
folder, as NAME.tflite.card.json beside NAME.tflite.
"""

import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from plumbing.command import CommandParser, run_command
from plumbing.errors import ModelError, UsageError
from radiographs.parts import TASKS
from results.connection import DEFAULT_URL

if TYPE_CHECKING:  # NumPy and what reads a store are loaded where they are used: --help needs neither
    from collections.abc import Mapping
    from typing import Any

    from predict.chosen import ChosenModel

COMMAND = "predict.export"
FORMATS = ("onnx", "tflite", "saved_model")
# Largest difference of a probability from Keras' own; more, and nothing is left.
ALLOWED_DIFFERENCE = 1e-4


def main(arguments: Sequence[str]) -> int:
    """The command: 0 where the file was found to agree with Keras."""
    parser = CommandParser(COMMAND, "Writes a stored model as ONNX, TFLite or SavedModel, checked against Keras.")
    parser.add_argument("--part", required=True, choices=TASKS, help="whose model")
    parser.add_argument("--format", required=True, choices=FORMATS, help="float32 all of them")
    parser.add_argument("--out", required=True, type=Path, metavar="PATH", help="the file; of a SavedModel the folder")
    parser.add_argument("--model", metavar="NAME", help="model name or name_code; default: the best on valid")
    parser.add_argument("--store", default=DEFAULT_URL, metavar="URL", help="the results store")
    options = parser.parse_args(arguments)
    for place in (options.out, card_beside(options.out)) if options.format == "tflite" else (options.out,):
        if place.exists():
            raise UsageError(f"--out {options.out}: {place} is there already; remove it or give another place")

    from predict.chosen import choose

    model = choose(options.store, options.part, options.model)
    apart, images = export(model, options.format, options.out, options.store)
    print(f"{options.out}: {model.name} as {options.format}")
    print(f"largest difference of a probability from Keras: {apart:.1e}, on {images}")
    return 0


def export(model: "ChosenModel", form: str, out: Path, url: str) -> tuple[float, str]:
    """Write the model in one of `FORMATS`; its largest difference of a probability from Keras, and on which images.

    Args:
        url: of the store, which says where images of the test split lie.
    Raises: ModelError where the model is an ensemble, has no card, has a layer that the format lacks, or differs by
        more than `ALLOWED_DIFFERENCE`: then nothing is left. OSError where the place cannot be written.
    """
    import numpy as np

    from plumbing.files import atomic_folder, atomic_path
    from predict.export_images import images_of
    from predict.predictor import Predictor
    from results.card import read_card

    if model.members:
        raise ModelError(f"{model.name} is an ensemble: export its members, which predict.ensemble named, by --model")
    card, ((network, _),) = read_card(model.path), Predictor(model).keras_models
    grey, images = images_of(card, model.task, int(network.input.shape[1]), url)
    expected = network.predict_on_batch(grey)
    with atomic_folder(out) if form == "saved_model" else atomic_path(out) as temporary:
        _write(form, network, model, card, temporary)
        apart = float(np.abs(_run(form, temporary, grey) - expected).max())
        if not apart <= ALLOWED_DIFFERENCE:
            raise ModelError(
                f"{form} gives probabilities {apart:.1e} from Keras' on {images}, more than {ALLOWED_DIFFERENCE:.0e}: "
                "nothing was written; give another --format"
            )
        if form == "tflite":
            _write_card(card, card_beside(out))
    return apart, images


def card_beside(out: Path) -> Path:
    """Where the card of a TFLite file lies."""
    return out.with_name(f"{out.name}.card.json")


def _write(form: str, network: "Any", model: "ChosenModel", card: "Mapping[str, Any]", path: Path) -> None:
    if form == "onnx":
        path.write_bytes(_onnx(model, card))
    elif form == "tflite":
        path.write_bytes(_tflite(network))
    else:
        network.export(path, verbose=False)
        _write_card(card, path / "card.json")


def _onnx(model: "ChosenModel", card: "Mapping[str, Any]") -> bytes:
    from features.onnx_layers import UnknownLayer
    from predict.onnx_model import to_whole_onnx

    try:
        return to_whole_onnx(model.path, card)
    except UnknownLayer as unknown:
        raise ModelError(
            f"model {model.name}: ONNX has no translation here of {unknown}; give --format tflite or saved_model"
        ) from None


def _tflite(network: "Any") -> bytes:
    from tempfile import TemporaryDirectory

    from spaces.tensorflow_runtime import tensorflow

    with TemporaryDirectory() as folder:  # straight from Keras it tells of the SavedModel that it makes on its way
        network.export(folder, verbose=False)
        content: bytes = tensorflow().lite.TFLiteConverter.from_saved_model(folder).convert()
    return content


def _write_card(card: "Mapping[str, Any]", path: Path) -> None:
    from plumbing.files import write_text_atomically

    write_text_atomically(path, json.dumps(card, indent=1, allow_nan=False))


def _run(form: str, path: Path, grey: "Any") -> "Any":
    """Probabilities of the written file, as (images, 1) or (images, 14), by the program that it is for."""
    import numpy as np

    if form == "onnx":
        from predict.onnx_model import OnnxModel

        return OnnxModel(path).run(grey)[0]
    from spaces.tensorflow_runtime import tensorflow

    if form == "saved_model":
        loaded = tensorflow().saved_model.load(path)  # named, as its variables live no longer than it
        return np.asarray(loaded.serve(grey))
    return _run_tflite(path, grey)


def _run_tflite(path: Path, grey: "Any") -> "Any":
    import warnings

    import numpy as np

    from spaces.tensorflow_runtime import tensorflow

    with warnings.catch_warnings():
        # It will leave TensorFlow for the package ai-edge-litert, which says nothing else to us.
        warnings.filterwarnings("ignore", r"\s*Warning: tf\.lite\.Interpreter is deprecated", UserWarning)
        interpreter = tensorflow().lite.Interpreter(str(path))
    interpreter.allocate_tensors()
    (given,), (found,) = interpreter.get_input_details(), interpreter.get_output_details()
    rows = []
    for image in grey:
        interpreter.set_tensor(given["index"], image[None])
        interpreter.invoke()
        rows.append(interpreter.get_tensor(found["index"])[0].copy())
    return np.stack(rows)


if __name__ == "__main__":
    sys.exit(run_command(COMMAND, main, sys.argv[1:]))
