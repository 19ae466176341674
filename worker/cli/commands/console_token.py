"""`signup-sync console-token`."""

import click

from worker.cli.parameters import text
from worker.cli.refused import Refused


@click.command
@click.argument("name", type=text)
def console_token(name: str) -> None:
    """Make a token with which NAME logs in to the console.

    It prints a line for the file that CONSOLE_TOKENS_FILE names, and on standard error the token, which is nowhere
    else: the line has its hash. The line counts as soon as it is in the file; when it is taken out, whoever has logged
    in with the token is logged out. The file must be readable by its owner alone.

    \b
    Example:
      (umask 077; signup-sync console-token 'Grace Hopper' >> console-tokens)
    """
    from worker.console.identity.people import NAME_RULE, name_of  # noqa: PLC0415 (--help would wait for it)
    from worker.console.identity.token_file import line_of, new_token  # noqa: PLC0415 (the same)

    known_as = name_of(name)
    if known_as is None:
        raise Refused(f"NAME should be {NAME_RULE}")
    token = new_token()
    click.echo(line_of(known_as, token))
    click.echo(f"signup-sync: the token of {known_as}, which is shown once: {token}", err=True)
