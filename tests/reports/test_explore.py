"""`reports.explore` on drawn data with planted duplicates, damage and hostile names, and on real radiographs."""

import io
import shutil
import subprocess
import sys
from collections.abc import Callable
from html.parser import HTMLParser
from pathlib import Path

import pandas as pd
import pytest
from axe_playwright_python.sync_playwright import Axe
from matplotlib.colors import to_hex
from PIL import Image
from playwright.sync_api import Browser

from plumbing.command import run_command
from radiographs.decoding import UNKNOWN
from radiographs.splits import SPLITS
from radiographs.synthetic import LEAST_PATIENTS, draw_dataset
from reports import explore
from reports.accuracy_plot import INTERVALS, accuracy_figure
from reports.duplicates import COLUMNS
from reports.explore_figures import people_figure
from tests.reports.chromium import needs_chromium
from tests.reports.store_maker import Ended

REPOSITORY = Path(__file__).resolve().parents[2]
Explore = Callable[..., Ended]


@pytest.fixture(scope="module")
def drawn(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return draw_dataset(tmp_path_factory.mktemp("drawn"), LEAST_PATIENTS)


@pytest.fixture
def data(drawn: Path, tmp_path: Path) -> Path:
    """The drawn set without its CSVs, so that files can be planted."""
    root = tmp_path / "data" / "MURA-v1.1"
    shutil.copytree(drawn, root)
    for listed in root.glob("*.csv"):
        listed.unlink()
    return root


@pytest.fixture
def run(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Explore:
    """Run the command in this process, into tmp_path/out; of one part, unless another is given, to be quick."""

    def command(*arguments: object) -> Ended:
        given = ["--part", "XR_HAND", *map(str, arguments), "--out", str(tmp_path / "out")]
        code = run_command("reports.explore", explore.main, given)
        return Ended(code, *capsys.readouterr())

    return command


def plant(root: Path, path: str, content: bytes) -> str:
    file = root / path
    file.parent.mkdir(parents=True)
    file.write_bytes(content)
    return path


def an_image(root: Path, folder: str = "train/XR_HAND") -> Path:
    return sorted((root / folder).rglob("*.png"))[0]


def half_size_jpeg(file: Path) -> bytes:
    image, buffer = Image.open(file).convert("L"), io.BytesIO()
    image.resize((image.width // 2, image.height // 2)).save(buffer, "JPEG", quality=70)
    return buffer.getvalue()


def tables(data: Path) -> dict[str, pd.DataFrame]:
    """What the command writes as CSV files, of hands."""
    return explore.explore_tables(explore.explore(data, "XR_HAND"))


def csv(tmp_path: Path, name: str) -> pd.DataFrame:
    return pd.read_csv(tmp_path / "out" / "tables" / f"{name}.csv", keep_default_na=False)


class Page(HTMLParser):
    """The page's tags, its images' alt texts, its text."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.tags: set[str] = set()
        self.alts: list[str | None] = []
        self.sources: list[str] = []
        self.text = ""
        self.feed(html)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)
        given = dict(attrs)
        assert not [name for name in given if name.startswith("on")]
        if tag == "img":
            self.alts.append(given.get("alt"))
        self.sources += [given[name] or "" for name in ("src", "srcset", "href") if name in given]

    def handle_data(self, data: str) -> None:
        self.text += data


def page(tmp_path: Path) -> Page:
    return Page((tmp_path / "out" / "explore.html").read_text(encoding="utf-8"))


def test_a_sound_data_set_is_shown_without_leaks(drawn: Path, run: Explore, tmp_path: Path) -> None:
    ended = run(drawn, "--part", "all_parts")

    assert (ended.code, ended.err) == (0, "")
    first, *paths = ended.out.splitlines()
    assert first.startswith("No leaks found")
    assert {Path(path) for path in paths} == {path for path in (tmp_path / "out").rglob("*") if path.is_file()}
    shown = page(tmp_path)
    assert "No leaks found" in shown.text
    for said in (first, shown.text):
        assert "turned and cropped copies were not looked for" in " ".join(said.split())
    assert "densenet121" in " ".join(str(alt) for alt in shown.alts)
    counts = csv(tmp_path, "counts")
    assert counts["images"].sum() == len(list(drawn.rglob("*.png"))) == len(csv(tmp_path, "images"))
    assert csv(tmp_path, "views")["studies"].sum() == counts["studies"].sum()


def test_the_parent_folder_gives_the_same_page(drawn: Path, run: Explore, tmp_path: Path) -> None:
    run(drawn)
    first = {path: path.read_bytes() for path in (tmp_path / "out").rglob("*") if path.is_file()}

    run(drawn.parent)

    assert {path: path.read_bytes() for path in (tmp_path / "out").rglob("*") if path.is_file()} == first


def test_the_same_file_in_train_and_test_is_named_first_and_loudly(data: Path, run: Explore, tmp_path: Path) -> None:
    original = an_image(data)
    planted = plant(data, "valid/XR_HAND/patient90001/study1_negative/image1.png", original.read_bytes())

    ended = run(data)

    lines = ended.out.splitlines()
    assert lines[0].startswith("LEAKS in XR_HAND: 1;")
    assert lines[1].startswith("  LEAK between splits: ")
    assert "same file" in lines[1]
    assert planted in lines[1]
    assert original.relative_to(data).as_posix() in lines[1]
    text = page(tmp_path).text
    assert "Leaks: 1" in text
    assert text.index("Leaks: 1") < text.index("Duplicates")
    assert csv(tmp_path, "leaks")["kind"].tolist() == ["same file"]


def test_a_resized_and_reencoded_copy_is_a_near_duplicate_that_is_shown(
    data: Path, run: Explore, tmp_path: Path
) -> None:
    original = an_image(data)
    planted = plant(data, "valid/XR_HAND/patient90001/study1_negative/image1.jpg", half_size_jpeg(original))

    ended = run(data)

    assert ended.out.splitlines()[1].startswith("  LEAK between splits: ")
    leak = csv(tmp_path, "leaks").iloc[0]
    assert (leak["kind"], leak["paths"]) == ("near duplicate", f"{original.relative_to(data).as_posix()} = {planted}")
    shown = page(tmp_path)
    assert planted in shown.alts
    assert "look at them" in shown.text
    assert "leaks into other parts are not seen" in shown.text


def test_a_copy_of_another_patient_in_one_split_is_a_leak_between_patients(data: Path) -> None:
    original = an_image(data, "valid/XR_HAND")
    plant(data, "valid/XR_HAND/patient90001/study1_negative/image1.png", original.read_bytes())
    assert tables(data)["leaks"][["kind", "leak"]].to_numpy().tolist() == [["same file", "between patients, in test"]]


def test_a_patient_in_both_folders_is_a_leak(data: Path) -> None:
    patient = an_image(data).parents[1].name
    other = half_size_jpeg(an_image(data, "train/XR_ELBOW"))
    plant(data, f"valid/XR_WRIST/{patient}/study1_negative/image1.png", other)

    found = tables(data)

    (line,) = explore.leak_lines(found["leaks"], "XR_HAND")[1:]
    assert line == f"  LEAK between splits: train and test (its train images are left out): patient {patient}"
    assert found["left_out"]["path"].str.startswith(f"train/XR_HAND/{patient}/").all()
    assert len(found["left_out"])


def test_only_the_part_asked_for_is_read(data: Path) -> None:
    plant(data, "valid/XR_ELBOW/patient90001/study1_negative/image1.png", b"damaged")
    found = tables(data)
    assert set(found["images"]["part"]) == {"XR_HAND"}
    assert found["left_out"].empty


def test_an_unreadable_file_is_left_out_and_named(data: Path, run: Explore, tmp_path: Path) -> None:
    planted = plant(data, "train/XR_HAND/patient90001/study1_positive/image1.png", b"no picture")
    assert run(data).code == 0
    assert csv(tmp_path, "left_out").to_numpy().tolist() == [[planted, UNKNOWN]]
    assert planted in page(tmp_path).text


def test_blank_images_are_outliers_and_no_duplicates(data: Path) -> None:
    for number, size in enumerate(((160, 160), (150, 160))):
        blank = io.BytesIO()
        Image.new("L", size, 250).save(blank, "PNG")
        plant(data, f"train/XR_HAND/patient9000{number}/study1_positive/image1.png", blank.getvalue())

    found = tables(data)

    assert found["duplicates"].empty
    odd = found["outliers"][found["outliers"]["path"].str.contains("patient9000")]
    assert set(odd["measure"]) >= {"brightness", "contrast"}


def test_many_leaks_are_counted_and_the_first_are_told() -> None:
    rows = [("same file", "between splits: train and test", "a = b", "normal", 0, 1.0, f"{row}") for row in range(25)]
    lines = explore.leak_lines(pd.DataFrame(rows, columns=COLUMNS), "all_parts")
    assert lines[0].startswith("LEAKS in all_parts: 25;")
    assert len(lines) == 22
    assert lines[-1] == "  and 5 more, in tables/leaks.csv"


def test_hostile_names_come_out_harmless(data: Path, run: Explore, tmp_path: Path) -> None:
    study = "patient<img src=x onerror=alert(1)>/study1_negative"
    content = half_size_jpeg(an_image(data))
    plant(data, f"valid/XR_HAND/{study}/=cmd|' !A0\n\x1b[31m&.jpg", content)
    plant(data, "=1+1.png/x", b"of no part")
    plant(data, "train/=2+2/\udcff.png", b"of no part")  # a name that is not UTF-8

    ended = run(data)

    assert ended.code == 0
    assert "\x1b" not in ended.out
    assert sum("LEAK between splits" in line for line in ended.out.splitlines()) == 1
    html = (tmp_path / "out" / "explore.html").read_text(encoding="utf-8")
    assert "<img src=x" not in html
    assert "patient&lt;img src=x onerror=alert(1)&gt;" in html
    assert page(tmp_path).tags.isdisjoint({"script", "iframe", "object", "form"})
    for file in (tmp_path / "out" / "tables").iterdir():
        table = pd.read_csv(file, keep_default_na=False, dtype=str)
        assert not table.map(lambda cell: cell.startswith(("=", "+", "@")) or "\n" in cell).to_numpy().any()


def test_the_page_needs_nothing_beside_it_and_every_picture_has_words(data: Path, run: Explore, tmp_path: Path) -> None:
    run(data)
    shown = page(tmp_path)
    assert all(source.startswith(("data:image/png;base64,", "#")) for source in shown.sources)
    assert all(shown.alts)
    assert len(shown.alts) >= 11
    assert "script" not in shown.tags


@needs_chromium
def test_the_page_with_all_its_tables_is_free_of_barriers(
    data: Path, run: Explore, tmp_path: Path, browser: Browser
) -> None:
    """Of any impact: regions of one name, which a screen reader cannot tell apart, are a moderate one."""
    plant(data, "valid/XR_HAND/patient90001/study1_negative/image1.png", an_image(data).read_bytes())
    plant(data, "train/XR_HAND/patient90002/study1_positive/image1.png", b"no picture")
    blank = io.BytesIO()
    Image.new("L", (160, 160), 250).save(blank, "PNG")
    plant(data, "train/XR_HAND/patient90003/study1_positive/image1.png", blank.getvalue())
    run(data)

    shown = browser.new_page()
    shown.goto((tmp_path / "out" / "explore.html").as_uri())
    shown.evaluate("document.querySelectorAll('details').forEach((each) => { each.open = true; })")
    assert shown.locator("table").count() == 5
    assert Axe().run(shown).response["violations"] == []
    shown.close()


def test_a_split_has_the_colour_that_it_has_in_the_plots_of_accuracies(data: Path) -> None:
    people, accuracies = people_figure(tables(data)["people"]), accuracy_figure(accuracies_of_one_model())

    bars = {each.get_label(): to_hex(each.patches[0].get_facecolor()) for each in people.axes[0].containers}
    dots = {each.get_label(): each for each in accuracies.axes[0].collections}
    assert bars == {split: to_hex(dots[split].get_facecolor()[0]) for split in SPLITS}


def accuracies_of_one_model() -> pd.DataFrame:
    """As `accuracy_table` gives it."""
    told = {"rank": 1, "label": "a", "part_body": "XR_HAND", "ranked_by": "valid_auc"}
    return pd.DataFrame([told | dict.fromkeys((*SPLITS, *INTERVALS), 80.0)])


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ("absent", "no such folder"),
        ("empty", "no train and valid folder in it"),
        ("hollow", "no readable image of XR_HAND"),
    ],
)
def test_bad_folders_end_with_one_line_and_nothing_created(tmp_path: Path, run: Explore, given: str, said: str) -> None:
    (tmp_path / "empty").mkdir()
    for folder in ("train", "valid"):
        (tmp_path / "hollow" / folder).mkdir(parents=True)

    ended = run(tmp_path / given)

    assert (ended.code, ended.out) == (2, "")
    assert ended.err.startswith("reports.explore: ")
    assert said in ended.err
    assert ended.err.count("\n") == 1
    assert not (tmp_path / "out").exists()


def test_unknown_part_and_out_that_is_a_file_are_refused(drawn: Path, run: Explore, tmp_path: Path) -> None:
    ended = run(drawn, "--part", "XR_KNEE")
    assert (ended.code, ended.err.count("\n")) == (2, 1)
    assert "give one of XR_ELBOW" in ended.err
    (tmp_path / "out").write_text("mine")
    ended = run(drawn)
    assert (ended.code, ended.err.count("\n")) == (2, 1)
    assert "is a file; give another folder" in ended.err
    assert (tmp_path / "out").read_text() == "mine"


def test_no_tensorflow_is_loaded(drawn: Path, tmp_path: Path) -> None:
    code = "import sys\nfrom reports.explore import main\n"
    code += f"main([{str(drawn)!r}, '--out', {str(tmp_path / 'out')!r}, '--part', 'XR_HAND'])\n"
    code += "print([name for name in ('tensorflow', 'keras') if name in sys.modules])"
    ended = subprocess.run([sys.executable, "-c", code], cwd=REPOSITORY, capture_output=True, text=True, check=True)
    assert ended.stdout.splitlines()[-1] == "[]"


def test_real_radiographs_hold_five_pairs_stored_twice_two_of_them_leaks_between_splits(
    shared: Path, run: Explore, tmp_path: Path
) -> None:
    ended = run(shared / "radiographs", "--part", "all_parts")

    assert (ended.code, ended.err) == (0, "")
    assert ended.out.startswith("LEAKS in all_parts: 5;")
    leaks = csv(tmp_path, "leaks")
    assert set(leaks["kind"]) == {"near duplicate"}
    assert leaks["leak"].str.startswith("between splits").sum() == 2
    assert len(csv(tmp_path, "images")) == 913
    assert csv(tmp_path, "left_out").empty
