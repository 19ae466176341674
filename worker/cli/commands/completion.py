"""`signup-sync completion`."""

import click
from click.shell_completion import BashComplete, FishComplete, ShellComplete, ZshComplete

_CLASSES: dict[str, type[ShellComplete]] = {"bash": BashComplete, "zsh": ZshComplete, "fish": FishComplete}


@click.command
@click.argument("shell", type=click.Choice(list(_CLASSES)))
@click.pass_context
def completion(ctx: click.Context, shell: str) -> None:
    """Print a script that completes commands and options in your shell.

    \b
    Examples:
      signup-sync completion bash > /etc/bash_completion.d/signup-sync
      signup-sync completion fish > ~/.config/fish/completions/signup-sync.fish
    """
    click.echo(_CLASSES[shell](ctx.find_root().command, {}, "signup-sync", "_SIGNUP_SYNC_COMPLETE").source())
