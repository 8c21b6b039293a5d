"""The models behind the page: prepared for each number of images, told where they cannot be used."""

import asyncio
import json
import threading
from pathlib import Path

import pytest
import sqlalchemy as sa

from predict.chosen import choose
from predict.files import Content
from predict.networks import ONNX, KerasNetwork
from predict.page import asking as asking_module
from predict.page.asking import Asking, Question
from predict.page.loaded import BATCHES, load
from predict.page.offered import offered
from tests.predict.serving import PATIENCE
from tests.predict.test_serve import HAND, moved
from tests.predict.test_serve_limits import png


def test_a_question_that_is_given_up_waits_no_longer(url: str) -> None:
    async def run() -> None:
        question = Question(HAND, [Content("a.png", png(8, 8))])
        asked = asyncio.create_task(asking.ask(question))
        await asyncio.sleep(0)
        assert [each.question for each in asking._waiting] == [question]
        asking.give_up(question)
        assert not asking._waiting
        with pytest.raises(asyncio.CancelledError):
            await asked

    asking = Asking(url, {HAND: choose(url, HAND, None)}, ONNX)
    busy = threading.Event()
    asking._thread.submit(busy.wait)
    try:
        asyncio.run(run())
    finally:
        busy.set()
        asking.close()


def test_a_network_is_prepared_for_each_number_of_images(url: str) -> None:
    loaded = load(choose(url, HAND, None), "keras")
    (network, _), = loaded.predictor._members  # fmt: skip
    assert isinstance(network, KerasNetwork)
    traced = network._asked.predict_function.experimental_get_tracing_count
    before = traced()
    for number in (1, 2, 3, 5, *BATCHES, 40):
        loaded.found([Content("a.png", png(40, 40))] * number)
    assert traced() == before
    assert before > 0


def test_a_data_folder_whose_name_is_not_utf_8_is_told(url: str, tmp_path: Path) -> None:
    store = moved(url, tmp_path)
    engine = sa.create_engine(store)
    with engine.begin() as connection:
        for number, details in connection.execute(sa.text("SELECT id, details FROM results_searches")).all():
            changed = json.dumps(json.loads(details) | {"data": "/x/\udcff"})
            connection.execute(sa.text("UPDATE results_searches SET details = :to WHERE id = :of"),
                               {"to": changed, "of": number})  # fmt: skip
    engine.dispose()
    card = offered(store, (HAND,)).offers[HAND].card
    assert json.loads(card.model_dump_json())["data"] == r"\udcff"


def test_a_model_that_cannot_be_loaded_for_whatever_reason_is_told(
    url: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def full(*_: object) -> None:
        raise MemoryError

    monkeypatch.setattr(asking_module, "load", full)  # a machine without memory cannot be had here
    asking = Asking(url, {HAND: choose(url, HAND, None)}, ONNX)
    asking.start()
    done = threading.Event()
    asking._thread.submit(done.set)
    assert done.wait(PATIENCE)
    asking.close()
    assert "cannot be loaded: MemoryError" in asking.states()[HAND]
    assert capsys.readouterr().err.count("cannot be loaded: MemoryError") == 1
