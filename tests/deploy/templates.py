"""The CloudFormation templates as data, and copies of them without what a local server cannot create."""

import copy
import json
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any

import yaml

STACKS = Path(__file__).parents[2] / "deploy" / "stacks"


# A safe loader that knows CloudFormation's short forms: `!Sub x` is `{"Fn::Sub": "x"}`.
Loader: Any = type("Loader", (yaml.CSafeLoader,), {})


def _short_form(loader: Any, suffix: str, node: Any) -> dict[str, Any]:
    name = suffix if suffix in ("Ref", "Condition") else f"Fn::{suffix}"
    if isinstance(node, yaml.ScalarNode):
        value: Any = loader.construct_scalar(node)
        return {name: value.split(".", 1) if suffix == "GetAtt" else value}
    if isinstance(node, yaml.SequenceNode):
        return {name: loader.construct_sequence(node, deep=True)}
    assert isinstance(node, yaml.MappingNode)
    return {name: loader.construct_mapping(node, deep=True)}


Loader.add_multi_constructor("!", _short_form)


def read(name: str) -> dict[str, Any]:
    """The template `deploy/stacks/<name>.yaml`, with long forms."""
    return copy.deepcopy(_parsed(name))  # of which a test may do what it likes


@cache
def _parsed(name: str) -> dict[str, Any]:
    return dict(yaml.load((STACKS / f"{name}.yaml").read_text(), Loader))  # noqa: S506 (a safe loader)


def names() -> list[str]:
    return sorted(path.stem for path in STACKS.glob("*.yaml"))


def write_without(folder: Path, left_out: Mapping[str, Mapping[str, str]]) -> None:
    """Copy all templates without these resources (by template and logical id, with the reason)."""
    for name in names():
        template = read(name)
        for logical_id in left_out.get(name, {}):
            del template["Resources"][logical_id]
        (folder / f"{name}.yaml").write_text(json.dumps(template))
