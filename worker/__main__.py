"""The entry: `signup-sync ...`, and `python -m worker ...`, which is the same as `signup-sync worker ...`."""

import gc
import sys

# Packages, and the extra that installs them.
_EXTRAS = {
    **dict.fromkeys(
        ("alembic", "click", "prometheus_client", "psycopg", "psycopg_pool", "rich", "structlog"), "worker"
    ),
    **dict.fromkeys(("cryptography", "jinja2", "jwt", "python_multipart", "starlette", "uvicorn"), "console"),
    "opentelemetry": "tracing",
}


def main() -> None:
    """Run the command line."""
    gc.disable()  # while the command is imported, of which nothing is garbage (see `Commands.get_command`)
    try:
        from worker.cli.app import cli  # noqa: PLC0415 (here, so that it can be said what is missing)

        cli(prog_name="signup-sync")
    except ModuleNotFoundError as error:
        extra = _EXTRAS.get((error.name or "").partition(".")[0])
        if extra is None:
            raise
        if sys.argv[1:2] == ["console"]:
            extra = "console"  # which brings the other, too
        sys.stderr.write(f"signup-sync: {error.name} is not installed: pip install 'signup-sync[{extra}]'\n")
        sys.exit(2)


if __name__ == "__main__":
    sys.argv.insert(1, "worker")
    main()
