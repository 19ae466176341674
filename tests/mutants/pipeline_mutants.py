"""Mutants of the pipeline, and of the assembly that starts and stops it."""

from tests.mutants.mutant import Mutant

_PIPELINE = "worker/pipeline"
_ACKNOWLEDGER = f"{_PIPELINE}/acknowledger.py"
_BATCH_REQUESTS = f"{_PIPELINE}/batch_requests.py"
_CONSUMERS = f"{_PIPELINE}/consumers.py"
_GATE = f"{_PIPELINE}/database_gate.py"
_IN_FLIGHT = f"{_PIPELINE}/in_flight.py"
_TURNS = f"{_PIPELINE}/turns.py"
_WRITER = f"{_PIPELINE}/writer.py"
_HEARTBEAT = f"{_PIPELINE}/visibility_heartbeat.py"
_PARKED = f"{_PIPELINE}/parked_messages.py"
_PAUSE = f"{_PIPELINE}/pause_switch.py"
_RETRY_DELAY = f"{_PIPELINE}/retry_delay.py"
_LIMIT = f"{_PIPELINE}/adaptive_limit.py"
_ASSEMBLY = "worker/assembly.py"
_SOURCE_QUEUE = "worker/source_queue.py"

MUTANTS = (
    # Acknowledger: outcomes.
    Mutant(
        _ACKNOWLEDGER,
        "            if self._is_last_attempt(delivery):\n                self._renewals.put(",
        "            if delivery.message.receive_count > self._max_attempts:\n                self._renewals.put(",
        "an outage uses up the last attempt: SQS moves sign-ups to the dead-letter queue, without a reason",
    ),
    Mutant(
        _ACKNOWLEDGER,
        "return delivery.message.receive_count >= self._max_attempts",
        "return delivery.message.receive_count > self._max_attempts",
        "SQS moves what has failed too often before the worker does: dead letters have no reason",
    ),
    Mutant(
        _ACKNOWLEDGER,
        "        if self._is_last_attempt(delivery):\n            self.dead(",
        "        if delivery.message.receive_count > self._max_attempts:\n            self.dead(",
        "an activity whose author never signs up becomes a dead letter without a reason",
    ),
    Mutant(
        _ACKNOWLEDGER,
        "Outgoing(delivery.message.body, delivery.message.attributes)",
        "Outgoing(delivery.message.body)",
        "after an outage messages have lost their attributes",
    ),
    Mutant(
        _ACKNOWLEDGER,
        "self._put_back(self._visibility, delivery, seconds)",
        "self._put_back(self._visibility, delivery, 0)",
        "who waits for their author is received again at once, and has used up all attempts within a second",
    ),
    Mutant(
        _ACKNOWLEDGER,
        "        until = self._in_flight.lease_until(delivery)\n"
        "        # Forgotten first: when it comes back, it must not be taken for one that is still in hand.\n"
        "        self._in_flight.forget([delivery])\n",
        "        # Forgotten first: when it comes back, it must not be taken for one that is still in hand.\n"
        "        self._in_flight.forget([delivery])\n"
        "        until = self._in_flight.lease_until(delivery)\n",
        "a release or a delay that SQS refuses once is never tried again",
    ),
    Mutant(
        _ACKNOWLEDGER,
        "self._in_flight.forget(d for index, d in enumerate(deliveries) if index not in kept)",
        "self._in_flight.forget(deliveries)",
        "a deletion that fails is not tried again: sign-ups are written twice whenever SQS throttles",
    ),
    Mutant(
        _ACKNOWLEDGER,
        "            self._in_flight.forget(d for index, d in enumerate(deliveries) if index not in kept)\n",
        "",
        "the worker takes what it has deleted for what it holds, and stops receiving after max_in_flight messages",
    ),
    Mutant(
        _ACKNOWLEDGER,
        "self._close(self._movers, deadline) & self._close([self._deletes], deadline)",
        "self._close(self.lanes, deadline)",
        "what became a dead letter during a stop is not deleted, and becomes one again",
    ),
    Mutant(
        _ACKNOWLEDGER,
        "        if code in LEASE_LOST | NOT_TAKEN:\n            self._leave(entry)\n",
        "        if code in LEASE_LOST:\n            self._leave(entry)\n",
        "a deletion that comes too late is tried until the lease is over, again and again",
    ),
    Mutant(
        _ACKNOWLEDGER,
        "if code in NOT_TAKEN and entry.message.attributes != least:",
        "if code in LEASE_LOST and entry.message.attributes != least:",
        "a message of the largest size can never become a dead letter",
    ),
    Mutant(
        _ACKNOWLEDGER,
        "            self._leave(entry)  # SQS itself will move it\n",
        "            self._deletes.put(Deletion(entry.delivery))\n",
        "a message that SQS does not take in the dead-letter queue is deleted: it is lost",
    ),
    Mutant(
        _ACKNOWLEDGER,
        '("left_to_sqs", **entry.delivery.describe())\n        self._in_flight.forget([entry.delivery])\n',
        '("left_to_sqs", **entry.delivery.describe())\n',
        "what is left to SQS is held for ever: its lease is extended, and nobody gets it again",
    ),
    Mutant(
        _ACKNOWLEDGER,
        "own[: MESSAGE_ATTRIBUTES - len(attributes)]",
        "own[:MESSAGE_ATTRIBUTES]",
        "dead letters with many attributes arrive without their reason",
    ),
    Mutant(
        _ACKNOWLEDGER,
        "return code is None or code in LEASE_LOST | NOT_TAKEN\n",
        "return True\n",
        "a release that SQS refuses in part is not tried again: messages wait for their lease's end",
    ),
    Mutant(
        _ACKNOWLEDGER,
        "        self.wait_until_no_receive()\n",
        "",
        "what the worker releases is received by its own open poll, and loses an attempt",
    ),
    # Batch requests: the lanes.
    Mutant(
        _BATCH_REQUESTS,
        "                return batch, True\n",
        "                return [], True\n",
        "what waits for its call at the moment of a stop is dropped",
    ),
    Mutant(
        _BATCH_REQUESTS,
        "while not self._give_up.is_set() and not (closing and not again):",
        "while not self._give_up.is_set() and not closing:",
        "a call that fails during a stop is not tried again: sign-ups are written twice",
    ),
    Mutant(
        _BATCH_REQUESTS,
        "while len(batch) < BATCH_ENTRIES and not closing:",
        "while len(batch) <= BATCH_ENTRIES and not closing:",
        "SQS refuses calls of eleven entries, and nothing is deleted any more",
    ),
    Mutant(
        _BATCH_REQUESTS,
        "if len(batch) > 1 and error.code in LEASE_LOST | NOT_TAKEN:",
        "if len(batch) > 10 and error.code in LEASE_LOST | NOT_TAKEN:",
        "one message that SQS does not take keeps nine others from becoming dead letters",
    ),
    Mutant(
        _BATCH_REQUESTS,
        "self._give_up.wait(next(delays))",
        "self._give_up.wait(FIRST_RETRY)",
        "while SQS is down, each lane calls it ten times a second",
    ),
    Mutant(
        _BATCH_REQUESTS,
        "            else:\n                delays = exponential(FIRST_RETRY, MAX_RETRY)\n",
        "",
        "after one outage of SQS every hiccup delays deletions by seconds",
    ),
    Mutant(
        _BATCH_REQUESTS,
        "        self._leave(entry)\n        return False\n",
        "        return False\n",
        "what could not be deleted within its lease is held for ever, and the worker stops receiving",
    ),
    Mutant(
        _BATCH_REQUESTS,
        "if self._until(entry) > self._clock.monotonic():",
        "if self._until(entry) < self._clock.monotonic():",
        "calls that fail are tried again only when it is too late",
    ),
    # Consumers.
    Mutant(
        _CONSUMERS,
        "            events = self._in_flight.still_ours(events)\n            if self._turns",
        "            if self._turns",
        "the writer writes what is no longer held, while another worker writes it",
    ),
    Mutant(
        _CONSUMERS,
        "        with self._connections:\n            events = self._in_flight.still_ours(events)\n",
        "        events = self._in_flight.still_ours(events)\n        with self._connections:\n",
        "what was lost while it waited for a connection is written all the same",
    ),
    Mutant(
        _CONSUMERS,
        "if self._turns.stopped or not self._gate.is_open or",
        "if self._turns.stopped or",
        "in an outage every batch that is in hand waits for the database's time-out",
    ),
    Mutant(
        _CONSUMERS,
        "if self._turns.stopped or not self._gate.is_open or",
        "if not self._gate.is_open or",
        "a stop takes as long as everything that waits for a connection",
    ),
    Mutant(
        _CONSUMERS,
        "wait_seconds = SHORT_WAIT if len(self._in_flight) else self._wait_seconds",
        "wait_seconds = self._wait_seconds",
        "what is released during a long poll is received by the same worker at once, and loses an attempt",
    ),
    Mutant(
        _CONSUMERS,
        "                if not self._turns.failed():\n                    break\n",
        "",
        "while SQS is down, every thread calls it, not one of them",
    ),
    Mutant(
        _CONSUMERS,
        "self._turns.pause(next(delays))",
        "self._turns.pause(FIRST_RETRY)",
        "while SQS is down it is called twice a second",
    ),
    Mutant(
        _CONSUMERS,
        "if not room.calls or not self._gate.is_open or",
        "if not room.calls or",
        "messages are received just after the database has gone, and lose an attempt",
    ),
    Mutant(
        _CONSUMERS,
        "            return self._in_flight.admit(messages, self._clock.monotonic())\n        finally:\n"
        "            self._in_flight.release(room)\n",
        "            deliveries = self._in_flight.admit(messages, self._clock.monotonic())\n"
        "            self._in_flight.release(room)\n            return deliveries\n        finally:\n",
        "each receive that fails costs some of max_in_flight, until the worker receives nothing",
    ),
    Mutant(
        _CONSUMERS,
        "elif self._on_empty and wait_seconds and self._turns.alone and not self._in_flight and self._on_empty():",
        "elif self._on_empty and wait_seconds and self._on_empty():",
        "--once ends while messages are being written",
    ),
    Mutant(
        _CONSUMERS,
        "self._most = min(BATCH_ENTRIES, batch_size)",
        "self._most = BATCH_ENTRIES",
        "a small batch_size is not kept",
    ),
    Mutant(
        _CONSUMERS,
        "while window.full and len(batch) + BATCH_ENTRIES <= self._batch_size:",
        "while window.full and len(batch) <= self._batch_size:",
        "transactions are larger than batch_size allows",
    ),
    Mutant(
        _CONSUMERS,
        "calls = min(wanted, max(1, (self._batch_size - held) // BATCH_ENTRIES))",
        "calls = wanted",
        "with several receives at a time, transactions are nearly twice as large as batch_size",
    ),
    Mutant(
        _CONSUMERS,
        "        self.body_size = max((len(message.body) for message in messages), default=0)\n",
        "",
        "large messages fill the memory: eighty receives are made before the first one is counted",
    ),
    Mutant(
        _CONSUMERS,
        "held, wait_seconds=0) or []\n        except SqsError:\n            return []\n",
        "held, wait_seconds=0) or []\n        except SqsError:\n            raise\n",
        "one receive that fails in the middle of a batch ends the worker",
    ),
    # The pause of all workers.
    Mutant(
        _PAUSE,
        "        self._on = True\n",
        "        self._on = False\n",
        "a worker that starts in a pause receives until its first look",
    ),
    Mutant(
        _CONSUMERS,
        "            if self._turns.stopped or not self._gate.is_open or self._pause_switch.is_on:\n",
        "            if self._turns.stopped or not self._gate.is_open:\n",
        "what was received before a pause is written in it",
    ),
    Mutant(
        _PAUSE,
        "            self._on = pause is not None\n            self._changed.notify_all()\n",
        "            self._on = self._on and pause is not None\n            self._changed.notify_all()\n",
        "only a pause that was there at the start is seen",
    ),
    Mutant(
        _PAUSE,
        "            if not self._stopped:\n                self._failures.failure(reason=describe(error))\n",
        "            if not self._stopped:\n                self._set(None)\n",
        "a look that fails ends the pause",
    ),
    # The gate.
    Mutant(
        _GATE,
        "            if self._open and began < self._opened_at:\n                return False\n",
        "",
        "an old error shuts the gate again after the outage is over",
    ),
    Mutant(
        _GATE,
        "            if self._paused_at is not None:\n                self._database.reset()\n",
        "",
        "after an outage the pool's connections are dead, and the outage goes on for minutes",
    ),
    Mutant(
        _GATE,
        "        self._intervals = self._new_intervals()\n\n    def wait_until_open",
        "\n    def wait_until_open",
        "each outage is noticed to be over later than the last one",
    ),
    Mutant(
        _GATE,
        "if not self._sleep(next(self._intervals)):",
        "if not self._sleep(next(self._new_intervals())):",
        "a database that is down is asked twice a second, and a full disk is written to as often",
    ),
    Mutant(
        _GATE,
        "        self._open = False\n        self._stopped = False\n",
        "        self._open = True\n        self._stopped = False\n",
        "a worker that starts during an outage takes messages and wastes their attempts",
    ),
    Mutant(
        _GATE,
        "lambda: self._open or self._stopped)",
        "lambda: self._open)",
        "a worker that is stopped during an outage does not end before it is killed",
    ),
    Mutant(
        _GATE,
        "            if self._paused_at is not None or self._stopped:\n                return True\n",
        "",
        "every failed probe reports an outage of its own, and the outage's length is never known",
    ),
    # In flight: what is held.
    Mutant(
        _IN_FLIGHT,
        "free = self._max_messages - len(self._leases) - BATCH_ENTRIES * self._reserved_calls",
        "free = self._max_messages - len(self._leases)",
        "threads that receive together take more than max_in_flight",
    ),
    Mutant(
        _IN_FLIGHT,
        "free_bytes = self._max_bytes - self._bytes - self._reserved_bytes",
        "free_bytes = self._max_bytes - self._bytes",
        "threads that receive large messages together fill the memory",
    ),
    Mutant(
        _IN_FLIGHT,
        "-(-free // BATCH_ENTRIES)",
        "free // BATCH_ENTRIES",
        "less is received than max_in_flight allows, and with small ones hardly anything",
    ),
    Mutant(
        _IN_FLIGHT,
        "lease.message, lease.until, lease.lost = message, until, False",
        "lease.until, lease.lost = until, False",
        "a message that SQS has given twice is deleted with the older handle, which deletes nothing",
    ),
    Mutant(
        _IN_FLIGHT,
        "or lease.lost or lease.until < now:",
        "or lease.lost:",
        "what has run out while SQS was away is written, while another worker writes it",
    ),
    Mutant(
        _IN_FLIGHT,
        "return lease if lease is not None and lease.delivery is delivery else None",
        "return lease",
        "settling a message's earlier delivery makes the worker forget the one that it holds",
    ),
    Mutant(
        _IN_FLIGHT,
        "            self._bytes -= len(message.body)\n",
        "",
        "after 32 MiB of messages the worker stops receiving",
    ),
    Mutant(
        _IN_FLIGHT,
        "if lease is not None and lease.message is message:  # else",
        "if lease is not None:  # else",
        "an extension of an older handle makes the worker believe in a lease that it has not",
    ),
    Mutant(
        _IN_FLIGHT,
        "            was_full = not self._has_room()\n            for delivery in deliveries:\n"
        "                self._forget(delivery)\n",
        "            for delivery in deliveries:\n                self._forget(delivery)\n"
        "            was_full = not self._has_room()\n",
        "a worker that holds all it may waits for a second whenever there is room again",
    ),
    Mutant(
        _IN_FLIGHT,
        "            self._reserved_bytes -= room.size\n            self._changed.notify_all()\n",
        "            self._reserved_bytes -= room.size\n",
        "who waits for the room of another thread's receive waits for a second more",
    ),
    # Leases.
    Mutant(
        _HEARTBEAT,
        "self._clock.monotonic() + self._visibility_timeout / 2)",
        "self._clock.monotonic())",
        "leases are extended when they are over: another worker has the messages by then",
    ),
    Mutant(
        _HEARTBEAT,
        "self._in_flight.extended(extended, began + self._visibility_timeout)",
        "self._in_flight.extended(extended, self._clock.monotonic() + 2 * self._visibility_timeout)",
        "leases are taken for longer than they are: two workers write the same",
    ),
    Mutant(
        _HEARTBEAT,
        "for start in range(0, len(ending), BATCH_ENTRIES):",
        "for start in range(0, min(len(ending), BATCH_ENTRIES), BATCH_ENTRIES):",
        "of a large batch that takes long, all but ten messages are lost to other workers",
    ),
    Mutant(
        _HEARTBEAT,
        "enumerate(messages) if index not in codes]",
        "enumerate(messages)]",
        "an extension that has failed in part is not tried again before the lease's end",
    ),
    Mutant(
        _HEARTBEAT,
        "if code in LEASE_LOST | NOT_TAKEN and (delivery",
        "if code and (delivery",
        "one failure inside SQS makes the worker drop messages that are still its own",
    ),
    # Turns: who receives.
    Mutant(
        _TURNS,
        "        if self._writing > self._writers:\n            return False\n",
        "",
        "threads receive messages that only wait in their hands for a connection",
    ),
    Mutant(
        _TURNS,
        "self._changed.wait(self._kept_for())",
        "self._changed.wait()",
        "while one message is written slowly, nobody receives the next one",
    ),
    Mutant(
        _TURNS,
        "            self._leading += 1\n            self._pass_on()\n",
        "            self._leading += 1\n",
        "on a busy queue fewer threads are at work than there is work for",
    ),
    Mutant(
        _TURNS,
        "KEEP_LEAD = 0.01  #",
        "KEEP_LEAD = 10.0  #",
        "a sign-up waits up to ten seconds for somebody else's slow transaction",
    ),
    Mutant(
        _TURNS,
        "return self._leading == 1",
        "return self._leading >= 1",
        "while SQS is down, as many threads call it as were receiving when it went",
    ),
    Mutant(
        _TURNS,
        "return self._active < self._adaptive_limit.limit",
        "return True",
        "on a busy queue all threads are at work and wait for each other",
    ),
    # The adaptive limit.
    Mutant(
        _LIMIT,
        "            if began < self._since:\n                return  # among others\n",
        "",
        "what several threads took together is measured as what one takes: there are too many threads",
    ),
    Mutant(
        _LIMIT,
        "self._lone = min(self._lone, ended - began)",
        "self._lone = ended - began",
        "one slow batch sets all threads to work, which only wait for each other",
    ),
    Mutant(
        _LIMIT,
        "statistics.median(self._computed)",
        "statistics.fmean(self._computed)",
        "one batch that computed for long takes all but one thread off the work",
    ),
    # The writer.
    Mutant(
        _WRITER,
        "        for attempt in count(1):\n            began = self._clock.monotonic()\n",
        "        began = self._clock.monotonic()\n        for attempt in count(1):\n",
        "a batch that has outlived one outage tries for ever in the next one, as all its errors are old news",
    ),
    Mutant(
        _WRITER,
        "self.write(batch[:middle]) + self.write(batch[middle:])",
        "self.write(batch[: middle - 1]) + self.write(batch[middle:])",
        "a message beside one that the database refuses gets no outcome",
    ),
    Mutant(
        _WRITER,
        "attempt <= CONFLICT_RETRIES:",
        "attempt < CONFLICT_RETRIES:",
        "deadlocks break batches up sooner than they must",
    ),
    Mutant(
        _WRITER,
        "                    self._clock.sleep(next(delays))\n                    continue\n",
        "                    continue\n",
        "two workers in a deadlock meet again at once, and use up their retries",
    ),
    Mutant(
        _WRITER,
        "if not self._gate.shut(error, began=began):\n                return None\n",
        "self._gate.shut(error, began=began)\n",
        "old news of an outage that is over gives messages back, which lose an attempt",
    ),
    Mutant(
        _WRITER,
        "                return Fault.DATABASE, probe_error\n",
        "                return fault_of(error), error\n",
        "a slow database makes dead letters of good messages",
    ),
    Mutant(
        "db/tables/written.py",
        "return [*self.users.inserted, *self.deleted, *map(str, self.activities.inserted)]",
        "return [*self.users.inserted, *self.deleted]",
        "replies that came before their parent wait for minutes after it is there",
    ),
    Mutant(
        _WRITER,
        '            self._acknowledger.dead(delivery, "rejected_by_database", "no free handle was found")\n',
        "            return False\n",
        "a user who can be given no handle vanishes without a trace",
    ),
    Mutant(
        _WRITER,
        '            self._acknowledger.dead(batch[0], "rejected_by_database", describe(error))',
        '            self._acknowledger.put_off(batch[0], "attempts_exhausted", describe(error))',
        "what the database will never take is tried for a quarter of an hour",
    ),
    # Parked messages, and delays.
    Mutant(
        _PARKED,
        "            self._count -= len(found)\n",
        "",
        "after ten thousand late authors none is woken any more",
    ),
    Mutant(
        _PARKED,
        "self._parked.popitem(last=False)",
        "self._parked.popitem(last=True)",
        "while many wait, who came last is not woken",
    ),
    Mutant(
        _PARKED,
        "            if parked.until > now:\n",
        "            if now:\n",
        "handles of messages that came back long ago are sent to SQS",
    ),
    Mutant(
        _RETRY_DELAY,
        "factor = _factor(max_attempts - 1)",
        "factor = _factor(max_attempts)",
        "who signs up within a quarter of an hour, but late in it, loses their first posts",
    ),
    Mutant(
        _RETRY_DELAY,
        "random.uniform(1.0, 1.25)",
        "random.uniform(0.75, 1.0)",
        "late authors are waited for less long than is promised",
    ),
    # The assembly: start and stop.
    Mutant(
        _ASSEMBLY,
        "        acknowledger.wait_until_no_receive = consumers.wait_until_no_receive\n",
        "",
        "what the worker releases in an outage is received by its own open polls",
    ),
    Mutant(
        _ASSEMBLY,
        "            intake.consumers.stop()\n",
        "            intake.heartbeat.stop()\n            intake.consumers.stop()\n",
        "a transaction that is finished during a stop loses its leases: its sign-ups are written by two",
    ),
    Mutant(
        _ASSEMBLY,
        "[intake.acknowledger.close(deadline) for intake in self._intakes]",
        "[True]",
        "at each stop what has been written is not deleted",
    ),
    Mutant(
        _ASSEMBLY,
        "STOP_TIMEOUT = 24.0  #",
        "STOP_TIMEOUT = 34.0  #",
        "ECS kills the worker before it has told SQS what became of its messages",
    ),
    Mutant(
        _ASSEMBLY,
        "return min(count for count in",
        "return max(count for count in",
        "SQS moves messages away before the worker says why",
    ),
    Mutant(
        _ASSEMBLY,
        "            self._failed = True\n            self._stop.put(None)\n",
        "            self._failed = True\n",
        "a worker whose thread has crashed runs on, and nobody starts it anew",
    ),
    Mutant(
        _ASSEMBLY,
        "settings.visibility_timeout_seconds or attributes.visibility_timeout",
        "attributes.visibility_timeout or settings.visibility_timeout_seconds",
        "VISIBILITY_TIMEOUT_SECONDS does nothing",
    ),
    # Two source queues.
    Mutant(
        _SOURCE_QUEUE,
        "    if not isinstance(event, ActivityCreated):\n        raise WrongQueue\n",
        "",
        "who may publish activities signs up whom they like",
    ),
    Mutant(
        _ASSEMBLY,
        "            queue,\n            fast_queue,\n            dead_letters,\n",
        "            dead_letters,\n            fast_queue,\n            dead_letters,\n",
        "what came of a queue is deleted and put off in another one, where it is not",
    ),
    Mutant(
        _ACKNOWLEDGER,
        "entry.message = Outgoing(entry.message.body, least)",
        "entry.message = Outgoing(entry.message.body)",
        "a forged sign-up of the largest size is replayed into the events queue",
    ),
    Mutant(
        _ACKNOWLEDGER,
        "if name not in failure.FAILURE_ATTRIBUTES]",
        "if name not in attributes]",
        "a publisher says from which queue its dead letters came",
    ),
)
