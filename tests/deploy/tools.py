"""The tools that `install-tools` puts into `.e2e/`."""

from pathlib import Path

ROOT = Path(__file__).parents[2]
TOOLS = ROOT / ".e2e"


def why_missing(name: str) -> str | None:
    """What to do before this set of tools can be used, or `None` if it can."""
    installed = TOOLS / name / "installed"
    if installed.exists() and installed.read_bytes() == (ROOT / "requirements" / f"{name}.txt").read_bytes():
        return None
    return f"{name} is not installed: run `make e2e-deploy`"


def command(name: str, program: str) -> Path:
    return TOOLS / name / "bin" / program
