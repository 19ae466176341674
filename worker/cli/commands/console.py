"""`signup-sync console`."""

import ipaddress
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager, suppress
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

import click

from worker.aws.sqs import connect
from worker.cli import logs
from worker.cli.commands.dlq.queues import check_pair, queues_of
from worker.cli.refused import Refused
from worker.dead_letters.held_messages import LANES
from worker.dead_letters.requeue import LANES as TRANSFER_LANES
from worker.dead_letters.scan import RECEIVERS, WAIT
from worker.settings import ConsoleSettings

if TYPE_CHECKING:
    from worker.console.console import Console
    from worker.console.sessions import Door

OTHERS = 6  # calls to SQS under way at once, besides those about dead letters


class _OfExtra(click.Command):
    """Without its extra there is no help for it either: `ModuleNotFoundError`, which the entry makes one line."""

    def make_context(
        self, info_name: str | None, args: list[str], parent: click.Context | None = None, **extra: Any
    ) -> click.Context:
        if not extra.get("resilient_parsing"):  # with which a shell completes what is being typed
            import_module("worker.console.app")
            import_module("worker.console.server")
        return super().make_context(info_name, args, parent, **extra)


@click.command(cls=_OfExtra)
def console() -> None:
    """Serve the console, a web page for operators, until stopped.

    Is it well? Why did these messages fail? Mend them, send them back. Why has this user no row? It prints a link
    with the token that opens it, once; when that was used it prints another one. CONSOLE_TOKEN, from a secret, sets a
    token that opens it again and again (32 characters or more), and is typed; then no link has a token.
    CONSOLE_TOKENS_FILE names a file with a token for each person instead (`signup-sync console-token`). Everything that
    is done with the console is in its log, with a name: that of the file, or what was given at the login.

    Behind an Application Load Balancer that authenticates users (CONSOLE_ALB_ARN), or a proxy that passes an ID token
    on (CONSOLE_OIDC_ISSUER and CONSOLE_OIDC_AUDIENCE), nobody logs in: the name is what the proxy has signed, and
    without a valid signature nothing is answered (status 401).

    Needs QUEUE_URL, DLQ_URL, DATABASE_URL and the standard AWS variables, and ACTIVITIES_QUEUE_URL if there is such a
    queue; the permissions are those of `signup-sync dlq`. Also: CONSOLE_ADDRESS (127.0.0.1:8765), CONSOLE_READ_ONLY
    (look, and change nothing), CONSOLE_REFRESH_SECONDS (30, how often dead letters are read while somebody looks),
    WORKER_URLS (http://127.0.0.1:9090; several with commas, and a name may have several addresses), USER_POOL_ID (to
    look users up in Cognito; cognito-idp:ListUsers), CONSOLE_CLOUDWATCH (the age of the oldest event;
    cloudwatch:GetMetricStatistics).

    It speaks HTTP and listens on loopback: reach one that runs elsewhere by a port forward, or by a proxy that speaks
    HTTPS, passes the header Host on, and whose name is in CONSOLE_HOSTS (several with commas). Under a name that
    anybody could register it does not answer otherwise (status 421).

    \b
    Examples:
      signup-sync console
      CONSOLE_READ_ONLY=true signup-sync console
      CONSOLE_TOKENS_FILE=console-tokens signup-sync console
      USER_POOL_ID=eu-west-1_aBcDeFgHi WORKER_URLS=http://worker.internal:9090 signup-sync console
    """
    settings = ConsoleSettings.from_environment()
    from worker.console import server  # noqa: PLC0415 (what it needs is an extra)
    from worker.console.app import application  # noqa: PLC0415 (the same)
    from worker.console.sessions import Tokens  # noqa: PLC0415 (the same)

    logs.configure(settings.log_level, settings.log_format)
    host, port = settings.console_address
    address = ""
    door = _door(settings, lambda token: _announce_next(_link(address, token)))
    try:
        listener = server.listen(host, port)
    except OSError as error:
        raise Refused(f"CONSOLE_ADDRESS {host}:{port}: {error.strerror or error}") from None
    address = _address(host, listener.getsockname()[1])
    with listener, opened(settings, door) as console_:
        shown = door.newest if isinstance(door, Tokens) and settings.console_token is None else None
        server.serve(application(console_), listener, lambda: _announce(address, host, shown))


def _door(settings: ConsoleSettings, announce: Callable[[str], None]) -> "Door":
    """What opens it, as the settings say; `announce` is told the token of each next link. Raises `Refused`."""
    from worker.console.identity.keys import is_secure  # noqa: PLC0415 (the same)
    from worker.console.identity.proxy import alb, oidc  # noqa: PLC0415 (the same)
    from worker.console.identity.token_file import TokenFile, UnusableTokenFile  # noqa: PLC0415 (an extra)
    from worker.console.sessions import Tokens  # noqa: PLC0415 (the same)

    if settings.console_alb_arn:
        try:
            return alb(settings.console_alb_arn)
        except ValueError as error:
            raise Refused(f"CONSOLE_ALB_ARN {error}") from None
    if settings.console_oidc_issuer and settings.console_oidc_audience:
        if not is_secure(settings.console_oidc_issuer):
            raise Refused("CONSOLE_OIDC_ISSUER should be a URL with https:// and nothing behind its path")
        return oidc(settings.console_oidc_issuer, settings.console_oidc_audience)
    if settings.console_tokens_file:
        try:
            return TokenFile(Path(settings.console_tokens_file))
        except UnusableTokenFile as error:
            raise Refused(f"CONSOLE_TOKENS_FILE: {error}") from None
    return Tokens(settings.console_token.get_secret_value() if settings.console_token else None, announce)


@contextmanager
def opened(settings: ConsoleSettings, door: "Door") -> Iterator["Console"]:
    """The console of these settings, started; at the end it is stopped. Raises `Refused` and `SqsError`."""
    from worker.console.console import Console  # noqa: PLC0415 (what it needs is an extra)

    client = connect(wait_seconds=WAIT, connections=RECEIVERS + LANES + TRANSFER_LANES + OTHERS)
    with closing(client):
        queues = queues_of(settings, client)
        check_pair(queues)
        console_ = Console(settings, door, queues.sources, queues.dead_letters, client)
        console_.start()
        try:
            yield console_
        finally:
            console_.stop()


def _announce(address: str, host: str, token: str | None) -> None:
    _say(f"the console is at {_link(address, token)}")
    if not _is_loopback(host):
        _say(f"{host} is not loopback, and nothing here is encrypted: who can listen?")


def _announce_next(link: str) -> None:
    with suppress(OSError):  # whoever logs in shall not suffer from a terminal that is gone
        _say(f"a link for another login, which works once: {link}")


def _link(address: str, token: str | None) -> str:
    return f"{address}/login" + (f"?token={quote(token)}" if token else "")


def _say(text: str) -> None:
    click.echo(f"signup-sync: {text}", err=True)


def _address(host: str, port: int) -> str:
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
