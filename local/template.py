"""Read CloudFormation's YAML, short-form tags included, as the JSON that it stands for."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import yaml


class _Loader(yaml.CSafeLoader):
    """CSafeLoader with `!Ref`, `!GetAtt`, `!Sub` and the rest, and with dates left as the text they are."""


def _intrinsic(loader: _Loader, name: str, node: yaml.Node) -> dict[str, Any]:
    value: Any
    if isinstance(node, yaml.ScalarNode):
        value = loader.construct_scalar(node)
    elif isinstance(node, yaml.SequenceNode):
        value = loader.construct_sequence(node, deep=True)
    else:
        assert isinstance(node, yaml.MappingNode)
        value = loader.construct_mapping(node, deep=True)
    if name in ("Ref", "Condition"):
        return {name: value}
    if name == "GetAtt" and isinstance(value, str):
        value = value.split(".", 1)
    return {f"Fn::{name}": value}


def _text(loader: _Loader, node: yaml.ScalarNode) -> str:
    return str(loader.construct_scalar(node))


_Loader.add_multi_constructor("!", _intrinsic)
_Loader.add_constructor("tag:yaml.org,2002:timestamp", _text)


def load_template(path: Path) -> dict[str, Any]:
    """Read a template. Raises yaml.YAMLError on anything that is not YAML, ValueError when it is no template."""
    template = yaml.load(path.read_text(encoding="utf-8"), Loader=_Loader)
    if not isinstance(template, dict) or "Resources" not in template:
        raise ValueError(f"{path} is not a CloudFormation template")
    return template
