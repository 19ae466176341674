"""Mutants of what operators do: reconciliation, the erasure of a person, and the way of dead letters back."""

from tests.mutants.mutant import Mutant

_CHANGES = "worker/reconciliation/changes.py"
_DELETIONS = "worker/reconciliation/deletions.py"
_OUTBOX = "worker/reconciliation/outbox.py"
_RECONCILE = "worker/cli/commands/reconcile.py"
_ERASE = "worker/cli/commands/erase.py"

MUTANTS = (
    # Reconciliation: changes.
    Mutant(
        _CHANGES,
        "            if fields and _is_newer(row, users[sub]):\n"
        '                changes[sub] = Change(sub, fields, Sent("not_enqueued", _NEWER))\n'
        "            elif fields:\n",
        "            if fields:\n",
        "a profile that the backend has changed is overwritten by an older one of Cognito's",
    ),
    Mutant(
        _CHANGES,
        "row.profile_at >= user.modified_at + RESOLUTION",
        "row.profile_at > user.modified_at",
        "whose attributes were updated once is never updated again, unless Cognito changes something",
    ),
    Mutant(
        _CHANGES,
        "time=max(user.modified_at, (row.profile_at or row.created_at) + _NEXT),",
        "time=user.modified_at,",
        "an attribute that is to go along is enqueued every night, and never written",
    ),
    Mutant(
        _CHANGES,
        '"handle": has_handle(row, new.handle),',
        '"handle": row.handle == new.handle,',
        "who has a suffix to their handle is updated every night",
    ),
    Mutant(
        _CHANGES,
        "if self._since is None or user.modified_at >= self._since}",
        "}",
        "with --since everybody is compared and enqueued all the same",
    ),
    Mutant(
        "db/sql/find_profiles.sql",
        " AND deleted_at IS NULL",
        "",
        "deleted users who are still in the pool are enqueued every night",
    ),
    # Reconciliation: deletions.
    Mutant(
        _DELETIONS,
        "if gone * MOST > search.living:",
        "if gone > search.living:",
        "with the id of another pool everybody is erased",
    ),
    Mutant(
        _DELETIONS,
        'if self._pool.find("sub", sub):',
        "if not sub:",
        "whom a list of the pool has left out is erased",
    ),
    Mutant(
        _DELETIONS,
        "YOUNGEST = timedelta(hours=1)",
        "YOUNGEST = timedelta(minutes=1)",
        "who has just signed up, and is in no list of the pool yet, is erased",
    ),
    Mutant(
        "db/sql/list_users.sql",
        "    AND deleted_at IS NULL\n",
        "",
        "each run erases all who are deleted already, until it takes them for the sign of another pool",
    ),
    Mutant(
        _RECONCILE,
        "if self.search is None or not self.reconciliation.summary.complete or self.outbox.called_off:",
        "if self.search is None:",
        "where the queue fails half way, whoever is on the pages that were not read is said to be gone",
    ),
    Mutant(
        _RECONCILE,
        "return self.reconciliation.summary.failed + changed + erased",
        "return self.reconciliation.summary.failed",
        "a nightly run that could not enqueue changes ends well, and nobody hears of it",
    ),
    # Outbox.
    Mutant(
        _OUTBOX,
        "self.called_off = failure.reason if failure.call_failed else self.called_off",
        "self.called_off = failure.reason",
        "one event that SQS does not take ends the whole reconciliation",
    ),
    Mutant(
        _OUTBOX,
        '[Sent("not_enqueued", reasons[id(e)]) if id(e) in reasons else Sent("enqueued") for e in events]',
        '[Sent("enqueued") for e in events]',
        "what SQS has refused is said to be enqueued",
    ),
    # Erasure.
    Mutant(
        _ERASE,
        "        if user.cognito_user_id == sub_or_email:\n",
        "        if sub_or_email in (user.cognito_user_id, user.handle):\n",
        "somebody who has taken a person's id for a handle is erased in their place",
    ),
    Mutant(
        _ERASE,
        "    if len(users) > 1:\n",
        "    if len(users) > 2:\n",
        "of two people with one e-mail address the wrong one is erased",
    ),
    Mutant(
        _ERASE,
        "        with Publisher(queues.sources.events.url) as publisher:\n"
        "            _publish(event, publisher)\n"
        "        left = _delete(scan.held, ids)\n",
        "        left = _delete(scan.held, ids)\n"
        "        with Publisher(queues.sources.events.url) as publisher:\n"
        "            _publish(event, publisher)\n",
        "while SQS takes nothing, dead letters are gone without a copy, and the person is still there",
    ),
    Mutant(
        _ERASE,
        '_event(person, "keep" if keep_activities else "erase")',
        '_event(person, "erase")',
        "what a person has posted is erased although it was to be kept",
    ),
    Mutant(
        "worker/dead_letters/person.py",
        "        if owner is not None:\n            return owner == self.cognito_user_id\n",
        "        if owner == self.cognito_user_id:\n            return True\n",
        "dead letters of others who have mentioned the person are deleted without a copy",
    ),
    # Source queues.
    Mutant(
        "worker/source_queue.py",
        '        if _type_of(body) not in (None, "activity.created.v1"):\n            raise WrongQueue from None\n',
        "",
        "a sign-up from the activities queue that is broken as well is no forgery, and an operator mends it",
    ),
    Mutant(
        "worker/dead_letters/source_queues.py",
        "return self._queues.get(entry.source_queue)",
        'return self._queues.get(entry.source_queue, self._queues["events"])',
        "where ACTIVITIES_QUEUE_URL is not set, a replay sends forged sign-ups to where they are taken",
    ),
)
