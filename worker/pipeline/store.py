"""Store: what the pipeline needs of the database."""

from contextlib import AbstractContextManager
from typing import Protocol

from db.connection import Connection
from db.tables.worker_pause import WorkerPause


class Store(Protocol):
    """As `db.pool.Database`, which says more. Every method raises `psycopg.Error`."""

    def transaction(self) -> AbstractContextManager[Connection]: ...

    def probe(self) -> None: ...

    def rehearse(self) -> None: ...

    def reset(self) -> None: ...

    def read_pause(self) -> WorkerPause | None: ...
