"""The settings, all from the environment; no other module but `worker.environment` reads it.

A number's unit stands in its name. What is not set, or empty, has its default.
"""

import os
import re
from collections.abc import Mapping
from typing import TYPE_CHECKING, Annotated, Literal, Self
from urllib.parse import urlsplit

import psycopg
from psycopg.conninfo import conninfo_to_dict, make_conninfo
from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    SecretStr,
    ValidationError,
    ValidationInfo,
    field_validator,
    model_validator,
)

from db.credentials import SERVER_NAME_CHECKED, Conninfo, IamConninfo, SecretConninfo
from signup_sync.characters import UNWANTED
from signup_sync.postgres.statements import DEFAULT_SCHEMA, check_schema
from worker.environment import DEFAULT_ADMIN_ADDRESS, MAX_PROCESSES, admin_address, host_and_port, number_of_processes

if TYPE_CHECKING:
    from worker.source_queue import SourceQueue

Environment = Literal["dev", "prod"]

# What stands before the names of the settings that each environment has of its own.
_PREFIXES: dict[Environment, str] = {"dev": "", "prod": "PROD_"}


class InvalidSettings(Exception):
    """One line that names the settings that are missing or malformed, and holds none of their values."""


class _FromEnvironment(BaseModel):
    """A field's name in capitals is its variable's name."""

    model_config = ConfigDict(frozen=True)

    @classmethod
    def from_environment(cls, environment: Mapping[str, str] = os.environ, *, prefix: str = "") -> Self:
        """Read them, by names that have `prefix` before them. Raises `InvalidSettings`."""
        given = {name: environment.get(prefix + name.upper()) for name in cls.model_fields}
        try:
            return cls.model_validate({name: value for name, value in given.items() if value}, context=prefix)
        except ValidationError as error:
            lines = [_describe(prefix, e["loc"], e["type"], e["msg"]) for e in error.errors()]
            raise InvalidSettings("; ".join(lines)) from None

    @classmethod
    def of(cls, environment: Environment) -> Self:
        """Read those of development (`DATABASE_URL`), or of production (`PROD_DATABASE_URL`).

        Raises `InvalidSettings`.
        """
        return cls.from_environment(prefix=_PREFIXES[environment])


def _check_queue_url(url: str) -> str:
    if not url.startswith(("https://", "http://")):
        raise ValueError("should be a queue's URL, which begins with https://")
    if url.endswith(".fifo"):
        raise ValueError("is a FIFO queue; signup-sync works with standard queues")
    return url


QueueUrl = Annotated[str, AfterValidator(_check_queue_url)]


def _host_and_port(value: object) -> object:
    if not isinstance(value, str):
        return value
    try:
        return host_and_port(value)
    except ValueError:
        raise ValueError("should be a host and a port, such as 127.0.0.1:8765") from None


def _urls(value: object) -> object:
    if not isinstance(value, str):
        return value
    urls = [url.strip() for url in value.split(",") if url.strip()]
    if not all(_is_http_url(url) and _has_host_and_port(url) for url in urls):
        raise ValueError("should be URLs with commas in between, such as http://127.0.0.1:9090")
    return tuple(url.rstrip("/") for url in urls)


def _has_host_and_port(url: str) -> bool:
    try:
        parts = urlsplit(url)
        return bool(parts.hostname) and parts.port != 0
    except ValueError:  # a port that is none, or brackets that do not fit
        return False


def _check_token(token: SecretStr) -> SecretStr:
    if len(token.get_secret_value()) < _MIN_TOKEN:
        raise ValueError(f"should be {_MIN_TOKEN} characters or more, and random")
    return token


_MIN_TOKEN = 32  # characters
_is_host_name = re.compile(r"[a-z0-9_]([a-z0-9_.-]*[a-z0-9_])?").fullmatch
_is_http_url = re.compile(r"http://[^/\s@]+/?").fullmatch

Address = Annotated[tuple[str, int], BeforeValidator(_host_and_port)]
Token = Annotated[SecretStr, AfterValidator(_check_token)]
WorkerUrls = Annotated[tuple[str, ...], BeforeValidator(_urls)]


class DatabaseSettings(_FromEnvironment):
    """What everything that speaks to Postgres reads."""

    database_url: Annotated[str, Field(description="Postgres, as a libpq URL; the password may be in PGPASSWORD")]

    database_secret_arn: Annotated[
        str | None, Field(description="a Secrets Manager secret with username and password, read at each connection")
    ] = None
    database_iam_auth: Annotated[
        bool, Field(description="log in by RDS' IAM authentication, as DATABASE_URL's user")
    ] = False

    database_schema: Annotated[
        str,
        AfterValidator(check_schema),
        Field(description="where the tables are; an application's own may be beside them, in another schema"),
    ] = DEFAULT_SCHEMA

    @property
    def conninfo(self) -> Conninfo:
        """What the database is connected with. Raises `psycopg.OperationalError` when AWS' settings are missing."""
        if self.database_secret_arn:
            return SecretConninfo(self.database_url, self.database_secret_arn)
        return IamConninfo(self.database_url) if self.database_iam_auth else self.database_url

    @classmethod
    def of(cls, environment: Environment) -> Self:
        """As for all settings; production's server must prove its name, unless the URL says otherwise."""
        settings = super().of(environment)
        if environment == "dev":
            return settings
        checked = {"sslmode": SERVER_NAME_CHECKED, **conninfo_to_dict(settings.database_url)}
        return settings.model_copy(update={"database_url": make_conninfo("", **checked)})

    @model_validator(mode="after")
    def _one_way_to_log_in(self, info: ValidationInfo) -> Self:
        if self.database_secret_arn and self.database_iam_auth:
            prefix = info.context or ""
            raise ValueError(f"{prefix}DATABASE_SECRET_ARN and {prefix}DATABASE_IAM_AUTH exclude each other")
        return self

    @model_validator(mode="after")
    def _one_host_with_iam(self, info: ValidationInfo) -> Self:
        if self.database_iam_auth and "," in str(conninfo_to_dict(self.database_url).get("host", "")):
            prefix = info.context or ""
            raise ValueError(
                f"{prefix}DATABASE_URL should have one host with {prefix}DATABASE_IAM_AUTH: a token is for one"
            )
        return self

    @field_validator("database_url")
    @classmethod
    def _libpq_can_read_it(cls, url: str) -> str:
        try:
            conninfo_to_dict(url)
        except psycopg.ProgrammingError:
            raise ValueError("should be a URL such as postgresql://user@host:5432/database") from None
        return url


class OwnerSettings(DatabaseSettings):
    """What `signup-sync db migrate`, `grant-reader` and `grant-reconciler` read."""

    database_owner: Annotated[
        str | None,
        Field(description="the role whose the tables are, if it is another one than who logs in; it is made"),
    ] = None


class WorkerRoleSettings(OwnerSettings):
    """What `signup-sync db grant-worker` reads."""

    worker_secret_arn: Annotated[
        str | None, Field(description="the secret of the worker's role, for the password that it gets at first")
    ] = None


class RdsSettings(_FromEnvironment):
    """What `signup-sync rds` reads."""

    database_instance_id: Annotated[str, Field(description="the RDS instance's identifier")]
    database_security_group_id: Annotated[
        str | None, Field(description="the security group for developers' addresses; default: the instance's only one")
    ] = None


class EventsQueueSettings(_FromEnvironment):
    """What everything that publishes reads."""

    queue_url: Annotated[QueueUrl, Field(description="the events queue")]


def _attribute_names(value: object) -> object:
    if not isinstance(value, str):
        return value
    names = tuple(dict.fromkeys(name.strip() for name in value.split(",") if name.strip()))
    if len(names) > _MAX_ATTRIBUTES or not all(map(_is_attribute_name, names)):
        raise ValueError(f"should be names of Cognito attributes with commas in between, {_MAX_ATTRIBUTES} at most")
    return names


_MAX_ATTRIBUTES = 50  # `signup_sync.events.Attributes`
# Amazon Cognito API Reference, AttributeType, "Name".
_is_attribute_name = re.compile(rf"[^\s{UNWANTED}]{{1,32}}").fullmatch


class AttributesSettings(_FromEnvironment):
    """What everything reads that makes events from what Cognito knows of a user."""

    user_attributes: Annotated[
        tuple[str, ...],
        BeforeValidator(_attribute_names),
        Field(description="names of Cognito attributes that go along, with commas in between; as the Lambda has them"),
    ] = ()


class ReconcileSettings(AttributesSettings, DatabaseSettings):
    """What `signup-sync reconcile` reads."""


class QueuesSettings(EventsQueueSettings):
    """What the dead-letter tools read."""

    dlq_url: Annotated[QueueUrl, Field(description="the dead-letter queue")]
    activities_queue_url: Annotated[
        QueueUrl | None, Field(description="a second queue, of which activities are taken and nothing else")
    ] = None

    @property
    def source_urls(self) -> "dict[SourceQueue, str]":
        """The queues that a worker receives from; the events queue is the first."""
        activities: dict[SourceQueue, str] = (
            {} if self.activities_queue_url is None else {"activities": self.activities_queue_url}
        )
        return {"events": self.queue_url, **activities}


def _check_admin_address(value: str) -> str:
    admin_address(value)
    return value


def _processes(value: object) -> object:
    return number_of_processes(value) if isinstance(value, str) else value


def _names(value: object) -> object:
    if not isinstance(value, str):
        return value
    names = tuple(name.strip().lower() for name in value.split(",") if name.strip())
    if not all(map(_is_host_name, names)):
        raise ValueError("should be names of hosts with commas in between, without ports")
    return names


class AdminSettings(_FromEnvironment):
    """Where the worker tells how it is, and to whom; `signup-sync health` has the same from `worker.environment`."""

    admin_address: Annotated[
        str,
        AfterValidator(_check_admin_address),
        Field(description="where /livez, /readyz, /metrics and /status are answered, without a password; or off"),
    ] = DEFAULT_ADMIN_ADDRESS
    admin_hosts: Annotated[
        tuple[str, ...] | None,
        BeforeValidator(_names),
        Field(description="names under which it is asked there, beyond those that only a private network can have"),
    ] = None
    processes: Annotated[
        int,
        BeforeValidator(_processes),
        Field(ge=1, le=MAX_PROCESSES, description="workers run as one; each next one's admin port is one higher"),
    ] = 1

    @property
    def admin(self) -> tuple[str, int] | None:
        """Host and port; None if it is off."""
        return admin_address(self.admin_address)

    def admin_address_of(self, number: int) -> str:
        """`admin_address` for the process of this number, from 0: the next port for each, unless any port will do."""
        host, _, port = self.admin_address.rpartition(":")
        return f"{host}:{int(port) + number}" if host and int(port) else self.admin_address


class WorkerSettings(AdminSettings, DatabaseSettings, QueuesSettings):
    """What `signup-sync worker` reads."""

    max_attempts: Annotated[
        int | None, Field(ge=1, le=1000, description="receives before a message is dead; default: maxReceiveCount")
    ] = None
    visibility_timeout_seconds: Annotated[
        int | None, Field(ge=1, le=43_200, description="the lease on what is received; default: the queue's own")
    ] = None
    receive_wait_seconds: Annotated[
        int,
        Field(
            ge=1,
            le=20,
            description="how long a receive waits for messages on an empty queue, and a stop for the receive",
        ),
    ] = 4
    threads: Annotated[
        int, Field(ge=1, le=64, description="threads that carry messages, at most; the worker finds how many help")
    ] = 32
    writers: Annotated[
        int, Field(ge=1, le=32, description="batches written at once, each on a database connection")
    ] = 2
    batch_size: Annotated[int, Field(ge=1, le=1000, description="messages in one transaction, at most")] = 100
    max_in_flight: Annotated[
        int, Field(ge=10, le=100_000, description="messages held at once; no more is received until there is room")
    ] = 1000
    statement_timeout_ms: Annotated[int, Field(ge=100, description="the longest that one statement may take")] = 10_000
    lock_timeout_ms: Annotated[int, Field(ge=100, description="the longest that one statement may wait")] = 5000
    stuck_after_seconds: Annotated[
        int, Field(ge=1, description="how long a call may take beyond its own limits before /livez says so")
    ] = 60
    metrics: Annotated[
        Literal["prometheus", "emf", "off"],
        Field(description="prometheus: at /metrics; emf: CloudWatch's embedded metric format, in the log"),
    ] = "prometheus"
    tracing: Annotated[
        Literal["off", "otlp"], Field(description="otlp: OpenTelemetry, to OTEL_EXPORTER_OTLP_ENDPOINT")
    ] = "off"
    sqs_client: Annotated[
        Literal["lean", "boto3"], Field(description="how SQS is called; boto3 takes several times the CPU")
    ] = "lean"
    log_level: Annotated[Literal["debug", "info", "warning", "error"], Field(description="what is logged")] = "info"
    log_format: Annotated[
        Literal["auto", "json", "console"], Field(description="auto: console on a terminal, else JSON lines")
    ] = "auto"


_WAYS_IN = ("console_token", "console_tokens_file", "console_alb_arn", "console_oidc_issuer")


class ConsoleSettings(AttributesSettings, DatabaseSettings, QueuesSettings):
    """What `signup-sync console` reads."""

    console_address: Annotated[
        Address, Field(description="where it listens; anything but loopback needs a network that is yours alone")
    ] = ("127.0.0.1", 8765)
    console_token: Annotated[
        Token | None, Field(description="what opens it, from a secret; default: a new one each time")
    ] = None
    console_tokens_file: Annotated[
        str | None, Field(description="a file with a line for each person, of signup-sync console-token")
    ] = None
    console_alb_arn: Annotated[
        str | None, Field(description="the Application Load Balancer that says, and signs, who is asking")
    ] = None
    console_oidc_issuer: Annotated[
        str | None, Field(description="the OpenID Connect issuer whose ID token a proxy passes on with each request")
    ] = None
    console_oidc_audience: Annotated[
        str | None, Field(description="the client id for which that issuer makes the proxy's tokens")
    ] = None
    console_hosts: Annotated[
        tuple[str, ...] | None,
        BeforeValidator(_names),
        Field(description="names under which browsers ask for it, beyond those that only a private network can have"),
    ] = None
    console_read_only: Annotated[bool, Field(description="look, and change nothing")] = False
    console_refresh_seconds: Annotated[
        float, Field(ge=1, le=3600, description="how often the dead letters are read while somebody looks")
    ] = 30.0
    worker_urls: Annotated[
        WorkerUrls, Field(description="the workers' admin servers; all addresses of a host's name are asked")
    ] = ("http://127.0.0.1:9090",)
    user_pool_id: Annotated[str | None, Field(description="the Cognito user pool, to look users up in")] = None
    console_cloudwatch: Annotated[
        bool, Field(description="ask CloudWatch for the age of the oldest event (cloudwatch:GetMetricStatistics)")
    ] = False
    log_level: Annotated[Literal["debug", "info", "warning", "error"], Field(description="what is logged")] = "info"
    log_format: Annotated[
        Literal["auto", "json", "console"], Field(description="auto: console on a terminal, else JSON lines")
    ] = "auto"

    @model_validator(mode="after")
    def _one_way_to_log_in_to_it(self) -> Self:
        given = [name for name in _WAYS_IN if getattr(self, name) is not None]
        if len(given) > 1:
            raise ValueError(f"{' and '.join(name.upper() for name in given)} exclude each other")
        if (self.console_oidc_issuer is None) != (self.console_oidc_audience is None):
            raise ValueError("CONSOLE_OIDC_ISSUER and CONSOLE_OIDC_AUDIENCE belong together")
        return self


def name_in(environment: Environment, name: str) -> str:
    """What a setting is called in an environment: `DATABASE_URL`, or `PROD_DATABASE_URL`."""
    return _PREFIXES[environment] + name


def environment_with(settings: Mapping[str, str]) -> dict[str, str]:
    """What a program that is to take over gets: all that this one has, and `settings`."""
    return {**os.environ, **settings}


def no_color() -> bool:
    """Whether colours are unwanted wherever they would be possible (no-color.org)."""
    return bool(os.environ.get("NO_COLOR"))


def _describe(prefix: str, location: tuple[int | str, ...], kind: str, message: str) -> str:
    if not location:  # of several settings together, which the message names
        return message.removeprefix("Value error, ")
    name = prefix + str(location[0]).upper()
    if kind == "missing":
        return f"{name} is not set"
    return f"{name} {message.removeprefix('Value error, ').replace('Input should', 'should')}"
