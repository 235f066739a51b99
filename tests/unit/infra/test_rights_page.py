"""docs/security.md lists the rights of each task as the template has them."""

from __future__ import annotations

import re
from pathlib import Path

from tests.unit.infra.templates import Template

PAGE = (Path(__file__).parents[3] / "docs" / "security.md").read_text("utf-8")


def rights_in_the_page() -> dict[str, set[str]]:
    """Return task -> actions in its row of the table."""
    rows = re.findall(r"^\| `(\w+)` \|[^|]*\| (.*) \|$", PAGE, re.MULTILINE)
    return {task: set(re.findall(r"`(\w+:\w+)`", actions)) for task, actions in rows}


def test_the_page_lists_the_rights_of_every_task(full: Template) -> None:
    found = {}
    for task in full.of_type("AWS::ECS::TaskDefinition").values():
        role = task["Properties"]["TaskRoleArn"]["Fn::GetAtt"][0]
        name = re.sub(r"^Compute(\w+)Role[0-9A-F]{8}$", r"\1", role)
        found[name] = {action for action, _ in full.rights(role)}
    assert len(found) == 7
    assert rights_in_the_page() == found


def test_the_audit_reads_uploads_and_changes_nothing(full: Template) -> None:
    """Its recount reads raw objects; without the right it would see clean files alone."""
    (audit,) = (
        task["Properties"]["TaskRoleArn"]["Fn::GetAtt"][0]
        for task in full.of_type("AWS::ECS::TaskDefinition").values()
        if "ComputeAudit" in task["Properties"]["TaskRoleArn"]["Fn::GetAtt"][0]
    )
    rights = full.rights(audit)
    read = {resource for action, resource in rights if action == "s3:GetObject"}
    assert any("Input" in resource for resource in read), read
    verbs = {action.split(":")[1] for action, _ in rights}
    assert not {verb for verb in verbs if verb.startswith(("Put", "Delete", "Update"))}


def test_no_task_may_do_everything_to_anything(full: Template) -> None:
    for task in full.of_type("AWS::ECS::TaskDefinition").values():
        role = task["Properties"]["TaskRoleArn"]["Fn::GetAtt"][0]
        for action, resource in full.rights(role):
            assert "*" not in action
            # The task token is the right to answer; these actions have no resource.
            assert resource != "*" or action.startswith("states:SendTask")
