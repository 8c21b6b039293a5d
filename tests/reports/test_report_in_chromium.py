"""The report as people use it, in real Chromium: quiet, sorted and filtered by mouse and keyboard, free of barriers."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser, Page, expect

from radiographs.synthetic import LEAST_PATIENTS, draw_dataset
from reports.build import build_report
from reports.data_look import look_at
from results.records import IMPORT
from results.store import Store
from tests.reports.chromium import needs_chromium
from tests.reports.store_maker import HOSTILE, StoreMaker

pytestmark = needs_chromium

SCHEMES = ("light", "dark")
GRAVE = ("serious", "critical")


@pytest.fixture(scope="module")
def report(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The report of two parts with two architectures, an import, failures, radiographs, and names meant to do harm."""
    folder = tmp_path_factory.mktemp("chromium")
    url = f"sqlite:///{folder}/results.db"
    made = StoreMaker(Store.open(url, create=True), url)
    for part in ("XR_HAND", "XR_WRIST"):
        made.images(part, {"train": [0, 1] * 20, "valid": [0, 1] * 20, "test": [0, 1] * 20})
        search = made.search(part, part, details={"command": f"python -m search.run --part {part} --trials 7"})
        for number in range(6):
            architecture = "base_cnn" if number % 2 and part == "XR_HAND" else "densenet121"
            made.measure(search, number, number / 5, part, architecture=architecture, name=f"{architecture}_{number}")
        made.store.fail_trial(made.start(search, 6).id, "no memory", 1.0)
    imported = made.search("hostile", None, kind=IMPORT)
    for number, name in enumerate([HOSTILE[0], '"><img src=x onerror=alert(1)>']):
        made.finish(imported, number, part=name[:20], name=name, architecture=name)
    radiographs = draw_dataset(folder / "radiographs", LEAST_PATIENTS)
    build_report(made.store, folder / "report", look=look_at(radiographs, made.store.searches()))
    made.store.close()
    return folder / "report" / "report.html"


class Opened:
    """A page, and all that went wrong while it was open: messages of the console, dialogs, requests."""

    def __init__(self, page: Page, report: Path) -> None:
        self.page = page
        self.wrong: list[str] = []
        page.on("console", lambda message: self.wrong.append(f"console {message.type}: {message.text}"))
        page.on("pageerror", lambda error: self.wrong.append(f"error: {error}"))
        page.on("dialog", lambda dialog: (self.wrong.append(f"dialog: {dialog.message}"), dialog.dismiss()))
        page.on("request", lambda request: self._requested(request.url))
        page.set_default_timeout(60_000)
        page.goto(report.as_uri())

    def _requested(self, url: str) -> None:
        if not url.startswith(("file:", "data:")):
            self.wrong.append(f"request: {url}")

    def column(self, label: str, header: str) -> list[str]:
        """The visible cells under a header of the table that is labelled so."""
        table = self.page.get_by_role("region", name=label, exact=True).locator("table")
        place = [text.strip() for text in table.locator("th").all_inner_texts()].index(header)
        cells = table.locator(f"tbody tr:not([hidden]) td:nth-child({place + 1})")
        return [text.strip() for text in cells.all_inner_texts()]


@pytest.fixture
def opened(browser: Browser, report: Path) -> Iterator[Opened]:
    """The page, open on a wide screen; nothing may have gone wrong by the end of the test."""
    page = browser.new_page(viewport={"width": 1400, "height": 900})
    shown = Opened(page, report)
    yield shown
    page.close()
    assert shown.wrong == []


@pytest.mark.parametrize("scheme", SCHEMES)
@pytest.mark.parametrize("width", [400, 1400])
def test_page_is_quiet_fits_and_is_free_of_barriers(browser: Browser, report: Path, scheme: str, width: int) -> None:
    page = browser.new_page(color_scheme=scheme, viewport={"width": width, "height": 900})
    shown = Opened(page, report)
    page.evaluate("document.querySelectorAll('details').forEach((each) => { each.open = true; })")

    assert page.evaluate("document.documentElement.scrollWidth") <= width
    violations = Axe().run(page).response["violations"]
    assert [each for each in violations if each["impact"] in GRAVE] == []
    assert shown.wrong == []
    page.close()


def test_click_on_a_header_sorts_and_again_turns_round(opened: Opened) -> None:
    board = opened.page.get_by_role("region", name="Leaderboard of XR_HAND", exact=True)
    header = board.get_by_role("columnheader", name="valid_auc", exact=True)
    before = opened.column("Leaderboard of XR_HAND", "valid_auc")

    header.get_by_role("button").click()
    assert header.get_attribute("aria-sort") == "ascending"
    assert opened.column("Leaderboard of XR_HAND", "valid_auc") == sorted(before)
    header.get_by_role("button").click()
    assert header.get_attribute("aria-sort") == "descending"
    assert opened.column("Leaderboard of XR_HAND", "valid_auc") == sorted(before, reverse=True)
    assert board.locator("th[aria-sort]").count() == 1


def test_header_sorts_by_keyboard_and_keeps_the_focus(opened: Opened) -> None:
    header = opened.page.get_by_role("region", name="Leaderboard of XR_WRIST", exact=True).locator("th").first
    opened.page.get_by_role("region", name="Leaderboard of XR_WRIST", exact=True).focus()

    opened.page.keyboard.press("Tab")
    opened.page.keyboard.press("Enter")
    opened.page.keyboard.press("Space")

    assert header.get_attribute("aria-sort") == "descending"
    assert opened.column("Leaderboard of XR_WRIST", "rank") == ["4", "3", "2", "1"]
    assert header.locator("button").evaluate("each => each === document.activeElement")


def test_cells_without_a_value_come_last_either_way(opened: Opened) -> None:
    label = "Best trial of each part"
    button = opened.page.get_by_role("region", name=label, exact=True).get_by_role("button", name="luck taken off")

    for _ in range(2):
        button.click()
        cells = opened.column(label, "luck taken off")
        assert [cell == "" for cell in cells] == [False] * 2 + [True] * (len(cells) - 2)


def test_filter_by_part_hides_the_others_by_mouse(opened: Opened) -> None:
    opened.page.get_by_label("Part", exact=True).select_option("XR_WRIST")

    assert opened.page.locator("section.part:visible h3").all_inner_texts() == ["XR_WRIST"]
    assert opened.page.locator("output").inner_text() == "6 ranked trials"
    opened.page.get_by_role("button", name="Show all").click()
    expect(opened.page.locator("section.part[hidden]")).to_have_count(0)


def test_filter_by_architecture_by_keyboard_shows_all_of_its_trials(opened: Opened) -> None:
    chooser = opened.page.get_by_label("Architecture", exact=True)
    chooser.focus()
    opened.page.keyboard.type("base")

    assert chooser.input_value() == "base_cnn"
    assert opened.column("Ranked trials of XR_HAND", "name_code") == ["base_cnn_5", "base_cnn_3", "base_cnn_1"]
    assert opened.page.locator("output").inner_text() == "3 ranked trials"
    assert opened.page.locator("section.part:visible h3").all_inner_texts() == ["XR_HAND"]


def test_filter_takes_hostile_names_as_words(opened: Opened) -> None:
    opened.page.get_by_label("Architecture", exact=True).select_option(HOSTILE[0])

    assert opened.page.locator("output").inner_text() == "1 ranked trial"
    assert opened.column("Leaderboard of <script>alert(1)</sc", "name_code") == [HOSTILE[0]]


def test_without_scripts_all_rows_are_there_and_no_filter(browser: Browser, report: Path) -> None:
    context = browser.new_context(java_script_enabled=False)
    page = context.new_page()
    page.goto(report.as_uri())

    assert page.locator("#filters").is_hidden()
    assert page.get_by_role("region", name="Leaderboard of XR_HAND", exact=True).locator("tbody tr").count() == 4
    assert page.get_by_role("region", name="Ranked trials of XR_HAND", exact=True).locator("tbody tr").count() in (0, 6)
    assert page.locator("th button").count() == 0
    context.close()
