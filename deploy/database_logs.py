"""Retention of the logs that RDS writes.

RDS makes their groups itself, without an end (Amazon RDS User Guide, "Publishing PostgreSQL logs to Amazon CloudWatch
Logs"), and their names begin with the instance's, which is known only when there is one. So no template can have them:
a group that RDS has made would be there already.
"""

from contextlib import suppress
from typing import Any

LOGS = ("postgresql", "upgrade")  # as EnableCloudwatchLogsExports of deploy/stacks/database.yaml


def keep(logs: Any, instance: str, days: int) -> None:
    """Let them end after so many days, one of those that PutRetentionPolicy takes. `logs` is a client."""
    for log in LOGS:
        group = f"/aws/rds/instance/{instance}/{log}"
        with suppress(logs.exceptions.ResourceAlreadyExistsException):
            logs.create_log_group(logGroupName=group)
        logs.put_retention_policy(logGroupName=group, retentionInDays=days)
