"""`signup-sync` in the tests' own process, for where a process of its own would show nothing more and take longer."""

import os
import subprocess
from collections.abc import Mapping

from click.testing import CliRunner

from worker.cli.app import cli


def invoke(*args: str, environment: Mapping[str, str]) -> subprocess.CompletedProcess[str]:
    """Run a command to its end, with that environment and nobody to answer it.

    It must not be one that gives its process to another program.
    """
    # None takes a variable out for as long as the command runs; the command line itself sets the last one.
    others: dict[str, str | None] = dict.fromkeys([*os.environ, "AWS_DEFAULT_REGION"])
    runner = CliRunner(env={**others, **environment})
    result = runner.invoke(cli, args, prog_name="signup-sync", catch_exceptions=False)
    return subprocess.CompletedProcess(args, result.exit_code, result.stdout, result.stderr)
