"""The server's API over real HTTP: what the command says, within limits, to nobody else, kept nowhere."""

import base64
import io
import json
import re
import shlex
import shutil
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import sqlalchemy as sa
from PIL import Image

import predict
from plumbing.command import run_command
from predict.chosen import choose
from predict.gradcam import GradCam
from predict.heat import layer
from predict.page import answers, site
from predict.page.limits import MIB, Limits
from predict.serve import main
from radiographs.decoding import UNKNOWN, decode
from results.store import Store
from tests.predict.serving import REPOSITORY, Answer, Server, form, serving
from tests.predict.test_bad_input import BAD
from tests.predict.test_predict import Capsys, command

HAND = "XR_HAND"
LIMITS = Limits()
NOTHING_WRITTEN = """
import sys
def watch(event, given):
    if event == "open" and isinstance(given[2], int) and given[2] & 0o1103:  # O_WRONLY, O_RDWR, O_CREAT, O_TRUNC
        sys.stdout.write(f"WRITTEN {given[0]}\\n")
    if event.startswith("tempfile."):
        sys.stdout.write(f"TEMPORARY {given}\\n")
sys.addaudithook(watch)
"""


@pytest.fixture(scope="module")
def by_onnx(url: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    written = tmp_path_factory.mktemp("onnx") / "written.txt"
    with serving(written, "--store", url, "--engine", "onnx", before=NOTHING_WRITTEN) as server:
        yield server


def said(capsys: Capsys, url: str, images: list[Path], *options: str) -> list[dict[str, Any]]:
    """By `python -m predict --json`; paths become names, as the server has only those."""
    _, out, _ = command(capsys, *images, "--json", "--store", url, *options)
    entries: list[dict[str, Any]] = json.loads(out)
    return [entry | {"path": Path(entry["path"]).name} for entry in entries]


def assert_same(found: dict[str, Any], expected: dict[str, Any], but: tuple[str, ...] = ()) -> None:
    assert set(expected) <= set(found)
    for name, each in expected.items():
        if isinstance(each, dict):
            assert_same(found[name], each)
        elif name not in but:
            assert found[name] == (pytest.approx(each, abs=1e-6) if isinstance(each, float) else each), name


@pytest.mark.parametrize("part", [HAND, "all_parts", None])
def test_the_api_says_what_the_command_says(
    server: Server, url: str, hands: list[Path], capsys: Capsys, part: str | None
) -> None:
    images = hands[:5]
    expected = said(capsys, url, images, *(("--part", part) if part else ()))
    answer = server.post(images, **({"part": part} if part else {}))
    assert answer.status == 200
    for found, each in zip(answer.json["images"], expected, strict=True):
        assert_same(found, each)
        assert (found["found"] is None) == (part is not None)
    assert answer.json["study"] is None


def test_a_study_is_judged_as_by_the_command(
    server: Server, url: str, hands: list[Path], capsys: Capsys, tmp_path: Path
) -> None:
    for number, image in enumerate(hands[:3]):
        shutil.copy(image, tmp_path / f"{number}.png")
    images = sorted(tmp_path.iterdir())
    (expected,) = said(capsys, url, images, "--part", HAND, "--study")
    study = server.post(images, part=HAND, study="true").json["study"]
    assert_same(study, expected, but=("path",))
    assert study["images"] == 3


def test_bad_files_have_their_error_and_all_good_ones_their_verdict(
    server: Server, url: str, hands: list[Path], capsys: Capsys
) -> None:
    bad = [(f"{kind}.png", content) for kind, (content, _) in BAD.items()]
    mixed = [each for pair in zip(bad, hands[: len(bad)], strict=True) for each in pair]
    expected = said(capsys, url, hands[: len(bad)], "--part", HAND)

    answer = server.post(mixed, part=HAND, study="true", heat="true").json

    for found, (kind, (_, reason)) in zip(answer["images"][::2], BAD.items(), strict=True):
        assert set(found) == {"path", "error"}
        assert found["path"] == f"{kind}.png"
        assert reason in found["error"]
    for found, each in zip(answer["images"][1::2], expected, strict=True):
        assert_same(found, each)
        assert found["heat"] is not None
    assert answer["study"]["images"] == len(expected)
    assert [each for each in answer["study"]["warnings"] if each.startswith("text.png: ")]


def test_of_bad_files_alone_there_is_no_study(server: Server) -> None:
    answer = server.post([("a.png", b""), ("b.png", b"b")], part=HAND, study="true", heat="true").json
    errors = [each["error"] for each in answer["images"]]
    assert errors == ["empty file", UNKNOWN]
    assert (answer["study"], answer["no_study"]) == (None, "none of the images can be read")


def test_the_heat_map_is_grad_cams_and_lies_over_the_picture(server: Server, url: str, hands: list[Path]) -> None:
    (found,) = server.post(hands[:1], part=HAND, heat="true").json["images"]
    picture, layered = opened(found["picture"]["data"]), opened(found["heat"]["layer"])

    gradcam, content = GradCam(predict.load(HAND, store=url)), hands[0].read_bytes()
    (heat,) = gradcam.heats([{size: decode(content, size) for size in gradcam.sizes}], ["abnormal"])
    grey = decode(content, None)

    assert picture.size == (found["picture"]["width"], found["picture"]["height"]) == grey.shape[::-1]
    assert np.abs(np.asarray(picture.convert("L"), float) - grey).mean() < 3  # JPEG
    assert layered.mode == "RGBA"
    expected = np.asarray(Image.open(io.BytesIO(layer(heat, *layered.size))), int)
    assert np.abs(np.asarray(layered, int) - expected).max() <= 1
    assert found["heat"]["speaks_for"] == "abnormal"
    assert found["heat"]["is_empty"] == (not heat.any())
    assert found["no_heat"] is None


def opened(url: str) -> Image.Image:
    return Image.open(io.BytesIO(base64.b64decode(url.partition("base64,")[2])))


def test_a_large_picture_is_shown_smaller_in_its_own_shape(server: Server) -> None:
    file = io.BytesIO()
    Image.fromarray(np.zeros((1500, 3000), np.uint8)).save(file, "PNG")
    (found,) = server.post([("large.png", file.getvalue())], part=HAND, heat="true").json["images"]
    assert opened(found["picture"]["data"]).size == (1024, 512)
    assert opened(found["heat"]["layer"]).size == (256, 128)


def test_many_at_once_each_get_their_own_verdict(server: Server, hands: list[Path]) -> None:
    images = (hands * 3)[:24]
    alone = {image: server.post([image], part=HAND).json["images"][0]["raw_probability"] for image in images}
    with ThreadPoolExecutor(8) as pool:
        together = pool.map(lambda image: server.post([image], part=HAND, heat="true").json["images"][0], images)
        for image, found in zip(images, together, strict=True):
            assert found["path"] == image.name
            assert found["raw_probability"] == pytest.approx(alone[image], abs=1e-6)


def test_a_client_that_leaves_does_no_harm(server: Server, hands: list[Path]) -> None:
    body, kind = form(hands[:8], part=HAND, heat="true")
    for sent in (len(body) // 2, len(body)):
        connection = server.connection()
        connection.putrequest("POST", "/v1/predict")
        connection.putheader("Content-Type", kind)
        connection.putheader("Content-Length", str(len(body)))
        connection.endheaders(body[:sent])
        connection.close()
    assert server.post(hands[:1], part=HAND).status == 200
    assert server.process.poll() is None


def test_parts_and_cards_tell_which_models_answer(server: Server, url: str, store: Store) -> None:
    parts = server.get("/v1/parts").json
    assert (parts["finds_out"], parts["heat_maps"]) == (True, True)
    for each in parts["parts"]:
        model = choose(url, each["part"], None)
        card = server.get(f"/v1/model/{each['part']}").json
        trial = next(one for one in store.trials() if one.model_name == model.name)
        auc = {one.split: one for trial_id, one in store.measures("study", "auc") if trial_id == trial.id}
        assert each == {"part": model.task, "model": model.name, "state": "ready"}
        assert (card["model"], card["temperature"]) == (model.name, pytest.approx(model.temperature))
        assert card["test_auc"] == {name: getattr(auc["test"], name) for name in ("value", "low", "high")}
        assert (card["image_size"], card["architecture"], card["data"]) == (32, "efficientnet_lite0", "MURA-v1.1")
        assert "Pillow" in card["input"]
        assert card["note"] == "Research use, not a medical device."
    assert server.get("/healthz").json == {
        "status": "ready",
        "models": {each["part"]: "ready" for each in parts["parts"]},
    }


def refusal(answer: Answer, status: int) -> str:
    """The one line of a request that got no answer."""
    assert answer.status == status
    assert set(answer.json) == {"error"}
    line: str = answer.json["error"]
    assert "\n" not in line
    return line


def test_wrong_fields_are_named(server: Server, hands: list[Path]) -> None:
    assert "no model of 'XR_WRIST'; give one of XR_HAND" in refusal(server.post(hands[:1], part="XR_WRIST"), 422)
    assert "no field 'parts'" in refusal(server.post(hands[:1], parts=HAND), 422)
    assert "heat is 'maybe'; give true or false" in refusal(server.post(hands[:1], part=HAND, heat="maybe"), 422)
    assert "no image" in refusal(server.post([], part=HAND), 422)
    assert "no model of 'XR_WRIST'" in refusal(server.get("/v1/model/XR_WRIST"), 404)
    assert "/openapi.json" in refusal(server.get("/v1/nothing"), 404)
    assert "/openapi.json" in refusal(server.get("/v1/predict"), 405)


def test_what_is_no_form_is_refused(server: Server, hands: list[Path]) -> None:
    body, kind = form(hands[:1], part=HAND)
    assert "multipart/form-data" in refusal(server.send(b"{}", {"Content-Type": "application/json"}), 415)
    assert "multipart/form-data" in refusal(server.send(body, {"Content-Type": "multipart/form-data"}), 415)
    assert "no end" in refusal(server.send(body[:-20], {"Content-Type": kind}), 400)
    assert "no form" in refusal(server.send(b"x" + body, {"Content-Type": kind}), 400)


def pieces(length: int, at_once: int = MIB) -> Iterator[bytes]:
    """A form with one file of so many zeros, piece by piece: sent without a Content-Length."""
    yield b'--b\r\nContent-Disposition: form-data; name="files"; filename="zeros.png"\r\n\r\n'
    for start in range(0, length, at_once):
        yield bytes(min(at_once, length - start))
    yield b"\r\n--b--\r\n"


CHUNKED = {"Content-Type": "multipart/form-data; boundary=b"}


@pytest.mark.parametrize("is_told", [True, False], ids=["Content-Length", "chunked"])
def test_a_file_beyond_the_limit_is_refused_and_one_at_it_is_read(by_onnx: Server, is_told: bool) -> None:
    for length, status in ((LIMITS.file_bytes, 200), (LIMITS.file_bytes + 1, 413)):
        sent = b"".join(pieces(length)) if is_told else pieces(length)
        answer = by_onnx.send(sent, CHUNKED)
        assert answer.status == status
    assert refusal(answer, 413) == "zeros.png: more than 64 MiB; send a smaller image"


def test_a_request_beyond_the_limit_is_refused_before_it_is_sent_where_it_says_so(by_onnx: Server) -> None:
    connection = by_onnx.connection()
    connection.putrequest("POST", "/v1/predict")
    connection.putheader("Content-Type", CHUNKED["Content-Type"])
    connection.putheader("Content-Length", str(LIMITS.request_bytes + 1))
    connection.putheader("Expect", "100-continue")
    connection.endheaders()
    response = connection.getresponse()
    assert (response.status, json.loads(response.read())["error"]) == (
        413,
        "more than 128 MiB in one request; send fewer images",
    )
    connection.close()


def test_a_request_beyond_the_limit_is_refused_while_it_is_sent(by_onnx: Server) -> None:
    files = [("zeros.png", bytes(60 * MIB))] * 5
    body, kind = form(files)
    assert refusal(by_onnx.send(iter([body]), {"Content-Type": kind}), 413).startswith("more than 128 MiB in one")


def test_too_many_files_are_refused(by_onnx: Server) -> None:
    assert by_onnx.post([("a.png", b"a")] * LIMITS.files, part=HAND).status == 200
    told = refusal(by_onnx.post([("a.png", b"a")] * (LIMITS.files + 1), part=HAND), 413)
    assert told == "more than 64 images in one request; send fewer images"


def test_uploads_are_neither_written_nor_named_anywhere(by_onnx: Server, hands: list[Path]) -> None:
    by_onnx.post([("warm.png", hands[0].read_bytes())], part=HAND)  # what is loaded at the first request
    before = len(by_onnx.told())
    content = hands[0].read_bytes() + bytes(5 * MIB)  # Starlette's own forms go to disk from 1 MiB on
    for _ in range(2):
        answer = by_onnx.post([("Jane_Doe.png", content), ("Jane_Doe.txt", b"no image")], part=HAND, heat="true")
        assert answer.status == 200
        assert answer.json["images"][0]["label"] in ("normal", "abnormal")
    refusal(by_onnx.post([("Jane_Doe.png", content)] * 70), 413)
    told = by_onnx.told()
    assert "WRITTEN" not in told[before:]
    assert "TEMPORARY" not in told[before:]
    assert "Jane_Doe" not in told


@pytest.mark.parametrize("engine", ["keras", "onnx"])
def test_uploads_leave_nothing_in_the_folders_of_the_process(
    url: str, hands: list[Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, engine: str
) -> None:
    # The watch above sees Python's own opens alone, not those of TensorFlow and other libraries.
    store, temporary = moved(url, tmp_path), tmp_path / "temporary"
    temporary.mkdir()
    monkeypatch.setenv("TMPDIR", str(temporary))
    monkeypatch.setenv("HOME", str(temporary))
    with serving(tmp_path / "told", "--store", store, "--part", HAND, "--engine", engine) as server:
        server.post([("warm.png", hands[0].read_bytes())], part=HAND, heat="true")
        before = sizes(tmp_path)
        content = hands[0].read_bytes() + bytes(5 * MIB)
        for _ in range(2):
            answer = server.post([("Jane_Doe.png", content), ("Jane_Doe.txt", b"no image")], part=HAND, heat="true")
            assert answer.status == 200
            assert sizes(tmp_path) == before


def sizes(folder: Path) -> dict[Path, int]:
    return {each: each.stat().st_size for each in folder.rglob("*") if each.is_file()}


def test_the_watch_for_written_files_sees_one(tmp_path: Path, url: str) -> None:
    writes = "import tempfile; tempfile.TemporaryFile().close()"
    with serving(tmp_path / "told", "--store", url, "--part", HAND, "--engine", "onnx",
                 before=NOTHING_WRITTEN + writes, is_awaited=False) as server:  # fmt: skip
        assert "WRITTEN" in server.told()


def test_another_name_of_the_server_is_refused(server: Server, tmp_path: Path, url: str) -> None:
    port = server.url.rpartition(":")[2]
    for host in (f"127.0.0.1:{port}", f"localhost:{port}", f"[::1]:{port}", "10.0.0.7"):
        assert server.get("/healthz", Host=host).status == 200
    for host in (f"rebound.example:{port}", "localhost.example", ""):
        assert "--allow-host" in refusal(server.get("/healthz", Host=host), 421)
    given = ("--store", url, "--part", HAND, "--engine", "onnx", "--allow-host", "reader.clinic.example")
    with serving(tmp_path / "told", *given, is_awaited=False) as named:
        assert named.get("/v1/parts", Host="reader.clinic.example").status == 200


def test_another_page_cannot_ask(server: Server, hands: list[Path]) -> None:
    for headers in (
        {"Origin": "https://elsewhere.example"},
        {"Origin": "null"},
        {"Origin": "http://localhost:1"},
        {"Sec-Fetch-Site": "cross-site"},
        {"Sec-Fetch-Site": "same-site"},
    ):
        assert "another page" in refusal(server.post(hands[:1], headers, part=HAND), 403)
    own = {"Origin": server.url, "Sec-Fetch-Site": "same-origin"}
    assert server.post(hands[:1], own, part=HAND).status == 200


@pytest.mark.parametrize("path", ["/", "/page.js", "/page.css", "/healthz", "/openapi.json", "/nothing", "/docs"])
def test_every_answer_forbids_all_that_is_not_from_here(server: Server, path: str) -> None:
    answer = server.get(path)
    policy = dict(each.split(" ", 1) for each in answer.headers["content-security-policy"].split("; "))
    assert policy["default-src"] == "'none'"
    assert policy["script-src"] == policy["connect-src"] == "'self'"
    assert policy["frame-ancestors"] == "'none'"
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert answer.headers["cache-control"] == "no-store"
    assert not [name for name in answer.headers if name.lower().startswith("access-control-")]
    assert b"https://" not in answer.body or path == "/openapi.json"
    assert answer.status == (404 if path in ("/nothing", "/docs") else 200)


def test_openapi_documents_what_is_sent_and_what_comes(server: Server, hands: list[Path]) -> None:
    documented = server.get("/openapi.json").json
    assert set(documented["paths"]) == {"/v1/predict", "/v1/parts", "/v1/model/{part}", "/healthz"}
    asked = documented["paths"]["/v1/predict"]["post"]
    fields = asked["requestBody"]["content"]["multipart/form-data"]["schema"]
    assert set(fields["properties"]) == {"files", "part", "study", "heat"}
    assert {"200", "403", "413", "415", "421", "422", "503"} <= set(asked["responses"])
    found = server.post([*hands[:2], ("bad.png", b"")], part=HAND, study="true", heat="true")
    for schema, given in (
        ("Answer", found.json),
        ("ImageVerdict", found.json["images"][0]),
        ("BadFile", found.json["images"][2]),
        ("Study", found.json["study"]),
        ("ModelCard", server.get(f"/v1/model/{HAND}").json),
    ):
        properties = documented["components"]["schemas"][schema]["properties"]
        assert set(given) == set(properties), schema
        getattr(answers, schema).model_validate(given, strict=True)


def test_without_tensorflow_the_verdicts_are_the_same_but_there_is_no_heat(
    by_onnx: Server, server: Server, hands: list[Path]
) -> None:
    fast, whole = (
        each.post(hands[:3], part=HAND, study="true", heat="true").json["images"] for each in (by_onnx, server)
    )
    for found, expected in zip(fast, whole, strict=True):
        assert found["raw_probability"] == pytest.approx(expected["raw_probability"], abs=1e-4)
        assert (found["heat"], found["picture"]) == (None, expected["picture"])
        assert "onnx" in found["no_heat"]
    assert by_onnx.get("/v1/parts").json["heat_maps"] is False
    assert "tensorflow" not in Path(f"/proc/{by_onnx.process.pid}/maps").read_text()


def test_a_damaged_model_is_told_and_the_others_answer(url: str, hands: list[Path], tmp_path: Path) -> None:
    store = moved(url, tmp_path)
    choose(store, "all_parts", None).path.write_bytes(b"no zip")
    with serving(tmp_path / "told", "--store", store, "--engine", "onnx") as server:
        states = server.get("/healthz").json
        assert (states["status"], states["models"][HAND]) == ("ready", "ready")
        assert "cannot be loaded" in states["models"]["all_parts"]
        assert server.post(hands[:1], part=HAND).status == 200
        assert "cannot be loaded" in refusal(server.post(hands[:1]), 503)
        assert server.told().count("cannot be loaded") == 1
        assert "Traceback" not in server.told()


def moved(url: str, folder: Path) -> str:
    """A copy of the store with its models, which it finds beside itself once those it was copied from are not there."""
    source = Path(url.removeprefix("sqlite:///")).parent
    shutil.copytree(source / "runs" / "models", folder / "models")
    shutil.copy(source / "results.db", folder)
    copy = f"sqlite:///{folder / 'results.db'}"
    engine = sa.create_engine(copy)
    with engine.begin() as connection:
        connection.execute(
            sa.text("UPDATE results_trials SET model_path = replace(model_path, :old, '/gone')"), {"old": str(source)}
        )
    engine.dispose()
    return copy


def test_a_gone_model_is_left_out(url: str, tmp_path: Path) -> None:
    store = moved(url, tmp_path)
    choose(store, "all_parts", None).path.unlink()
    with serving(tmp_path / "told", "--store", store, "--engine", "onnx", is_awaited=False) as server:
        assert [each["part"] for each in server.get("/v1/parts").json["parts"]] == [HAND]
        assert "left out: the file of model" in server.told()
        told = refusal(server.post([("a.png", b"a")]), 422)
        assert told == "no model of all_parts is there to find out the part; give one of XR_HAND"


@pytest.mark.parametrize(
    ("tasks", "options"),
    [
        ((HAND,), [HAND]),
        ((HAND, "all_parts"), ["let it find out", HAND]),
        ((HAND, "XR_WRIST"), ["choose one", HAND, "XR_WRIST"]),
        ((HAND, "XR_WRIST", "all_parts"), ["let it find out", HAND, "XR_WRIST"]),
        (("all_parts",), ["let it find out"]),
    ],
)
def test_the_page_offers_to_find_out_where_a_model_can(tasks: tuple[str, ...], options: list[str]) -> None:
    assert re.findall(r"<option.*>(.+)</option>", site.page(tasks, LIMITS)) == options


def ended(capsys: Capsys, *arguments: object) -> str:
    """The one line of a server that did not start."""
    capsys.readouterr()
    code = run_command("predict.serve", main, [str(each) for each in arguments])
    out, err = capsys.readouterr()
    assert (code, out, err.count("\n")) == (2, "", 1), err
    assert err.startswith("predict.serve: ")
    return err


def test_what_keeps_a_server_from_starting_is_one_line(url: str, capsys: Capsys, tmp_path: Path) -> None:
    assert "no such store" in ended(capsys, "--store", f"sqlite:///{tmp_path / 'absent.db'}")
    assert not list(tmp_path.iterdir())
    empty = f"sqlite:///{tmp_path / 'empty.db'}"
    Store.open(empty, create=True).close()
    assert "no finished trial" in ended(capsys, "--store", empty)
    assert "no model of XR_WRIST" in ended(capsys, "--store", url, "--part", "XR_WRIST")
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        assert f"--port {port}: in use" in ended(capsys, "--store", url, "--port", port)
    assert "no such address" in ended(capsys, "--store", url, "--host", "nowhere.invalid")
    assert "65535 or less" in ended(capsys, "--store", url, "--port", 70000)


def test_a_server_for_other_machines_says_that_it_has_no_login(url: str, tmp_path: Path) -> None:
    given = ("--store", url, "--part", HAND, "--engine", "onnx")
    for host, is_warned in (("0.0.0.0", True), ("127.0.0.1", False)):
        with serving(tmp_path / "told", *given, "--host", host, is_awaited=False) as server:
            assert ("there is no login" in server.told()) == is_warned
            assert "Research use, not a medical device." in server.told()


@pytest.mark.parametrize("is_ready", [False, True])
def test_ctrl_c_ends_it_at_once_with_one_line(url: str, tmp_path: Path, is_ready: bool) -> None:
    told = tmp_path / "told"
    with serving(told, "--store", url, "--part", HAND, is_awaited=is_ready) as server:
        server.process.send_signal(signal.SIGINT)
        assert server.process.wait(60) == 130
    assert told.read_text().splitlines()[-1] == "predict.serve: interrupted"
    assert "Traceback" not in told.read_text()


@pytest.mark.skipif(shutil.which("curl") is None, reason="no curl on the path")
def test_the_documents_call_by_curl_is_answered(server: Server, hands: list[Path], tmp_path: Path) -> None:
    (line,) = re.findall(r"^    (curl .+)$", (REPOSITORY / "docs" / "page.md").read_text(), re.MULTILINE)
    for name, image in zip(("hand1.png", "hand2.png"), hands, strict=False):
        shutil.copy(image, tmp_path / name)
    given = shlex.split(line.replace("http://127.0.0.1:8000", server.url))
    ended = subprocess.run([given[0], "--silent", *given[1:]], cwd=tmp_path, capture_output=True, check=True)
    answer = json.loads(ended.stdout)
    assert [each["path"] for each in answer["images"]] == ["hand1.png", "hand2.png"]
    assert answer["study"]["images"] == 2


def test_the_container_holds_all_that_the_server_imports(tmp_path: Path) -> None:
    folders = re.findall(r"^COPY (\w+) \1$", (REPOSITORY / "docs" / "Dockerfile").read_text(), re.MULTILINE)
    for folder in folders:
        shutil.copytree(REPOSITORY / folder, tmp_path / folder)
    code = "import predict.serve, predict.page.app, predict.page.offered, spaces.tensorflow_runtime, predict.onnx_model"
    ended = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert ended.stderr == ""
    assert "predict" in folders
