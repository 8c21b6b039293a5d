"""From a form to a question, and from its reply to an answer."""

import asyncio
from collections.abc import Collection, Mapping, Sequence
from concurrent.futures import Executor
from typing import Any

from predict.page import answers
from predict.page.asking import Asking, Question, Reply
from predict.page.limits import Refused
from predict.page.loaded import HeatMap
from predict.page.pictures import heat, picture
from predict.page.uploads import FILES, Form
from predict.verdicts import Unread, Verdict, as_json
from radiographs.parts import ALL_PARTS

PART, STUDY, HEAT = "part", "study", "heat"  # fields, besides files
WORDS = {"true": True, "1": True, "on": True, "yes": True, "false": False, "0": False, "off": False, "no": False}
STUDY_NAME = "study"


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


def _is_true(fields: Mapping[str, str], name: str) -> bool:
    given = fields.get(name, "false").lower()
    if given not in WORDS:
        raise Refused(422, f"{name} is {given!r}; give true or false")
    return WORDS[given]


async def answer_to(question: Question, asking: Asking, drawers: Executor) -> answers.Answer:
    """The answer, its pictures made beside the verdicts.

    Args:
        drawers: threads for pictures.
    Raises: Refused where a model cannot be used.
    """
    loop = asyncio.get_running_loop()
    drawn = question.files if question.has_heats else ()
    pictures = asyncio.gather(*(loop.run_in_executor(drawers, picture, file.content) for file in drawn))
    reply = await asking.ask(question)
    return await loop.run_in_executor(drawers, _answer, question, reply, await pictures)


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
