"""Mutants of the tables, their statements, the pool, the credentials, the roles and the migrations."""

from tests.mutants.mutant import Mutant

_USERS = "db/tables/users.py"
_DELETIONS = "db/tables/deletions.py"
_ACTIVITIES = "db/tables/activities.py"
_POOL = "db/pool.py"
_CREDENTIALS = "db/credentials.py"

MUTANTS = (
    Mutant(
        _USERS,
        "key=lambda user: (user.cognito_user_id, user.created_at)",
        "key=lambda user: user.created_at",
        "two workers with the same users deadlock",
    ),
    Mutant(
        _USERS,
        "return [user for user in users if user.cognito_user_id not in present]",
        "return list(users)",
        "a sign-up that is delivered twice becomes a dead letter",
    ),
    Mutant(
        _USERS,
        "hashlib.sha256(user.cognito_user_id.encode())",
        "hashlib.sha256(user.handle.encode())",
        "the third user who wants a handle is refused",
    ),
    Mutant(
        _USERS,
        "user.handle[: HANDLE_MAX_LENGTH - len(suffix)] + suffix",
        "user.handle + suffix",
        "handles are longer than the API allows",
    ),
    Mutant(
        "db/sql/update_users.sql",
        "    ) < (new.profile_at, new.profile_event)",
        "    ) <> (new.profile_at, new.profile_event)",
        "a change that is delivered late undoes a newer one",
    ),
    Mutant(
        "db/sql/update_users.sql",
        "    AND users.deleted_at IS NULL\n",
        "",
        "a change brings a deleted user back whom another worker deletes at the same time",
    ),
    Mutant(
        _USERS,
        "key=lambda profile: (profile.profile_at, profile.event_id)",
        "key=lambda profile: profile.profile_at",
        "of two changes at the same time the one that comes last wins",
    ),
    Mutant(
        "db/sql/update_users.sql",
        "coalesce(users.profile_at, users.created_at),",
        "coalesce(users.profile_at, '-infinity'),",
        "a change that is older than the sign-up overwrites what somebody has signed up with",
    ),
    Mutant(
        "db/sql/lock_authors.sql",
        "FOR SHARE",
        "FOR KEY SHARE",
        "what is posted while its author is deleted stays",
    ),
    Mutant(
        "db/sql/delete_users.sql",
        "created_at = least(tombstones.deleted_at, excluded.deleted_at),\n",
        "",
        "what is left of a deleted user says when they signed up",
    ),
    Mutant(
        "db/sql/delete_users.sql",
        "WHERE tombstones.deleted_at IS NULL OR tombstones.deleted_at > excluded.deleted_at\n",
        "WHERE tombstones.deleted_at IS NULL\n",
        "deletions of one user that come in another order leave another time",
    ),
    Mutant(
        _DELETIONS,
        "key=lambda deletion: deletion.deleted_at, reverse=True)",
        "key=lambda deletion: deletion.deleted_at)",
        "of two deletions of one user in a batch the later one counts",
    ),
    Mutant(
        _DELETIONS,
        "for one in deletions if one.erases}",
        "for one in deletions}",
        "what a person has posted is erased although it was to be kept",
    ),
    Mutant(
        "db/sql/erase_activities.sql",
        "(activities.deleted_at IS NULL OR activities.deleted_at > %(deleted_at)s)",
        "activities.deleted_at IS NULL",
        "deletions of one user leave other rows in another order",
    ),
    Mutant(
        _ACTIVITIES,
        "result.ignored = {a.uuid for a in ordered if a.cognito_user_id in deleted}",
        "result.ignored = set()",
        "what a deleted user has posted late waits for them and becomes a dead letter",
    ),
    Mutant(
        _ACTIVITIES,
        "ordered = [distinct[uuid] for uuid in sorted(distinct)]",
        "ordered = list(distinct.values())",
        "two workers with the same activities deadlock",
    ),
    Mutant(
        _ACTIVITIES,
        "[a for a in ready if a.uuid in result.inserted]",
        "ready",
        "a reply that is delivered twice is counted twice",
    ),
    Mutant(
        _ACTIVITIES,
        "        known |= {a.uuid for a in now}\n        left = [a for a in left if a.uuid not in known]\n",
        "        left = [a for a in left if a.uuid not in {b.uuid for b in now}]\n",
        "a reply that comes together with its parent waits for it",
    ),
    Mutant(
        "db/sql/count_replies.sql",
        "activities.replies_count + new_replies.replies",
        "(SELECT count(*) FROM {schema}.activities AS r WHERE r.reply_to_activity_uuid = activities.uuid)",
        "two workers that count replies of one activity at once lose some",
    ),
    Mutant(
        "db/sql/count_replies.sql",
        "FOR NO KEY UPDATE",
        "FOR UPDATE",
        "replies to one activity deadlock, as inserting a reply locks its parent",
    ),
    Mutant(
        "db/sql/insert_users.sql",
        "ON CONFLICT DO NOTHING",
        "ON CONFLICT (cognito_user_id) DO NOTHING",
        "who wants a handle that is taken becomes a dead letter",
    ),
    Mutant(
        "db/sql/insert_activities.sql",
        "ON CONFLICT (uuid) DO NOTHING",
        "ON CONFLICT (uuid) DO UPDATE SET message = excluded.message",
        "an activity that is delivered again overwrites itself, and its replies are counted again",
    ),
    Mutant(
        "db/sql/set_limits.sql",
        "%(statement_timeout_ms)s::text, true)",
        "%(statement_timeout_ms)s::text, false)",
        "behind PgBouncer other applications' statements are cancelled by the worker's limit",
    ),
    Mutant(
        "db/sql/set_limits.sql",
        "current_setting('synchronous_commit') = 'off'",
        "current_setting('synchronous_commit') = 'on'",
        "where commits are not durable by default, a crash of Postgres loses sign-ups that were deleted from the queue",
    ),
    Mutant(
        "db/sql/lock_tables.sql",
        "LOCK TABLE {schema}.users, {schema}.activities IN",
        "LOCK TABLE {schema}.users IN",
        "while somebody keeps writers out of `activities`, the worker opens its gate and fails, again and again",
    ),
    Mutant(
        "db/sql/lock_tables.sql",
        "IN ROW EXCLUSIVE MODE",
        "IN SHARE ROW EXCLUSIVE MODE",
        "the probe takes other workers' transactions for an outage",
    ),
    Mutant(
        "db/sql/is_read_only.sql",
        "current_setting('transaction_read_only')::boolean OR pg_is_in_recovery()",
        "pg_is_in_recovery()",
        "a database that was set to read-only is taken for one that can be written to",
    ),
    Mutant(
        "db/sql/is_read_only.sql",
        "current_setting('transaction_read_only')::boolean OR pg_is_in_recovery()",
        "current_setting('transaction_read_only')::boolean",
        "a standby is taken for a server that can be written to",
        survives="on a standby transaction_read_only is always on (PostgreSQL documentation, 27.4.1): no change",
    ),
    Mutant(
        _POOL,
        "            check=ConnectionPool.check_connection,\n",
        "",
        "connections that a firewall has dropped are taken for an outage",
    ),
    Mutant(
        _POOL,
        "            configure=self._configure,\n",
        "",
        "with another default isolation level, batches fail with serialization errors",
    ),
    Mutant(
        _POOL,
        '            kwargs={"prepare_threshold": None},\n',
        "",
        "behind PgBouncer statements fail, as the prepared ones are on another connection",
    ),
    Mutant(
        _POOL,
        "        stale, self._pool = self._pool, fresh\n        stale.close()\n",
        "        self._pool = fresh\n",
        "each outage leaves connections open, until the server has no more",
        survives="a pool that nobody has any more closes its connections by itself (`ConnectionPool.__del__`)",
    ),
    Mutant(
        _POOL,
        "        fresh = self._new_pool()\n        fresh.open(wait=False)\n",
        "        fresh = self._pool = self._new_pool()\n        fresh.open(wait=False)\n",
        "a reset that fails leaves the worker without a pool until the next one",
    ),
    Mutant(
        _POOL,
        "        except psycopg.Error:\n            fresh.close()\n            raise\n",
        "        except psycopg.Error:\n            raise\n",
        "each probe of a long outage leaves a pool behind that goes on connecting",
    ),
    Mutant(
        _POOL,
        "{**_CONNECTION_DEFAULTS, **conninfo_to_dict(resolved(url))}",
        "{**conninfo_to_dict(resolved(url)), **_CONNECTION_DEFAULTS}",
        "the time-outs of DATABASE_URL do nothing",
    ),
    Mutant(
        _CREDENTIALS,
        "            if not self._last:\n                raise\n",
        "            raise\n",
        "while Secrets Manager is away the worker cannot connect, though the password is the same",
    ),
    Mutant(
        _CREDENTIALS,
        "            secret = read_secret(self._secret_arn)\n"
        '            self._last = {"user": secret["username"], "password": secret["password"]}\n',
        "            secret = {} if self._last else read_secret(self._secret_arn)\n"
        '            self._last = self._last or {"user": secret["username"], "password": secret["password"]}\n',
        "after a rotation of the password the worker must be restarted",
    ),
    Mutant(
        _CREDENTIALS,
        'int(self._parameters.get("port") or DEFAULT_PORT)',
        "DEFAULT_PORT",
        "IAM tokens are refused by databases on another port",
    ),
    Mutant(
        "db/admin/roles.py",
        "    elif password is not None and (made or by_iam):\n",
        "    elif password is not None:\n",
        "granting again in the middle of a rotation locks the workers out",
    ),
    Mutant(
        "db/sql/grant_worker_on_activities.sql",
        "UPDATE (message, replies_count, deleted_at)",
        "UPDATE",
        "who takes over a worker can give what people have posted to others",
    ),
    Mutant(
        "db/sql/grant_worker_on_users.sql",
        "SELECT (uuid, cognito_user_id, created_at, profile_at, profile_event, deleted_at)",
        "SELECT",
        "who takes over a worker can read everybody's e-mail address",
    ),
    Mutant(
        "db/sql/grant_reconciler_on_users.sql",
        "SELECT (uuid, cognito_user_id, display_name, handle, email, attributes, created_at, profile_at, deleted_at)",
        "SELECT, UPDATE",
        "who takes over the reconciliation can overwrite everybody's profile",
    ),
    Mutant(
        "db/migrations/__init__.py",
        "SELECT pg_advisory_xact_lock(%s)",
        "SELECT pg_try_advisory_xact_lock(%s)",
        "two deployments that migrate at once fail",
    ),
    Mutant(
        "db/migrations/versions/0001_users_and_activities.sql",
        "ON users (lower(handle))",
        "ON users (handle)",
        "a backend of the version before reads the whole table to find a user",
    ),
    Mutant(
        "db/migrations/versions/0002_users_by_email.sql",
        "USING hash (lower(email))",
        "(lower(email))",
        "a user with a very long e-mail address becomes a dead letter",
    ),
    Mutant(
        "db/sql/end_session.sql",
        "    AND backend_start IS NOT DISTINCT FROM %(started_at)s::timestamptz\n",
        "    AND %(started_at)s::timestamptz IS NOT NULL\n",
        "the console ends a session that has only got the number of the one that was meant",
    ),
)
