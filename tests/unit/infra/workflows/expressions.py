"""Evaluate the JSONata expressions of the state machines as Step Functions would."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from typing import Any

import jsonata

from tests.unit.infra.templates import Json, Template, states


def evaluate(text: str, **states_: Any) -> Any:
    """Evaluate a `{% ... %}` expression; the keywords are the fields of `$states`."""
    expression = jsonata.Jsonata.jsonata(text.removeprefix("{%").removesuffix("%}").strip())
    # Step Functions adds $hash to JSONata; here it is SHA-256 in any case.
    expression.register_lambda("hash", lambda data, _: hashlib.sha256(data.encode()).hexdigest())
    expression.register_lambda("parse", json.loads)  # also of Step Functions
    return expression.evaluate(None, {"states": states_})


def expressions(value: Any) -> Iterator[str]:
    """Yield every JSONata expression in a definition."""
    if isinstance(value, dict):
        for inner in value.values():
            yield from expressions(inner)
    elif isinstance(value, list):
        for inner in value:
            yield from expressions(inner)
    elif isinstance(value, str) and value.startswith("{%"):
        yield value


def state(template: Template, machine: str, name: str) -> Json:
    """Return the state of a name, also from inside a map."""
    (found,) = [one for each, one, _ in states(template.definitions[machine]) if each == name]
    return found


def chosen(choice: Json, document: Json) -> str:
    """Return the state that a Choice leads to."""
    for rule in choice["Choices"]:
        if evaluate(rule["Condition"], input=document):
            next_: str = rule["Next"]
            return next_
    default: str = choice["Default"]
    return default
