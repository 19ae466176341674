"""The whole system as one object that things are done to: workers, queues, a database behind a network, a user pool."""

import uuid
from collections.abc import Mapping
from contextlib import ExitStack
from types import TracebackType
from typing import Self

import psycopg

from tests.faults.model import Model
from tests.support.command import command_environment, run
from tests.support.dlq import Dlq
from tests.support.events import activity, sign_up
from tests.support.fault_proxy import FaultProxy
from tests.support.postgres import Postgres
from tests.support.sqs import Queues, SqsServer, aws_environment, create_queues
from tests.support.tcp_proxy import TcpProxy
from tests.support.user_pool import AdministratedPool, cognito_environment
from tests.support.wait import wait_until
from tests.support.worker_process import WorkerProcess, worker_environment

VISIBILITY_TIMEOUT = 2  # seconds
MAX_RECEIVE_COUNT = 60  # receives, of the queue itself: more than any sequence needs
RECOVERY = 90.0  # seconds
ROUNDS = 12  # replays until all that waited for each other is written, a level of replies each

# Two pairs want the same handle.
PEOPLE = {"ada": "ada", "bob": "bob", "ADA": "ADA", "dora": "Bob", "eve": "eve"}
NAMES = list(PEOPLE)
TIME = "2026-01-31T12:00:00Z"


class System:
    """`settings` are the workers'. With one attempt what has to wait is dead at once, and an outage renews messages.

    Everything is healed and settled by `settle`, after which `assert_settled` compares the tables with the model.
    """

    def __init__(self, postgres: Postgres, template: str, sqs_server: SqsServer, settings: Mapping[str, str]) -> None:
        self.model = Model()
        self._postgres = postgres
        self._template = template
        self._name = f"sequence_{uuid.uuid4().hex}"
        self._sqs_server = sqs_server
        self._settings = settings
        self._workers: list[WorkerProcess] = []
        self._stack = ExitStack()

    def __enter__(self) -> Self:
        with ExitStack() as stack:
            self.database_url = self._postgres.create_database(self._name, template=self._template)
            stack.callback(self._postgres.drop_database, self._name)
            url = self._sqs_server.endpoint_url
            self.queues: Queues = create_queues(
                url, visibility_timeout=VISIBILITY_TIMEOUT, max_receive_count=MAX_RECEIVE_COUNT
            )
            stack.callback(self.queues.close)
            self.sqs = stack.enter_context(FaultProxy(url))
            self.network = stack.enter_context(TcpProxy(self._postgres.port))
            self.pool = AdministratedPool.create(url)
            stack.callback(self.pool.close)
            self.subs = {name: self._confirm(name, handle) for name, handle in PEOPLE.items()}
            self.start_worker()
            self._stack = stack.pop_all()
        return self

    def __exit__(
        self, exc_type: type[BaseException] | None, exc: BaseException | None, traceback: TracebackType | None
    ) -> None:
        for worker in self._workers:
            worker.__exit__(None, None, None)
        self._stack.close()

    def _confirm(self, name: str, handle: str) -> str:
        """In the pool: found there by a reconciliation, whatever became of the event."""
        sub = self.pool.confirm(name, preferred_username=handle, name=name.title(), email=f"{name}@example.com")
        created = self.pool.cognito.admin_get_user(UserPoolId=self.pool.id, Username=name)["UserCreateDate"]
        self.model.add(self.sign_up(name, sub, created.isoformat()))
        return sub

    @staticmethod
    def sign_up(name: str, sub: str, time: str = TIME) -> str:
        """What the Cognito trigger sends."""
        body = sign_up(sub, display_name=name.title(), handle=PEOPLE[name], email=f"{name}@example.com")
        return body.replace(TIME, time)

    def send_sign_up(self, name: str, copies: int) -> None:
        """None at all is what is lost on the way to the queue."""
        if copies:
            self.queues.send(*[self.model.add(self.sign_up(name, self.subs[name]))] * copies)

    def send_activity(self, number: int, author: str, parent: int | None, copies: int) -> None:
        """An activity has one author and one parent for good, whoever sends it again."""
        body = activity(
            self.subs[author],
            f"activity {number}",
            id=str(uuid.UUID(int=number + 1)),
            reply_to=None if parent is None else str(uuid.UUID(int=parent + 1)),
        )
        self.queues.send(*[self.model.add(body)] * copies)

    def send_broken(self, kind: int) -> None:
        bodies = ["{broken", "", '{"type": "user.deleted.v1"}', sign_up("mallory", handle="a b"), "[]", '"\u001b[31m"']
        self.queues.send(self.model.add_broken(bodies[kind % len(bodies)] or "-"))

    def start_worker(self) -> None:
        worker = WorkerProcess(
            environment=worker_environment(
                # A statement whose answer does not come is given up soon.
                f"{self.network.through(self.database_url)}?connect_timeout=2&tcp_user_timeout=2000",
                self.queues,
                endpoint_url=self.sqs.endpoint_url,
                settings={"RECEIVE_WAIT_SECONDS": "1", "LOG_LEVEL": "debug", **self._settings},
            )
        )
        worker.start()
        self._workers.append(worker)

    @property
    def running(self) -> list[WorkerProcess]:
        return [worker for worker in self._workers if worker.running]

    def kill_worker(self) -> None:
        """The one that runs for longest."""
        for worker in self.running[:1]:
            worker.kill()
            worker.wait()

    def stop_worker(self) -> None:
        """As ECS does; it must take it well whatever else is wrong, unless it had not even begun."""
        for worker in self.running[:1]:
            worker.wait_for("started", 60)
            worker.terminate()
            assert worker.wait() == 0, worker

    def make_read_only(self, *, read_only: bool) -> None:
        """As a failover does."""
        setting = "on" if read_only else "off"
        self._postgres.execute(f"ALTER DATABASE {self._name} SET default_transaction_read_only = {setting}")
        with psycopg.connect(self._postgres.url(), autocommit=True) as connection:
            connection.execute(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = %s", [self._name]
            )

    def replay(self) -> None:
        """Some may be left, and SQS may fail: any end but a crash will do."""
        done = Dlq(self.queues, self.sqs.endpoint_url).run("replay")
        assert done.returncode in (0, 1, 2), done
        assert "Traceback" not in done.stderr, done

    def reconcile(self) -> None:
        """Against the database itself, and through the faults of SQS."""
        environment = command_environment(
            {
                "QUEUE_URL": self.queues.events_url,
                "DATABASE_URL": self.database_url,
                **aws_environment(self.sqs.endpoint_url),
                **cognito_environment(self.queues.endpoint_url),
            }
        )
        done = run("reconcile", "--user-pool-id", self.pool.id, environment=environment)
        assert done.returncode in (0, 1, 2), done
        assert "Traceback" not in done.stderr, done

    def heal(self) -> None:
        """All is well again, but for the workers."""
        self.sqs.clear()
        self.network.delay = 0.0
        self.network.thaw()
        self.network.up()
        self.make_read_only(read_only=False)

    def settle(self) -> None:
        """Heal, find what was lost on the way, and replay what has become possible, until all is done."""
        self.heal()
        self.reconcile()
        self._send_missing_parents()
        if not self.running:
            self.start_worker()
        for _ in range(ROUNDS):
            wait_until(self._is_quiet, RECOVERY, "the queue is not empty")
            if {letter.body for letter in self.queues.dead_letters()} == self.model.broken:
                return
            Dlq(self.queues).run("replay")
        raise AssertionError("dead letters that could be written are not")

    def _send_missing_parents(self) -> None:
        parents = {activity.reply_to for activity in self.model.activities.values()} - {None}
        for parent in sorted(parents - self.model.activities.keys(), key=str):
            assert parent is not None
            self.send_activity(parent.int - 1, NAMES[0], None, 1)

    def _is_quiet(self) -> bool:
        assert self.running, "\n".join(map(str, self._workers))
        return not sum(self.queues.counts())

    def assert_settled(self) -> None:
        """The tables are the model's, and each dead letter has its reason."""
        self.model.assert_in(self.database_url)
        for letter in self.queues.dead_letters():
            assert letter.attributes["failure_reason"] in ("invalid_event", "unknown_type")
            assert "\n" not in letter.attributes["failure_detail"]
        while self.running:
            self.stop_worker()
        for worker in self._workers:
            assert not worker.events("crashed"), worker

    def __str__(self) -> str:
        with psycopg.connect(self.database_url) as connection:
            counts = connection.execute("SELECT count(*) FROM users").fetchall()
        return f"{counts} users, queue {self.queues.counts()}\n" + "\n".join(map(str, self._workers))
