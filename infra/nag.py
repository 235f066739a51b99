"""Findings of cdk-nag that stand, each with the reason why."""

from __future__ import annotations

import aws_cdk as cdk


def acknowledge_findings(stack: cdk.Stack) -> None:
    """Acknowledge every finding of the AwsSolutions checks that is meant to be as it is."""
    for finding, reason in FINDINGS.items():
        cdk.Validations.of(stack).acknowledge(cdk.Acknowledgment(id=finding, reason=reason))


FINDINGS: dict[str, str] = {}
