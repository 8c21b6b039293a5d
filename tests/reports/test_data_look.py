"""`reports.build --data`: the radiographs beside the report, whether they are those searched on; none without it."""

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from radiographs.dataset import decode_images, list_images
from radiographs.parts import ALL_PARTS, PARTS
from radiographs.pixels import PixelStore
from radiographs.synthetic import LEAST_PATIENTS, draw_dataset
from reports.data_look import EXAMPLES, look_at
from tests.reports.store_maker import HOSTILE, Ended, StoreMaker

Command = Callable[..., Ended]
WARNING = "pass it on only where their terms allow it"


@pytest.fixture(scope="module")
def drawn(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return draw_dataset(tmp_path_factory.mktemp("drawn"), LEAST_PATIENTS)


def hash_of_a_search(data: Path, task: str, pixels: Path) -> str:
    return decode_images(list_images(data, task), PixelStore(pixels), [32]).data_hash


@pytest.mark.parametrize("task", ["XR_HAND", ALL_PARTS])
def test_images_are_known_again_by_the_hash_of_a_search(
    made: StoreMaker, drawn: Path, tmp_path: Path, task: str
) -> None:
    made.search("s", task, data_hash=hash_of_a_search(drawn, task, tmp_path / "pixels"))

    look = look_at(drawn, made.store.searches())

    assert look.same
    assert look.match[0].startswith(f"{task}: these are the images of its searches, unchanged (data hash ")
    assert look.only == ("" if task == ALL_PARTS else task)


def test_other_images_are_told_plainly_and_not_refused(
    made: StoreMaker, drawn: Path, tmp_path: Path, command: Command
) -> None:
    data = tmp_path / "MURA-v1.1"
    shutil.copytree(drawn, data)
    made.search("before", data_hash=hash_of_a_search(data, "XR_HAND", tmp_path / "pixels"))
    shutil.rmtree(next((data / "train" / "XR_HAND").iterdir()))
    made.search("<b>old</b>", None, kind="import", data_hash=None)

    ended = command("build", "--out", tmp_path / "out", "--store", made.url, "--data", data)

    assert ended.code == 0
    page = (tmp_path / "out" / "report.html").read_text(encoding="utf-8")
    assert "<strong>XR_HAND: the images are NOT those of its searches (data hash " in page
    assert "Which images &lt;b&gt;old&lt;/b&gt; had is not in the store." in page


def test_examples_are_a_few_of_each_part_and_label_from_train(made: StoreMaker, drawn: Path) -> None:
    made.search("s", ALL_PARTS)

    examples = look_at(drawn, made.store.searches()).examples

    expected = [f"{part}, {label}" for part in PARTS for label in ("normal", "abnormal")]
    assert [each.remark for each in examples] == expected
    assert all(1 <= len(each.shown) <= EXAMPLES for each in examples)
    assert all(shown.path.startswith("train/") for each in examples for shown in each.shown)
    for each in examples:
        ending = "_positive" if each.remark.endswith("abnormal") else "_negative"
        assert all(ending in shown.path for shown in each.shown)


def test_page_shows_radiographs_leaks_and_duplicates_and_warns(
    made: StoreMaker, drawn: Path, tmp_path: Path, command: Command
) -> None:
    data = tmp_path / "MURA-v1.1"
    shutil.copytree(drawn, data)
    for listed in data.glob("*.csv"):
        listed.unlink()
    original = sorted((data / "train" / "XR_HAND").rglob("*.png"))[0]
    copy = data / "valid" / "XR_HAND" / "patient90001" / "study1_negative" / "image1.png"
    copy.parent.mkdir(parents=True)
    shutil.copy(original, copy)
    made.search("s")

    ended = command("build", "--out", tmp_path / "out", "--store", made.url, "--data", data)

    page = (tmp_path / "out" / "report.html").read_text(encoding="utf-8")
    assert (ended.code, ended.err) == (0, "")
    assert WARNING in page
    assert 2 <= page.count("data:image/jpeg;base64,") <= 2 * EXAMPLES
    assert ">Leaks: 1</h3>" in page
    assert "Groups of equal files: 1." in page
    assert "patient90001" in (tmp_path / "out" / "tables" / "leaks.csv").read_text()
    assert (tmp_path / "out" / "plots" / "sizes.png").exists()
    assert len(page) < 5_000_000


def test_without_the_folder_there_is_no_radiograph_and_a_sentence_how(
    made: StoreMaker, tmp_path: Path, command: Command
) -> None:
    made.search("s")

    command("build", "--out", tmp_path / "out", "--store", made.url)

    page = (tmp_path / "out" / "report.html").read_text(encoding="utf-8")
    assert "reports.build --data DIR" in page
    assert "image/jpeg" not in page
    assert WARNING not in page


def test_a_folder_without_images_ends_with_one_line_and_nothing_written(
    made: StoreMaker, tmp_path: Path, command: Command
) -> None:
    ended = command("build", "--out", tmp_path / "out", "--store", made.url, "--data", tmp_path)

    assert (ended.code, ended.err.count("\n"), ended.out) == (2, 1, "")
    assert "no train and valid folder in it" in ended.err
    assert not (tmp_path / "out").exists()


def test_hostile_names_are_words_in_its_sentences(made: StoreMaker, drawn: Path) -> None:
    made.search(HOSTILE[2], data_hash=HOSTILE[0])
    made.search(HOSTILE[5], None, data_hash=None)

    look = look_at(drawn, made.store.searches())

    assert not look.same
    assert all("\n" not in sentence and "\x07" not in sentence for sentence in look.match)
