"""From a form to a question, and from its reply to an answer."""

import asyncio
from collections.abc import Awaitable, Collection, Mapping, Sequence
from concurrent.futures import Executor
from typing import Any, TypeVar

from starlette.requests import ClientDisconnect
from starlette.types import Receive

from predict.files import Content
from predict.page import answers
from predict.page.asking import Asking, Question, Reply
from predict.page.heads import pixels
from predict.page.limits import Limits, Refused
from predict.page.loaded import HeatMap
from predict.page.pictures import heat, picture
from predict.page.uploads import FILES, Form
from predict.verdicts import Unread, Verdict, as_json
from radiographs.parts import ALL_PARTS

PART, STUDY, HEAT = "part", "study", "heat"  # fields, besides files
WORDS = {"true": True, "1": True, "on": True, "yes": True, "false": False, "0": False, "off": False, "no": False}
STUDY_NAME = "study"
Done = TypeVar("Done")


def question_of(form: Form, offered: Collection[str]) -> Question:
    """What a form asks.

    Args:
        offered: tasks that have a model.
    Raises: Refused where a field or its value is unknown, or no file is there.
    """
    if unknown := next((name for name in form.fields if name not in (PART, STUDY, HEAT)), None):
        raise Refused(422, f"no field {unknown!r}; there are {FILES}, {PART}, {STUDY} and {HEAT}")
    if not form.files:
        raise Refused(422, f"no image; send one or several in fields named {FILES}")
    part = form.fields.get(PART) or None
    if part is not None and part not in offered:
        raise Refused(422, f"no model of {part!r}; give one of {', '.join(offered)}")
    if part is None and ALL_PARTS not in offered:
        raise Refused(422, f"no model of {ALL_PARTS} is there to find out the part; give one of {', '.join(offered)}")
    study, has_heats = (_is_true(form.fields, name) for name in (STUDY, HEAT))
    return Question(part, form.files, STUDY_NAME if study else None, has_heats)


async def unless_left(question: Question, asking: Asking, work: Awaitable[Done], receive: Receive) -> Done:
    """What the work on a question gives.

    Args:
        receive: of the request, all of whose body has been read.
    Raises: ClientDisconnect where its sender leaves before, once nothing holds the files any more.
    """
    working, leaving = asyncio.ensure_future(work), asyncio.ensure_future(_has_left(receive))
    await asyncio.wait((working, leaving), return_when=asyncio.FIRST_COMPLETED)
    leaving.cancel()
    if working.done():
        return working.result()
    asking.give_up(question)
    await asyncio.gather(working, return_exceptions=True)
    raise ClientDisconnect


async def _has_left(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass


def _is_true(fields: Mapping[str, str], name: str) -> bool:
    given = fields.get(name, "false").lower()
    if given not in WORDS:
        raise Refused(422, f"{name} is {given!r}; give true or false")
    return WORDS[given]


async def answer_to(question: Question, asking: Asking, drawers: Executor, limits: Limits) -> answers.Answer:
    """The answer, its pictures made beside the verdicts.

    Args:
        drawers: threads for pictures.
    Raises: Refused where a model cannot be used, or the images have too many pixels.
    """
    if await asyncio.to_thread(_all_pixels, question) > limits.pixels:
        raise Refused(413, f"more than {limits.pixels // 10**6} million pixels in one request; send fewer images")
    loop = asyncio.get_running_loop()
    drawn = question.files if question.has_heats else ()
    pictures = asyncio.gather(*(loop.run_in_executor(drawers, _picture, question, file) for file in drawn))
    try:
        reply = await asking.ask(question)
        shown = await pictures
    finally:
        question.over.set()
        await pictures  # they hold the files
    return await loop.run_in_executor(drawers, _answer, question, reply, shown)


def _picture(question: Question, file: Content) -> answers.Picture | None:
    return None if question.over.is_set() else picture(file.content)


def _all_pixels(question: Question) -> int:
    return sum(pixels(file.content) for file in question.files)


def _answer(question: Question, reply: Reply, pictures: Sequence[answers.Picture | None]) -> answers.Answer:
    shown = pictures or [None] * len(reply.found)
    study = reply.study
    return answers.Answer(
        images=[_image(*each) for each in zip(reply.found, reply.heats, shown, strict=True)],
        study=None if study is None else answers.Study(images=study.images, **_verdict(study)),
        no_study="none of the images can be read" if question.study is not None and study is None else None,
    )


def _image(
    found: Verdict | Unread, made: HeatMap | str | None, shown: answers.Picture | None
) -> answers.ImageVerdict | answers.BadFile:
    if isinstance(found, Unread):
        return answers.BadFile(**as_json(found))
    drawn = heat(made.heat, made.shown, shown) if isinstance(made, HeatMap) and shown is not None else None
    return answers.ImageVerdict(
        picture=shown, heat=drawn, no_heat=made if isinstance(made, str) else None, **_verdict(found)
    )


def _verdict(found: Verdict) -> dict[str, Any]:
    """As the command's JSON has it, with what a page shows besides."""
    return as_json(found) | {"threshold": found.threshold, "is_strange": found.is_strange}
