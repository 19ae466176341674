"""Pause of all workers: somebody begins it, with a reason, and somebody ends it."""

from starlette.responses import Response

from db.tables.worker_pause import REASON_MAX_LENGTH, WHO_MAX_LENGTH, clear_worker_pause, set_worker_pause
from worker.console.request import Problem, Visit, see_other

SUBJECT = "workers"


def begin(visit: Visit) -> Response:
    """As `signup-sync pause`: they receive nothing until somebody lets them go on."""
    why = visit.given("why").strip()
    if not (0 < len(why) <= REASON_MAX_LENGTH and why.isprintable()):
        raise Problem(f"Say why, in one line of at most {REASON_MAX_LENGTH} characters: all who see the pause see it.")
    with visit.console.database.transaction() as connection:
        pause = set_worker_pause(connection, visit.session.who.name[:WHO_MAX_LENGTH], why)
    return _done(visit, "pause", "done" if pause else "paused_already")


def end(visit: Visit) -> Response:
    """As `signup-sync resume`."""
    with visit.console.database.transaction() as connection:
        pause = clear_worker_pause(connection)
    return _done(visit, "resume", "done" if pause else "not_paused")


def _done(visit: Visit, what: str, outcome: str) -> Response:
    visit.audit(what, SUBJECT, outcome)
    visit.console.monitor.ask_again()
    return see_other("/")
