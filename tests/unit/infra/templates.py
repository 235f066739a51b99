"""Read synthesized templates: resources by type, policies, resolved definitions."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[3]

Json = dict[str, Any]

PSEUDO = {
    "AWS::Partition": "aws",
    "AWS::Region": "eu-central-1",
    "AWS::AccountId": "123456789012",
    "AWS::URLSuffix": "amazonaws.com",
}


@dataclass(frozen=True)
class Template:
    """A CloudFormation template."""

    body: Json

    @property
    def resources(self) -> dict[str, Json]:
        resources: dict[str, Json] = self.body["Resources"]
        return resources

    def of_type(self, kind: str) -> dict[str, Json]:
        """Return logical id -> resource of a type."""
        return {name: one for name, one in self.resources.items() if one["Type"] == kind}

    def named(self, start: str, kind: str) -> Json:
        """Return the properties of the one resource of a type whose logical id starts so."""
        found = {name: one for name, one in self.of_type(kind).items() if name.startswith(start)}
        assert len(found) == 1, f"expected one {kind} {start}..., got {sorted(found)}"
        properties: Json = next(iter(found.values()))["Properties"]
        return properties

    @cached_property
    def definitions(self) -> dict[str, Json]:
        """Definitions by state machine (ingest, intake, sweep), with references resolved."""
        return {
            one["Properties"]["StateMachineName"].rsplit("-", 1)[-1]: json.loads(
                resolve(one["Properties"]["DefinitionString"])
            )
            for one in self.of_type("AWS::StepFunctions::StateMachine").values()
        }

    def rights(self, role: str) -> set[tuple[str, str]]:
        """Return (action, resource) pairs that the policies of a role allow."""
        names = [name for name in self.of_type("AWS::IAM::Role") if name.startswith(role)]
        assert len(names) == 1, f"expected one role {role}..., got {names}"
        rights: set[tuple[str, str]] = set()
        for policy in self.of_type("AWS::IAM::Policy").values():
            if {"Ref": names[0]} in policy["Properties"]["Roles"]:
                rights |= statements(policy["Properties"]["PolicyDocument"])
        return rights


def statements(document: Json) -> set[tuple[str, str]]:
    """Return (action, resource) pairs of a policy document of Allow statements."""
    pairs = set()
    for statement in document["Statement"]:
        assert statement["Effect"] == "Allow"
        for action in as_list(statement["Action"]):
            for resource in as_list(statement["Resource"]):
                pairs.add((action, resolve(resource)))
    return pairs


def states(definition: Json) -> Iterator[tuple[str, Json, bool]]:
    """Yield (name, state, is inside a map) of every state of a definition."""
    for name, state in definition["States"].items():
        yield name, state, False
        if "ItemProcessor" in state:
            yield from ((one, inner, True) for one, inner, _ in states(state["ItemProcessor"]))


def resolve(value: Any) -> Any:
    """Replace the intrinsic functions of a value by readable text.

    `{"Ref": X}` is `X`, `{"Fn::GetAtt": [X, Arn]}` is `arn:X`; pseudo parameters have values.
    """
    if isinstance(value, list):
        return [resolve(one) for one in value]
    if not isinstance(value, Mapping):
        return value
    if len(value) == 1:
        name, inner = next(iter(value.items()))
        if name == "Ref":
            return PSEUDO.get(inner, inner)
        if name == "Fn::GetAtt":
            return f"arn:{inner[0]}" if inner[1] == "Arn" else f"{inner[0]}.{inner[1]}"
        if name == "Fn::Join":
            return inner[0].join(str(resolve(one)) for one in inner[1])
        if name == "Fn::Select":
            return resolve(inner[1])[int(inner[0])]
        if name == "Fn::Split":
            return _split(inner[0], resolve(inner[1]))
        if name == "Fn::Sub":
            return inner
        if name == "Fn::GetAZs":
            return ["a", "b", "c"]
    return {name: resolve(inner) for name, inner in value.items()}


def _split(separator: str, text: str) -> list[str]:
    parts = text.split(separator)
    # The reference of a task definition or state machine is an ARN; here it is its logical id.
    return parts if len(parts) > 1 else [text] * 8


def as_list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [value]


def topic(template: Template) -> str:
    """Return the logical id of the only topic."""
    (name,) = template.of_type("AWS::SNS::Topic")
    return name


def environment(template: Template) -> dict[str, str]:
    """Return the environment variables of the validation task."""
    (container,) = template.named("ComputeValidate", "AWS::ECS::TaskDefinition")[
        "ContainerDefinitions"
    ]
    values = {one["Name"]: resolve(one["Value"]) for one in container["Environment"]}
    values["SHOPKPI_WORKSPACE"] = values["SHOPKPI_WORKSPACE"][:-8]
    return values
