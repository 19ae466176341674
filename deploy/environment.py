"""What differs between environments: one file each, `deploy/environments/NAME.toml`."""

import tomllib
from dataclasses import dataclass, field
from pathlib import Path
from typing import Self

FOLDER = Path(__file__).parent / "environments"


class InvalidEnvironment(Exception):
    """One line that says what is wrong with the file."""


@dataclass(frozen=True)
class Environment:
    """An environment's name, its region, tags for all resources, and the parameters of the templates."""

    name: str
    region: str
    tags: dict[str, str] = field(default_factory=dict)
    parameters: dict[str, str] = field(default_factory=dict)

    @classmethod
    def read(cls, name: str, folder: Path = FOLDER) -> Self:
        """Raises `InvalidEnvironment`."""
        path = folder / f"{name}.toml"
        try:
            content = tomllib.loads(path.read_text(encoding="utf-8"))
        except FileNotFoundError:
            known = ", ".join(sorted(file.stem for file in folder.glob("*.toml")))
            raise InvalidEnvironment(f"there is no {path.name}; there are: {known}") from None
        except tomllib.TOMLDecodeError as error:
            raise InvalidEnvironment(f"{path.name}: {error}") from None
        unknown = content.keys() - {"region", "tags", "parameters"}
        if unknown or not isinstance(content.get("region"), str):
            what = f"unknown key {min(unknown)}" if unknown else "region is missing"
            raise InvalidEnvironment(f"{path.name}: {what}; it has region, [tags] and [parameters]")
        return cls(name, content["region"], _texts(content, "tags"), _texts(content, "parameters"))


def _texts(content: dict[str, object], key: str) -> dict[str, str]:
    table = content.get(key, {})
    if not isinstance(table, dict):
        raise InvalidEnvironment(f"[{key}] is not a table")
    return {name: _text(value) for name, value in table.items()}


def _text(value: object) -> str:
    """As CloudFormation takes values: all of them are text."""
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, list):
        return ",".join(map(_text, value))
    return str(value)
