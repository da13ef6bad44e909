"""Check the stages' output against the contract's schemas (contract/schemas.py)."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from jsonschema import Draft202012Validator

from contract.schemas import schemas


def faults(name: str, document: Any) -> list[str]:
    """The violations of the schema `<name>.schema.json` in a document."""
    validator = Draft202012Validator(schemas()[f"{name}.schema.json"])
    return [f"{fault.json_path}: {fault.message}" for fault in validator.iter_errors(document)]


def file_faults(folder: Path, stage: str, *names: str) -> list[str]:
    """The same for the result.json of a stage and for other files (`photos`: photos.json) in its output folder."""
    schema_of = {"result": f"result-{stage}", **{name: name for name in names}}
    documents = {name: json.loads((folder / f"{name}.json").read_text(encoding="utf-8")) for name in schema_of}
    return [f"{name}: {fault}" for name, schema in schema_of.items() for fault in faults(schema, documents[name])]
