"""Editor of many events at once: one member is set in all of them, and what comes of it shown before it is sent."""

import json
import re
from collections import Counter
from dataclasses import dataclass

from starlette.responses import Response

from worker.console.dead_letter_cache import Listed
from worker.console.jobs import Job
from worker.console.pages.letters import TOO_LATE, chosen, find_all, follow, given_rate
from worker.console.request import Problem, Visit
from worker.console.sessions import Plan
from worker.dead_letters.dead_letter import DeadLetter
from worker.dead_letters.lossless_json import NotAnObject, as_json, member
from worker.dead_letters.replay import Edit, edit_of

ACTION = "edited"
MAX_KINDS = 5  # of differences, and of problems, that are shown
MAX_MEMBER = 400  # characters
MAX_VALUE = 65_536  # characters

_is_path = re.compile(r"[^\s.\"{}]+(\.[^\s.\"{}]+)*").fullmatch
_named_member = re.compile(r"(data(?:\.[A-Za-z0-9_]+)*)[: ]").match


@dataclass(frozen=True, slots=True)
class GroupEdit:
    """The same member, set in many; `problems` says how many would still be refused, and why."""

    member: str
    value: str
    edits: tuple[Edit, ...]
    differences: tuple[tuple[str, int], ...]
    """What the member was, without its value, and in how many."""
    problems: tuple[tuple[str, int], ...]

    @property
    def refused(self) -> int:
        return sum(count for _, count in self.problems)


def show(visit: Visit) -> Response:
    """Ask which member; and when that is given, show what would be sent."""
    key = visit.given("plan")
    if key:
        letters = find_all(visit, _plan(visit, key).ids)
    else:
        letters = chosen(visit)
        key = visit.session.remember(Plan(ACTION, tuple(letter.id for letter in letters)))
    path = visit.given("member").strip()[:MAX_MEMBER]
    result = _group_edit(letters, path, visit.given("value")) if path else None
    return visit.page(
        "group_edit.html",
        letters=letters,
        snapshot=visit.console.dead_letters.snapshot(),
        plan=key,
        member=path or _failing_member(letters),
        value=visit.given("value"),
        result=result,
    )


def send(visit: Visit) -> Response:
    """Send those that are valid with the member set, when their number was typed."""
    key = visit.given("plan")
    plan = _plan(visit, key)
    path, value, rate = visit.given("member").strip(), visit.given("value"), given_rate(visit)
    result = _group_edit(find_all(visit, plan.ids), path, value)
    if visit.given("number").strip() != str(len(result.edits)):
        raise Problem(f"Nothing was sent: to send them, type their number, {len(result.edits)}.")
    ids = [edit.letter.id for edit in result.edits]
    assignments = [(path, as_json(value))]
    if visit.session.take_plan(key) is None:
        raise Problem(TOO_LATE)

    def work(job: Job) -> None:
        visit.console.actions.send_edited(ids, lambda letter: edit_of(letter, assignments), rate, job)

    return follow(visit.console.jobs.begin(ACTION, visit.session.who, len(ids), work))


def _plan(visit: Visit, key: str) -> Plan:
    """Raises `Problem`: to take all that match instead would be something else."""
    plan = visit.session.plan(key)
    if plan is None or plan.action != ACTION:
        raise Problem(TOO_LATE)
    return plan


def _group_edit(letters: list[Listed], path: str, value: str) -> GroupEdit:
    """Raises `Problem`."""
    if not _is_path(path):
        raise Problem("The member is its keys with dots in between, such as data.display_name.")
    if len(value) > MAX_VALUE:
        raise Problem("The value is too long for a page: use signup-sync dlq edit --set.")
    edits, differences, problems = [], Counter[str](), Counter[str]()
    for letter in letters:
        problem: str | None
        try:
            edit = edit_of(letter, [(path, as_json(value))])
            problem = edit.problem
        except NotAnObject as error:
            problem = str(error)
        if problem is None:
            edits.append(edit)
            differences[_shape(letter, path)] += 1
        else:
            problems[problem] += 1
    return GroupEdit(
        path, value, tuple(edits), tuple(differences.most_common(MAX_KINDS)), tuple(problems.most_common())
    )


def _shape(letter: DeadLetter, path: str) -> str:
    """What a member is, without its value, which may be somebody's name."""
    value = member(letter.message.body, path)
    if value is None:
        return "not there"
    found = json.loads(value)
    if isinstance(found, str):
        return f"text, {len(found)} character{'' if len(found) == 1 else 's'}" if found else "empty text"
    kinds = {bool: "true or false", type(None): "null", dict: "an object", list: "a list"}
    return kinds.get(type(found), "a number")


def _failing_member(letters: list[Listed]) -> str:
    """The member that the detail names, if it names the same in all."""
    named = {found[1] if (found := _named_member(letter.detail)) else "" for letter in letters}
    return named.pop() if len(named) == 1 else ""
