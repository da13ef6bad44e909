"""Speed up moto, with the same answers in about two thirds of the CPU time: moto's own code is most of the unit tests'
time.

tests/unit/functions/test_quick_moto.py compares it with moto's own code.
"""

from __future__ import annotations

from functools import cache
from importlib import import_module
from typing import Any

from moto.core import models
from moto.core.serialize import BaseJSONSerializer
from moto.dynamodb.parsing.validators import ActionCountValidator

_KEPT = {"S": str, "N": str, "BOOL": bool, "NULL": bool}
moto_writes = BaseJSONSerializer._serialize_type_structure
ast_nodes: Any = import_module("moto.dynamodb.parsing.ast_nodes")  # moto's type hints lack it
moto_traverses = ast_nodes.DepthFirstTraverser.traverse_node_recursively
moto_counts = ActionCountValidator.verify_action_counts
_descends: dict[Any, bool] = {}  # whether a class descends from base classes, by both


def quicken() -> None:
    """Caches what moto computes anew for each cloud and each value."""
    # each mock registers the same 1,288 URLs
    models.CallbackResponse = cache(models.CallbackResponse)  # type: ignore[attr-defined, assignment]
    BaseJSONSerializer._serialize_type_structure = write  # type: ignore[method-assign]
    ast_nodes.DepthFirstTraverser.traverse_node_recursively = traverse
    ActionCountValidator.verify_action_counts = count  # type: ignore[method-assign]


def write(self: BaseJSONSerializer, serialized: Any, value: Any, shape: Any, key: str) -> None:
    """Serialise a DynamoDB value as it is stored; moto tries each of ten types in up to eight spellings."""
    kept = _kept(value) if shape.name == "AttributeValue" else None
    if kept is None:
        moto_writes(self, serialized, value, shape, key)
    else:
        self._default_serialize(serialized, kept, shape, key)


def traverse(self: Any, node: Any, child_id: int = -1) -> Any:
    """Process an update expression's nodes, the deepest first; moto rebuilds the table of a traverser's processors for
    each node, and checks it against abstract classes."""
    processed = vars(self).get("processed")
    if processed is None:
        processed = self.processed = self.nodes_to_be_processed()
    if _is_a(type(node), (ast_nodes.Node,)):
        parent = node.parent
        for i, child in enumerate(node.children or ()):
            self.pre_processing_of_child(node, i)
            traverse(self, child, i)
        if _is_a(type(node), processed):
            node = self.process(node)
            node.parent = parent
            if parent:
                parent.children[child_id] = node
    return node


def count(self: Any, node: Any) -> Any:
    """Check how often each clause occurs, once for the whole expression; moto checks each tail of it as well."""
    return node if node.parent else moto_counts(self, node)


def _is_a(kind: Any, bases: Any) -> bool:
    found = _descends.get((kind, bases))
    if found is None:
        found = _descends[kind, bases] = issubclass(kind, bases)
    return found


def _kept(value: Any) -> dict[str, Any] | None:
    """A copy of a DynamoDB value; None if it contains types that moto serialises differently (bytes, sets)."""
    if type(value) is not dict or len(value) != 1:
        return None
    ((kind, held),) = value.items()
    parts: Any
    if kind == "M" and type(held) is dict:
        parts = {name: _kept(part) for name, part in held.items()}
        return None if None in parts.values() else {kind: parts}
    if kind == "L" and type(held) is list:
        parts = [_kept(part) for part in held]
        return None if None in parts else {kind: parts}
    return {kind: held} if type(held) is _KEPT.get(kind) else None
