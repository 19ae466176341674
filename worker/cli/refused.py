"""Refusal: what a command says when it cannot do what it was asked to."""

import click


class Refused(click.ClickException):
    """A command cannot do what it was asked to: one line that says why, and what to do. Exit status 2."""

    exit_code = 2

    def show(self, file: object = None) -> None:  # noqa: ARG002 (click's signature)
        click.echo(f"signup-sync: {self.format_message()}", err=True)
