"""A page that follows a running search, in real Chromium: it loads itself again, as its reader left it, until told not
to."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser, Page

from reports.html import FOLLOW_SECONDS
from reports.watch import Watcher
from tests.reports.chromium import needs_chromium
from tests.reports.store_maker import StoreMaker
from tests.reports.test_report_in_chromium import GRAVE, Opened

pytestmark = needs_chromium
BOX = "Follow the search"


@dataclass
class Followed:
    """A store, its watcher, and its page open in a browser whose clock stands still."""

    made: StoreMaker
    watcher: Watcher
    opened: Opened

    @property
    def page(self) -> Page:
        return self.opened.page

    def finish_another(self) -> None:
        search = self.made.store.search("XR_HAND")
        assert search is not None
        number = len(self.made.store.trials(search.id))
        self.made.finish(search, number, valid_auc=0.9, name=f"XR_HAND_{number}")
        self.watcher.update()

    def later(self) -> None:
        self.page.clock.run_for(1000 * FOLLOW_SECONDS)

    def loads_itself(self) -> None:
        with self.page.expect_event("load"):
            self.later()

    def trials(self) -> int:
        """As the page tells them."""
        return int(self.page.locator(".figures dt", has_text="finished").locator("..").locator("dd").inner_text())


@pytest.fixture
def followed(made: StoreMaker, browser: Browser, tmp_path: Path) -> Iterator[Followed]:
    for part in ("XR_HAND", "XR_WRIST"):
        search = made.search(part, part)
        for number in range(6):
            made.finish(search, number, valid_auc=0.8 - 0.05 * number, name=f"{part}_{number}")
    watcher = Watcher(made.store, tmp_path / "out", 4)
    watcher.update()
    page = browser.new_page(viewport={"width": 1000, "height": 600})
    page.clock.install()
    opened = Opened(page, tmp_path / "out" / "report.html")
    yield Followed(made, watcher, opened)
    page.close()
    assert opened.wrong == []


def test_open_page_shows_what_came_since(followed: Followed) -> None:
    assert followed.trials() == 12
    followed.finish_another()
    followed.loads_itself()
    assert followed.trials() == 13
    followed.finish_another()
    followed.loads_itself()
    assert followed.trials() == 14


def test_page_comes_back_as_its_reader_left_it(followed: Followed) -> None:
    page = followed.page
    page.get_by_label("Part", exact=True).select_option("XR_HAND")
    page.get_by_text("6 ranked trials of XR_HAND").click()
    board = page.get_by_role("region", name="Ranked trials of XR_HAND", exact=True)
    button = board.get_by_role("columnheader", name="name_code", exact=True).get_by_role("button")
    button.click()
    button.click()
    page.evaluate("scrollTo(0, 700)")

    followed.finish_another()
    followed.loads_itself()

    assert followed.trials() == 13
    assert page.locator("section.part:visible h3").all_inner_texts() == ["XR_HAND"]
    assert page.get_by_text("7 ranked trials of XR_HAND").locator("..").get_attribute("open") is not None
    names = followed.opened.column("Ranked trials of XR_HAND", "name_code")
    assert names == sorted(names, reverse=True)
    assert len(names) == 7
    assert page.evaluate("scrollY") == 700
    assert button.evaluate("each => each === document.activeElement")


def test_page_stays_once_its_reader_says_so_and_goes_on_when_asked(followed: Followed) -> None:
    box = followed.page.get_by_label(BOX)
    box.focus()
    followed.page.keyboard.press("Space")

    followed.finish_another()
    followed.later()
    assert followed.trials() == 12

    followed.page.reload()  # by hand: shown, and still not followed
    assert followed.trials() == 13
    assert not box.is_checked()
    box.check()
    followed.finish_another()
    followed.loads_itself()
    assert followed.trials() == 14


def test_page_does_not_leave_a_reader_who_marks_text_or_chooses(followed: Followed) -> None:
    followed.finish_another()
    followed.page.evaluate("getSelection().selectAllChildren(document.querySelector('h1'))")
    followed.later()
    assert followed.trials() == 12

    followed.page.evaluate("getSelection().removeAllRanges()")
    followed.page.get_by_label("Part", exact=True).focus()
    followed.later()
    assert followed.trials() == 12

    followed.page.get_by_label("Part", exact=True).blur()
    followed.loads_itself()
    assert followed.trials() == 13


def test_page_follows_no_longer_when_the_watching_ends(followed: Followed) -> None:
    followed.watcher.close()
    followed.loads_itself()

    assert followed.page.get_by_label(BOX).count() == 0
    followed.later()
    assert followed.trials() == 12


def test_followed_page_is_free_of_barriers(followed: Followed) -> None:
    violations = Axe().run(followed.page).response["violations"]

    assert [each for each in violations if each["impact"] in GRAVE] == []
    assert followed.page.get_by_label(BOX).is_checked()


def test_without_scripts_the_page_says_how_old_it_is_and_what_to_do(
    followed: Followed, browser: Browser, tmp_path: Path
) -> None:
    context = browser.new_context(java_script_enabled=False)
    page = context.new_page()
    page.goto((tmp_path / "out" / "report.html").as_uri())

    assert page.locator("#follow").inner_text().endswith("reload the page to see it.")
    assert "UTC" in page.locator("header").inner_text()
    context.close()
