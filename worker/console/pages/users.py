"""Users: where one is, why they have no row, and how what is known of them is erased."""

import time
from typing import Literal

from starlette.responses import Response

from signup_sync.events import InvalidEvent, UserDeleted
from signup_sync.publisher import NotPublished
from worker.aws.cognito import CognitoError
from worker.console.actions import MAX_AT_ONCE
from worker.console.jobs import Job
from worker.console.pages.letters import JOB_WAIT
from worker.console.request import Problem, Visit, see_other
from worker.console.user_lookup import MAX_NAME

SOURCE = "/console"  # of the events that somebody at the console makes

LOOK_WAIT = 8.0  # seconds that an answer waits until the dead letters have been read for it


def show(visit: Visit) -> Response:
    """The question; and, for a user's id in the address, the answer."""
    sub = visit.asked("id")[:MAX_NAME]
    if not sub:
        return visit.page("users.html", name="", answer=None, notice="", job=None, verdicts=[], seen=None)
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


def erase(visit: Visit) -> Response:
    """Publish that a user is deleted, when their id was typed; then delete those of their dead letters that are seen.

    In this order: what is left when the first fails is all, and when the second does, what can be seen and deleted.
    """
    sub = _sub(visit)
    if visit.given("typed").strip() != sub.strip():
        raise Problem("Nothing was erased: to erase a user, type their Cognito id.")
    keeps = visit.given("activities") == "keep"
    _publish_deletion(visit, sub, "keep" if keeps else "erase")
    visit.audit("erased", sub, "activities_kept" if keeps else "enqueued")
    job = _delete_letters(visit, sub)
    return _page(
        visit, sub, "Their deletion is in the events queue. A worker erases them in a moment: look again.", job
    )


def _publish_deletion(visit: Visit, sub: str, activities: Literal["erase", "keep"]) -> None:
    """Raises `Problem`."""
    try:
        visit.console.publisher.publish(UserDeleted.new(cognito_user_id=sub, source=SOURCE, activities=activities))
    except InvalidEvent as error:
        raise Problem(f"Nothing was erased, as the event would be invalid: {error}") from error
    except NotPublished as error:
        visit.audit("erased", sub, "not_enqueued")
        raise Problem(f"Nothing was erased: {error}", 503) from error


def _delete_letters(visit: Visit, sub: str) -> Job | None:
    """Those that say that they are about this user. Not all that may be there: what is left is shown, and said."""
    snapshot = visit.console.dead_letters.snapshot_since(time.time(), LOOK_WAIT)
    ids = [letter.id for letter in (snapshot.letters if snapshot else ()) if letter.user_id == sub][:MAX_AT_ONCE]
    if not ids:
        return None
    actions = visit.console.actions
    job = visit.console.jobs.begin(
        "deleted", visit.session.who, len(ids), lambda job: actions.delete(ids, job), subject=sub
    )
    job.finished.wait(JOB_WAIT)
    return job


def _sub(visit: Visit) -> str:
    sub = visit.given("sub")[:MAX_NAME]
    if not sub:
        raise Problem("Whom is this about?")
    return sub


def _page(visit: Visit, name: str, notice: str = "", job: Job | None = None) -> Response:
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
        job=job,
        verdicts=[(person, answer.verdict(person)) for person in answer.people],
        seen=visit.console.monitor.seen(),
    )
