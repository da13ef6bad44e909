"""Find the code of functions/ that a handler can reach, by parsing it.

A function or method counts as reached if reached code contains its name (as a name, an attribute or a string), a class
if its name occurs: then its constructor counts as reached, and its other methods only once their names occur, too.
That includes a little more than what really runs, never less.
"""

from __future__ import annotations

import ast
from collections import defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path

FUNCTIONS = Path(__file__).parents[2] / "functions"
_Definition = ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef


@dataclass(frozen=True)
class Reached:
    """The contents of reached code: names, attributes, whole strings, and f-strings with None for each placeholder.
    `by_class`: the names in the reached methods of each class. `tables`: the classes made for a table, as in
    `JobsTable(table(settings.jobs_table))`, each with the setting."""

    names: frozenset[str]
    strings: frozenset[str]
    templates: frozenset[tuple[str | None, ...]]
    by_class: Mapping[str, frozenset[str]]
    tables: frozenset[tuple[str, str]]


@cache
def reached_from(module: str) -> Reached:
    """The contents of all code reached from the top level and the `handler` of `module` (dotted)."""
    modules = _imported_modules(module)
    definitions = [found for name in sorted(modules) for found in _definitions(_tree(name))]
    owners = _owners(definitions)
    top_levels = [node for name in sorted(modules) for node in _top_level(_tree(name))]
    words = _words(top_levels) | {"handler"}
    nodes: list[ast.AST] = list(top_levels)
    by_class = defaultdict[str, set[str]](set)
    waiting = definitions
    while True:
        mentioned = [found for found in waiting if found.name in words or found.name == "__init__" or _is_route(found)]
        if not mentioned:
            break
        waiting = [found for found in waiting if found not in mentioned]
        new = [node for found in mentioned for node in _own_nodes(found)]
        nodes += new
        words |= _words(new)
        for method in mentioned:
            for owner in owners.get(method, ()):
                by_class[owner].update(name for node in _own_nodes(method) for name in _names(node))
    return Reached(
        names=frozenset(name for node in nodes for name in _names(node)),
        strings=frozenset(n.value for n in nodes if isinstance(n, ast.Constant) and isinstance(n.value, str)),
        templates=frozenset(_blanks(node) for node in nodes if isinstance(node, ast.JoinedStr)),
        by_class={owner: frozenset(names) for owner, names in by_class.items()},
        tables=frozenset(found for node in nodes if (found := _class_of_table(node))),
    )


def _owners(definitions: list[_Definition]) -> dict[_Definition, list[str]]:
    """The class of each method, and the classes that inherit it."""
    classes = [found for found in definitions if isinstance(found, ast.ClassDef)]
    owners: dict[_Definition, list[str]] = {}
    for owner in classes:
        heirs = [heir.name for heir in classes if owner.name in [name for base in heir.bases for name in _names(base)]]
        for method in owner.body:
            if isinstance(method, _Definition):
                owners[method] = [owner.name, *heirs]
    return owners


def _class_of_table(node: ast.AST) -> tuple[str, str] | None:
    """`("JobsTable", "jobs_table")` for `JobsTable(table(settings.jobs_table))`."""
    match node:
        case ast.Call(
            func=ast.Name(id=owner),
            args=[ast.Call(func=ast.Name(id="table"), args=[ast.Attribute(attr=setting)]), *_],
        ):
            return owner, setting
    return None


def _is_route(found: _Definition) -> bool:
    """Whether its decorator registers it with the API's resolver, so that it is never called by name: `@app.get(…)`."""
    called = [node.func if isinstance(node, ast.Call) else node for node in found.decorator_list]
    return any(
        isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and node.value.id == "app"
        for node in called
    )


def _imported_modules(module: str) -> set[str]:
    found: set[str] = set()
    waiting = [module]
    while waiting:
        name = waiting.pop()
        if name in found or not _path(name).is_file():
            continue
        found.add(name)
        for node in ast.walk(_tree(name)):
            if isinstance(node, ast.ImportFrom) and node.module:
                waiting.append(node.module)
            elif isinstance(node, ast.Import):
                waiting += [alias.name for alias in node.names]
    return found


def _path(module: str) -> Path:
    return FUNCTIONS.joinpath(*module.split(".")).with_suffix(".py")


@cache
def _tree(module: str) -> ast.Module:
    return ast.parse(_path(module).read_text(encoding="utf-8"))


def _definitions(tree: ast.AST) -> list[_Definition]:
    return [node for node in ast.walk(tree) if isinstance(node, _Definition)]


def _top_level(tree: ast.Module) -> Iterator[ast.AST]:
    """What runs when the module is imported; importing a name does not count as using it."""
    for statement in tree.body:
        if not isinstance(statement, (*_Definition.__args__, ast.Import, ast.ImportFrom)):
            yield from ast.walk(statement)


def _own_nodes(definition: _Definition) -> Iterator[ast.AST]:
    """The nodes of a definition without those of the functions and classes inside it, which are reached separately."""
    waiting: list[ast.AST] = list(ast.iter_child_nodes(definition))
    while waiting:
        node = waiting.pop()
        if not isinstance(node, _Definition):
            yield node
            waiting += ast.iter_child_nodes(node)


def _words(nodes: list[ast.AST]) -> set[str]:
    strings = {node.value for node in nodes if isinstance(node, ast.Constant) and isinstance(node.value, str)}
    return strings | {name for node in nodes for name in _names(node)}


def _names(node: ast.AST) -> list[str]:
    if isinstance(node, ast.Name):
        return [node.id]
    return [node.attr] if isinstance(node, ast.Attribute) else []


def _blanks(node: ast.JoinedStr) -> tuple[str | None, ...]:
    return tuple(str(part.value) if isinstance(part, ast.Constant) else None for part in node.values)
