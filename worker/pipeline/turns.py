"""Leader and followers: which of the worker's threads may receive.

Schmidt, Stal, Rohnert and Buschmann, "Pattern-Oriented Software Architecture 2" (2000), "Leader/Followers": threads of
one kind, of which one, the leader, waits for work; when it has some it hands the lead on, and does the work itself.
Here the leader receives from the queue. On a busy queue, where nobody waits for messages, all may lead, and as many
threads are at work as `worker.pipeline.adaptive_limit` finds worth it.

A thread *follows* (waits in `begin`), *leads* from there until `received`, then carries what it has, and is a follower
again after `end`. Who has received little keeps the lead until it is written, for `KEEP_LEAD` at most: then it receives
again by itself, and no thread that has just been woken computes while it writes. While it carries it may *write*,
between `writing` and `written`. Nobody begins to lead while more threads write than there are connections: what it
would receive would only wait in our hands, where nobody else can have it.
"""

from worker.clock import SYSTEM_CLOCK, Clock
from worker.pipeline.adaptive_limit import AdaptiveLimit

KEEP_LEAD = 0.01  # seconds; longer than a transaction usually takes, and nothing for a sign-up


class Turns:
    """Safe to use from any thread: one lock, `_changed`, guards all of it."""

    def __init__(self, adaptive_limit: AdaptiveLimit, writers: int, clock: Clock = SYSTEM_CLOCK) -> None:
        self._adaptive_limit = adaptive_limit
        self._writers = writers
        self._clock = clock
        self._changed = clock.condition()
        self._active = 0  # threads that do not follow
        self._leading = 0
        self._writing = 0
        self._busy = False
        self._kept_until = 0.0  # of the clock: somebody who carries keeps the lead
        self._stopped = False

    @property
    def stopped(self) -> bool:
        return self._stopped

    def stop(self) -> None:
        """Let the followers go, and nobody begin."""
        with self._changed:
            self._stopped = True
            self._changed.notify_all()

    def begin(self) -> bool:
        """Wait for a turn; False says that the worker is stopping."""
        with self._changed:
            while not self._may_begin():
                self._changed.wait(self._kept_for())
            self._active += 1
            self._leading += 1
            self._pass_on()
            return not self._stopped

    def received(self, *, some: bool, busy: bool) -> None:
        """This thread has received: whether there was something, and so much that others should help."""
        with self._changed:
            self._leading -= 1
            self._busy = busy
            if some and not busy:
                self._kept_until = self._clock.monotonic() + KEEP_LEAD
                self._changed.notify()  # somebody looks at the time
            else:
                self._pass_on()

    def writing(self) -> None:
        """This thread has a batch, and waits for a connection or uses one."""
        with self._changed:
            self._writing += 1

    def written(self, *, ends_soon: bool) -> None:
        """This thread's batch has its outcome; whether nothing is left to do for it that takes long."""
        with self._changed:
            self._writing -= 1
            self._kept_until = 0.0
            if self._busy or not ends_soon:
                self._pass_on()

    def end(self) -> None:
        """This thread has carried what it had. On a quiet queue it will be the next to begin."""
        with self._changed:
            self._active -= 1
            if self._busy:
                self._pass_on()

    def failed(self) -> bool:
        """This thread's poll has failed; False says that another one finds out when polls work again."""
        with self._changed:
            self._busy = False
            return self._leading == 1

    def pause(self, seconds: float) -> None:
        """Sleep, until `stop` at most."""
        with self._changed:
            self._changed.wait_for(lambda: self._stopped, seconds)

    @property
    def alone(self) -> bool:
        """Whether all others follow."""
        return self._active == 1

    def _may_begin(self) -> bool:
        if self._stopped:
            return True
        if self._writing > self._writers:
            return False
        if self._busy:
            return self._active < self._adaptive_limit.limit
        return not self._leading and not self._kept_for()

    def _kept_for(self) -> float | None:
        """Seconds until a lead that is kept is free; None if there is none."""
        seconds = self._kept_until - self._clock.monotonic()
        return seconds if seconds > 0 else None

    def _pass_on(self) -> None:
        """Wake a follower, if one may begin. It wakes the next one when it has begun."""
        if self._may_begin():
            self._changed.notify()
