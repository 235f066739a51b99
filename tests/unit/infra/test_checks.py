"""Linters of the template and the Dockerfile, and a snapshot of resources and rights."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

import infra.app
from tests.unit.infra.templates import ROOT, Template, resolve, states

SNAPSHOT = Path(__file__).with_name("snapshot.txt")


def test_cfn_lint_finds_nothing(template_path: Path, full_path: Path) -> None:
    # W3005: the CDK adds a DependsOn where a reference implies it.
    run("cfn-lint", "--ignore-checks", "W3005", "--", str(template_path), str(full_path))


def test_cdk_nag_would_fail_the_synthesis(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    # The fixtures synthesize without findings; here a finding stops the synthesis.
    monkeypatch.setattr(infra.app, "acknowledge_findings", lambda _: None)
    with pytest.raises(RuntimeError, match="AwsSolutions-IAM5"):
        infra.app.build({}, outdir=str(tmp_path)).synth()


def test_hadolint_finds_nothing() -> None:
    run("hadolint", str(ROOT / "Dockerfile"))


def test_the_template_matches_the_snapshot(template: Template) -> None:
    found = describe(template)
    if os.environ.get("SHOPKPI_SNAPSHOT") == "write":
        SNAPSHOT.write_text(found)
    assert found == SNAPSHOT.read_text(), (
        "the template has changed; if that is intended, run the tests with SHOPKPI_SNAPSHOT=write"
    )


def run(tool: str, *arguments: str) -> None:
    """Run a linter that is installed beside this Python; fail on any finding."""
    program = Path(sys.executable).with_name(tool)
    done = subprocess.run([str(program), *arguments], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


def describe(template: Template) -> str:
    """Describe resources by type, rights by role, and the transitions of each state."""
    lines = ["Resources"]
    kinds = {one["Type"] for one in template.resources.values()}
    for kind in sorted(kinds):
        lines += ["", f"  {kind.removeprefix('AWS::')}"]
        lines += [f"    {short(name)}" for name in sorted(template.of_type(kind))]
    lines += ["", "Rights"]
    for role in sorted(template.of_type("AWS::IAM::Role")):
        lines += ["", f"  {short(role)}"]
        lines += [f"    {action} {readable(on)}" for action, on in sorted(template.rights(role))]
    for machine, definition in sorted(template.definitions.items()):
        lines += ["", f"States of {machine}, within {definition['TimeoutSeconds']} s", ""]
        for name, state, is_in_map in states(definition):
            choices = [choice["Next"] for choice in state.get("Choices", [])]
            nexts = [*choices, state.get("Default"), state.get("Next")]
            to = ", ".join(one for one in nexts if one) or "end"
            caught = sorted({catch["Next"] for catch in state.get("Catch", [])})
            limit = f", {state['TimeoutSeconds']} s" if "TimeoutSeconds" in state else ""
            lines.append(
                f"  {'  ' * is_in_map}{name} ({state['Type']}{limit}) -> {to}"
                + (f"; failing: {', '.join(caught)}" if caught else "")
            )
    return "\n".join([*lines, ""])


def short(name: str) -> str:
    """Strip the hash that the CDK appends to a logical id."""
    is_hashed = len(name) > 8 and all(letter in "0123456789ABCDEF" for letter in name[-8:])
    return name[:-8] if is_hashed and not name.isdigit() else name


def readable(resource: str) -> str:
    text: str = resolve(resource)
    for part in set(text.replace(":", "/").split("/")):
        text = text.replace(part, short(part)) if part else text
    return text
