"""Tree: a copy of the working tree with an interpreter of its own, in which code may be changed and tests be run."""

import os
import re
import shutil
import signal
import subprocess
import sys
import sysconfig
import venv
from dataclasses import dataclass
from pathlib import Path
from typing import Any

PACKAGES = ("db", "signup_sync", "trigger_lambda", "worker")
TIME_LIMIT = 600.0  # seconds of one run of tests; beyond that they hang

_FAILED = re.compile(r"^(?:FAILED|ERROR) (.+?)(?: - .*)?$", re.MULTILINE)


class NotACopy(Exception):
    """The copy's tests would test something else."""


class Closed(Exception):
    """No more tests are wanted."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """How a run of tests ended; `failed` is the test that did, `hangs` whether the time was up."""

    passed: bool
    failed: str = ""
    hangs: bool = False


class Tree:
    """The working tree at `source` as it is now, copied to `root`. One run of tests at a time."""

    def __init__(self, source: Path, root: Path) -> None:
        self.root = root
        self._process: subprocess.Popen[bytes] | None = None
        self._closed = False
        for name in _files(source):
            (root / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(source / name, root / name)
        self._python = _interpreter(root)
        self._check_imports()

    def test(self, *args: str) -> Outcome:
        """Run pytest with these arguments, until the first failure. Raises `Closed`."""
        log = self.root / "pytest.log"
        with log.open("wb") as output:
            self._process = self._start("-m", "pytest", "-x", "-q", "-p", "no:cacheprovider", *args, stdout=output)
            try:
                status = self._process.wait(TIME_LIMIT)
            except subprocess.TimeoutExpired:
                self._kill(self._process)
                return Outcome(passed=False, hangs=True)
        if self._closed:
            raise Closed
        found = _FAILED.search(log.read_text(errors="replace"))
        return Outcome(passed=status == 0, failed=found[1] if found else "")

    def close(self) -> None:
        """End the run that is under way. May be called from another thread."""
        self._closed = True
        if self._process is not None and self._process.poll() is None:
            self._kill(self._process)

    @staticmethod
    def _kill(process: "subprocess.Popen[bytes]") -> None:
        """With what it has started."""
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()

    def forget_compiled(self, path: str) -> None:
        """Python tells that a file has changed by its size and the second of its change."""
        shutil.rmtree((self.root / path).parent / "__pycache__", ignore_errors=True)

    def _start(self, *args: str, **options: Any) -> "subprocess.Popen[bytes]":
        environment = {name: value for name, value in os.environ.items() if not name.startswith(("PYTHON", "VIRTUAL"))}
        environment["PATH"] = f"{self._python.parent}{os.pathsep}{environment.get('PATH', os.defpath)}"
        return subprocess.Popen(
            [self._python, *args],
            cwd=self.root,
            env={**environment, "PYTHONDONTWRITEBYTECODE": "1"},
            stdin=subprocess.DEVNULL,
            stderr=subprocess.STDOUT,
            start_new_session=True,
            **options,
        )

    def _check_imports(self) -> None:
        """Even where neither the folder nor the environment say where the code is, as for a console script."""
        script = f"import {', '.join(PACKAGES)}; print({', '.join(f'{name}.__file__' for name in PACKAGES)}, sep='\\n')"
        done = subprocess.run(
            [self._python, "-I", "-c", script], cwd="/", env={}, capture_output=True, text=True, check=True
        )
        for file in map(Path, done.stdout.splitlines()):
            if not file.is_relative_to(self.root):
                raise NotACopy(f"{file} is not in {self.root}")


def _files(source: Path) -> list[str]:
    """All that git tracks, or would if it was told of it."""
    command = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    listed = subprocess.run(command, cwd=source, capture_output=True, text=True, check=True).stdout
    return [name for name in sorted({*listed.split("\0")} - {""}) if (source / name).is_file()]


def _interpreter(root: Path) -> Path:
    """A virtual environment with the packages of the running one, but with the copy's code instead of the checkout's,
    which its `.pth` file names."""
    folder = root / ".venv"
    venv.EnvBuilder(symlinks=True).create(folder)
    [site_packages] = folder.glob("lib/python*/site-packages")
    for package in Path(sysconfig.get_path("purelib")).iterdir():
        if package.suffix != ".pth":
            (site_packages / package.name).symlink_to(package)
    (site_packages / "copy.pth").write_text(f"{root}\n")
    shebang = f"#!{sys.executable}\n".encode()
    for script in Path(sysconfig.get_path("scripts")).iterdir():
        if script.is_file() and not script.is_symlink() and script.read_bytes().startswith(shebang):
            copy = folder / "bin" / script.name
            copy.write_bytes(f"#!{folder}/bin/python\n".encode() + script.read_bytes().removeprefix(shebang))
            copy.chmod(0o755)
    return folder / "bin" / "python"
