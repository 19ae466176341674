"""Credentials that are not settings: asked for at each new connection, so that a rotation needs no restart.

A *conninfo* is what libpq takes: a string, or here also a function that returns one, called for every connection that
is made. Connections that are open stay valid when a password changes. A connection that is made between the change of
the password and the change of the secret is refused; the next attempt asks again. Nothing is remembered except for the
case that the keeper of the password cannot be asked, when the last one may still do.
"""

import json
from collections.abc import Callable
from functools import cache
from threading import Lock
from typing import Any

import psycopg
from botocore.exceptions import BotoCoreError, ClientError
from psycopg.conninfo import conninfo_to_dict, make_conninfo

Conninfo = str | Callable[[], str]

DEFAULT_PORT = 5432
SERVER_NAME_CHECKED = "verify-full"  # sslmode (PostgreSQL documentation, 32.19 "SSL Support", Table 32.1)

# Within the time that somebody waits for a connection (`ACQUIRE_TIMEOUT` in `db.pool`), whose next attempt asks again.
_CONFIG: dict[str, Any] = {
    "connect_timeout": 1.0,
    "read_timeout": 1.0,
    "retries": {"mode": "standard", "total_max_attempts": 1},
}

_making_client = Lock()


def resolved(conninfo: Conninfo) -> str:
    """A libpq URL for a connection that is made now. Raises `CredentialsUnavailable`."""
    return conninfo if isinstance(conninfo, str) else conninfo()


class CredentialsUnavailable(psycopg.OperationalError):
    """The password could not be had: for the time being the database is away."""


class SecretConninfo:
    """The user and password of a secret in AWS Secrets Manager, laid over a database URL.

    Calling it raises `CredentialsUnavailable`. Safe to use from any thread.
    """

    def __init__(self, database_url: str, secret_arn: str) -> None:
        self._parameters = conninfo_to_dict(database_url)
        self._secret_arn = secret_arn
        self._last: dict[str, str] = {}

    def __call__(self) -> str:
        try:
            secret = read_secret(self._secret_arn)
            self._last = {"user": secret["username"], "password": secret["password"]}
        except CredentialsUnavailable:
            if not self._last:
                raise
        return make_conninfo("", **{**self._parameters, **self._last})


class IamConninfo:
    """A token of IAM database authentication as the password, signed anew for each connection.

    A token is valid for 15 minutes, which matters only until the connection is made, and RDS takes it over TLS alone
    (Amazon RDS User Guide, "IAM database authentication for MariaDB, MySQL, and PostgreSQL"). Signing asks nobody but
    the provider of the role's credentials. Calling it raises `CredentialsUnavailable`. Safe to use from any
    thread.
    """

    def __init__(self, database_url: str) -> None:
        self._parameters = {"sslmode": SERVER_NAME_CHECKED, **conninfo_to_dict(database_url)}

    def __call__(self) -> str:
        try:
            token = _client("rds").generate_db_auth_token(
                DBHostname=self._parameters.get("host", ""),
                Port=int(self._parameters.get("port") or DEFAULT_PORT),
                DBUsername=self._parameters.get("user", ""),
            )
        except (BotoCoreError, ClientError) as error:
            raise CredentialsUnavailable(f"no token for the database: {_describe(error)}") from error
        return make_conninfo("", **{**self._parameters, "password": token})


def read_secret(arn: str) -> dict[str, str]:
    """Return `username` and `password` of a secret, which is a JSON object as RDS makes them (AWS Secrets Manager User
    Guide, "JSON structure of AWS Secrets Manager secrets").

    Raises `CredentialsUnavailable`.
    """
    try:
        text = _client("secretsmanager").get_secret_value(SecretId=arn).get("SecretString", "")
    except (BotoCoreError, ClientError) as error:
        raise CredentialsUnavailable(f"the secret cannot be read: {_describe(error)}") from error
    try:
        secret = json.loads(text)
        return {name: str(secret[name]) for name in ("username", "password")}
    except (ValueError, KeyError, TypeError):
        raise CredentialsUnavailable("the secret is not a JSON object with username and password") from None


def _client(service: str) -> Any:
    """One client for all, made at the first use: clients are safe to use from many threads, sessions are not (Boto3
    documentation, "Session reference", "Multithreading or multiprocessing with sessions")."""
    with _making_client:
        return _make_client(service)


@cache
def _make_client(service: str) -> Any:
    import boto3  # noqa: PLC0415 (see `signup_sync.sqs.connect`)
    from botocore.config import Config  # noqa: PLC0415 (see `signup_sync.sqs.connect`)

    return boto3.Session().client(service, config=Config(**_CONFIG))  # type: ignore[call-overload] # stubs of other services


def _describe(error: BotoCoreError | ClientError) -> str:
    if isinstance(error, ClientError):
        return str(error.response.get("Error", {}).get("Code", "Unknown"))
    return type(error).__name__
