"""The settings, all from the environment; no other module reads it.

A number's unit stands in its name. What is not set, or empty, has its default.
"""

import os
from collections.abc import Mapping
from typing import Annotated, Literal, Self

import psycopg
from psycopg.conninfo import conninfo_to_dict
from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError, field_validator, model_validator

from db.credentials import Conninfo, IamConninfo, SecretConninfo


class InvalidSettings(Exception):
    """One line that names the settings that are missing or malformed, and holds none of their values."""


class _FromEnvironment(BaseModel):
    """A field's name in capitals is its variable's name."""

    model_config = ConfigDict(frozen=True)

    @classmethod
    def from_environment(cls, environment: Mapping[str, str] = os.environ) -> Self:
        """Read them. Raises `InvalidSettings`."""
        given = {name: environment[name.upper()] for name in cls.model_fields if environment.get(name.upper())}
        try:
            return cls.model_validate(given)
        except ValidationError as error:
            raise InvalidSettings("; ".join(_describe(e["loc"], e["type"], e["msg"]) for e in error.errors())) from None


def _check_queue_url(url: str) -> str:
    if not url.startswith(("https://", "http://")):
        raise ValueError("should be a queue's URL, which begins with https://")
    if url.endswith(".fifo"):
        raise ValueError("is a FIFO queue; signup-sync works with standard queues")
    return url


QueueUrl = Annotated[str, AfterValidator(_check_queue_url)]


class DatabaseSettings(_FromEnvironment):
    """What everything that speaks to Postgres reads."""

    database_url: Annotated[str, Field(description="Postgres, as a libpq URL; the password may be in PGPASSWORD")]

    database_secret_arn: Annotated[
        str | None, Field(description="a Secrets Manager secret with username and password, read at each connection")
    ] = None
    database_iam_auth: Annotated[
        bool, Field(description="log in by RDS' IAM authentication, as DATABASE_URL's user")
    ] = False

    @property
    def conninfo(self) -> Conninfo:
        """What the database is connected with. Raises `psycopg.OperationalError` when AWS' settings are missing."""
        if self.database_secret_arn:
            return SecretConninfo(self.database_url, self.database_secret_arn)
        return IamConninfo(self.database_url) if self.database_iam_auth else self.database_url

    @model_validator(mode="after")
    def _one_way_to_log_in(self) -> Self:
        if self.database_secret_arn and self.database_iam_auth:
            raise ValueError("DATABASE_SECRET_ARN and DATABASE_IAM_AUTH exclude each other")
        return self

    @field_validator("database_url")
    @classmethod
    def _libpq_can_read_it(cls, url: str) -> str:
        try:
            conninfo_to_dict(url)
        except psycopg.ProgrammingError:
            raise ValueError("should be a URL such as postgresql://user@host:5432/database") from None
        return url


class WorkerRoleSettings(DatabaseSettings):
    """What `signup-sync db grant-worker` reads."""

    worker_secret_arn: Annotated[
        str | None, Field(description="the secret of the worker's role, for the password that it gets at first")
    ] = None


class EventsQueueSettings(_FromEnvironment):
    """What everything that publishes reads."""

    queue_url: Annotated[QueueUrl, Field(description="the events queue")]


class QueuesSettings(EventsQueueSettings):
    """What the dead-letter tools read."""

    dlq_url: Annotated[QueueUrl, Field(description="the dead-letter queue")]


class WorkerSettings(DatabaseSettings, QueuesSettings):
    """What `signup-sync worker` reads."""

    max_attempts: Annotated[
        int | None, Field(ge=1, le=1000, description="receives before a message is dead; default: maxReceiveCount")
    ] = None
    visibility_timeout_seconds: Annotated[
        int | None, Field(ge=1, le=43_200, description="the lease on what is received; default: the queue's own")
    ] = None
    receive_wait_seconds: Annotated[
        int, Field(ge=1, le=20, description="how long a receive waits for messages on an empty queue")
    ] = 20
    receivers: Annotated[
        int, Field(ge=1, le=64, description="receives under way at once, at most; a quiet queue has one")
    ] = 8
    writers: Annotated[
        int, Field(ge=1, le=32, description="batches written at once, each on a database connection")
    ] = 2
    batch_size: Annotated[int, Field(ge=1, le=1000, description="messages in one transaction, at most")] = 100
    max_linger_ms: Annotated[
        int, Field(ge=0, le=10_000, description="how long a batch waits to be filled, if more is known to come")
    ] = 50
    max_in_flight: Annotated[
        int, Field(ge=10, le=100_000, description="messages held at once; no more is received until there is room")
    ] = 500
    statement_timeout_ms: Annotated[int, Field(ge=100, description="the longest that one statement may take")] = 10_000
    lock_timeout_ms: Annotated[int, Field(ge=100, description="the longest that one statement may wait")] = 5000
    log_level: Annotated[Literal["debug", "info", "warning", "error"], Field(description="what is logged")] = "info"
    log_format: Annotated[
        Literal["auto", "json", "console"], Field(description="auto: console on a terminal, else JSON lines")
    ] = "auto"


def adopt_region() -> None:
    """Let boto3 have the region of AWS_REGION, which ECS, the other SDKs and the AWS CLI go by.

    By itself it reads nothing but AWS_DEFAULT_REGION and the profile (botocore.configprovider).
    """
    if region := os.environ.get("AWS_REGION"):
        os.environ["AWS_DEFAULT_REGION"] = region


def no_color() -> bool:
    """Whether colours are unwanted wherever they would be possible (no-color.org)."""
    return bool(os.environ.get("NO_COLOR"))


def _describe(location: tuple[int | str, ...], kind: str, message: str) -> str:
    if not location:  # of several settings together, which the message names
        return message.removeprefix("Value error, ")
    name = str(location[0]).upper()
    if kind == "missing":
        return f"{name} is not set"
    return f"{name} {message.removeprefix('Value error, ').replace('Input should', 'should')}"
