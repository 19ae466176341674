"""Users: where one is, and why they have no row."""

import time

from starlette.responses import Response

from worker.aws.cognito import CognitoError
from worker.console.request import Problem, Visit, see_other
from worker.console.user_lookup import MAX_NAME

LOOK_WAIT = 8.0  # seconds that an answer waits until the dead letters have been read for it


def show(visit: Visit) -> Response:
    """The question; and, for a user's id in the address, the answer."""
    sub = visit.asked("id")[:MAX_NAME]
    if not sub:
        return visit.page("users.html", name="", answer=None, notice="", verdicts=[], seen=None)
    return _page(visit, sub)


def look_up(visit: Visit) -> Response:
    """The question comes by a form, not in the address: an e-mail address does not belong into a history."""
    name = visit.given("name").strip()[:MAX_NAME]
    if not name:
        return see_other("/users")
    return _page(visit, name)


def reveal(visit: Visit) -> Response:
    """Show the personal data of one user."""
    sub = _sub(visit)
    visit.session.reveal(f"user {sub}")
    visit.audit("revealed", sub)
    return _page(visit, sub)


def enqueue(visit: Visit) -> Response:
    """Publish the sign-up of a user of the pool who has no row, as `signup-sync reconcile` does."""
    sub = _sub(visit)
    try:
        missing = visit.console.user_lookup.enqueue(sub, visit.console.publisher)
    except CognitoError as error:
        raise Problem(f"Cognito: {error}", 503) from error
    outcome = "not_missing" if missing is None else missing.outcome
    visit.audit("enqueued", sub, outcome)
    if missing is None:
        notice = "Nothing to do: they have a row by now, or are not confirmed."
    elif missing.outcome == "enqueued":
        notice = "Their sign-up is in the events queue. A worker writes the row in a moment: look again."
    else:
        notice = f"It could not be enqueued: {missing.reason}"
    return _page(visit, sub, notice)


def _sub(visit: Visit) -> str:
    sub = visit.given("sub")[:MAX_NAME]
    if not sub:
        raise Problem("Whom is this about?")
    return sub


def _page(visit: Visit, name: str, notice: str = "") -> Response:
    asked_at, dead_letters = time.time(), visit.console.dead_letters
    snapshot = dead_letters.snapshot_since(asked_at, LOOK_WAIT)
    answer = visit.console.user_lookup.look_up(name, snapshot, asked_at, dead_letters.problem)
    found = [person.id for person in answer.people]
    visit.audit("looked_up", found[0] if len(found) == 1 else "", f"{len(found)}_found")
    return visit.page(
        "users.html",
        name=name,
        answer=answer,
        snapshot=snapshot,
        notice=notice,
        verdicts=[(person, answer.verdict(person)) for person in answer.people],
        seen=visit.console.monitor.seen(),
    )
