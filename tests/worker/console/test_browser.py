"""The console in a real Chromium, which `tests/worker/console/install-browser` installs."""

import re
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import psycopg
import pytest
from playwright.sync_api import Browser, BrowserContext, Page, expect

from tests.support.dlq import Dlq
from tests.support.events import activity, body, sign_up, updated
from tests.support.sqs import Queues
from tests.support.tables import names, users
from tests.support.wait import wait_until
from tests.support.worker_process import WorkerProcess
from tests.worker.console.browser import browser, chromium, log_in
from tests.worker.console.running_console import ConsoleThread, StartConsole
from tests.worker.console.status_server import StatusServer

pytestmark = [
    pytest.mark.browser,
    pytest.mark.skipif(chromium() is None, reason="Chromium is not installed: tests/worker/console/install-browser"),
]

SCREENSHOTS = Path(__file__).parents[3] / "docs" / "screenshots"
THEMES = ("light", "dark")
WIDTHS = (1280, 360)  # pixels

HOSTILE = (
    "<script>window.hacked=1</script><img src=x onerror=window.hacked=2>\"'></textarea>{{7*7}}"
    "\x1b[31mred\x1b]0;title\x07\u202egnp.exe\u2066\u200b\u0000javascript:window.hacked=3"
)
SENDABLE = HOSTILE.translate({0: None, 7: None, 27: None})
"""As SQS takes it outside of JSON: without control characters (SQS API Reference, SendMessage)."""

# What a page must not show as it is: controls, and what changes directions or has no width.
_HIDDEN = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u200b-\u200f\u202a-\u202e\u2060-\u2069\ufeff]")

# The contrast of each element that has text of its own (WCAG 2.2, 1.4.3 "Contrast (Minimum)").
_CONTRAST = """() => {
  const context = new OffscreenCanvas(1, 1).getContext("2d", { willReadFrequently: true });
  const rgba = (color) => {
    context.clearRect(0, 0, 1, 1);
    context.fillStyle = color;
    context.fillRect(0, 0, 1, 1);
    return [...context.getImageData(0, 0, 1, 1).data];
  };
  const over = (top, below) => top.slice(0, 3).map((part, i) => (part * top[3] + below[i] * (255 - top[3])) / 255);
  const ground = (element) => {
    if (!element) return [255, 255, 255];
    return over(rgba(getComputedStyle(element).backgroundColor), ground(element.parentElement));
  };
  const light = (color) => {
    const [r, g, b] = color.map((part) => {
      const value = part / 255;
      return value <= 0.04045 ? value / 12.92 : ((value + 0.055) / 1.055) ** 2.4;
    });
    return 0.2126 * r + 0.7152 * g + 0.0722 * b;
  };
  const poor = [];
  for (const element of document.body.querySelectorAll("*")) {
    const own = [...element.childNodes].some((node) => node.nodeType === 3 && node.data.trim());
    if (!own || !element.checkVisibility() || element.disabled) continue;
    const below = ground(element);
    const [a, b] = [light(over(rgba(getComputedStyle(element).color), below)), light(below)].sort((x, y) => y - x);
    const contrast = (a + 0.05) / (b + 0.05);
    if (contrast < 4.5) poor.push(`${element.tagName} ${element.className} ${contrast.toFixed(2)}`);
  }
  return poor;
}"""

_UNNAMED = """() => [...document.querySelectorAll("input:not([type=hidden]), select, textarea, button")]
  .filter((e) => !(e.labels && e.labels.length) && !e.getAttribute("aria-label") && !e.textContent.trim())
  .map((e) => e.outerHTML)"""


@pytest.fixture(scope="session")
def chromium_browser() -> Iterator[Browser]:
    with browser() as opened:
        yield opened


@pytest.fixture
def page(chromium_browser: Browser) -> Iterator[Page]:
    """A page of which no script fails, and that nothing is refused by its policy."""
    context = chromium_browser.new_context()
    with_errors: list[str] = []
    yield _watched(context, with_errors)
    context.close()
    assert with_errors == []


def _watched(context: BrowserContext, errors: list[str]) -> Page:
    page = context.new_page()
    page.on("pageerror", lambda error: errors.append(str(error)))
    page.on("console", lambda message: errors.append(message.text) if "Content Security" in message.text else None)
    page.on("dialog", lambda dialog: errors.append(dialog.message))
    return page


def test_a_broken_message_goes_from_the_table_to_its_row_in_users(
    page: Page, console: ConsoleThread, queues: Queues, database_url: str, drain: Callable[..., WorkerProcess]
) -> None:
    queues.send(sign_up("ada", handle="a b"))
    drain()
    log_in(page, console.link)

    page.get_by_role("link", name="Users").click()
    page.get_by_label("Handle, e-mail address or Cognito id").fill("ada@example.com")
    page.get_by_role("button", name="Look up").click()
    expect(page.get_by_text("They have no row, because their sign-up failed: invalid_event.")).to_be_visible()
    page.get_by_role("link", name="Look at it, and mend it").click()
    expect(page.get_by_text("Invalid: the worker would refuse it today.")).to_be_visible()
    page.get_by_role("button", name="Edit and replay").click()
    editor = page.get_by_label("Event")
    editor.fill(editor.input_value().replace('"a b"', '"a  b"'))
    expect(page.get_by_text("Invalid: it cannot be sent.")).to_be_visible()
    editor.fill(editor.input_value().replace('"a  b"', '"ada"'))
    expect(page.get_by_text("Valid: the worker would take it.")).to_be_visible()
    expect(page.get_by_label("Difference")).to_contain_text('+    "handle": "ada"')
    page.get_by_role("button", name="Send it back").click()
    expect(page.get_by_text("1 edited and sent back")).to_be_visible()
    drain()
    page.get_by_role("link", name="Is this user's row there?").click()

    expect(page.get_by_text("They have a row, written")).to_be_visible()
    assert names(database_url) == {"ada"}
    page.get_by_role("link", name="Audit log").click()
    expect(page.get_by_role("row").filter(has_text="edited")).to_contain_text("Grace")


def test_a_user_is_erased_and_stays_erased(
    page: Page, console: ConsoleThread, queues: Queues, dlq: Dlq, database_url: str, drain: Callable[..., WorkerProcess]
) -> None:
    queues.send(sign_up("ada", attributes={"custom:team": "analysts"}))
    drain()
    dlq.fill(activity("ada"), updated("ada", handle="a b"), sign_up("grace"), reason="invalid_event")
    log_in(page, console.link)

    page.goto(f"{console.address}/users?id=ada")
    page.get_by_text("Erase this user").click()
    page.get_by_label("What they have posted").select_option("is erased")
    page.get_by_label("To erase them, type their Cognito id: ada").fill("ada")
    page.get_by_role("button", name="Erase").click()
    expect(page.get_by_text("Their deletion is in the events queue.")).to_be_visible()
    page.get_by_role("link", name="Their dead letters: 2 to delete").click()
    expect(page.get_by_text("2 deleted")).to_be_visible()
    queues.send(sign_up("ada"))  # an old one, which comes back
    drain()
    page.get_by_role("link", name="Is this user's row there?").click()

    expect(page.get_by_text(re.compile("Deleted since 20"))).to_be_visible()
    assert users(database_url)[0][:4] == ("ada", None, None, None)
    assert dlq.dead_bodies() == [sign_up("grace")]
    page.get_by_role("link", name="Audit log").click()
    expect(page.get_by_role("row").filter(has_text="erased")).to_contain_text("Grace")


def test_from_the_alarm_to_mended_in_five_clicks_at_most(
    page: Page,
    start_console: StartConsole,
    dlq: Dlq,
    queues: Queues,
    database_url: str,
    drain: Callable[..., WorkerProcess],
) -> None:
    """The journey of docs/runbook.md, by three kinds of failure; it begins on the overview."""
    nameless = [sign_up(f"nameless{n}", display_name="") for n in range(12)]
    queues.send(*nameless, "{broken", "[]")
    drain()
    dlq.fill(*[sign_up(f"late{n}") for n in range(3)], reason="attempts_exhausted", detail="the database was slow")
    console = start_console()
    log_in(page, console.link)
    overview = page.get_by_role("link", name="Overview")

    def count() -> int:
        overview.click()
        page.get_by_role("heading", name="Is it well?").wait_for()
        return int(
            page.get_by_role("heading", name="Dead letters", exact=True).locator("..").locator(".figure").inner_text()
        )

    wait_until(lambda: count() == 17, 60, "they are not seen")
    expect(page.get_by_text("17 messages have failed for good")).to_be_visible()

    # A member that is wrong in all of them: four clicks.
    page.get_by_role("row").filter(has_text="data.display_name").get_by_role("link").click()
    page.get_by_role("button", name="Set a member of all 12").click()
    page.get_by_label("Value").fill("Unknown")
    page.get_by_role("button", name="Check").click()
    expect(page.get_by_text("and 11 alike")).to_be_visible()
    page.get_by_label("type their number").fill("12")
    page.get_by_role("button", name="Send 12 back").click()
    expect(page.get_by_text("12 edited and sent back")).to_be_visible()

    # What would work today: three.
    overview.click()
    page.get_by_role("row").filter(has_text="attempts_exhausted").get_by_role("link").click()
    page.get_by_role("button", name="Replay all 3").click()
    page.get_by_role("button", name="Replay 3").click()
    expect(page.get_by_text("3 sent back")).to_be_visible()

    # What can never work: three.
    overview.click()
    page.get_by_role("row").filter(has_text="invalid_event").first.get_by_role("link").click()
    page.get_by_role("button", name="Delete").click()
    page.get_by_role("button", name="Delete").click()
    expect(page.get_by_text("1 deleted")).to_be_visible()

    drain()
    assert names(database_url) == {*(f"nameless{n}" for n in range(12)), *(f"late{n}" for n in range(3))}
    [left] = dlq.dead_bodies()
    assert left in ("{broken", "[]")


def test_keys_go_through_the_page(page: Page, console: ConsoleThread, dlq: Dlq) -> None:
    dlq.fill(sign_up("ada"), sign_up("grace"))
    log_in(page, console.link)
    page.goto(f"{console.address}/letters")

    page.keyboard.press("?")
    expect(page.get_by_role("dialog")).to_contain_text("next row")
    page.keyboard.press("Escape")
    expect(page.get_by_role("dialog")).to_be_hidden()
    page.keyboard.press("/")
    expect(page.get_by_label("Text in what is not masked")).to_be_focused()
    page.keyboard.type("grace jk")
    expect(page.get_by_label("Text in what is not masked")).to_have_value("grace jk")
    page.get_by_role("heading", name="Dead letters").click()
    for key in "jjkjx":
        page.keyboard.press(key)
    expect(page.get_by_role("button", name="Replay 1")).to_be_visible()
    expect(page.get_by_role("checkbox", name="Select").nth(1)).to_be_checked()
    page.get_by_role("link").filter(has_text=re.compile(r"^[0-9a-f]{8}$")).nth(1).press("Enter")
    expect(page.get_by_role("heading", name="Why it failed")).to_be_visible()


def test_filters_fold_on_a_narrow_page(page: Page, console: ConsoleThread, dlq: Dlq) -> None:
    dlq.fill(sign_up("ada"))
    log_in(page, console.link)
    page.goto(f"{console.address}/letters")
    expect(page.get_by_label("Text in what is not masked")).to_be_visible()
    page.set_viewport_size({"width": 360, "height": 740})
    page.reload()
    expect(page.get_by_label("Text in what is not masked")).to_be_hidden()

    page.get_by_text("Filters", exact=True).click()
    page.get_by_label("Text in what is not masked").fill("nobody")
    page.get_by_role("button", name="Filter").click()

    expect(page.get_by_text("No dead letter matches.")).to_be_visible()
    expect(page.get_by_label("Text in what is not masked")).to_be_visible()


def test_hostile_text_in_every_field_is_shown_and_does_nothing(
    page: Page, start_console: StartConsole, queues: Queues, database_url: str
) -> None:
    stored = HOSTILE.replace("\x00", "")
    with psycopg.connect(database_url) as connection:
        connection.execute(
            "WITH author AS (INSERT INTO users (cognito_user_id, display_name, handle, email) VALUES (%s, %s, %s, %s)"
            " RETURNING uuid) INSERT INTO activities (uuid, user_uuid, message)"
            " SELECT gen_random_uuid(), uuid, %s FROM author",
            (stored, stored, stored, stored, stored),
        )
    ids = _send_hostile(queues)
    with StatusServer({"version": HOSTILE, "started_at": "2026-01-31T12:00:00Z", "pause_reason": HOSTILE,
                       "paused_since": "2026-01-31T12:00:00Z"}) as worker:  # fmt: skip
        console = start_console(WORKER_URLS=worker.url)
        log_in(page, console.link)
        page.goto(f"{console.address}/letters")
        _look_at(page)
        for message_id in ids:
            page.goto(f"{console.address}/letters/{message_id}")
            _look_at(page)
            page.get_by_role("button", name="Reveal personal data").click()
            expect(page.get_by_label("Body of the message")).to_contain_text("<script>window.hacked=1</script><img")
            expect(page.get_by_label("Body of the message")).to_contain_text("\\u202egnp.exe\\u2066\\u200b")
            _look_at(page)
            page.get_by_role("button", name="Edit and replay").click()
            editor = page.get_by_label("Event")
            assert not _HIDDEN.search(editor.input_value())
            editor.fill(editor.input_value() + SENDABLE)
            expect(page.get_by_text("Invalid: it cannot be sent.")).to_be_visible()
            _look_at(page)
        page.goto(f"{console.address}/letters")
        page.get_by_label("all on this page").check()
        page.get_by_role("button", name="Delete").click()
        _look_at(page)
        for name in (stored, SENDABLE):
            page.goto(f"{console.address}/users")
            page.get_by_label("Handle, e-mail address or Cognito id").fill(name)
            page.get_by_role("button", name="Look up").click()
            _look_at(page)
        page.goto(f"{console.address}/feed")
        page.get_by_role("button", name="Reveal who wrote what").click()
        expect(page.get_by_text("<script>window.hacked=1</script>").first).to_be_visible()
        for path in ("/feed", "/audit", "/"):
            page.goto(f"{console.address}{path}")
            _look_at(page)


def _send_hostile(queues: Queues) -> list[str]:
    """Dead letters with it in every place."""
    event = {"cognito_user_id": HOSTILE, "email": HOSTILE, "display_name": HOSTILE, "handle": HOSTILE, HOSTILE: HOSTILE}
    bodies = [
        body(HOSTILE, HOSTILE, event),
        body("user.signed_up.v1", HOSTILE, event).encode().decode("unicode_escape").replace("\x00", ""),
        SENDABLE,
    ]
    given = ("failure_reason", "failure_detail", "failed_at", "receive_count", "source_message_id", "tenant")
    attributes: Any = {name: {"DataType": "String", "StringValue": SENDABLE} for name in given}
    return [
        queues.client.send_message(
            QueueUrl=queues.dlq_url,
            MessageBody="".join(c for c in text if c in "\t\n" or ord(c) > 31),
            MessageAttributes=attributes,
        )["MessageId"]
        for text in bodies
    ]


def _look_at(page: Page) -> None:
    """Nothing has run, nothing is an element that should be text, and nothing is hidden."""
    assert page.evaluate("window.hacked") is None
    assert page.locator("script").count() == 1
    assert page.locator("img, iframe, object, style").count() == 0
    assert page.title().endswith("· signup-sync")
    shown = page.evaluate("document.documentElement.outerHTML")
    assert not _HIDDEN.search(shown), _HIDDEN.search(shown)
    assert "49" not in page.locator("main").inner_text().replace("{{7*7}}", "").split()


@pytest.mark.parametrize("theme", THEMES)
def test_every_page_can_be_read_at_360_pixels_in_either_theme(
    chromium_browser: Browser, theme: Any, story: "Story"
) -> None:
    context = chromium_browser.new_context(color_scheme=theme, viewport={"width": 360, "height": 740})
    errors: list[str] = []
    page = _watched(context, errors)
    log_in(page, story.console.link)

    for name, go in story.pages(page).items():
        go()
        beyond = page.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth")
        assert (name, beyond) == (name, 0)
        assert (name, page.evaluate(_CONTRAST)) == (name, [])
        assert (name, page.evaluate(_UNNAMED)) == (name, [])
        assert page.locator("h1").count() == 1
    context.close()
    assert errors == []


def test_everything_works_without_javascript(chromium_browser: Browser, console: ConsoleThread, dlq: Dlq) -> None:
    dlq.fill(sign_up("ada"), sign_up("grace"))
    context = chromium_browser.new_context(java_script_enabled=False)
    page = context.new_page()
    log_in(page, console.link)

    page.get_by_role("link", name="Dead letters", exact=True).first.click()
    page.get_by_role("checkbox", name="Select").first.check()
    page.get_by_role("button", name="Delete").click()
    page.get_by_role("button", name="Delete 1").click()
    expect(page.get_by_text("1 deleted")).to_be_visible()
    page.goto(f"{console.address}/letters")
    page.get_by_role("link").filter(has_text=re.compile(r"^[0-9a-f]{8}$")).click()
    page.get_by_role("button", name="Edit and replay").click()
    editor = page.get_by_label("Event")
    editor.fill(editor.input_value().replace("@example.com", "@example.org"))
    page.get_by_role("button", name="Check").click()
    page.get_by_role("button", name="Send it back").click()
    expect(page.get_by_text("1 edited and sent back")).to_be_visible()

    context.close()
    [sent] = dlq.event_bodies()
    assert "@example.org" in sent


def test_refreshing_says_that_there_are_news_and_moves_nothing(page: Page, console: ConsoleThread, dlq: Dlq) -> None:
    dlq.fill(sign_up("ada"))
    log_in(page, console.link)
    page.goto(f"{console.address}/letters")
    place = page.locator("tbody tr").bounding_box()

    dlq.fill(sign_up("grace"))

    expect(page.get_by_text("1 new")).to_be_visible(timeout=40_000)
    assert page.locator("tbody tr").count() == 1
    assert page.locator("tbody tr").bounding_box() == place
    page.get_by_role("link", name="Show", exact=True).click()
    expect(page.locator("tbody tr")).to_have_count(2)


def test_the_overview_refreshes_by_itself_until_it_is_paused(page: Page, start_console: StartConsole) -> None:
    status = {"version": "1.2.3", "started_at": datetime.now(UTC).isoformat()}
    with StatusServer(status) as worker:
        log_in(page, start_console(WORKER_URLS=worker.url).link)
        expect(page.get_by_text("1.2.3")).to_be_visible()

        worker.status = {**status, "version": "1.2.4"}
        expect(page.get_by_text("1.2.4")).to_be_visible(timeout=40_000)
        page.get_by_role("button", name="Pause refreshing").click()
        expect(page.get_by_role("button", name="Resume refreshing")).to_have_attribute("aria-pressed", "true")
        worker.status = {**status, "version": "1.2.5"}
        page.wait_for_timeout(12_000)
        expect(page.get_by_text("1.2.4")).to_be_visible()
        page.get_by_role("button", name="Resume refreshing").click()
        expect(page.get_by_text("1.2.5")).to_be_visible(timeout=40_000)


def test_it_can_be_used_with_the_keyboard_alone(page: Page, console: ConsoleThread, dlq: Dlq) -> None:
    dlq.fill(sign_up("ada"))
    page.goto(console.link)
    page.keyboard.type("Grace")
    page.keyboard.press("Enter")
    page.get_by_role("heading", name="Is it well?").wait_for()
    page.goto(f"{console.address}/letters")

    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.textContent") == "Skip to the page"
    page.get_by_role("checkbox", name="Select").focus()
    page.keyboard.press("Space")
    expect(page.get_by_text("1 selected")).to_be_visible()
    page.get_by_role("button", name="Replay").focus()
    outline = page.evaluate("getComputedStyle(document.activeElement).outlineStyle")
    page.keyboard.press("Enter")
    page.get_by_role("button", name="Replay 1").press("Enter")

    expect(page.get_by_text("1 sent back")).to_be_visible()
    assert outline == "solid"


class Story:
    """A console with something on every page."""

    def __init__(self, console: ConsoleThread, broken: str) -> None:
        self.console = console
        self._broken = broken

    def pages(self, page: Page) -> dict[str, Callable[[], object]]:
        """How to come to each page, in this order."""
        at = self.console.address

        def edit() -> None:
            page.goto(f"{at}/letters/{self._broken}")
            page.get_by_role("button", name="Edit and replay").click()
            editor = page.get_by_label("Event")
            editor.fill(editor.input_value().replace('"a b"', '"ada"'))
            page.get_by_role("button", name="Send it back").wait_for()

        def group_edit() -> None:
            page.goto(f"{at}/letters?reason=rejected_by_database")
            page.get_by_role("button", name="Set a member of all 3").click()
            page.get_by_label("Member, its keys").fill("data.display_name")
            page.get_by_label("Value").fill("Somebody")
            page.get_by_role("button", name="Check").click()
            page.get_by_role("button", name="Send 3 back").wait_for()

        def masked_feed() -> None:
            page.goto(f"{at}/feed")

        def confirm() -> None:
            page.goto(f"{at}/letters?reason=unknown_author")
            page.get_by_label("all on this page").check()
            page.get_by_role("button", name="Replay").click()
            page.get_by_role("heading", name="Replay 7 messages?").wait_for()

        def feed() -> None:
            page.goto(f"{at}/feed")
            if page.get_by_role("button", name="Reveal who").count():
                page.get_by_role("button", name="Reveal who").click()
            page.get_by_text("Grace Hopper").wait_for()

        return {
            "overview": lambda: page.goto(at),
            "letters": lambda: page.goto(f"{at}/letters"),
            "letter": lambda: page.goto(f"{at}/letters/{self._broken}"),
            "edit": edit,
            "group-edit": group_edit,
            "confirm": confirm,
            "user": lambda: page.goto(f"{at}/users?id=ada"),
            "feed-masked": masked_feed,
            "feed": feed,
            "audit": lambda: page.goto(f"{at}/audit"),
        }


@pytest.fixture
def story(
    start_console: StartConsole, queues: Queues, dlq: Dlq, drain: Callable[..., WorkerProcess]
) -> Iterator[Story]:
    people = {"grace": "Grace Hopper", "linus": "Linus Pauling", "margaret": "Margaret Hamilton"}
    queues.send(
        *[sign_up(name, display_name=display_name) for name, display_name in people.items()],
        activity("grace", "A ship in port is safe, but that is not what ships are built for."),
        activity("linus", "The best way to have a good idea is to have lots of ideas."),
        activity("margaret", "There was no choice but to be pioneers."),
    )
    drain()
    [broken] = dlq.fill(
        sign_up("ada", handle="a b", display_name="Ada Lovelace"),
        reason="invalid_event",
        detail="data.handle: must be visible, without white space, control or format characters",
    )
    dlq.fill(*[activity(f"user-{n}") for n in range(7)], reason="unknown_author", detail="no such user within 15m")
    dlq.fill(*[sign_up(f"user-{n}") for n in range(3)], reason="rejected_by_database", detail="23514 CheckViolation")
    dlq.fill("{", reason=None)
    with StatusServer(_busy()) as first, StatusServer({**_busy(), "in_flight": 12}) as second:
        yield Story(start_console(WORKER_URLS=f"{first.url},{second.url}"), broken)


def _busy() -> dict[str, Any]:
    now = datetime.now(UTC).replace(second=0, microsecond=0)
    minutes = [(now - timedelta(minutes=back), 40 + back * 37 % 50 + 30 * (back % 15 == 4)) for back in range(60)]
    return {
        "version": "0.1.0",
        "started_at": (now - timedelta(hours=9)).isoformat(),
        "in_flight": 3,
        "lag_seconds": {"p50": 0.042, "p95": 0.31, "p99": 1.9},
        "per_minute": [_minute(minute, n) for minute, n in minutes],
        "outages": [
            {
                "since": (now - timedelta(minutes=26)).isoformat(),
                "until": (now - timedelta(minutes=22)).isoformat(),
                "reason": "connection refused",
            }
        ],
    }


def _minute(minute: datetime, messages: int) -> dict[str, Any]:
    """As a worker tells of one; four of them are an outage, and then there is more to do."""
    ago = round((datetime.now(UTC) - minute).total_seconds() / 60)
    away, after = 22 < ago <= 26, 20 < ago <= 22
    return {
        "minute": minute.isoformat(),
        "received": messages,
        "committed": 0 if away else messages * 3 if after else messages - messages % 4,
        "visible": (27 - ago) * 60 if away else 90 if after else messages // 9,
        "lag_seconds": {} if away else {"p50": 150.0, "p99": 240.0} if after else {"p50": 0.05, "p99": messages / 40},
    }


@pytest.mark.parametrize("width", WIDTHS)
@pytest.mark.parametrize("theme", THEMES)
def test_every_page_has_its_screenshot(
    chromium_browser: Browser, theme: Any, width: int, story: Story, request: pytest.FixtureRequest
) -> None:
    if not request.config.getoption("--screenshots", default=False):
        pytest.skip("only with --screenshots")
    kind = theme if width == WIDTHS[0] else f"{theme}-{width}"
    context = chromium_browser.new_context(color_scheme=theme, viewport={"width": width, "height": 760})
    page = context.new_page()
    page.goto(story.console.link)
    SCREENSHOTS.mkdir(exist_ok=True)
    page.screenshot(path=SCREENSHOTS / f"login-{kind}.png")
    log_in(page, story.console.link)
    for name, go in story.pages(page).items():
        go()
        page.screenshot(path=SCREENSHOTS / f"{name}-{kind}.png", full_page=True)
    context.close()
    assert len(list(SCREENSHOTS.glob(f"*-{kind}.png"))) == len(story.pages(page)) + 1
