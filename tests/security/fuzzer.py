"""Fuzzer of every input that strangers reach, against a running worker and a running console.

Message bodies, HTTP as bytes to both servers, forms and addresses of somebody who is logged in, files for `dlq import`
and `publish file`, settings; the same for a seed, as far as processes let it be. After each round all is as before:
both processes answer, nothing was answered with 500, no log has a traceback or a thread that died, and neither process
holds more than twice the memory that it had when it was warm.
"""

import http.client
import random
import re
import socket
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlsplit

from tests.faults.bad_bodies import ODD_VALUES, mutated
from tests.support.dlq import Dlq
from tests.support.invoke import invoke
from tests.support.sqs import BATCH_SIZE, Queues
from tests.support.worker_process import WorkerProcess
from tests.worker.console.operator import Operator
from tests.worker.console.running_console import ConsoleProcess
from worker.settings import ConsoleSettings, InvalidSettings, WorkerSettings

ANSWER_TIMEOUT = 30.0  # seconds
MAX_READ = 4_194_304  # bytes of an answer
BODIES = 30  # messages of a round; moto slows down with the square of a queue's length
REQUESTS = 60  # of a round, to each server
PURGE_INTERVAL = 61.0  # seconds; once a minute is allowed (SQS API Reference, PurgeQueue)

_NOT_ALLOWED = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
_CALAMITIES = ("Traceback (most recent call last)", '"crashed"', '"page_failed"', '"job_failed"', "MemoryError")

WORKER_PATHS = ["/livez", "/readyz", "/metrics", "/status", "/", "/status?x=1", "//", "/%00", "*"]
CONSOLE_PATHS = [
    "/", "/login", "/letters", "/letters/news", "/users", "/feed", "/audit", "/jobs/1", "/jobs/0", "/jobs/x",
    "/letters/{id}", "/letters/{id}/edit", "/letters/{odd}", "/static/console.css", "/static/../app.py",
]  # fmt: skip
CONSOLE_FORMS = [
    "/login", "/hide", "/letters/look", "/letters/confirm", "/letters/act", "/letters/set", "/letters/set/send",
    "/letters/search", "/letters/copy", "/letters/{id}/reveal", "/letters/{id}/open", "/letters/{id}/check",
    "/letters/{id}/send", "/users", "/users/reveal", "/users/enqueue", "/feed/reveal", "/pause", "/resume",
]  # fmt: skip
FIELDS = [
    "id", "plan", "action", "reason", "detail", "type", "newer", "older", "text", "sort", "page", "since", "ids",
    "member", "value", "number", "rate", "name", "sub", "who", "token", "why", "before", "checked", "csrf",
]  # fmt: skip
SETTINGS = [*(set(WorkerSettings.model_fields) | set(ConsoleSettings.model_fields))]


@dataclass
class Fuzzer:
    """`chance` decides everything. `counts` says what was tried."""

    queues: Queues
    dlq: Dlq
    worker: WorkerProcess
    worker_address: str
    console: ConsoleProcess
    chance: random.Random
    counts: Counter[str] = field(default_factory=Counter)

    def __post_init__(self) -> None:
        self._purged_at = time.monotonic()
        self._bodies = mutated(self.chance.getrandbits(32))
        self._operator = Operator(self.console.address).log_in(self.console.token)

    def round(self) -> None:
        """Some of everything, and a look whether all is well. Raises `AssertionError`."""
        self._send_bodies()
        for _ in range(REQUESTS):
            self._send_bytes(self.worker_address, WORKER_PATHS)
            self._send_bytes(urlsplit(self.console.address).netloc, CONSOLE_PATHS)
            self._visit()
        self._read_a_file()
        self._read_settings()
        self.check()

    def check(self) -> None:
        for process in (self.worker, self.console):
            assert process.running, process
            said = str(process)
            assert not [calamity for calamity in _CALAMITIES if calamity in said], said[-20_000:]
        assert self._ask(self.worker_address, "/livez") == 200
        assert self._operator.get("/login").status in (200, 303)

    def _send_bodies(self) -> None:
        """To the worker, and some to the dead-letter queue, where the console reads them."""
        bodies = [_NOT_ALLOWED.sub("?", next(self._bodies))[:100_000] or " " for _ in range(BODIES)]
        self.queues.send(*bodies)
        for body in self.chance.sample(bodies, BATCH_SIZE):
            self.dlq.fill(body, reason=self.chance.choice(["invalid_event", None]), detail=self._line())
        self.counts["bodies"] += BODIES
        if time.monotonic() - self._purged_at > PURGE_INTERVAL:
            self._purged_at = time.monotonic()
            self.queues.client.purge_queue(QueueUrl=self.queues.dlq_url)

    def _send_bytes(self, address: str, paths: list[str]) -> None:
        request = bytearray(self._request(address, paths))
        for _ in range(self.chance.choice([0, 0, 1, 3])):
            at = self.chance.randrange(len(request))
            request[at : at + self.chance.randrange(3)] = self.chance.randbytes(self.chance.randrange(4))
        status = _status(_exchange(address, bytes(request)))
        assert status != 500, bytes(request)
        self.counts[f"HTTP {status}"] += 1

    def _request(self, address: str, paths: list[str]) -> bytes:
        method = self.chance.choice(["GET", "GET", "POST", "HEAD", "OPTIONS", "TRACE", "G\x00T", "get"])
        path = self._path(self.chance.choice(paths))
        body = self._odd().encode(errors="surrogatepass")[:20_000]
        length = self.chance.choice([str(len(body)), str(len(body)), "-1", "10000000000", "x", "0", "1e3"])
        lines = [
            f"{method} {path} HTTP/{self.chance.choice(['1.1', '1.1', '1.0', '2.0', '9'])}",
            f"Host: {self.chance.choice([address, 'localhost', 'evil.example', ''])}",
            "Connection: close",
            *([f"Content-Length: {length}"] if self.chance.random() < 0.5 else []),
            *([f"X-{self._line()[:50]}: {self._line()[:200]}"] if self.chance.random() < 0.5 else []),
            *(["Transfer-Encoding: chunked"] if self.chance.random() < 0.1 else []),
            *([f"Cookie: {self._operator.cookie}"] if self.chance.random() < 0.5 else []),
        ]
        return "\r\n".join(lines).encode(errors="replace") + b"\r\n\r\n" + body

    def _visit(self) -> None:
        """As somebody who is logged in, with odd fields."""
        odd = {name: self._odd()[:20_000] for name in self.chance.sample(FIELDS, self.chance.randrange(5))}
        fields: dict[str, Any] = {name: value.encode(errors="replace").decode() for name, value in odd.items()}
        if self.chance.random() < 0.5:
            path = self._path(self.chance.choice(CONSOLE_PATHS))
            query = "&".join(f"{name}={quote(value)}" for name, value in fields.items())
            answer = self._operator.get(f"{path}?{query}"[:8000])
        else:
            fields.pop("csrf", None)
            answer = self._operator.post(self._path(self.chance.choice(CONSOLE_FORMS)), follow=False, **fields)
        assert answer.status != 500, answer.words[-2000:]
        assert len(answer.text) < MAX_READ
        self.counts[f"console {answer.status}"] += 1

    def _read_a_file(self) -> None:
        lines = "\n".join(next(self._bodies) for _ in range(20)).encode(errors="surrogatepass")
        content = bytearray(lines[:200_000])
        for _ in range(5):
            content[self.chance.randrange(len(content))] = self.chance.randrange(256)
        with tempfile.TemporaryDirectory() as directory:
            file = Path(directory, "file.jsonl")
            file.write_bytes(content)
            for command in (["dlq", "import", str(file)], ["publish", "file", "--dry-run", str(file)]):
                done = invoke(*command, environment=self.dlq.environment)  # an exception would be raised here
                assert done.returncode in (0, 1, 2), done
                self.counts["files"] += 1

    def _read_settings(self) -> None:
        for settings in (WorkerSettings, ConsoleSettings):
            given = {name.upper(): self._odd()[:500] for name in self.chance.sample(SETTINGS, 4)}
            said = ""
            try:
                settings.from_environment({**self.dlq.environment, "DATABASE_URL": "dbname=x", **given})
            except InvalidSettings as error:
                said = str(error)
            assert said.isprintable(), given
            self.counts["settings"] += 1

    def _path(self, path: str) -> str:
        some_id = self.chance.choice(["x", "\udcff", "00000000-0000-4000-8000-000000000000", "a" * 300, "%ed%b3%bf"])
        odd = self._odd()[:200]
        return path.format(id=quote(some_id, errors="replace"), odd=quote(odd, errors="replace"))

    def _odd(self) -> str:
        value = self.chance.choice([*ODD_VALUES, "²", "1" * 5000, "{" * 5000, "a=b&" * 300])
        return value if isinstance(value, str) else repr(value)[:5000]

    def _line(self) -> str:
        return _NOT_ALLOWED.sub("?", self._odd())[:400] or "?"

    @staticmethod
    def _ask(address: str, path: str) -> int:
        connection = http.client.HTTPConnection(address, timeout=ANSWER_TIMEOUT)
        try:
            connection.request("GET", path)
            return connection.getresponse().status
        finally:
            connection.close()


def memory(process: WorkerProcess) -> int:
    """Bytes that it holds."""
    [resident] = re.findall(r"VmRSS:\s+(\d+) kB", Path(f"/proc/{process.pid}/status").read_text())
    return int(resident) * 1024


def run(fuzzer: Fuzzer, seconds: float, say: Callable[[str], None]) -> None:
    """Rounds for so many seconds; one more before, in which both processes become warm. Raises `AssertionError`."""
    fuzzer.round()
    before = {"worker": memory(fuzzer.worker), "console": memory(fuzzer.console)}
    ends = time.monotonic() + seconds
    while time.monotonic() < ends:
        fuzzer.round()
    after = {"worker": memory(fuzzer.worker), "console": memory(fuzzer.console)}
    say(f"{dict(fuzzer.counts.most_common())}; memory before {before}, after {after}")
    for name, warm in before.items():
        assert after[name] <= 2 * warm, (name, warm, after[name])


def _exchange(address: str, request: bytes) -> bytes:
    """What comes back until the other end closes, or nothing comes any more."""
    host, _, port = address.rpartition(":")
    answer = b""
    with socket.create_connection((host, int(port)), ANSWER_TIMEOUT) as connection:
        try:
            connection.sendall(request)
            connection.shutdown(socket.SHUT_WR)
            for chunk in _chunks(connection):
                answer += chunk
                assert len(answer) < MAX_READ, request
        except OSError:  # it has closed first, which it may
            pass
    return answer


def _chunks(connection: socket.socket) -> Iterator[bytes]:
    while chunk := connection.recv(65_536):
        yield chunk


def _status(answer: bytes) -> int:
    """0 if there is none."""
    found = re.match(rb"HTTP/1\.[01] (\d{3}) ", answer)
    return int(found[1]) if found else 0
