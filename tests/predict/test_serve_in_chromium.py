"""The page as people use it, in real Chromium: by mouse and keyboard, on small screens, and quiet."""

import base64
import json
import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser, FileChooser, Page, expect

from predict.page import site
from predict.page.limits import Limits
from tests.predict.serving import REPOSITORY, Server, serving
from tests.reports.chromium import needs_chromium

pytestmark = needs_chromium

HAND = "XR_HAND"
SCHEMES = ("light", "dark")
GRAVE = ("serious", "critical")
PATIENCE = 60_000  # milliseconds
# What a drag of files from a folder does; Playwright has no such gesture.
DROP = """(target, files) => {
  const transfer = new DataTransfer();
  for (const [name, content] of files) {
    transfer.items.add(new File([Uint8Array.from(atob(content), (each) => each.charCodeAt(0))], name));
  }
  for (const kind of ["dragenter", "dragover", "drop"]) {
    target.dispatchEvent(new DragEvent(kind, { dataTransfer: transfer, bubbles: true, cancelable: true }));
  }
}"""


class Opened:
    """The page, and all that went wrong while it was open: messages of the console, requests that leave the server."""

    def __init__(self, page: Page, server: Server) -> None:
        self.page, self.wrong, self.server = page, list[str](), server
        self.choosers: list[FileChooser] = []
        # From the start: asked for later, Playwright may take over choosers after the first has been dismissed.
        page.on("filechooser", lambda chooser: self.choosers.append(chooser))
        page.on("console", lambda message: self.wrong.append(f"console {message.type}: {message.text}"))
        page.on("pageerror", lambda error: self.wrong.append(f"error: {error}"))
        page.on("request", lambda request: self._requested(request.url))
        page.set_default_timeout(PATIENCE)
        page.goto(server.url)

    def _requested(self, url: str) -> None:
        if not url.startswith((f"{self.server.url}/", "data:", "blob:")):
            self.wrong.append(f"request: {url}")

    def give(self, *files: Path) -> None:
        """By the file chooser's way; waits for the verdicts."""
        self.page.set_input_files("#files", files)
        self.wait()

    def drop(self, *files: Path) -> None:
        sent = [[each.name, base64.b64encode(each.read_bytes()).decode()] for each in files]
        self.page.locator("#drop").evaluate(DROP, sent)
        self.wait()

    def wait(self) -> None:
        expect(self.page.locator("#ask")).to_have_attribute("aria-busy", "false", timeout=PATIENCE)

    def press_for_chooser(self) -> FileChooser:
        """Enter on what has the focus; again where none opened in 15 s, as a person would (a busy machine lost one)."""
        for attempt in range(1, 61):
            if attempt % 15 == 1:
                self.page.keyboard.press("Enter")
            if self.choosers:
                return self.choosers.pop()
            self.page.wait_for_timeout(1000)
        raise AssertionError("Enter opened no file chooser")

    def choose(self, part: str) -> None:
        self.page.get_by_label("Part", exact=True).select_option(part)

    def card(self, name: str) -> str:
        return self.page.get_by_role("article", name=name).inner_text()


@pytest.fixture
def opened(browser: Browser, server: Server) -> Iterator[Opened]:
    """The page on a wide screen; nothing may have gone wrong by the end of the test."""
    page = browser.new_page(viewport={"width": 1400, "height": 900})
    shown = Opened(page, server)
    yield shown
    page.close()
    assert shown.wrong == []


@pytest.fixture
def images(hands: list[Path], tmp_path: Path) -> list[Path]:
    """Two images with names of their own."""
    copies = [tmp_path / name for name in ("left.png", "right.png")]
    for copy, image in zip(copies, hands[:2], strict=True):
        copy.write_bytes(image.read_bytes())
    return copies


@pytest.fixture
def bad(tmp_path: Path) -> Path:
    """A file that is no image; its name means harm."""
    file = tmp_path / "<img src=x onerror=alert(1)>.png"
    file.write_bytes(b"no image")
    return file


def test_two_images_are_dropped_and_judged_as_a_study(opened: Opened, images: list[Path]) -> None:
    opened.choose(HAND)
    opened.drop(*images)

    expected = opened.server.post(images, part=HAND, study="true").json
    for each in (*expected["images"], expected["study"]):
        name = "together" if each is expected["study"] else each["path"]
        shown = opened.page.locator(".whole").inner_text() if name == "together" else opened.card(name)
        assert f"P(abnormal) = {each['probability']:.3f}" in shown
        assert re.search(rf"^(not judged|{each['label']})$", shown, re.MULTILINE)
        assert each["model"] in shown
    assert "The study of 2 images together" in opened.page.locator(".whole").inner_text()
    assert opened.page.get_by_role("status").inner_text().startswith("Study: ")
    meters = opened.page.get_by_role("meter")
    assert [meter.get_attribute("aria-valuetext") for meter in meters.all()] == [
        f"P(abnormal) {each['probability']:.3f}, threshold 0.500" for each in (expected["study"], *expected["images"])
    ]


def test_the_threshold_stands_where_it_is_on_the_bar(opened: Opened, images: list[Path]) -> None:
    opened.choose(HAND)
    opened.give(images[0])
    (found,) = opened.server.post(images[:1], part=HAND).json["images"]
    bar, fill, mark = (opened.page.locator(f"article {each}").bounding_box() for each in (".bar", ".fill", ".mark"))
    assert bar is not None
    assert fill is not None
    assert mark is not None
    assert fill["width"] / bar["width"] == pytest.approx(found["probability"], abs=0.01)
    middle = mark["x"] + mark["width"] / 2 - bar["x"]
    assert middle / bar["width"] == pytest.approx(found["threshold"], abs=0.01)


def test_the_slider_fades_the_heat_map_over_the_image(opened: Opened, images: list[Path]) -> None:
    opened.choose(HAND)
    opened.give(*images)
    slider, card = opened.page.get_by_role("slider", name="Heat map"), opened.page.get_by_role("article", name="left")
    xray, heat = card.locator("img.xray"), card.locator("img.heat")
    assert xray.bounding_box() == heat.bounding_box()
    assert heat.evaluate("each => getComputedStyle(each).opacity") == "0.6"
    assert slider.get_attribute("aria-valuetext") == "60 per cent"

    slider.focus()
    for _ in range(3):
        opened.page.keyboard.press("ArrowRight")
    assert heat.evaluate("each => getComputedStyle(each).opacity") == "0.75"
    assert (slider.get_attribute("aria-valuetext"), opened.page.locator("#heat-told").inner_text()) == (
        "75 per cent",
        "75 %",
    )
    opened.page.keyboard.press("Home")
    assert heat.evaluate("each => getComputedStyle(each).opacity") == "0"


def test_a_bad_file_has_its_error_beside_the_good_ones(opened: Opened, images: list[Path], bad: Path) -> None:
    opened.choose(HAND)
    opened.drop(images[0], bad, images[1])
    assert opened.page.locator("article h3").all_inner_texts() == ["left.png", bad.name, "right.png"]
    assert "Not read: not an image of a known kind" in opened.card(bad.name)
    assert "P(abnormal)" in opened.card("right.png")
    assert opened.page.get_by_role("status").inner_text().endswith("1 could not be read.")
    assert f"{bad.name}: not an image of a known kind" in opened.page.locator(".whole .alarm").inner_text()


def test_the_part_is_found_out_and_told(opened: Opened, images: list[Path]) -> None:
    assert opened.page.get_by_label("Part", exact=True).evaluate("each => each.value") == ""
    opened.give(images[0])
    (found,) = opened.server.post(images[:1]).json["images"]
    told = f"Found to be {found['found']['part']}, P = {found['found']['probability']:.3f}"
    assert told in opened.card("left.png")
    # Another choice asks the same images again.
    opened.choose(HAND)
    expect(opened.page.locator("#images")).not_to_contain_text("Found to be", timeout=PATIENCE)
    assert f"{HAND}, by {HAND}-optuna" in opened.card("left.png")


def test_a_page_of_keys_alone(opened: Opened, images: list[Path]) -> None:
    keys = opened.page.keyboard
    keys.press("Tab")
    assert focused(opened) == "part"
    keys.type(HAND)
    keys.press("Tab")
    assert focused(opened) == "files"
    assert opened.page.locator("#drop").evaluate("each => getComputedStyle(each).outlineStyle") == "solid"
    opened.press_for_chooser().set_files(images)
    opened.wait()
    order = []
    for _ in range(3):
        keys.press("Tab")
        order.append(focused(opened))
    assert order == ["download", "clear", "heat"]
    keys.press("Shift+Tab")
    keys.press("Enter")
    assert focused(opened) == "files"
    assert opened.page.locator("#results").is_hidden()
    assert opened.page.get_by_role("status").inner_text() == "Cleared."


def focused(opened: Opened) -> str:
    return str(opened.page.evaluate("document.activeElement.id"))


def test_the_card_of_the_model_is_shown(opened: Opened) -> None:
    opened.choose(HAND)
    card = opened.server.get(f"/v1/model/{HAND}").json
    facts = opened.page.locator("#cards dd")
    expect(facts.first).to_have_text(card["model"])
    whole = opened.page.locator("#model").inner_text()
    assert f"{card['test_auc']['value']:.3f}" in whole
    assert card["data_hash"] in whole
    assert "Not for" in whole


def test_verdicts_are_downloaded_without_their_pictures(opened: Opened, images: list[Path], tmp_path: Path) -> None:
    opened.choose(HAND)
    opened.give(*images)
    with opened.page.expect_download() as started:
        opened.page.get_by_role("button", name="Download as JSON").click()
    started.value.save_as(tmp_path / "verdicts.json")
    saved = json.loads((tmp_path / "verdicts.json").read_text())
    assert started.value.suggested_filename == "verdicts.json"
    expected = opened.server.post(images, part=HAND, study="true").json
    for found, each in zip((*saved["images"], saved["study"]), (*expected["images"], expected["study"]), strict=True):
        assert found["raw_probability"] == pytest.approx(each["raw_probability"], abs=1e-6)
        assert not {"picture", "heat"} & set(found)


def test_what_the_server_would_refuse_is_not_sent(opened: Opened, images: list[Path]) -> None:
    requests: list[str] = []
    opened.page.on("request", lambda request: requests.append(request.url))
    opened.page.locator("#drop").evaluate(DROP, [[f"{number}.png", ""] for number in range(Limits().files + 1)])
    assert opened.page.get_by_role("alert").inner_text() == "65 images; give 64 at most."
    assert requests == []
    opened.give(images[0])
    assert opened.page.get_by_role("alert").inner_text() == ""


def test_a_file_that_is_gone_is_named_and_no_old_verdict_stays(opened: Opened, images: list[Path]) -> None:
    opened.give(*images)
    assert opened.page.locator("article").count() == 2
    images[1].unlink()
    opened.choose(HAND)
    expect(opened.page.get_by_role("alert")).to_contain_text("right.png: it cannot be read")
    opened.wait()
    assert opened.page.locator("article").count() == 0
    assert opened.page.locator("#results").is_hidden()
    assert opened.page.get_by_role("status").inner_text() == ""


def test_a_dropped_folder_is_told(opened: Opened, images: list[Path]) -> None:
    opened.choose(HAND)
    box = opened.page.locator("#drop").bounding_box()
    assert box is not None
    for given, told in ((images[0].parent, "is a folder, which cannot be dropped"), (images[0], "")):
        drag = {"items": [], "files": [str(given)], "dragOperationsMask": 1}
        session = opened.page.context.new_cdp_session(opened.page)
        for kind in ("dragEnter", "dragOver", "drop"):
            session.send("Input.dispatchDragEvent", {"type": kind, "x": box["x"] + 9, "y": box["y"] + 9, "data": drag})
        expect(opened.page.locator("article")).to_have_count(0 if told else 1, timeout=PATIENCE)
        expect(opened.page.get_by_role("alert")).to_contain_text(told)


def test_a_server_that_is_gone_is_told(browser: Browser, url: str, hands: list[Path], tmp_path: Path) -> None:
    page = browser.new_page()
    with serving(tmp_path / "told", "--store", url, "--part", HAND, "--engine", "onnx") as server:
        shown = Opened(page, server)
        shown.give(hands[0])
        assert "No heat map: ONNX Runtime" in shown.card(hands[0].name)
        assert page.get_by_role("slider").count() == 0
        assert shown.wrong == []
    page.set_input_files("#files", hands[1])
    expect(page.get_by_role("alert")).to_have_text("The server does not answer; is it still running?")
    page.close()


@pytest.mark.parametrize("scheme", SCHEMES)
@pytest.mark.parametrize("width", [400, 1400])
def test_page_is_quiet_fits_and_is_free_of_barriers(
    browser: Browser, server: Server, images: list[Path], bad: Path, scheme: str, width: int
) -> None:
    page = browser.new_page(color_scheme=scheme, viewport={"width": width, "height": 900})
    shown = Opened(page, server)
    for given in ([], [*images, bad]):
        if given:
            shown.give(*given)
        assert page.evaluate("document.documentElement.scrollWidth") <= width
        violations = Axe().run(page).response["violations"]
        assert [each for each in violations if each["impact"] in GRAVE] == []
    page.mouse.wheel(0, 10_000)
    assert page.get_by_text("Research use, not a medical device.").is_visible()
    note = page.locator(".device").bounding_box()
    assert note is not None
    assert 0 <= note["y"] < 900  # in view, wherever the page was scrolled to
    assert shown.wrong == []
    page.close()


def test_nothing_turns_for_who_wants_it_still(browser: Browser, server: Server) -> None:
    for motion, turning in (("reduce", "none"), ("no-preference", "turn")):
        page = browser.new_page(reduced_motion=motion)
        page.goto(server.url)
        page.evaluate("document.querySelector('#told').classList.add('busy')")
        name = page.evaluate("getComputedStyle(document.querySelector('#told'), '::before').animationName")
        assert name == turning
        page.close()


def test_the_look_is_the_reports() -> None:
    reports = (REPOSITORY / "reports" / "page_parts.html.j2").read_text()
    for name, value in re.findall(r"(--(?:paper|ink|faint|rule|band|link|alarm|alarm-band)): (#\w+);", site.style()):
        assert f"{name}: {value};" in reports
