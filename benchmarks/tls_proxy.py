"""TLS between a contestant and the queue: a proxy that terminates it, the same for everybody."""

import json
import os
import tempfile
from contextlib import ExitStack
from pathlib import Path
from typing import Any, Self
from urllib.parse import urlsplit
from urllib.request import urlopen

from benchmarks.queue_server import QueueServer
from tests.e2e.server_process import ServerProcess
from tests.support.certificate import make_certificate

SCRIPT = Path(__file__).with_name("tls_proxy.mjs")


class TlsProxy:
    """The proxy's process, before this server. Its certificate is good for an hour."""

    def __init__(self, server: QueueServer) -> None:
        self._stack = ExitStack()
        folder = Path(self._stack.enter_context(tempfile.TemporaryDirectory()))
        self._files = make_certificate(folder, address="127.0.0.1")
        environment = {
            **os.environ,
            "TARGET_PORT": str(urlsplit(server.url).port),
            "CERTIFICATE": str(self._files.certificate),
            "KEY": str(self._files.key),
        }
        self._process = self._stack.enter_context(ServerProcess(["node", SCRIPT], cwd=folder, env=environment))

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    @property
    def pid(self) -> int:
        return self._process.pid

    @property
    def environment(self) -> dict[str, str]:
        """What leads a contestant here, by the names that botocore reads."""
        url = f"https://127.0.0.1:{self._ask()['port']}"
        return {"AWS_ENDPOINT_URL_SQS": url, "AWS_CA_BUNDLE": str(self._files.certificate)}

    @property
    def handshakes(self) -> int:
        """Since it started."""
        return int(self._ask()["handshakes"])

    def _ask(self) -> Any:
        with urlopen(self._process.address) as answer:  # noqa: S310 (our own server)
            return json.load(answer)
