"""Audit log: who did what, and when."""

from starlette.responses import Response

from worker.console.audit import MAX_SHOWN
from worker.console.request import Visit

PAGE_SIZE = 100  # entries


def show(visit: Visit) -> Response:
    number = visit.asked("page")
    page = max(1, int(number) if number.isascii() and number.isdigit() and len(number) < 5 else 1)
    entries = visit.console.audit.newest(PAGE_SIZE + 1, after=(page - 1) * PAGE_SIZE)
    return visit.page(
        "audit.html",
        refused=visit.console.audit.refused(),
        entries=entries[:PAGE_SIZE],
        number=page,
        more=len(entries) > PAGE_SIZE,
        most_shown=MAX_SHOWN,
    )
