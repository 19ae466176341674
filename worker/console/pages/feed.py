"""Feed: the newest activities, as a backend reads them."""

import json
from datetime import datetime

import psycopg
from starlette.responses import Response

from signup_sync.postgres.feed import PAGE_SIZE, Position, home_feed
from worker.console.request import Problem, Visit, see_other

FEED = "feed"  # as a session knows it


def show(visit: Visit) -> Response:
    before = _before(visit)
    try:
        with visit.console.database.transaction() as connection:
            activities = json.loads(home_feed(connection, before=before))
    except psycopg.errors.UndefinedTable as error:
        raise Problem("The tables are not there yet: run signup-sync db migrate.", 503) from error
    older = str(Position.of(activities[-1])) if len(activities) == PAGE_SIZE else ""
    authors: dict[str, int] = {}
    for activity in activities:
        activity["created_at"] = datetime.fromisoformat(activity["created_at"])
        activity["author"] = _author(activity["handle"], authors)
    return visit.page(
        "feed.html",
        activities=activities,
        before=before,
        older=older,
        revealed=visit.session.is_revealed(FEED),
    )


def reveal(visit: Visit) -> Response:
    """Show who wrote what."""
    visit.session.reveal(FEED)
    visit.audit("revealed", FEED)
    return see_other("/feed")


def _author(handle: str | None, authors: dict[str, int]) -> str:
    """Masked, one can still see who is the same person. `authors` are numbered as they come."""
    return "deleted user" if handle is None else f"author {authors.setdefault(handle, len(authors) + 1)}"


def _before(visit: Visit) -> Position | None:
    text = visit.asked("before")
    try:
        return Position.parse(text) if text else None
    except ValueError:
        raise Problem("There is no such page of the feed.", 404) from None
