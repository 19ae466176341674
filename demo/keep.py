"""`--keep`: the system stays, and its user is told how to get at it."""

import json
import os
import shlex
import sys
import time
import uuid
from pathlib import Path

from demo import interrupts
from demo.people import Cast
from demo.screen import Screen
from demo.system import System

LOOKS = 0.2  # seconds between two looks at the worker's log

# What would lead the commands elsewhere, if the user has it in their shell.
_FOREIGN = (
    "AWS_PROFILE",
    "AWS_DEFAULT_PROFILE",
    "AWS_SESSION_TOKEN",
    "AWS_ENDPOINT_URL",
    "DATABASE_SECRET_ARN",
    "DATABASE_IAM_AUTH",
)


def keep(system: System, screen: Screen, cast: Cast) -> None:
    """Say how to connect and how to send more, then show what the worker logs, until interrupted."""
    settings = system.directory() / "settings"
    settings.write_text(shell_settings(system.environment, _psql_directory(system)))
    dead_letter = system.dead_letters()[0]["id"]
    screen.step("Everything is left running.")
    screen.plain("In another terminal, first read the settings into your shell, and then try any of the others:\n")
    for line in (
        f". {shlex.quote(str(settings))}",
        'psql "$DATABASE_URL" -c "SELECT handle, message FROM activities JOIN users ON users.uuid = user_uuid"',
        f'signup-sync publish activity --author {cast.ada.sub} --message "Hello"',
        f'signup-sync publish user --sub {uuid.uuid4()} --handle hedy --display-name "Hedy Lamarr"',
        f"signup-sync dlq show {dead_letter}",
        f'signup-sync dlq edit {dead_letter} --set data.message="Is anybody there?"',
    ):
        screen.plain(f"  {line}", style="green")
    screen.plain("\nCtrl-C here stops everything and removes it. Until then, this is what the worker logs:\n")
    _follow(system, screen)


def shell_settings(environment: dict[str, str], psql_directory: str) -> str:
    """What a shell has to read so that `signup-sync` and `psql` are found, and find the system.

    `environment` is the worker's. The path is put before the user's own.
    """
    own = {name: value for name, value in environment.items() if name != "PATH"}
    path = os.pathsep.join([str(Path(sys.executable).parent), psql_directory])
    lines = [f"unset {' '.join(_FOREIGN)}", f'export PATH={shlex.quote(path)}{os.pathsep}"$PATH"']
    lines += [f"export {name}={shlex.quote(value)}" for name, value in own.items()]
    return "\n".join(lines) + "\n"


def _psql_directory(system: System) -> str:
    """Where the server's programs are, as it says itself (PostgreSQL documentation, "pg_config" view)."""
    directory: str = system.query("SELECT setting FROM pg_config WHERE name = 'BINDIR'")[0][0]
    return directory


def _follow(system: System, screen: Screen) -> None:
    shown = len(system.worker.log)
    while system.worker.running:
        log = system.worker.log
        for line in log[shown:]:
            screen.plain(json.dumps(line))
        shown = len(log)
        interrupts.check()
        time.sleep(LOOKS)
    raise AssertionError(f"the worker has ended\n{system.worker}")
