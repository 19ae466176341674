"""Console: what all pages work with, and how a page is made from a template."""

import secrets
import time
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from hashlib import sha256
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from jinja2.filters import do_urlencode
from markupsafe import Markup
from starlette.responses import HTMLResponse, Response

from db.pool import Database
from signup_sync.publisher import Publisher
from worker.aws import cognito
from worker.aws.cognito import UserPool
from worker.aws.sqs import Queue
from worker.console.actions import Actions
from worker.console.audit import Audit
from worker.console.body_view import visible
from worker.console.dead_letter_cache import DeadLetterCache
from worker.console.formats import OUTCOMES, PROOFS, addressable, age, duration, moment, number
from worker.console.identity.proxy import Proxy
from worker.console.jobs import Jobs
from worker.console.refusals import Refusals
from worker.console.sessions import Door, Session, Sessions
from worker.console.system_monitor import OldestMessage, SystemMonitor
from worker.console.user_lookup import UserLookup
from worker.dead_letters.dead_letter import plain_name
from worker.dead_letters.source_queues import SourceQueues
from worker.settings import ConsoleSettings

if TYPE_CHECKING:
    from mypy_boto3_sqs.client import SQSClient

DATABASE_CONNECTIONS = 4
STATEMENT_TIMEOUT_MS = 3000
LOCK_TIMEOUT_MS = 1000
CALLS_AT_ONCE = 12
COGNITO_ATTEMPTS = 2  # of one call: a page waits for it

_FOLDER = Path(__file__).parent


class Console:
    """What the pages work with. `start` begins to look at the system, when a page asks; `stop` releases everything."""

    def __init__(
        self, settings: ConsoleSettings, door: Door, queues: SourceQueues, dead_letters: Queue, client: "SQSClient"
    ) -> None:
        events = queues.events
        self.read_only = settings.console_read_only
        self.hosts = {settings.console_address[0].lower(), *(settings.console_hosts or ())}
        self.pool_id = settings.user_pool_id
        self.version = version("signup-sync")
        # A name of its own: cookies do not know ports, and there may be another console beside this one.
        self.cookie = f"signup_sync_{secrets.token_hex(4)}"
        self.audit = Audit()
        self.refusals = Refusals()
        self.sessions = Sessions(door)
        self.proxy = door if isinstance(door, Proxy) else None
        self.jobs = Jobs()
        self.database = Database(
            settings.conninfo,
            schema=settings.database_schema,
            max_connections=DATABASE_CONNECTIONS,
            statement_timeout_ms=STATEMENT_TIMEOUT_MS,
            lock_timeout_ms=LOCK_TIMEOUT_MS,
        )
        self.dead_letters = DeadLetterCache(dead_letters, settings.console_refresh_seconds)
        self.actions = Actions(queues, self.dead_letters, self.audit)
        self.publisher = Publisher(events.url, client=client)
        self._executor = ThreadPoolExecutor(CALLS_AT_ONCE, "call")
        self._cognito = cognito.connect(attempts=COGNITO_ATTEMPTS) if settings.user_pool_id else None
        pool = UserPool(settings.user_pool_id, self._cognito) if settings.user_pool_id and self._cognito else None
        self.user_lookup = UserLookup(self.database, pool, self._executor, settings.user_attributes)
        oldest = OldestMessage(events.url) if settings.console_cloudwatch else None
        self.monitor = SystemMonitor(queues, dead_letters, settings.worker_urls, self.database, self._executor, oldest)
        self._templates = _templates(queue_name=events.name)

    def start(self) -> None:
        self.database.open()
        self.dead_letters.start()
        self.monitor.start()

    def stop(self) -> None:
        """What is under way ends, and what is held of the queue is released."""
        self.jobs.close()
        self.dead_letters.stop()
        self.monitor.stop()
        self._executor.shutdown(wait=True, cancel_futures=True)
        self.database.close()
        if self._cognito is not None:
            self._cognito.close()

    def page(
        self, template: str, *, status: int = 200, session: Session | None = None, path: str = "", **content: Any
    ) -> Response:
        """An answer made from a template, with what every page needs."""
        pause = self.monitor.pause() if session else None
        common = {"console": self, "session": session, "path": path, "now": time.time(), "pause_seen": pause}
        return HTMLResponse(self._templates.get_template(template).render({**common, **content}), status)


def _templates(*, queue_name: str) -> Environment:
    templates = Environment(
        loader=FileSystemLoader(_FOLDER / "templates"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        # Whatever a template writes, and wherever it came from: first made visible, then escaped.
        finalize=lambda value: value if isinstance(value, Markup) or not isinstance(value, str) else visible(value),
    )
    templates.filters.update(
        {
            "duration": duration,
            "moment": moment,
            "age": age,
            "number": number,
            "plain": plain_name,
            "urlencode": _urlencode,
        }
    )
    templates.globals.update(
        {"static": _static_addresses(), "queue_name": queue_name, "outcomes": OUTCOMES, "proofs": PROOFS}
    )
    return templates


def _urlencode(value: str | Mapping[str, str]) -> str:
    """As Jinja's, of any text."""
    if isinstance(value, str):
        return do_urlencode(addressable(value))
    return do_urlencode({name: addressable(text) for name, text in value.items()})


def _static_addresses() -> Mapping[str, str]:
    """The address of each own file, which changes with its content."""
    files = sorted((_FOLDER / "static").iterdir())
    return {file.name: f"/static/{file.name}?{sha256(file.read_bytes()).hexdigest()[:12]}" for file in files}
