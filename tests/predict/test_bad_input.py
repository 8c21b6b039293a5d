"""Whatever is given, the command says what is wrong in one line, and judges what can be judged."""

import csv
import io
import json
import os
import shutil
import sqlite3
import struct
import subprocess
import sys
import zlib
from contextlib import closing
from io import StringIO
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from predict.chosen import choose
from radiographs.decoding import decode
from results.store import Store
from tests.predict.test_predict import Capsys, command
from tests.radiographs.test_decoding import png_of_size
from tests.radiographs.test_dicom import TWELVE, dicom

REPOSITORY = Path(__file__).parents[2]
FIRST = Image.fromarray(np.arange(64 * 48, dtype=np.uint32).reshape(48, 64).astype(np.uint8))
SECOND = FIRST.transpose(Image.Transpose.FLIP_TOP_BOTTOM)


def written(image: Image.Image, kind: str = "PNG", **options: object) -> bytes:
    file = io.BytesIO()
    image.save(file, kind, **options)
    return file.getvalue()


def animated(kind: str) -> bytes:
    return written(FIRST, kind, save_all=True, append_images=[SECOND], **({"lossless": True} if kind == "WEBP" else {}))


def turned() -> bytes:
    exif = Image.Exif()
    exif[0x0112] = 6
    return written(FIRST, "JPEG", exif=exif)


BAD = {
    "text": (b"path,label\n", "not an image of a known kind"),
    "empty": (b"", "empty file"),
    "bomb": (png_of_size(20_000, 20_000), "pixels"),
    "truncated": (written(Image.fromarray((TWELVE >> 4).astype(np.uint8)))[:300], "damaged"),
    "truncated DICOM": (dicom(TWELVE, 12)[:-100], "damaged DICOM"),
    "DICOM bomb": (dicom(TWELVE, 12, Rows=20_000, Columns=20_000), "20000 x 20000 pixels"),
    "half an AVIF": (
        written(FIRST, "AVIF")[:300],
        "PNG, JPEG, TIFF, GIF, BMP, WebP, JPEG 2000, PPM and DICOM are read",
    ),
    "PostScript": (written(FIRST, "EPS"), "not an image of a known kind"),
}
ODD = {
    "cmyk": written(FIRST.convert("CMYK"), "JPEG"),
    "palette": written(FIRST.convert("RGB").quantize(16)),
    "turned": turned(),
    "one pixel": written(FIRST.crop((0, 0, 1, 1))),
    "wide": written(FIRST.resize((10_000, 10))),
    "DICOM": dicom(TWELVE, 12),
} | {kind: animated(kind) for kind in ("GIF", "PNG", "WEBP", "TIFF")}


@pytest.mark.parametrize("kind", BAD)
def test_a_bad_file_is_one_line_and_the_good_one_beside_it_is_judged(
    url: str, hands: list[Path], capsys: Capsys, tmp_path: Path, kind: str
) -> None:
    content, reason = BAD[kind]
    bad = tmp_path / "bad.png"
    bad.write_bytes(content)
    code, out, err = command(capsys, bad, hands[0], "--part", "XR_HAND", "--json", "--store", url)
    unread, read = json.loads(out)
    assert (code, unread["path"], read["path"]) == (2, str(bad), str(hands[0]))
    assert read["label"] in ("normal", "abnormal")
    assert (err.count("\n"), reason in err, "Traceback" in err) == (1, True, False)


def test_odd_images_are_judged_without_a_word_of_error(url: str, capsys: Capsys, tmp_path: Path) -> None:
    for kind, content in ODD.items():
        (tmp_path / f"{kind}.dcm").write_bytes(content)
    code, out, err = command(capsys, tmp_path, "--part", "XR_HAND", "--json", "--store", url)
    assert (code, err) == (0, "")
    assert {Path(each["path"]).stem for each in json.loads(out)} == set(ODD)
    assert all(0 <= each["probability"] <= 1 for each in json.loads(out))


@pytest.mark.parametrize("kind", ["GIF", "PNG", "WEBP", "TIFF"])
def test_of_an_animation_the_first_frame_counts(kind: str) -> None:
    assert Image.open(io.BytesIO(ODD[kind])).n_frames == 2  # else this would prove nothing
    assert np.abs(decode(ODD[kind], 48).astype(int) - decode(written(FIRST), 48)).max() <= 1


def test_a_shape_of_ten_thousand_to_one_is_squashed() -> None:
    wide = FIRST.resize((10_000, 10))
    assert np.array_equal(decode(ODD["wide"], 32), np.asarray(wide.resize((32, 32), Image.Resampling.BILINEAR)))


def test_a_png_that_unpacks_to_more_than_it_tells_gives_no_more() -> None:
    """A head of 8 x 8 pixels before a stream of 50 MB: the pixels told are read, the rest is left packed."""
    stream = zlib.compress(b"\0" * 50_000_000)
    chunks = (b"IHDR" + struct.pack(">II5B", 8, 8, 8, 0, 0, 0, 0), b"IDAT" + stream, b"IEND")
    body = b"".join(struct.pack(">I", len(each) - 4) + each + struct.pack(">I", zlib.crc32(each)) for each in chunks)
    assert not decode(b"\x89PNG\r\n\x1a\n" + body, 8).any()


@pytest.mark.parametrize("by", ["", "--json", "--csv"])
def test_no_name_of_a_file_reaches_a_terminal_as_more_than_a_line(
    url: str, hands: list[Path], capsys: Capsys, tmp_path: Path, by: str
) -> None:
    """A line break in a name looked like another verdict, an escape coloured it; JSON and CSV hold it as it is."""
    evil, bad = tmp_path / "x\npredict: all good\x1b[31m.png", tmp_path / "y\x1b[2K.png"
    shutil.copy(hands[0], evil)
    bad.write_text("no image")
    code, out, err = command(capsys, evil, bad, "--part", "XR_HAND", "--store", url, *filter(None, [by]))
    assert (code, err.count("\n"), "\x1b" in err) == (2, 1, False)
    assert "y\\x1b[2K.png: not an image" in err
    if by == "--json":
        assert [each["path"] for each in json.loads(out)] == [str(evil), str(bad)]
    elif by == "--csv":
        assert [each["path"] for each in csv.DictReader(StringIO(out, newline=""))] == [str(evil), str(bad)]
    else:
        assert out.startswith(f"{tmp_path}/x\\npredict: all good\\x1b[31m.png: ")
        assert (out.count("\n"), "\x1b" in out) == (1, False)


@pytest.mark.parametrize("by", ["", "--json", "--csv"])
def test_a_name_that_is_no_utf_8_is_told_like_another(url: str, hands: list[Path], tmp_path: Path, by: str) -> None:
    """It ended the batch where stdout takes UTF-8 alone."""
    named = os.fsencode(tmp_path) + b"/n\xff.png"
    shutil.copy(hands[0], os.fsdecode(named))
    arguments = [named, hands[0], "--part", "XR_HAND", "--engine", "onnx", "--store", url, *filter(None, [by])]
    environment = {**os.environ, "PYTHONIOENCODING": "utf-8:strict"}
    ended = subprocess.run(
        [sys.executable, "-m", "predict", *arguments], capture_output=True, env=environment, cwd=REPOSITORY, check=False
    )
    assert (ended.returncode, ended.stderr) == (0, b"")
    if by == "--json":
        assert os.fsencode(json.loads(ended.stdout)[0]["path"]) == named
    else:
        assert (named if by else os.fsencode(tmp_path) + b"/n\\udcff.png") in ended.stdout


def test_a_batch_is_not_lost_by_a_name_longer_than_any(url: str, hands: list[Path], capsys: Capsys) -> None:
    code, out, err = command(capsys, "x" * 300, hands[0], "--part", "XR_HAND", "--json", "--store", url)
    long, read = json.loads(out)
    assert (code, long["error"], read["path"]) == (2, "File name too long", str(hands[0]))
    assert err.count("\n") == 1


def refused(capsys: Capsys, *arguments: object) -> str:
    """The one line of a command that could do nothing."""
    code, out, err = command(capsys, *arguments)
    assert (code, out, err.count("\n")) == (2, "", 1), err
    assert err.startswith("predict: ")
    return err


def test_a_model_of_another_part_is_named_with_its_part(url: str, hands: list[Path], capsys: Capsys) -> None:
    other = choose(url, "all_parts", None).name
    told = refused(capsys, hands[0], "--part", "XR_HAND", "--model", other, "--store", url)
    assert f"model {other} is of all_parts, not of XR_HAND; give --part all_parts" in told


def test_a_batch_of_more_than_memory_holds_is_refused(url: str, hands: list[Path], capsys: Capsys) -> None:
    """It ended in a MemoryError and its traceback."""
    told = refused(capsys, hands[0], "--part", "XR_HAND", "--batch-size", "100000000", "--store", url)
    assert "--batch-size: 100000000 is above 1024; give 1024 or less" in told


def test_a_store_without_a_finished_trial_says_so(hands: list[Path], capsys: Capsys, tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path / 'new.db'}"
    Store.open(url, create=True).close()
    assert "holds no finished trial yet; search.run makes" in refused(
        capsys, hands[0], "--part", "XR_HAND", "--store", url
    )


@pytest.fixture
def spoilt(searched: Path, url: str, tmp_path: Path) -> tuple[str, Path]:
    """A copy of the store, and its own copy of the file of the best model of hands, to be spoilt."""
    name, path = choose(url, "XR_HAND", None).name, choose(url, "XR_HAND", None).path
    shutil.copy(searched / "results.db", tmp_path / "results.db")
    own = Path(shutil.copy(path, tmp_path / "own.keras"))
    with closing(sqlite3.connect(tmp_path / "results.db")) as database, database:
        database.execute("UPDATE results_trials SET model_path = ? WHERE model_name = ?", (str(own), name))
    return f"sqlite:///{tmp_path / 'results.db'}", own


def test_the_model_to_be_spoilt_is_the_one_that_predicts(
    spoilt: tuple[str, Path], hands: list[Path], capsys: Capsys
) -> None:
    assert choose(spoilt[0], "XR_HAND", None).path == spoilt[1]
    assert command(capsys, hands[0], "--part", "XR_HAND", "--store", spoilt[0])[0] == 0


def test_a_model_whose_file_is_gone_is_told(spoilt: tuple[str, Path], hands: list[Path], capsys: Capsys) -> None:
    spoilt[1].unlink()
    assert "own.keras; put it back" in refused(capsys, hands[0], "--part", "XR_HAND", "--store", spoilt[0])


@pytest.mark.parametrize("left", [0, 4000, 100_000])
def test_a_damaged_model_is_told(spoilt: tuple[str, Path], hands: list[Path], capsys: Capsys, left: int) -> None:
    spoilt[1].write_bytes(spoilt[1].read_bytes()[:left])
    told = refused(capsys, hands[0], "--part", "XR_HAND", "--store", spoilt[0])
    assert "own.keras cannot be loaded: it is no whole .keras file; search again" in told


def test_a_model_with_a_changed_byte_is_told(spoilt: tuple[str, Path], hands: list[Path], capsys: Capsys) -> None:
    content = bytearray(spoilt[1].read_bytes())
    content[len(content) // 2] ^= 255
    spoilt[1].write_bytes(content)
    assert "cannot be loaded" in refused(capsys, hands[0], "--part", "XR_HAND", "--store", spoilt[0])


def test_a_model_with_a_lambda_layer_is_refused(spoilt: tuple[str, Path], hands: list[Path], capsys: Capsys) -> None:
    from spaces.tensorflow_runtime import keras

    grey = keras().Input((8, 8, 1))
    keras().Model(grey, keras().layers.Lambda(lambda x: x[:, 0, 0])(grey)).save(spoilt[1])
    told = refused(capsys, hands[0], "--part", "XR_HAND", "--store", spoilt[0])
    assert "cannot be loaded" in told
    assert "Lambda" in told
    assert "safe_mode=False" not in told
