"""template.yaml as tests read it: CloudFormation's short tags written in full, functions with their own properties."""

from __future__ import annotations

import importlib
import re
from collections.abc import Iterator
from copy import deepcopy
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from types import ModuleType
from typing import Any

import yaml

from domain.settings import Settings

TEMPLATE = Path(__file__).parents[2] / "template.yaml"


class _Loader(yaml.CSafeLoader):
    """A YAML loader for !Ref, !Sub, !GetAtt and similar tags."""


def _short_tag(loader: _Loader, suffix: str, node: yaml.Node) -> dict[str, Any]:
    value: Any
    if isinstance(node, yaml.ScalarNode):
        value = loader.construct_scalar(node)
    elif isinstance(node, yaml.SequenceNode):
        value = loader.construct_sequence(node, deep=True)
    else:
        assert isinstance(node, yaml.MappingNode)
        value = loader.construct_mapping(node, deep=True)
    return {suffix if suffix in ("Ref", "Condition") else f"Fn::{suffix}": value}


_Loader.add_multi_constructor("!", _short_tag)


@cache
def _content() -> dict[str, Any]:
    content: dict[str, Any] = yaml.load(TEMPLATE.read_text(encoding="utf-8"), Loader=_Loader)
    return content


@dataclass(frozen=True)
class Function:
    """One AWS::Serverless::Function. `variables` are its own, without those of Globals."""

    name: str
    properties: dict[str, Any]
    build_method: str | None
    variables: dict[str, Any]

    @property
    def handler_module(self) -> str:
        module: str = self.properties["Handler"].rpartition(".")[0]
        return module

    @property
    def package(self) -> str:
        return self.handler_module.partition(".")[0]

    def load(self) -> ModuleType:
        """The module of its handler. Raises ImportError if Lambda would."""
        return importlib.import_module(self.handler_module)

    def settings(self) -> list[type[Settings]]:
        """The settings that its handler reads, including those of base classes."""
        members = vars(self.load()).values()
        classes = [member for member in members if isinstance(member, type) and issubclass(member, Settings)]
        return [
            found for found in classes if not any(other is not found and issubclass(other, found) for other in classes)
        ]

    def settings_variables(self) -> set[str]:
        return {variable for settings in self.settings() for variable in settings.variables()}

    def actions(self) -> set[str]:
        """The IAM actions that its policies allow."""
        return {action for statement in self._statements() for action in statement["Action"]}

    def permissions(self, service: str) -> set[tuple[str, str]]:
        """Each IAM action of a service that its policies allow, with the logical name of the resource."""
        return {
            (action, resource)
            for statement in self._statements()
            for action in statement["Action"]
            if action.startswith(f"{service}:")
            for resource in _references(statement["Resource"])
        }

    def _statements(self) -> list[dict[str, Any]]:
        policies = self.properties.get("Policies", [])
        return [statement for policy in policies for statement in policy.get("Statement", [])]


@dataclass(frozen=True)
class Template:
    content: dict[str, Any]

    @classmethod
    def load(cls) -> Template:
        return cls(deepcopy(_content()))  # SAM's translator modifies its input

    @property
    def parameters(self) -> dict[str, Any]:
        parameters: dict[str, Any] = self.content["Parameters"]
        return parameters

    @property
    def resources(self) -> dict[str, Any]:
        resources: dict[str, Any] = self.content["Resources"]
        return resources

    @property
    def global_variables(self) -> dict[str, Any]:
        variables: dict[str, Any] = self.content["Globals"]["Function"]["Environment"]["Variables"]
        return variables

    @property
    def functions(self) -> list[Function]:
        return [
            Function(
                name=name,
                properties=resource["Properties"],
                build_method=resource.get("Metadata", {}).get("BuildMethod"),
                variables=resource["Properties"].get("Environment", {}).get("Variables", {}),
            )
            for name, resource in self.of_type("AWS::Serverless::Function").items()
        ]

    def of_type(self, kind: str) -> dict[str, Any]:
        return {name: resource for name, resource in self.resources.items() if resource["Type"] == kind}

    def references(self) -> set[str]:
        """The logical names (and pseudo parameters) that !Ref, !GetAtt and !Sub mention, outside Parameters."""
        return set(_references({name: part for name, part in self.content.items() if name != "Parameters"}))


def _references(value: Any) -> Iterator[str]:
    if isinstance(value, list):
        for item in value:
            yield from _references(item)
    elif isinstance(value, dict):
        for name, item in value.items():
            if name == "Ref":
                yield item
            elif name == "Fn::GetAtt":
                yield item.partition(".")[0]
            elif name == "Fn::Sub":
                text, given = item if isinstance(item, list) else (item, {})
                yield from _references(given)
                mentioned = {found.partition(".")[0] for found in re.findall(r"\$\{([^!}]+)\}", text)}
                yield from mentioned - given.keys()
            else:
                yield from _references(item)
