"""The page's own three files, made from what lies beside this one."""

from collections.abc import Collection
from functools import cache
from pathlib import Path

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from predict.heat import COLOURS
from predict.page.answers import NOT_A_DEVICE
from predict.page.limits import MIB, Limits
from radiographs.parts import ALL_PARTS

PAGE, STYLE, SCRIPT = "page.html.j2", "page.css.j2", "page.js"


def page(tasks: Collection[str], limits: Limits) -> str:
    """The page, for tasks that have a model."""
    return _environment().get_template(PAGE).render(
        parts=[each for each in tasks if each != ALL_PARTS],
        finds_out=ALL_PARTS in tasks,
        all_parts=ALL_PARTS,
        note=NOT_A_DEVICE,
        limits=limits,
        file_mib=limits.file_bytes // MIB,
        request_mib=limits.request_bytes // MIB,
    )  # fmt: skip


def style() -> str:
    """The page's look."""
    colours = ", ".join(f"rgb({red} {green} {blue})" for red, green, blue in COLOURS)
    return _environment().get_template(STYLE).render(heat_colours=colours)


def script() -> str:
    """What the page does."""
    return (Path(__file__).parent / SCRIPT).read_text(encoding="utf-8")


@cache
def _environment() -> Environment:
    return Environment(
        loader=FileSystemLoader(Path(__file__).parent),
        autoescape=lambda name: name == PAGE,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
