"""Find the imports of Python files by parsing them, without running them."""

from __future__ import annotations

import ast
import sys
from collections.abc import Iterable, Iterator
from functools import cache
from importlib.metadata import packages_distributions
from pathlib import Path

_DISTRIBUTIONS = packages_distributions()


@cache
def imported(path: Path) -> frozenset[str]:
    """The dotted modules that a file imports anywhere in it, except those imported only for type checkers.

    `from a.b import c` counts as a.b and a.b.c: c may be a module.
    """
    return frozenset(_imports(ast.parse(path.read_text(encoding="utf-8"))))


def top_level(modules: Iterable[str]) -> set[str]:
    return {module.partition(".")[0] for module in modules}


def third_party(modules: Iterable[str], own: Iterable[str]) -> set[str]:
    """Top-level names that belong neither to Python itself nor to the project."""
    return top_level(modules) - sys.stdlib_module_names - set(own)


def distributions(package: str) -> set[str]:
    """The names under which a package is installed: `cv2` → {opencv-python-headless}."""
    return {normal(name) for name in _DISTRIBUTIONS.get(package, [package])}


def normal(name: str) -> str:
    """PEP 503's form of a distribution's name."""
    return name.lower().replace("_", "-").replace(".", "-")


def _imports(node: ast.AST) -> Iterator[str]:
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.Import):
            yield from (alias.name for alias in child.names)
        elif isinstance(child, ast.ImportFrom):
            assert child.module is not None, "relative imports are not used here"
            yield child.module
            yield from (f"{child.module}.{alias.name}" for alias in child.names)
        elif isinstance(child, ast.If) and "TYPE_CHECKING" in ast.unparse(child.test):
            continue
        else:
            yield from _imports(child)
