"""`signup-sync health`."""

from http import HTTPStatus
from http.client import HTTPConnection, HTTPException

import click

from worker.cli.refused import Refused
from worker.settings import AdminSettings

TIMEOUT = 3.0  # seconds; below the 5 that the image's health check has

# Where a server that listens everywhere can be reached from its own machine.
_EVERYWHERE = {"0.0.0.0": "127.0.0.1", "::": "::1"}  # noqa: S104 (nothing is bound to it)


@click.command
@click.option("--ready", is_flag=True, help="Ask whether it can write to the database, instead of whether it is alive.")
def health(ready: bool) -> None:
    """Say whether the worker on this machine is alive; exit status 1 if not.

    Asks the worker at ADMIN_ADDRESS (127.0.0.1:9090), and each of its processes where PROCESSES says that there are
    more. A worker is alive while all its threads turn: one that waits for the database is, one that hangs is not. With
    --ready, one that waits for the database is not ready. This is the image's HEALTHCHECK.

    \b
    Examples:
      signup-sync health
      signup-sync health --ready
      ADMIN_ADDRESS=127.0.0.1:9091 signup-sync health
    """
    settings = AdminSettings.from_environment()
    if settings.admin is None:
        raise Refused("ADMIN_ADDRESS is off, so that nobody can ask the worker")
    host, port = settings.admin
    host = _EVERYWHERE.get(host, host)
    path = "/readyz" if ready else "/livez"
    answers = [_ask(host, port + number, path) for number in range(settings.processes)]
    bad = [line for status, line in answers if status != HTTPStatus.OK]
    click.echo("\n".join(bad or [answers[0][1]]))
    raise SystemExit(1 if bad else 0)


def _ask(host: str, port: int, path: str) -> tuple[int, str]:
    """The status and the first line of the answer; status 0 if there is none."""
    connection = HTTPConnection(host, port, timeout=TIMEOUT)
    try:
        connection.request("GET", path)
        response = connection.getresponse()
        return response.status, response.read(1000).decode(errors="replace").partition("\n")[0]
    except TimeoutError:
        return 0, f"no answer from {host}:{port} in {TIMEOUT:g} seconds"
    except (OSError, HTTPException) as error:
        return 0, f"no worker at {host}:{port}: {getattr(error, 'strerror', None) or error}"
    finally:
        connection.close()
