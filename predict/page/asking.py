"""One thread loads the models and asks them: TensorFlow's calls must not run side by side, and each uses all cores.

What waits for the same model is asked together. Models are loaded one after the other from the start on; a question
goes before the next one, and loads its own first.
"""

import asyncio
import sys
import threading
from collections import deque
from collections.abc import Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, field

from plumbing.command import one_line
from plumbing.errors import DataError, ModelError, UserError
from predict.chosen import ChosenModel
from predict.files import Content
from predict.page.answers import LOADING, READY
from predict.page.limits import Refused
from predict.page.loaded import MOST_TOGETHER, HeatMap, Loaded, Ready, Routed, load
from predict.verdicts import Unread, Verdict
from radiographs.decoding import Unreadable
from radiographs.parts import ALL_PARTS


@dataclass(frozen=True)
class Question:
    """What is asked.

    Attributes:
        task: whose model; None: the part is to be found out. study: what to call the files together; None where no
            verdict on them is wanted. has_heats: whether heat maps are.
        over: set where no answer is wanted any more.
    """

    task: str | None
    files: Sequence[Content]
    study: str | None = None
    has_heats: bool = False
    over: threading.Event = field(default_factory=threading.Event, compare=False)


@dataclass(frozen=True)
class Reply:
    """What is said.

    Attributes:
        found, heats: one a file; a heat is None where none is wanted or the file was not read, a text where there is
            none, saying why.
        study: None where none is wanted or no file was read.
    """

    found: Sequence[Verdict | Unread]
    heats: Sequence[HeatMap | str | None]
    study: Verdict | None


@dataclass(frozen=True)
class Waiting:
    """A question, and its reply to come."""

    question: Question
    reply: "Future[Reply]" = field(default_factory=Future)


@dataclass(frozen=True)
class _Wanted:
    """A file that is read as long as what is said of it is wanted."""

    file: Content
    over: threading.Event

    def read_bytes(self) -> bytes:
        """Raises: Unreadable where it is not."""
        if self.over.is_set():
            raise Unreadable("who asked has left")
        return self.file.content

    def __str__(self) -> str:
        return self.file.name


class Asking:
    """The thread, and the models that it owns."""

    def __init__(self, url: str, models: Mapping[str, ChosenModel], engine: str) -> None:
        """Args: url: of the store. models: task -> its model. engine: of `predict.networks`, KERAS or ONNX."""
        self._url, self._models, self._engine = url, models, engine
        self._loaded: dict[str, Loaded] = {}
        self._broken: dict[str, str] = {}
        self._router: Routed | None = None
        self._waiting: deque[Waiting] = deque()
        self._changing = threading.Lock()  # what waits
        self._thread = ThreadPoolExecutor(1, "models")

    def start(self) -> None:
        """Load the models, beside whatever else runs."""
        for task in self._models:
            self._thread.submit(self._prepare, task)

    def close(self) -> None:
        """Begin nothing more."""
        self._thread.shutdown(wait=False, cancel_futures=True)

    def states(self) -> dict[str, str]:
        """Task -> LOADING, READY, or why its model cannot be used."""
        return {task: READY if task in self._loaded else self._broken.get(task, LOADING) for task in self._models}

    async def ask(self, question: Question) -> Reply:
        """The models' reply.

        Raises: Refused where a model cannot be used; CancelledError where it was given up before it was begun.
        """
        waiting = Waiting(question)
        with self._changing:
            self._waiting.append(waiting)
        self._thread.submit(self._answer_next)
        return await asyncio.wrap_future(waiting.reply)

    def give_up(self, question: Question) -> None:
        """Its answer is not wanted any more: where it waits it is forgotten, where it was begun it soon ends."""
        question.over.set()
        with self._changing:
            given_up = [each for each in self._waiting if each.question is question]
            self._waiting = deque(each for each in self._waiting if each.question is not question)
        for each in given_up:
            each.reply.cancel()

    def _prepare(self, task: str) -> None:
        try:
            while self._waiting:
                self._answer_next()
        finally:
            try:
                with suppress(ModelError):
                    self._model(task)
            finally:
                self._tell_broken(task)

    def _tell_broken(self, task: str) -> None:
        if task in self._broken:
            print(f"predict.serve: {one_line(self._broken[task])}", file=sys.stderr, flush=True)

    def _model(self, task: str) -> Loaded:
        """Raises: ModelError where it cannot be used, or is not offered."""
        if task not in self._models:
            raise ModelError(f"no model of {task} is offered; give another part")
        if task not in self._loaded and task not in self._broken:
            try:
                self._loaded[task] = load(self._models[task], self._engine)
            except ModelError as error:
                self._broken[task] = str(error)
            except BaseException as error:
                self._broken[task] = f"model {self._models[task].name} cannot be loaded: {type(error).__name__}"
                raise
        if task in self._broken:
            raise ModelError(self._broken[task])
        return self._loaded[task]

    def _asked(self, task: str | None) -> Ready:
        """Raises: ModelError where it cannot be used."""
        if task is not None:
            return self._model(task)
        if self._router is None:
            self._model(ALL_PARTS)
            self._router = Routed(self._url, self._model)
        return self._router

    def _answer_next(self) -> None:
        """What waits longest, and what else waits for the same model."""
        together = self._taken()
        if not together:
            return  # it was answered with one before
        try:
            replies = _replies(self._asked(together[0].question.task), together)
        except UserError as error:
            for each in together:
                each.reply.set_exception(Refused(503, one_line(str(error))))
        except BaseException as error:
            for each in together:
                each.reply.set_exception(error)
            raise
        else:
            for each, reply in zip(together, replies, strict=True):
                each.reply.set_result(reply)

    def _taken(self) -> list[Waiting]:
        """The first, and those for its task as long as their images fit; who left meanwhile is passed over."""
        taken: list[Waiting] = []
        left: deque[Waiting] = deque()
        images = 0
        with self._changing:
            for each in self._waiting:
                size = len(each.question.files)
                if taken and (each.question.task != taken[0].question.task or images + size > MOST_TOGETHER):
                    left.append(each)
                elif each.reply.set_running_or_notify_cancel():
                    taken.append(each)
                    images += size
            self._waiting = left
        return taken


def _replies(model: Ready, together: Sequence[Waiting]) -> list[Reply]:
    verdicts = iter(
        model.found([_Wanted(file, each.question.over) for each in together for file in each.question.files])
    )
    found = [[next(verdicts) for _ in each.question.files] for each in together]
    has_heats = [each.question.has_heats and not each.question.over.is_set() for each in together]
    read = [
        (file, verdict)
        for each, own, has in zip(together, found, has_heats, strict=True)
        if has
        for file, verdict in zip(each.question.files, own, strict=True)
        if isinstance(verdict, Verdict)
    ]
    made = iter(model.heats(read))
    return [
        Reply(
            own,
            [next(made) if has and isinstance(verdict, Verdict) else None for verdict in own],
            _study(model, each.question, own),
        )
        for each, own, has in zip(together, found, has_heats, strict=True)
    ]


def _study(model: Ready, question: Question, found: Sequence[Verdict | Unread]) -> Verdict | None:
    """With a warning for each file that was not read."""
    read = [each for each in found if isinstance(each, Verdict)]
    unread = [f"{each.path}: {each.error}" for each in found if isinstance(each, Unread)]
    if question.study is None or not read:
        return None
    try:
        return model.together(question.study, read, unread)
    except DataError:  # a router reads files again
        if question.over.is_set():
            return None
        raise
