"""A clock whose time passes only while every thread waits: hours of a worker's life in milliseconds, always the same.

Its threads are real ones, of which only one runs at a time. It hands on to another one where it waits for something,
and, if there is a `seed`, by chance where it lets go of a lock. Whenever nobody can run, the time jumps to the next
moment at which somebody's waiting ends. The test's own thread is one of them: while it runs, all others stand still.
"""

import queue
import random
import threading
from collections import deque
from collections.abc import Callable
from types import TracebackType
from typing import Generic, Self, TypeVar

T = TypeVar("T")

START = 1000.0  # seconds; the clock's time when it is made
COMPUTING = 0.001  # seconds that a thread has computed between two looks at its `thread_time`
CHANCE = 0.25  # that a thread which lets go of a lock lets others run first
SWITCHES = 2_000_000  # more than any test needs: threads that only hand on to each other would never end


class _Closed(BaseException):
    """The test is over."""


class Stuck(AssertionError):
    """What the test waits for cannot happen any more."""


class _Task:
    """A thread, and what it waits for. Nothing here needs a lock, as only one thread runs."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.resumed = threading.Lock()  # held while it may not run; much cheaper than a semaphore
        self.resumed.acquire()
        self.until: float | None = None  # its waiting ends by itself
        self.notified = False
        self.ended = False
        self.joining: list[_Task] = []  # wait for its end


class VirtualClock:
    """See `worker.clock`. A context manager; leaving it ends all its threads, wherever they are.

    What a thread raises is raised in the test, at the latest when the clock is left.
    """

    def __init__(self, seed: int | None = None) -> None:
        self._now = START
        self._random = None if seed is None else random.Random(seed)
        self._main = _Task("the test")
        self._current = self._main
        self._ready: deque[_Task] = deque()
        self._waiting: list[_Task] = []
        self._threads: list[tuple[_Task, threading.Thread]] = []
        self._goal: Callable[[], object] | None = None
        self._switches = 0
        self._looks = 0
        self._error: BaseException | None = None
        self._watching = False  # a goal is looked at, which must not hand on
        self._closing = False

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, exc_type: type[BaseException] | None, exc: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._closing = True
        for task, thread in self._threads:
            task.resumed.release()
            thread.join()
        if exc is None:
            self._raise_error()

    @property
    def passed(self) -> float:
        """Seconds since the clock was made."""
        return self._now - START

    def monotonic(self) -> float:
        return self._now

    def thread_time(self) -> float:
        self._looks += 1
        return self._looks * COMPUTING

    def sleep(self, seconds: float) -> None:
        self.wait(seconds)

    def condition(self) -> "Condition":
        return Condition(self)

    def event(self) -> "Event":
        return Event(self)

    def semaphore(self, value: int) -> "Semaphore":
        return Semaphore(self, value)

    def queue(self) -> "Queue[T]":
        return Queue(self)

    def thread(self, name: str, run: Callable[[], None]) -> "Thread":
        task = _Task(name)
        thread = threading.Thread(target=self._run, args=(task, run), name=name, daemon=True)
        self._threads.append((task, thread))
        self._ready.append(task)
        thread.start()
        return Thread(self, task)

    def run_until(self, goal: Callable[[], object], within: float = 86_400.0) -> None:
        """Let time pass until `goal` is true at a moment at which everybody waits.

        Raises `Stuck`, with what everybody waits for, if it is not within so many seconds.
        """
        self._goal = goal
        self.wait(within)
        self._goal = None
        if not goal():
            raise Stuck(f"not within {within:g} s; these wait: {self._describe()}")

    def wait(self, timeout: float | None) -> bool:
        """Let others run until `notify`; False says that the time was up first."""
        if self._closing:
            raise _Closed
        task = self._current
        task.notified = False
        task.until = None if timeout is None else self._now + max(0.0, timeout)
        self._waiting.append(task)
        self._hand_on()
        return task.notified

    def notify(self, task: _Task) -> None:
        """It need not wait any more."""
        task.notified = True
        if task in self._waiting:
            self._end_waiting(task)

    def take_turns(self) -> None:
        """Let others run first, by chance."""
        able = self._random and not self._closing and not self._watching and self._ready
        if able and self._random and self._random.random() < CHANCE:
            self._ready.append(self._current)
            self._hand_on()

    @property
    def current(self) -> _Task:
        return self._current

    def _hand_on(self) -> None:
        """Run the next one, and return when it is our turn again."""
        task, following = self._current, self._next()
        if following is not task:
            self._current = following
            following.resumed.release()
            task.resumed.acquire()
        if self._closing:
            raise _Closed
        if task is self._main:
            self._raise_error()

    def _next(self) -> _Task:
        self._switches += 1
        if self._switches > SWITCHES and self._error is None:
            self._error = Stuck(f"everybody only hands on to others: {self._describe()}")
        if self._error is not None and self._main in self._waiting:
            self._waiting.remove(self._main)
            return self._main
        while not self._ready:
            if self._goal is not None and self._is_true(self._goal):
                self._end_waiting(self._main)
            else:
                self._move_time()
        if self._random:
            self._ready.rotate(self._random.randrange(len(self._ready)))
        return self._ready.popleft()

    def _is_true(self, goal: Callable[[], object]) -> bool:
        self._watching = True
        result = bool(goal())
        self._watching = False
        return result

    def _move_time(self) -> None:
        """To the next moment at which somebody's waiting ends. The test's own ends when nothing else does."""
        others = [task.until for task in self._waiting if task.until is not None and task is not self._main]
        moment = min(others, default=float("inf"))
        if self._main.until is not None and self._main.until < moment:
            self._now = max(self._now, self._main.until)
            self._end_waiting(self._main)
            return
        if moment == float("inf"):
            self._error = Stuck(f"nobody will ever go on: {self._describe()}")
            self._end_waiting(self._main)
            return
        self._now = max(self._now, moment)
        for task in [t for t in self._waiting if t.until is not None and t.until <= moment and t is not self._main]:
            self._end_waiting(task)

    def _end_waiting(self, task: _Task) -> None:
        self._waiting.remove(task)
        self._ready.append(task)

    def _run(self, task: _Task, run: Callable[[], None]) -> None:
        task.resumed.acquire()
        try:
            if not self._closing:
                run()
        except _Closed:
            return
        except BaseException as error:  # noqa: BLE001 (raised in the test's thread)
            self._error = error
        task.ended = True
        if not self._closing:
            for joining in task.joining:
                self.notify(joining)
            self._current = self._next()
            self._current.resumed.release()

    def _raise_error(self) -> None:
        error, self._error = self._error, None
        if error is not None:
            raise error

    def _describe(self) -> str:
        ends = [(task.name, "" if task.until is None else f" ({task.until - self._now:g} s)") for task in self._waiting]
        return ", ".join(f"{name}{end}" for name, end in ends if name != self._main.name)


class Condition:
    """As `threading.Condition`, with a lock that can be taken again by who has it."""

    def __init__(self, clock: VirtualClock) -> None:
        self._clock = clock
        self._owner: _Task | None = None
        self._depth = 0
        self._blocked: deque[_Task] = deque()
        self._waiters: deque[_Task] = deque()

    def __enter__(self) -> bool:
        self._acquire()
        self._depth += 1
        return True

    def __exit__(
        self, exc_type: type[BaseException] | None, exc: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if isinstance(exc, _Closed):
            return  # nobody needs it any more
        self._depth -= 1
        if not self._depth:
            self._release()
            self._clock.take_turns()

    def wait(self, timeout: float | None = None) -> bool:
        task, depth = self._clock.current, self._depth
        self._waiters.append(task)
        self._release()
        notified = self._clock.wait(timeout)
        if task in self._waiters:
            self._waiters.remove(task)
        self._acquire()
        self._depth = depth
        return notified

    def wait_for(self, predicate: Callable[[], T], timeout: float | None = None) -> T:
        until = None if timeout is None else self._clock.monotonic() + timeout
        while not (result := predicate()):
            left = None if until is None else until - self._clock.monotonic()
            if left is not None and left <= 0:
                break
            self.wait(left)
        return result

    def notify(self, n: int = 1) -> None:
        for _ in range(min(n, len(self._waiters))):
            self._clock.notify(self._waiters.popleft())

    def notify_all(self) -> None:
        self.notify(len(self._waiters))

    def _acquire(self) -> None:
        task = self._clock.current
        while self._owner not in (None, task):
            self._blocked.append(task)
            self._clock.wait(None)
        self._owner = task

    def _release(self) -> None:
        self._owner, self._depth = None, 0
        if self._blocked:
            self._clock.notify(self._blocked.popleft())


class Event:
    """As `threading.Event`."""

    def __init__(self, clock: VirtualClock) -> None:
        self._changed = Condition(clock)
        self._set = False

    def is_set(self) -> bool:
        return self._set

    def set(self) -> None:
        with self._changed:
            self._set = True
            self._changed.notify_all()

    def wait(self, timeout: float | None = None) -> bool:
        with self._changed:
            return self._changed.wait_for(self.is_set, timeout)


class Semaphore:
    """As `threading.Semaphore`."""

    def __init__(self, clock: VirtualClock, value: int) -> None:
        self._changed = Condition(clock)
        self._value = value

    def __enter__(self) -> bool:
        with self._changed:
            self._changed.wait_for(lambda: self._value > 0)
            self._value -= 1
        return True

    def __exit__(
        self, exc_type: type[BaseException] | None, exc: BaseException | None, traceback: TracebackType | None
    ) -> None:
        with self._changed:
            self._value += 1
            self._changed.notify()


class Queue(Generic[T]):
    """As `queue.SimpleQueue`."""

    def __init__(self, clock: VirtualClock) -> None:
        self._changed = Condition(clock)
        self._items: deque[T] = deque()

    def put(self, item: T) -> None:
        with self._changed:
            self._items.append(item)
            self._changed.notify()

    def get(self, block: bool = True, timeout: float | None = None) -> T:
        with self._changed:
            if not self._changed.wait_for(lambda: self._items, timeout if block else 0.0):
                raise queue.Empty
            return self._items.popleft()


class Thread:
    """As `threading.Thread`, once it is started."""

    def __init__(self, clock: VirtualClock, task: _Task) -> None:
        self._clock = clock
        self._task = task

    def join(self, timeout: float | None = None) -> None:
        if self._task.ended:
            return
        task = self._clock.current
        self._task.joining.append(task)
        self._clock.wait(timeout)
        self._task.joining.remove(task)

    def is_alive(self) -> bool:
        return not self._task.ended
