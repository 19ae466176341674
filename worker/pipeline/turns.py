"""Leader and followers: which of the worker's threads may receive.

Schmidt, Stal, Rohnert and Buschmann, "Pattern-Oriented Software Architecture 2" (2000), "Leader/Followers": threads of
one kind, of which one, the leader, waits for work; when it has some it hands the lead on, and does the work itself.
Here the leader receives from the queue. On a busy queue, where nobody waits for messages, all may lead, and as many
threads are at work as `worker.pipeline.adaptive_limit` finds worth it.

A thread *follows* (waits in `begin`), *leads* from there until `received`, then carries what it has, and is a follower
again after `end`. While it carries it may *write*, between `writing` and `written`. Nobody begins to lead while more
threads write than there are connections: what it would receive would only wait in our hands, where nobody else can
have it.
"""

import threading

from worker.pipeline.adaptive_limit import AdaptiveLimit


class Turns:
    """Safe to use from any thread: one lock, `_changed`, guards all of it."""

    def __init__(self, concurrency: AdaptiveLimit, writers: int) -> None:
        self._concurrency = concurrency
        self._writers = writers
        self._changed = threading.Condition()
        self._active = 0  # threads that do not follow
        self._leading = 0
        self._writing = 0
        self._busy = False
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
            self._changed.wait_for(self._may_begin)
            self._active += 1
            self._leading += 1
            self._pass_on()
            return not self._stopped

    def received(self, *, busy: bool) -> None:
        """This thread has received, and hands the lead on; whether there was so much that others should help."""
        with self._changed:
            self._leading -= 1
            self._busy = busy
            self._pass_on()

    def writing(self) -> None:
        """This thread has a batch, and waits for a connection or uses one."""
        with self._changed:
            self._writing += 1

    def written(self) -> None:
        """This thread's batch has its outcome."""
        with self._changed:
            self._writing -= 1
            self._pass_on()

    def end(self) -> None:
        """This thread has carried what it had."""
        with self._changed:
            self._active -= 1
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
        return self._active < self._concurrency.limit if self._busy else not self._leading

    def _pass_on(self) -> None:
        """Wake a follower, if one may begin. It wakes the next one when it has begun."""
        if self._may_begin():
            self._changed.notify()
