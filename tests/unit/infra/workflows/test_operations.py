"""The state machine of operations: commands of its tasks, proposals, and who may start it."""

from __future__ import annotations

import json

import pytest

from tests.unit.infra.templates import Json, Template, resolve, statements, states
from tests.unit.infra.workflows.expressions import chosen, evaluate, state
from worker.cli.adopt import adopt
from worker.cli.propose import propose
from worker.cli.retract import restore, retract

COMMANDS = {"Retract": retract, "Restore": restore, "Adopt": adopt, "Propose": propose}
DOCUMENT = {"source": "s3://in/orders/a.csv", "reason": "it's a test", "contract": "string-ids"}
ARCHIVE = "s3://BucketsArchiveCE3432CC"


def command(template: Template, name: str, document: Json) -> list[str]:
    """Return the words that a state hands to `shopkpi`."""
    (override,) = state(template, "operations", name)["Arguments"]["Overrides"][
        "ContainerOverrides"
    ]
    return [
        evaluate(word, input=document) if word.startswith("{%") else word
        for word in override["Command"]
    ]


def test_each_operation_is_a_command_of_the_worker(template: Template) -> None:
    commands = {name: command(template, name, DOCUMENT) for name in COMMANDS}
    assert commands["Retract"] == ["retract", DOCUMENT["source"], "--reason", "it's a test"]
    assert commands["Restore"][:2] == ["restore", DOCUMENT["source"]]
    assert commands["Adopt"][:5] == ["contract", "adopt", "string-ids", "--raw", ARCHIVE]
    assert command(template, "Retract", {"source": "a"}) == ["retract", "a", "--reason", ""]
    for name, words in commands.items():
        arguments = words[2:] if words[0] == "contract" else words[1:]
        COMMANDS[name].make_context(name, arguments)  # raises where it does not parse


@pytest.mark.parametrize(
    ("operation", "next_"),
    [
        ("retract", "Retract"),
        ("restore", "Restore"),
        ("adopt", "Adopt"),
        ("propose", "Propose"),
        ("delete", "UnknownOperation"),
    ],
)
def test_the_input_names_the_operation(template: Template, operation: str, next_: str) -> None:
    choice = state(template, "operations", "Operation")
    assert chosen(choice, {"operation": operation}) == next_


@pytest.mark.parametrize(
    ("differences", "adopts", "next_"),
    [
        ([], True, "Done"),
        ([], False, "Done"),
        (["delimiter: ',' -> ';'"], False, "NotifyProposal"),
        (["delimiter: ',' -> ';'"], True, "Adopt"),
    ],
)
def test_a_deployment_with_another_contract_proposes_it(
    template: Template, differences: list[str], adopts: bool, next_: str
) -> None:
    written = json.dumps({"differences": differences, "days": 3})
    output = state(template, "operations", "ReadProposal")["Output"]
    document = evaluate(output, input={"adopt": adopts}, result={"Body": written})
    assert chosen(state(template, "operations", "IsAnother"), document) == next_


def test_a_proposal_is_read_where_the_task_writes_it(template: Template) -> None:
    words = command(template, "Propose", DOCUMENT)
    read = state(template, "operations", "ReadProposal")["Arguments"]
    assert words[words.index("--output") + 1] == f"s3://{read['Bucket']}/{read['Key']}"


def test_the_end_of_a_deployment_starts_a_proposal(template: Template, full: Template) -> None:
    for deployment, contract in ((template, "default"), (full, "shopify")):
        rule = deployment.named("OperationsDeployed", "AWS::Events::Rule")
        pattern = rule["EventPattern"]
        assert pattern["source"] == ["aws.cloudformation"]
        assert pattern["detail"]["status-details"] == {
            "status": ["CREATE_COMPLETE", "UPDATE_COMPLETE"]
        }
        assert "AWS::StackId" in str(pattern["detail"]["stack-id"])
        (target,) = rule["Targets"]
        expected = {"operation": "propose", "contract": contract, "adopt": False}
        assert json.loads(resolve(target["Input"])) == expected
        assert target["DeadLetterConfig"]


def test_failures_of_every_operation_are_told(template: Template) -> None:
    definition = template.definitions["operations"]
    for name, one, _ in states(definition):
        if one["Type"] == "Task" and name != "NotifyFailure":
            assert one["Catch"][-1]["Next"] in ("NotifyFailure", "OperationsFailureNotifyFailure")


def test_operators_get_a_policy_of_their_own(template: Template) -> None:
    policy = template.named("OperationsOperators", "AWS::IAM::ManagedPolicy")
    assert not policy.get("Roles")
    assert not policy.get("Users")
    allowed = statements(policy["PolicyDocument"])
    task = template.rights("ComputeOperatorRole")
    more = {action for action, _ in allowed - task}
    # Erasing a customer rewrites raw objects, and says which old versions are left.
    erasing = {"s3:ListBucketVersions", "s3:PutObject", "s3:AbortMultipartUpload"}
    redriving = {
        f"sqs:{action}"
        for action in (
            *("DeleteMessage", "GetQueueAttributes", "GetQueueUrl"),
            *("ReceiveMessage", "SendMessage"),
        )
    }
    assert more == {"states:StartExecution", *erasing, *redriving}
    assert task <= allowed
    assert not [action for action, _ in allowed if action.startswith("s3:DeleteObjectV")]
    outputs = template.body["Outputs"]
    assert {"OperatorPolicy", "OperationsStateMachine"} <= outputs.keys()
