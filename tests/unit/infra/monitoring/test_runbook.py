"""docs/runbook.md has a whole section for every alarm and every mail."""

from __future__ import annotations

import re

import pytest

from tests.unit.infra.templates import ROOT, Template, resolve, states

PARTS = ("**Cause.**", "**Look.**", "**Do.**", "**Wake somebody**")


def sections() -> dict[str, str]:
    """Return anchor, as GitHub makes it of a heading -> text of the section."""
    text = (ROOT / "docs" / "runbook.md").read_text("utf-8")
    _, *parts = re.split(r"^## ", text, flags=re.MULTILINE)
    found = {}
    for part in parts:
        heading, _, body = part.partition("\n")
        anchor = re.sub(r"[^\w -]", "", heading.strip().lower()).replace(" ", "-")
        found[anchor] = body
    return found


def commands(section: str) -> list[str]:
    """Return the commands that show what is wrong, continued lines joined."""
    block = re.search(r"\*\*Look\.\*\*\n\n```\n(.*?)```", section, re.DOTALL)
    assert block, section[:80]
    return block[1].replace("\\\n", "").splitlines()


def alarm_name(logical_id: str) -> str:
    return logical_id[:-8].removeprefix("Alarms")


@pytest.mark.parametrize("variant", ["template", "full"])
def test_every_alarm_names_its_section(variant: str, request: pytest.FixtureRequest) -> None:
    deployment: Template = request.getfixturevalue(variant)
    for logical_id, alarm in deployment.of_type("AWS::CloudWatch::Alarm").items():
        description = alarm["Properties"]["AlarmDescription"]
        named = re.search(r"docs/runbook\.md#([a-z-]+)$", description)
        assert named, description
        section = sections()[named[1]]
        (listed,) = re.findall(r"^Alarms?: (.*?)\.", section, re.MULTILINE)
        assert f"`{alarm_name(logical_id)}`" in listed, logical_id


def test_every_listed_alarm_exists(full: Template) -> None:
    text = "\n".join(sections().values())
    listed = {
        name
        for line in re.findall(r"^Alarms?: (.*?)\.", text, re.MULTILINE)
        for name in re.findall(r"`(\w+)`", line)
    }
    assert listed == {alarm_name(name) for name in full.of_type("AWS::CloudWatch::Alarm")}


def test_every_section_has_cause_commands_action_and_urgency() -> None:
    assert len(sections()) >= 14
    for anchor, body in sections().items():
        places = [body.find(part) for part in PARTS]
        assert -1 not in places, anchor
        assert places == sorted(places), anchor


def test_every_section_shows_two_commands() -> None:
    for anchor, body in sections().items():
        assert len(commands(body)) == 2, anchor


def test_every_mail_names_its_section(template: Template) -> None:
    mails = {}
    for definition in template.definitions.values():
        for _, state, _ in states(definition):
            if state.get("Resource", "").endswith(":sns:publish"):
                message = resolve(state["Arguments"]["Message"])
                (event,) = re.findall(r"'event': '([\w.]+)'", message)
                (mails[event],) = re.findall(r"'runbook': 'docs/runbook\.md#([a-z-]+)'", message)
    assert set(mails) == {
        *("ingest.failed", "intake.failed", "sweep.failed", "operations.failed"),
        *("source.refused", "contract.proposed", "batches.failed", "batch.refused"),
    }
    for event, anchor in mails.items():
        assert f"`{event}`" in sections()[anchor]


def test_links_of_the_runbook_lead_to_sections() -> None:
    text = (ROOT / "docs" / "runbook.md").read_text("utf-8")
    for anchor in re.findall(r"\]\(#([\w-]+)\)", text):
        assert anchor in sections()
