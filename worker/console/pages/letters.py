"""Dead letters: which, why, and what to do about them."""

import re
import time
from collections.abc import Callable, Collection
from dataclasses import dataclass, replace
from urllib.parse import urlencode

from starlette.responses import JSONResponse, Response

from worker.console.actions import MAX_AT_ONCE
from worker.console.body_view import laid_out
from worker.console.dead_letter_cache import Listed, Snapshot
from worker.console.jobs import Job, JobRefused
from worker.console.request import Problem, Visit, see_other
from worker.console.sessions import Plan
from worker.dead_letters.dead_letter import Selection
from worker.dead_letters.files import written_attributes
from worker.failure import FAILURE_ATTRIBUTES, REASONS

PAGE_SIZE = 50  # messages
JOB_WAIT = 3.0  # seconds that a page waits for what it has begun
SEARCH = "search"  # as a session knows it
TOO_LATE = "This has been confirmed already, or too long ago: look at the dead letters again."
LOOK_WAIT = 8.0  # seconds that a page waits for a look that somebody has asked for

AGES = {
    "15m": 900,
    "1h": 3600,
    "6h": 21_600,
    "1d": 86_400,
    "7d": 604_800,
}
ACTIONS = {"replayed": "Replay", "deleted": "Delete"}
SORTS: dict[str, Callable[[Listed], object]] = {
    "sent": lambda letter: -letter.message.sent_at,
    "reason": lambda letter: (letter.reason, letter.detail),
    "type": lambda letter: letter.event_type,
    "attempts": lambda letter: -letter.attempts,
}
MAX_GROUPS = 20  # of the largest, on a page
MAX_RATE = 10_000.0  # messages a second

_is_time = re.compile(r"[0-9]{1,20}(\.[0-9]{0,20})?").fullmatch  # seconds since the epoch
_is_number = re.compile(r"[0-9]{1,9}").fullmatch


@dataclass(frozen=True, slots=True)
class Filters:
    """As in the address of the page; what is empty does not matter. `detail` is how the detail begins."""

    reason: str = ""
    detail: str = ""
    type: str = ""
    newer: str = ""
    older: str = ""
    text: str = ""
    sort: str = ""

    @classmethod
    def asked(cls, visit: Visit) -> "Filters":
        return cls(*(visit.asked(name)[:400] for name in cls.__slots__))

    @classmethod
    def given(cls, visit: Visit) -> "Filters":
        """From the hidden fields of a form."""
        return cls(*(visit.given(name)[:400] for name in cls.__slots__))

    @property
    def query(self) -> str:
        """For an address; empty if nothing is filtered."""
        return urlencode({name: value for name in self.__slots__ if (value := getattr(self, name))})

    @property
    def address(self) -> str:
        """Of the table."""
        return f"/letters?{self.query}" if self.query else "/letters"

    @property
    def is_filtered(self) -> bool:
        return replace(self, sort="") != Filters()

    def sorted_by(self, name: str) -> str:
        """The address of the same table in another order."""
        return replace(self, sort=name).query

    @property
    def selection(self) -> Selection:
        now = time.time()
        return Selection(
            reasons=frozenset({self.reason} - {""}),
            detail=self.detail or None,
            types=frozenset({self.type} - {""}),
            sent_after=now - AGES[self.newer] if self.newer in AGES else None,
            sent_before=now - AGES[self.older] if self.older in AGES else None,
        )

    def choose(self, snapshot: Snapshot, *, in_all: bool) -> list[Listed]:
        """`in_all`: the text may be anywhere; else it is looked for in what can be seen while all is masked."""
        selection, text = self.selection, self.text.casefold()
        letters = [
            letter
            for letter in snapshot.letters
            if (selection.is_everything or selection.matches(letter))
            and (not text or text in (letter.text if in_all else letter.plain))
        ]
        key = SORTS.get(self.sort)
        return sorted(letters, key=key) if key else letters  # type: ignore[arg-type] # each with its like


def show(visit: Visit) -> Response:
    """The table."""
    snapshot = visit.console.dead_letters.snapshot(wait=LOOK_WAIT)
    filters = Filters.asked(visit)
    in_all = visit.session.is_revealed(SEARCH)
    chosen = filters.choose(snapshot, in_all=in_all) if snapshot else []
    if filters.text:
        visit.audit("searched", "personal_data" if in_all else "masked", f"{len(chosen)}_found")
    groups = snapshot.groups if snapshot and not filters.is_filtered else []
    pages = max(1, -(-len(chosen) // PAGE_SIZE))
    number = visit.asked("page")
    page = min(pages, max(1, int(number) if number.isascii() and number.isdigit() and len(number) < 7 else 1))
    return visit.page(
        "letters.html",
        snapshot=snapshot,
        problem=visit.console.dead_letters.problem,
        filters=filters,
        groups=groups[:MAX_GROUPS],
        more_groups=len(groups) - MAX_GROUPS,
        chosen=len(chosen),
        in_all=in_all,
        letters=chosen[(page - 1) * PAGE_SIZE : page * PAGE_SIZE],
        number=page,
        pages=pages,
        page_size=PAGE_SIZE,
        reasons=REASONS,
        ages=list(AGES),
    )


def search_all(visit: Visit) -> Response:
    """From now on, for a while, a text is looked for in personal data, too."""
    visit.session.reveal(SEARCH)
    visit.audit("revealed", SEARCH)
    return see_other(Filters.given(visit).address)


def news(visit: Visit) -> Response:
    """What has changed since the table was made, in numbers: the table itself moves only when its reader wants it."""
    snapshot = visit.console.dead_letters.snapshot()
    since = visit.asked("since")
    total = snapshot.total if snapshot else 0
    shown = set(visit.asked("ids").split(",")) - {""}
    gone = len([name for name in shown if snapshot is not None and name not in snapshot.by_id])
    newer = 0
    if snapshot is not None and _is_time(since) and snapshot.taken_at > float(since):
        newer = sum(1 for letter in snapshot.letters if letter.message.sent_at > float(since))
    return JSONResponse({"total": total, "newer": newer, "gone": gone})


def look_again(visit: Visit) -> Response:
    """Look at the queue now."""
    visit.console.dead_letters.snapshot_since(time.time(), LOOK_WAIT)
    return see_other(Filters.given(visit).address)


def show_one(visit: Visit) -> Response:
    """One message: what is in it, why it failed, and what the worker would say today."""
    letter, snapshot = _letter(visit), visit.console.dead_letters.snapshot() or Snapshot(0.0)
    revealed = visit.session.is_revealed(letter.id)
    attributes = written_attributes(letter.message.attributes)
    return visit.page(
        "letter.html",
        letter=letter,
        revealed=revealed,
        body=laid_out(letter.message.body, revealed=revealed),
        size=len(letter.message.body.encode(errors="surrogatepass")),
        attributes={name: value for name, value in sorted(attributes.items()) if name not in FAILURE_ATTRIBUTES},
        problem=letter.problem,
        alike=[group for group in snapshot.groups if (group.reason, group.detail) == (letter.reason, letter.detail)],
        snapshot=snapshot,
    )


def reveal(visit: Visit) -> Response:
    """Show the personal data of one message."""
    letter = _letter(visit)
    visit.session.reveal(letter.id)
    visit.audit("revealed", letter.id)
    return see_other(f"/letters/{letter.id}")


def confirm(visit: Visit) -> Response:
    """Say what would be done, to which messages, before it is done."""
    action = visit.given("action")
    if action not in ACTIONS:
        raise Problem("What should be done with them?")
    letters = chosen(visit)
    refused = [(letter, problem) for letter in letters if action == "replayed" and (problem := letter.problem)]
    left = {letter.id for letter, _ in refused}
    planned = [letter for letter in letters if letter.id not in left]
    return visit.page(
        "confirm.html",
        action=action,
        verb=ACTIONS[action],
        letters=planned[:PAGE_SIZE],
        count=len(planned),
        refused=refused[:PAGE_SIZE],
        refused_count=len(refused),
        plan=visit.session.remember(Plan(action, tuple(letter.id for letter in planned))),
        snapshot=visit.console.dead_letters.snapshot(),
        refused_plan=visit.session.remember(Plan("edited", tuple(letter.id for letter, _ in refused))),
        filters=Filters.given(visit),
    )


def act(visit: Visit) -> Response:
    """Do what was confirmed."""
    rate = given_rate(visit)
    plan = visit.session.take_plan(visit.given("plan"))
    if plan is None or plan.action not in ACTIONS:
        raise Problem(TOO_LATE)
    actions = visit.console.actions

    def work(job: Job) -> None:
        if plan.action == "replayed":
            actions.replay(plan.ids, rate, job)
        else:
            actions.delete(plan.ids, job)

    return follow(visit.console.jobs.begin(plan.action, visit.session.who, len(plan.ids), work, user_of(visit, plan)))


def copy(visit: Visit) -> Response:
    """The messages as a file of `signup-sync dlq export`, which `import` can send again. It holds personal data."""
    plan = visit.session.plan(visit.given("plan"))
    if plan is None:
        raise Problem(TOO_LATE)
    try:
        lines = visit.console.actions.copy(plan.ids)
    except JobRefused as error:
        raise Problem(str(error)) from None
    for message_id in plan.ids:
        visit.audit("copied", message_id)
    headers = {"Content-Disposition": 'attachment; filename="dead-letters.jsonl"'}
    return Response("".join(f"{line}\n" for line in lines), media_type="application/jsonl", headers=headers)


def show_job(visit: Visit) -> Response:
    """How far something has come that was begun, and what came of it."""
    number = visit.request.path_params["number"]
    job = visit.console.jobs.find(int(number)) if _is_number(number) else None
    if job is None:
        raise Problem("Nothing is known of this any more: the audit log says what was done.", 404)
    return visit.page("job.html", job=job)


def follow(job: Job) -> Response:
    """The page of a job, which is over by then as a rule."""
    job.finished.wait(JOB_WAIT)
    return see_other(f"/jobs/{job.id}")


def find(visit: Visit, message_id: str) -> Listed:
    """The message of the address. Raises `Problem`."""
    snapshot = visit.console.dead_letters.snapshot(wait=LOOK_WAIT)
    letter = snapshot.by_id.get(message_id) if snapshot else None
    if letter is None:
        raise Problem(
            "This message is not among the dead letters: it was sent back or deleted, or somebody else holds it.", 404
        )
    return letter


def find_all(visit: Visit, ids: Collection[str]) -> list[Listed]:
    """Those of these that are still there. Raises `Problem` if none is."""
    snapshot = visit.console.dead_letters.snapshot(wait=LOOK_WAIT)
    letters = snapshot.those_of(ids) if snapshot else []
    if not letters:
        raise Problem("They are not there any more: look at the dead letters again.", 404)
    return letters


def _letter(visit: Visit) -> Listed:
    return find(visit, visit.request.path_params["id"])


def chosen(visit: Visit) -> list[Listed]:
    """Those that are ticked; if none is, all that match, as they are now. Raises `Problem`."""
    ticked = dict.fromkeys(visit.form.get("id", ()))
    cache = visit.console.dead_letters
    snapshot = cache.snapshot(LOOK_WAIT) if ticked else cache.snapshot_since(time.time(), LOOK_WAIT)
    if snapshot is None:
        raise Problem("The dead letters have not been read yet: try again in a moment.", 503)
    if ticked:
        found = snapshot.those_of(ticked)
    else:
        found = Filters.given(visit).choose(snapshot, in_all=visit.session.is_revealed(SEARCH))
    if not found:
        raise Problem("They are not there any more: look at the dead letters again.")
    if len(found) > MAX_AT_ONCE:
        raise Problem(f"These are more than {MAX_AT_ONCE:,}: filter them, or use signup-sync dlq.")
    return found


def given_rate(visit: Visit) -> float | None:
    """Messages a second; None is as fast as it goes. Raises `Problem`."""
    text = visit.given("rate").strip()
    try:
        rate = float(text) if text else None
    except ValueError:
        rate = 0.0
    if rate is not None and not 1 <= rate <= MAX_RATE:
        raise Problem(
            f"The rate is a number of messages a second, from 1 to {MAX_RATE:,.0f}; or nothing, for as fast as it goes."
        )
    return rate


def user_of(visit: Visit, plan: Plan) -> str | None:
    """The user whom a plan of one message is about."""
    snapshot = visit.console.dead_letters.snapshot()
    letter = snapshot.by_id.get(plan.ids[0]) if snapshot and len(plan.ids) == 1 else None
    return letter.user_id if letter else None
