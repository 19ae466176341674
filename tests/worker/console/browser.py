"""A real Chromium: Debian's, driven by Playwright."""

import shutil
from collections.abc import Iterator
from contextlib import contextmanager

from playwright.sync_api import Browser, Page, sync_playwright

# Chromium's sandbox does not work as root, and tests run as root in containers. It opens our own pages only.
_ARGUMENTS = ["--no-sandbox", "--disable-dev-shm-usage"]


def chromium() -> str | None:
    """Where it is, if it is installed."""
    return shutil.which("chromium")


@contextmanager
def browser() -> Iterator[Browser]:
    with sync_playwright() as playwright:
        opened = playwright.chromium.launch(executable_path=chromium(), args=_ARGUMENTS)
        try:
            yield opened
        finally:
            opened.close()


def log_in(page: Page, link: str, who: str = "Grace") -> None:
    """Follow the link that the console has printed, and give a name."""
    page.goto(link)
    page.get_by_label("Your name").fill(who)
    page.get_by_role("button", name="Log in").click()
    page.get_by_role("heading", name="Is it well?").wait_for()
