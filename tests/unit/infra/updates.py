"""Compare a template with a released one, and list what CloudFormation cannot change in place.

Sources: CloudFormation template reference ("Update requires: Replacement"; of indexes: "You can
delete or add one global secondary index without interruption. If you do both in the same update
[...] the update fails"); CloudFormation user guide, "Name type": a resource with a custom name
cannot be replaced while it keeps that name.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from tests.unit.infra.templates import Json, Template, resolve


@dataclass(frozen=True, kw_only=True)
class Kind:
    """What matters of a type of resource when it is updated.

    Attributes:
        name: Property with the name that no other resource may bear at the same time, or "".
        replacing: Properties whose change replaces the resource (template reference, "Update
            requires: Replacement").
        is_stateful: Whether a replaced one has lost what people keep in it.
    """

    name: str = ""
    replacing: tuple[str, ...] = ()
    is_stateful: bool = False


KINDS: Mapping[str, Kind] = {
    "AWS::DynamoDB::Table": Kind(
        name="TableName",
        replacing=("KeySchema", "LocalSecondaryIndexes", "ImportSourceSpecification"),
        is_stateful=True,
    ),
    "AWS::S3::Bucket": Kind(name="BucketName", is_stateful=True),
    "AWS::SQS::Queue": Kind(name="QueueName", replacing=("FifoQueue",), is_stateful=True),
    # Its subscribers have confirmed it.
    "AWS::SNS::Topic": Kind(name="TopicName", replacing=("FifoTopic",), is_stateful=True),
    "AWS::Logs::LogGroup": Kind(name="LogGroupName", is_stateful=True),
    "AWS::KMS::Key": Kind(is_stateful=True),
    "AWS::StepFunctions::StateMachine": Kind(
        name="StateMachineName", replacing=("StateMachineType",)
    ),
    "AWS::CloudWatch::Dashboard": Kind(name="DashboardName"),
    "AWS::Athena::WorkGroup": Kind(name="Name"),
    "AWS::Lambda::Function": Kind(name="FunctionName", replacing=("PackageType",)),
    "AWS::IAM::ManagedPolicy": Kind(name="ManagedPolicyName", replacing=("Description", "Path")),
    "AWS::IAM::Role": Kind(name="RoleName", replacing=("Path",)),
    # A new subnet would overlap the address block of the one that it replaces.
    "AWS::EC2::Subnet": Kind(name="CidrBlock", replacing=("VpcId", "AvailabilityZone")),
    "AWS::EC2::VPC": Kind(replacing=("CidrBlock",), is_stateful=True),
}

INDEXES = "GlobalSecondaryIndexes"


def reduce_template(template: Template) -> dict[str, Json]:
    """Return logical id -> what matters of the resource: type, name, replacing properties.

    Of a table the indexes, too: name -> key schema and projection.
    """
    reduced: dict[str, Json] = {}
    for logical_id, one in sorted(template.resources.items()):
        kind = KINDS.get(one["Type"])
        if kind is None:
            continue
        properties = resolve(one.get("Properties", {}))
        kept = {key: properties[key] for key in kind.replacing if key in properties}
        if kind.name in properties:
            kept["name"] = properties[kind.name]
        if INDEXES in properties:
            kept[INDEXES] = {
                index["IndexName"]: {
                    key: value for key, value in index.items() if key in ("KeySchema", "Projection")
                }
                for index in properties[INDEXES]
            }
        reduced[logical_id] = {"type": one["Type"], **kept}
    return reduced


def refused_changes(before: Mapping[str, Json], after: Mapping[str, Json]) -> Iterator[str]:
    """Yield what CloudFormation would refuse, or answer by losing data, in words.

    Args:
        before: Reduced template of the release.
        after: That of now.
    """
    names = {(one["type"], one["name"]): key for key, one in before.items() if "name" in one}
    for logical_id, new in after.items():
        owner = names.get((new["type"], new.get("name", "")))
        if owner is not None and owner != logical_id:
            yield f"{logical_id}: {new['name']} belongs to {owner}, and creation comes first"
    for logical_id, old in before.items():
        now = after.get(logical_id)
        kind = KINDS[old["type"]]
        if now is None or now["type"] != old["type"]:
            if kind.is_stateful:
                yield f"{logical_id}: {old['type']} is gone, with what is in it"
            continue
        yield from _replacements(logical_id, kind, old, now)
        if old.get("name") != now.get("name"):
            continue  # a new table is made with all its indexes
        yield from _indexes(logical_id, old.get(INDEXES, {}), now.get(INDEXES, {}))


def _replacements(logical_id: str, kind: Kind, old: Json, now: Json) -> Iterator[str]:
    changed = [key for key in kind.replacing if old.get(key) != now.get(key)]
    renamed = old.get("name") != now.get("name")
    if changed and "name" in old and not renamed:
        yield (
            f"{logical_id}: {', '.join(changed)} of {old['name']} changes; a named resource is not "
            "replaced: give it another name"
        )
    if kind.is_stateful and (changed or renamed):
        yield f"{logical_id}: it would be replaced by an empty one"


def _indexes(logical_id: str, old: Json, now: Json) -> Iterator[str]:
    added, dropped = set(now) - set(old), set(old) - set(now)
    if len(added) + len(dropped) > 1:
        yield (
            f"{logical_id}: {', '.join(sorted(added | dropped))}: DynamoDB makes or drops one "
            "index of a table in an update"
        )
    for name in set(old) & set(now):
        if old[name] != now[name]:
            yield f"{logical_id}: index {name} changes its key or projection: make one beside it"
