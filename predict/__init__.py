"""The best stored model on an image: `load`, the published `calculate_binary` and `calculate_14cls`, and the command.

chosen              which stored model predicts
predictor           a model on images: in memory, as files, as studies, as folders
networks            a model's network by Keras or ONNX Runtime
asked               images, studies and folders, alike for a model and for several
routing             which part an image is of; then the part's own model
verdicts            what it says, as text, JSON and CSV
files               which files a command's arguments mean
fetch               the content of an http: or https: address
last_map, gradcam   where in an image lies what speaks for a class
heat, drawn         heat maps drawn over images, for the command
ensemble            command: kept models together
stored_layers, onnx_model       a `.keras` file without Keras, as ONNX
export, export_images           command: a stored model for other programs, compared with Keras
serve, page         command: a page to drop images on, and its API
__main__            `python -m predict IMAGE... [--part PART]`
"""

from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, overload
from urllib.parse import unquote

from plumbing.errors import DataError, UsageError
from radiographs.parts import ALL_PARTS
from results.connection import DEFAULT_URL

if TYPE_CHECKING:  # loaded with the first model
    from predict.predictor import Predictor
    from predict.routing import Router

__all__ = ["calculate_14cls", "calculate_binary", "load"]


@overload
def load(
    part: str, store: str = ..., model: str | None = ..., threshold: float = ..., views: int = ...
) -> "Predictor": ...


@overload
def load(part: None = None, store: str = ..., *, views: int = ...) -> "Router": ...


def load(
    part: str | None = None,
    store: str = DEFAULT_URL,
    model: str | None = None,
    threshold: float = 0.5,
    views: int = 1,
) -> "Predictor | Router":
    """A stored model, to be asked for `.image(path_or_array)`, `.study(paths)` and `.folder(dir)`.

    Args:
        part: as XR_HUMERUS, or all_parts; None: a model of all_parts finds the part, and the part's own best model
            decides, at a half. model: its name or name_code; None for the best on valid.
        threshold: from which calibrated P(abnormal) on an image or study is abnormal.
        views: of each image, whose probabilities are averaged: itself, and others turned and flipped a little.
    Raises: UserError where store or model cannot be used.
    """
    from predict.chosen import choose
    from predict.predictor import Predictor
    from predict.routing import Router

    if part is None:
        if model is not None or threshold != 0.5:
            raise UsageError("a model or a threshold is of one part; give the part too")
        return Router(store, partial(Predictor, views=views))
    return Predictor(choose(store, part, model), threshold, views=views)


def calculate_binary(
    name_code: str, part_body: str, image_url: str, store: str = DEFAULT_URL, allow_private: bool = False
) -> str:
    """Say, and print, whether the X-ray of a part is normal or abnormal.

    Args:
        name_code: a stored model's name, a name_code of the leaderboard, or `best`; of several the one best on valid.
        part_body: the part, as XR_HUMERUS.
        image_url: a path, or a file:, http: or https: URL; fetched within 30 seconds, at most 64 MiB.
        allow_private: fetch from addresses that are not public too, as of a machine of one's own network.
    Returns: `X-ray of XR_HUMERUS is abnormal.` or the same with `normal`.
    Raises: UserError where store, model or image cannot be used.
    """
    if part_body == ALL_PARTS:
        raise UsageError("calculate_binary takes one part; for all_parts call calculate_14cls")
    label = _label(name_code, part_body, image_url, store, allow_private)
    return _say(f"X-ray of {part_body} is {label}.")


def calculate_14cls(
    name_code: str, part_body: str, image_url: str, store: str = DEFAULT_URL, allow_private: bool = False
) -> str:
    """Say, and print, which part an X-ray shows and whether it is normal, by a model of the 14-class task.

    Args:
        name_code, image_url, allow_private: as for `calculate_binary`.
        part_body: as the published function takes it; the model finds the part itself.
    Returns: `X-ray of XR_HUMERUS is abnormal.`, the part being the one found.
    Raises: UserError where store, model or image cannot be used.
    """
    part, label = _label(name_code, ALL_PARTS, image_url, store, allow_private).split()
    return _say(f"X-ray of {part} is {label}.")


def _say(sentence: str) -> str:
    print(sentence)
    return sentence


def _label(name_code: str, task: str, image_url: str, store: str, allow_private: bool) -> str:
    if _scheme(image_url) not in ("http", "https"):
        path = _local_path(image_url)
        return load(task, store, name_code).image(path).label
    from predict.fetch import fetch
    from predict.files import Content
    from predict.verdicts import Unread

    content = Content(image_url, fetch(image_url, allow_private))
    (found,) = load(task, store, name_code).images([content])
    if isinstance(found, Unread):
        raise DataError(f"{image_url}: {found.error}; give the address of an image")
    return found.label


def _scheme(image_url: str) -> str:
    return image_url.strip().partition(":")[0].lower()


def _local_path(image_url: str) -> Path:
    if _scheme(image_url) == "file":
        path = image_url.strip()[len("file:") :]
        if path.startswith("//"):
            host, slash, path = path[2:].partition("/")
            if host not in ("", "localhost"):
                raise UsageError(f"{image_url}: a file: URL of another machine; give file:///PATH")
            path = slash + path
        return Path(unquote(path))
    if "://" in image_url:
        raise UsageError(f"{image_url}: only paths and file:, http: and https: URLs are read")
    return Path(image_url)
