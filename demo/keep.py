"""`--keep`: the system stays, with a console, and its user is told what can be done with it."""

import json
import os
import shlex
import sys
import time
import uuid
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from demo import control, interrupts
from demo.people import Cast
from demo.screen import Screen
from demo.story import broken
from demo.system import System
from tests.worker.console.running_console import ConsoleProcess

LOOKS = 0.2  # seconds between two looks at the worker's log, and at what is asked for

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
    """Say what can be done, then do what is asked for and show what the worker logs, until interrupted."""
    console = system.start_console()
    directory = system.directory()
    settings = directory / "settings"
    settings.write_text(shell_settings(system.environment, directory, _psql_directory(system)))
    screen.step("Everything is left running, and so is a console.")
    _offer(screen, "The console, for your browser:", console.link)
    read = f". {shlex.quote(str(settings))}"
    _offer(
        screen, "In another terminal, first read the settings into your shell, and then try any of the others:", read
    )
    for text, commands in _commands(cast, dead_letter=system.dead_letters()[0]["id"]):
        _offer(screen, text, *commands)
    screen.plain("\nCtrl-C here stops everything and removes it. Until then, this is what the worker logs:\n")
    _follow(system, console, screen, directory, _actions(system, screen, cast))


def shell_settings(environment: Mapping[str, str], directory: Path, psql_directory: str) -> str:
    """What a shell has to read so that `python -m demo`, `signup-sync` and `psql` are found, and find the system.

    `environment` is the worker's, and `directory` where the demo looks for requests. The path is put before the user's
    own.
    """
    own = {name: value for name, value in environment.items() if name != "PATH"} | {"SIGNUP_SYNC_DEMO": str(directory)}
    path = os.pathsep.join([str(Path(sys.executable).parent), psql_directory])
    lines = [f"unset {' '.join(_FOREIGN)}", f'export PATH={shlex.quote(path)}{os.pathsep}"$PATH"']
    lines += [f"export {name}={shlex.quote(value)}" for name, value in own.items()]
    return "\n".join(lines) + "\n"


def _commands(cast: Cast, dead_letter: str) -> Sequence[tuple[str, Sequence[str]]]:
    """What can be tried, and what for."""
    return (
        (
            "What is in the tables, and how the worker is:",
            (
                'psql "$DATABASE_URL" -c "SELECT handle, message FROM activities JOIN users ON users.uuid = user_uuid"',
                "signup-sync health --ready",
            ),
        ),
        (
            "Somebody signs up, and Ada posts something:",
            (
                f'signup-sync publish user --sub {uuid.uuid4()} --handle hedy --display-name "Hedy Lamarr"',
                f'signup-sync publish activity --author {cast.ada.sub} --message "Hello"',
            ),
        ),
        (
            "Something broken comes; a moment later it is a dead letter, which the console shows:",
            (f"python -m demo {control.SEND_BROKEN}", "signup-sync dlq list", f"signup-sync dlq show {dead_letter}"),
        ),
        (
            "What would fail again is not sent back; it is mended first, here or in the console:",
            (
                "signup-sync dlq replay",
                'signup-sync dlq edit --reason invalid_event --set data.message="Is anybody there?"',
            ),
        ),
        (
            "The database goes away, somebody signs up all the same, and is in the table when it is back:",
            (
                f"python -m demo {control.STOP_DATABASE}",
                f'signup-sync publish user --sub {uuid.uuid4()} --handle radia --display-name "Radia Perlman"',
                f"python -m demo {control.START_DATABASE}",
            ),
        ),
    )


def _offer(screen: Screen, text: str, *lines: str) -> None:
    screen.plain(f"\n{text}")
    for line in lines:
        screen.plain(f"  {line}", style="green")


def _psql_directory(system: System) -> str:
    """Where the server's programs are, as it says itself (PostgreSQL documentation, "pg_config" view)."""
    directory: str = system.query("SELECT setting FROM pg_config WHERE name = 'BINDIR'")[0][0]
    return directory


def _actions(system: System, screen: Screen, cast: Cast) -> dict[str, Callable[[], None]]:
    """What is done for each request."""

    def stop_database() -> None:
        system.postgres.stop()
        screen.tell("Postgres is stopped.", style="red")

    def start_database() -> None:
        system.postgres.start()
        screen.tell("Postgres is back.", style="green")

    def send_broken() -> None:
        system.queues.send(broken(cast.ada))
        screen.tell('An activity of Ada\'s is sent with its "message" misspelt.')

    return {
        control.STOP_DATABASE: stop_database,
        control.START_DATABASE: start_database,
        control.SEND_BROKEN: send_broken,
    }


def _follow(
    system: System, console: ConsoleProcess, screen: Screen, directory: Path, actions: Mapping[str, Callable[[], None]]
) -> None:
    shown, link = len(system.worker.log), console.link
    while system.worker.running:
        if console.link != link:
            link = console.link
            _offer(screen, "That link has been used. The console, for another login:", link)
        log = system.worker.log
        for line in log[shown:]:
            screen.plain(json.dumps(line))
        shown = len(log)
        control.answer(directory, actions)
        interrupts.check()
        time.sleep(LOOKS)
    raise AssertionError(f"the worker has ended\n{system.worker}")
