"""Editor of an event, with what the worker would say of it, and the difference, before it is sent."""

from dataclasses import dataclass
from hashlib import sha256

from starlette.responses import Response

from worker.console.body_view import editable
from worker.console.dead_letter_cache import Listed
from worker.console.pages.letters import find, follow
from worker.console.request import Problem, Visit, see_other
from worker.dead_letters.differences import difference
from worker.dead_letters.lossless_json import compact
from worker.dead_letters.replay import Edit

MAX_DIFFERENCE = 2000  # lines
MAX_EDITED = 262_144  # characters


@dataclass(frozen=True, slots=True)
class Draft:
    """A text as it came from the editor; `digest` tells whether it is the one that was checked."""

    letter: Listed
    text: str

    @property
    def body(self) -> str:
        """The message's body that it makes."""
        return compact(self.text.rstrip("\n"))

    @property
    def digest(self) -> str:
        return sha256(self.text.encode(errors="replace")).hexdigest()

    @property
    def is_changed(self) -> bool:
        return self.text.rstrip("\n") != editable(self.letter.message.body).rstrip("\n")

    @property
    def problem(self) -> str | None:
        """Why the worker would refuse it."""
        return Edit(self.letter, self.body).problem

    @property
    def difference(self) -> list[str]:
        """Of both as they are laid out, as lines of a unified diff without its head."""
        return difference(editable(self.letter.message.body), editable(self.body))[2:MAX_DIFFERENCE]


def open_(visit: Visit) -> Response:
    """Reveal the message, which the editor shows, and open it."""
    letter = _letter(visit)
    if not visit.session.is_revealed(letter.id):
        visit.session.reveal(letter.id)
        visit.audit("revealed", letter.id)
    return see_other(f"/letters/{letter.id}/edit")


def show(visit: Visit) -> Response:
    letter = _letter(visit)
    if not visit.session.is_revealed(letter.id):
        return see_other(f"/letters/{letter.id}")
    text = editable(letter.message.body)
    if len(text) > MAX_EDITED:
        raise Problem(f"This event is too long for a page: use signup-sync dlq edit {letter.id}.")
    return _page(visit, Draft(letter, text), checked=False)


def check(visit: Visit) -> Response:
    """Say what is wrong with a text, and show the difference. To the page's own script, only that."""
    draft = _draft(visit)
    if visit.request.headers.get("x-part"):
        return visit.page("check.html", draft=draft, checked=True)
    return _page(visit, draft, checked=True)


def send(visit: Visit) -> Response:
    """Send a text whose difference was seen, and that is valid."""
    draft = _draft(visit)
    if visit.given("checked") != draft.digest or not draft.is_changed or draft.problem is not None:
        return _page(visit, draft, checked=True)
    body = draft.body
    job = visit.console.jobs.begin(
        "edited",
        visit.session.who,
        1,
        lambda job: visit.console.actions.send_edited([draft.letter.id], lambda letter: Edit(letter, body), None, job),
        draft.letter.user_id,
    )
    return follow(job)


def _letter(visit: Visit) -> Listed:
    return find(visit, visit.request.path_params["id"])


def _draft(visit: Visit) -> Draft:
    """What was sent of a message that is revealed: the difference shows what was in it. Raises `Problem`."""
    letter = _letter(visit)
    if not visit.session.is_revealed(letter.id):
        raise Problem("It is masked again: reveal it on its page, come back to this one, and try again.", 403)
    return Draft(letter, _text(visit))


def _text(visit: Visit) -> str:
    # A form has CRLF at the end of each line (HTML, "Constructing the entry list").
    return visit.given("text").replace("\r\n", "\n").replace("\r", "\n")


def _page(visit: Visit, draft: Draft, *, checked: bool) -> Response:
    snapshot = visit.console.dead_letters.snapshot()
    return visit.page("edit.html", letter=draft.letter, draft=draft, checked=checked, snapshot=snapshot)
