"""Mutant: a mistake that somebody could make in the code, and that a test should find."""

from dataclasses import dataclass
from pathlib import Path


class NotApplicable(Exception):
    """The code is no longer what the mutant was made for."""


@dataclass(frozen=True, slots=True)
class Mutant:
    """In the file at `path`, `old` (which is there once) becomes `new`.

    `fault` is what an operator would suffer. `survives` is the reason why no test finds it, if that is known and right:
    the change is none, or only shows in how long something takes.
    """

    path: str
    old: str
    new: str
    fault: str
    survives: str = ""

    def applied_to(self, text: str) -> str:
        """The file's text with the mistake in it. Raises `NotApplicable`."""
        found = text.count(self.old)
        if found != 1:
            raise NotApplicable(f"{self.path}: {found} times instead of once: {self.old.strip()!r} ({self.fault})")
        return text.replace(self.old, self.new)

    def apply(self, root: Path) -> None:
        """Change the file, which is below `root`. Raises `NotApplicable`."""
        file = root / self.path
        file.write_text(self.applied_to(file.read_text()))
