"""docs/github-deploy.yml: what a job may do, and what it runs."""

from __future__ import annotations

import re
from typing import Any

import pytest
import yaml

from tests.unit.infra.templates import ROOT

TEXT = (ROOT / "docs" / "github-deploy.yml").read_text("utf-8")


@pytest.fixture(scope="module")
def jobs() -> dict[str, Any]:
    found: dict[str, Any] = yaml.safe_load(TEXT)["jobs"]
    return found


def commands(job: dict[str, Any]) -> str:
    return "\n".join(step.get("run", "") for step in job["steps"])


def test_jobs_test_show_the_difference_and_deploy(jobs: dict[str, Any]) -> None:
    assert "make test" in commands(jobs["test"])
    assert "cdk synth" in commands(jobs["diff"])
    assert "cdk diff" in commands(jobs["diff"])
    assert "gh pr comment" in commands(jobs["diff"])
    assert "cdk deploy" in commands(jobs["deploy"])
    assert jobs["deploy"]["needs"] == "test"
    assert "cdk deploy" not in commands(jobs["diff"]) + commands(jobs["test"])


def test_roles_are_assumed_with_a_token_and_there_are_no_keys(jobs: dict[str, Any]) -> None:
    assert yaml.safe_load(TEXT)["permissions"] == {"contents": "read"}
    assert "permissions" not in jobs["test"]
    diff = {"contents": "read", "id-token": "write", "pull-requests": "write"}
    assert jobs["diff"]["permissions"] == diff
    assert jobs["deploy"]["permissions"] == {"contents": "read", "id-token": "write"}
    # A pull request of a fork brings code of its own.
    assert "head.repo.full_name == github.repository" in jobs["diff"]["if"]
    assert jobs["deploy"]["environment"] == "prod"
    assert "secrets." not in TEXT
    assert "access-key" not in TEXT


def test_versions_are_those_of_the_page() -> None:
    page = (ROOT / "docs" / "deploy.md").read_text("utf-8")
    (version,) = set(re.findall(r"aws-cdk@(\S+)", TEXT))
    assert f"aws-cdk@{version}" in page
