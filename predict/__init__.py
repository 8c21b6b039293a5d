"""The best stored model on an image: `calculate_binary` and `calculate_14cls` in the published form, and the command.

chosen      which stored model predicts
verdicts    a model on image files, by image and by study
__main__    `python -m predict IMAGE... --part PART`
"""

from pathlib import Path
from urllib.parse import unquote, urlparse

from plumbing.errors import UsageError
from radiographs.parts import ALL_PARTS
from results.connection import DEFAULT_URL

__all__ = ["calculate_14cls", "calculate_binary"]


def calculate_binary(name_code: str, part_body: str, image_url: str, store: str = DEFAULT_URL) -> str:
    """Say, and print, whether the X-ray of a part is normal or abnormal.

    Args:
        name_code: a stored model's name, a name_code of the leaderboard, or `best`; of several the one best on valid.
        part_body: the part, as XR_HUMERUS.
        image_url: a path or a file: URL.
    Returns: `X-ray of XR_HUMERUS is abnormal.` or the same with `normal`.
    Raises: UserError where store, model or image cannot be used.
    """
    if part_body == ALL_PARTS:
        raise UsageError("calculate_binary takes one part; for all_parts call calculate_14cls")
    label = _label(name_code, part_body, image_url, store)
    return _say(f"X-ray of {part_body} is {label}.")


def calculate_14cls(name_code: str, part_body: str, image_url: str, store: str = DEFAULT_URL) -> str:
    """Say, and print, which part an X-ray shows and whether it is normal, by a model of the 14-class task.

    Args:
        name_code, image_url: as for `calculate_binary`.
        part_body: as the published function takes it; the model finds the part itself.
    Returns: `X-ray of XR_HUMERUS is abnormal.`, the part being the one found.
    Raises: UserError where store, model or image cannot be used.
    """
    part, label = _label(name_code, ALL_PARTS, image_url, store).split()
    return _say(f"X-ray of {part} is {label}.")


def _say(sentence: str) -> str:
    print(sentence)
    return sentence


def _label(name_code: str, task: str, image_url: str, store: str) -> str:
    from predict.chosen import choose
    from predict.verdicts import Predictor, Verdict

    (found,) = Predictor(choose(store, task, name_code)).images([_local_path(image_url)])
    if not isinstance(found, Verdict):
        raise UsageError(f"{found.path}: {found.error}; give an image")
    return found.label


def _local_path(image_url: str) -> Path:
    parsed = urlparse(image_url)
    if parsed.scheme in ("http", "https"):
        raise UsageError(f"{image_url}: only paths and file: URLs are read; download it first")
    return Path(unquote(parsed.path)) if parsed.scheme == "file" else Path(image_url)
