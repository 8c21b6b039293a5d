"""The addresses: the page, the API, and whether all is ready."""

from collections.abc import AsyncIterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Annotated, Any

from fastapi import APIRouter, Depends, FastAPI, Request
from fastapi.responses import JSONResponse, Response, StreamingResponse
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect

from plumbing import VERSION
from predict.networks import KERAS
from predict.page import answers, site
from predict.page.answering import HEAT, PART, STUDY, answer_to, question_of, unless_left
from predict.page.asking import Asking
from predict.page.limits import Held, Limits, Refused, Share
from predict.page.uploads import FILES, FORM, read_form
from radiographs.parts import ALL_PARTS

DRAWERS = 2  # threads that make pictures: one of 100 megapixels takes a gigabyte for a moment
JSON = "application/json"
PIECE_BYTES = 2**16  # of an answer
FIELDS = {
    FILES: {"type": "array", "items": {"type": "string", "format": "binary"}, "description": "images, one or several"},
    PART: {"type": "string", "description": "as XR_HAND; left out: found out by the model of all_parts"},
    STUDY: {"type": "boolean", "default": False, "description": "judge the images together too, as one study"},
    HEAT: {"type": "boolean", "default": False, "description": "draw heat maps"},
}
BODY = {"required": True, "content": {FORM: {"schema": {"type": "object", "required": [FILES], "properties": FIELDS}}}}
REFUSALS = {
    400: "no whole form",
    403: "from another page",
    408: "too slow",
    413: "too large, or too many",
    415: "no form",
    421: "by a name that is not this server's",
    422: "a field that is unknown, or its value",
    503: "too busy, or the model cannot be used",
}


@dataclass(frozen=True)
class Desk:
    """What the addresses answer from.

    Attributes:
        cards: task -> its model's card. engine: of the models.
    """

    asking: Asking
    cards: Mapping[str, answers.ModelCard]
    engine: str
    limits: Limits = field(default_factory=Limits)


def make_app(desk: Desk) -> FastAPI:
    """The application, to be put behind `predict.page.guards`."""
    app = FastAPI(
        title="mura-search",
        version=VERSION,
        summary=f"Whether radiographs are normal or abnormal, by stored models. {answers.NOT_A_DEVICE}",
        docs_url=None,  # they would load scripts from elsewhere
        redoc_url=None,
        telemetry={"tracing": False, "metrics": False, "logs": False, "auto_configure": False},
        exception_handlers={
            Refused: _refused,
            HTTPException: _no_address,
            ClientDisconnect: _left,
            Exception: _failed,
        },
    )
    app.include_router(_site(desk))
    app.include_router(_predicting(desk))
    app.include_router(_telling(desk))
    return app


def _site(desk: Desk) -> APIRouter:
    router = APIRouter(include_in_schema=False)
    files = {
        "/": (site.page(desk.cards, desk.limits), "text/html"),
        "/page.css": (site.style(), "text/css"),
        "/page.js": (site.script(), "text/javascript"),
    }

    @router.get("/")
    @router.get("/page.css")
    @router.get("/page.js")
    async def file(request: Request) -> Response:
        content, kind = files[request.url.path]
        return Response(content, media_type=kind)

    return router


def _predicting(desk: Desk) -> APIRouter:
    router, held = APIRouter(), Held(desk.limits.held_bytes)
    drawers = ThreadPoolExecutor(DRAWERS, "pictures")
    refusals: dict[int | str, dict[str, Any]] = {
        status: {"model": answers.Problem, "description": told} for status, told in REFUSALS.items()
    }

    async def share_of() -> AsyncIterator[Share]:
        """Kept until the answer is sent."""
        with held.share() as share:
            yield share

    @router.post("/v1/predict", response_model=answers.Answer, responses=refusals, openapi_extra={"requestBody": BODY})
    async def predict(request: Request, share: Annotated[Share, Depends(share_of)]) -> Response:
        """Verdicts on images. A file that cannot be read has an error in its place."""
        question = question_of(await read_form(request, desk.limits, share), desk.cards)
        work = answer_to(question, desk.asking, drawers, desk.limits)
        answer = await unless_left(question, desk.asking, work, request.receive)
        said = answer.model_dump_json().encode()
        share.become(len(said))
        return StreamingResponse(_pieces(said), media_type=JSON, headers={"content-length": str(len(said))})

    return router


def _telling(desk: Desk) -> APIRouter:
    router = APIRouter()

    @router.get("/v1/parts")
    async def parts() -> answers.Parts:
        """What can be asked for."""
        states = desk.asking.states()
        offered = [
            answers.OfferedPart(part=task, model=card.model, state=_state(states[task]))
            for task, card in desk.cards.items()
        ]
        return answers.Parts(parts=offered, finds_out=ALL_PARTS in desk.cards, heat_maps=desk.engine == KERAS)

    @router.get("/v1/model/{part}", responses={404: {"model": answers.Problem, "description": "no such model"}})
    async def model(part: str) -> answers.ModelCard:
        """A model's card."""
        if part not in desk.cards:
            raise Refused(404, f"no model of {part!r}; there is {', '.join(desk.cards)}")
        return desk.cards[part]

    @router.get("/healthz", response_model=answers.Health, responses={503: {"model": answers.Health}})
    async def health() -> Response:
        """Whether all models are loaded: 503 until then, and where none can be used."""
        states = desk.asking.states()
        found = {_state(each) for each in states.values()}
        status = next(each for each in (answers.LOADING, answers.READY, answers.BROKEN) if each in found)
        told = answers.Health(status=status, models=states)
        return Response(told.model_dump_json(), 200 if status == answers.READY else 503, media_type=JSON)

    return router


async def _pieces(said: bytes) -> AsyncIterator[bytes]:
    """One is given when the client has taken most of those before."""
    for start in range(0, len(said), PIECE_BYTES):
        yield said[start : start + PIECE_BYTES]


def _state(told: str) -> answers.State:
    """Of one of `Asking.states`, which says too why a model cannot be used."""
    if told == answers.LOADING:
        return answers.LOADING
    return answers.READY if told == answers.READY else answers.BROKEN


async def _refused(_: Request, refused: Exception) -> JSONResponse:
    status = refused.status if isinstance(refused, Refused) else 500
    return JSONResponse({"error": str(refused)}, status)


async def _no_address(_: Request, error: Exception) -> JSONResponse:
    status, told = (error.status_code, error.detail) if isinstance(error, HTTPException) else (500, "Error")
    return JSONResponse({"error": f"{told}; /openapi.json tells which addresses there are"}, status)


async def _left(_: Request, __: Exception) -> Response:
    return Response(status_code=499)  # nobody hears it


async def _failed(_: Request, error: Exception) -> JSONResponse:
    return JSONResponse({"error": f"an error of this program: {type(error).__name__}"}, 500)
