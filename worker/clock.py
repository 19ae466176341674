"""Clock: the time, and everything that waits for it or for another thread.

The pipeline's parts ask a clock for the time and for what their threads wait on, so that tests can run all of them in
a time of their own, in which an outage of a day is over at once. What the threads only guard, and never wait for, are
plain locks.
"""

import queue
import threading
import time
from collections.abc import Callable
from types import TracebackType
from typing import Protocol, TypeVar

T = TypeVar("T")


class Condition(Protocol):
    """As `threading.Condition`."""

    def __enter__(self) -> bool: ...

    def __exit__(
        self, exc_type: type[BaseException] | None, exc: BaseException | None, traceback: TracebackType | None
    ) -> None: ...

    def wait(self, timeout: float | None = None) -> bool: ...

    def wait_for(self, predicate: Callable[[], T], timeout: float | None = None) -> T: ...

    def notify(self, n: int = 1) -> None: ...

    def notify_all(self) -> None: ...


class Event(Protocol):
    """As `threading.Event`."""

    def is_set(self) -> bool: ...

    def set(self) -> None: ...

    def wait(self, timeout: float | None = None) -> bool: ...


class Semaphore(Protocol):
    """As `threading.Semaphore`."""

    def __enter__(self) -> bool: ...

    def __exit__(
        self, exc_type: type[BaseException] | None, exc: BaseException | None, traceback: TracebackType | None
    ) -> None: ...


class Queue(Protocol[T]):
    """As `queue.SimpleQueue`; `get` raises `queue.Empty`."""

    def put(self, item: T) -> None: ...

    def get(self, block: bool = True, timeout: float | None = None) -> T: ...


class Thread(Protocol):
    """As `threading.Thread`, once it is started."""

    def join(self, timeout: float | None = None) -> None: ...

    def is_alive(self) -> bool: ...


class Clock(Protocol):
    """Times are in seconds: `monotonic` and `thread_time` as in the module `time`."""

    def monotonic(self) -> float: ...

    def thread_time(self) -> float: ...

    def sleep(self, seconds: float) -> None: ...

    def condition(self) -> Condition: ...

    def event(self) -> Event: ...

    def semaphore(self, value: int) -> Semaphore: ...

    def queue(self) -> Queue[T]: ...

    def thread(self, name: str, run: Callable[[], None]) -> Thread:
        """Start one, which does not keep the process from ending."""
        ...


class _SystemClock:
    monotonic = staticmethod(time.monotonic)
    thread_time = staticmethod(time.thread_time)
    sleep = staticmethod(time.sleep)
    condition = staticmethod(threading.Condition)
    event = staticmethod(threading.Event)
    semaphore = staticmethod(threading.BoundedSemaphore)

    def queue(self) -> Queue[T]:
        return queue.SimpleQueue()

    def thread(self, name: str, run: Callable[[], None]) -> Thread:
        thread = threading.Thread(target=run, name=name, daemon=True)
        thread.start()
        return thread


SYSTEM_CLOCK: Clock = _SystemClock()
