"""What a request's body may be before Powertools parses it: JSON that Python's parser has a limit for. Pure."""

from __future__ import annotations

import base64
import binascii
import json
from collections.abc import Mapping
from typing import Any


def body_fault(event: Mapping[str, Any]) -> str | None:
    """What is wrong with the body beyond a slip in its syntax, which the validation names: None where nothing is."""
    body = event.get("body") or ""
    try:
        json.loads(base64.b64decode(body) if event.get("isBase64Encoded") else body)
    except (json.JSONDecodeError, UnicodeDecodeError, binascii.Error):
        return None
    except RecursionError:
        return "the body is nested too deeply"
    except ValueError:  # of int(), for a number of more than 4,300 digits
        return "a number in the body has too many digits"
    return None
