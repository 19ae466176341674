"""The entry: `signup-sync ...`, and `python -m worker ...`, which is the same as `signup-sync worker ...`."""

import sys


def main() -> None:
    """Run the command line."""
    try:
        from worker.cli import cli  # noqa: PLC0415 (here, so that it can be said what is missing)
    except ModuleNotFoundError as error:
        if error.name not in ("alembic", "click", "psycopg", "psycopg_pool", "rich", "structlog"):
            raise
        sys.exit("signup-sync: only the publisher is installed; for the rest: pip install 'signup-sync[worker]'")
    cli(prog_name="signup-sync")


if __name__ == "__main__":
    sys.argv.insert(1, "worker")
    main()
