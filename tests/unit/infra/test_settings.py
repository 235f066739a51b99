"""Settings: types, defaults by stage, and one error that lists every problem."""

from __future__ import annotations

import dataclasses
import os
import re
import subprocess
import sys

import pytest

from infra.settings import VCPUS, Settings
from infra.settings.reader import LIMITS, SettingsError, read_settings
from infra.workflows.archive import COPY_LIMIT_BYTES, COPY_LIMIT_KEY_BYTES
from infra.workflows.warm_service import HEARTBEAT_TIMEOUT
from infra.workflows.worker_tasks import (
    FIRST_WAIT_S,
    MAX_RETRIES,
    MAX_RETRIES_AFTER_TIMEOUT,
    MAX_WAIT_S,
)
from tests.e2e.cloud.transcript import STEPS, between_marks
from tests.unit.infra.templates import ROOT
from worker.service.queue_worker import Timings


def test_texts_of_the_command_line_become_values() -> None:
    settings = read_settings(
        {
            "stage": "prod",
            "kpis": "order, product",
            "spot": "false",
            "large_task_vcpu": "16",
            "availability_zones": "eu-central-1a,eu-central-1b",
            "small_mib": "32",
        }
    )
    assert settings.prefix == "shopkpi-prod"
    assert settings.kpis == ("order", "product")
    assert settings.spot is False
    assert settings.large_task_vcpu == 16.0
    assert settings.availability_zones == ("eu-central-1a", "eu-central-1b")
    assert settings.small_mib == 32


def test_values_of_cdk_json_stay_what_they_are() -> None:
    settings = read_settings({"spot": False, "kpis": ["category"], "reject_rate_alarm": 0.2})
    assert (settings.spot, settings.kpis, settings.reject_rate_alarm) == (False, ("category",), 0.2)


@pytest.mark.parametrize(("stage", "retains"), [("dev", False), ("prod", True)])
def test_the_stage_decides_whether_data_is_retained(stage: str, retains: bool) -> None:
    assert read_settings({"stage": stage}).retain_data is retains
    assert read_settings({"stage": stage, "retain_data": "true"}).retain_data is True


def test_the_contract_names_the_incoming_folders() -> None:
    settings = read_settings({"incoming_prefix": "shop/incoming/"})
    assert settings.incoming_folders == (
        "shop/incoming/orders/",
        "shop/incoming/order_items/",
        "shop/incoming/products/",
    )


def test_one_error_lists_every_wrong_setting() -> None:
    with pytest.raises(SettingsError) as caught:
        read_settings(
            {
                "stage": "Production!",
                "kpis": "orders",
                "spot": "yes",
                "small_mib": "many",
                "large_task_vcpu": "3",
                "alarm_email": "operator",
                "contract": "mine",
                "sweep_schedule": "daily",
                "log_retention_days": "31",
                "incoming_prefix": "incoming",
                "range_mib": "100000",
                "azcount": "2",
            }
        )
    problems = caught.value.problems
    found = {problem.split(":")[0] for problem in problems}
    assert found == {
        "stage",
        "kpis",
        "spot",
        "small_mib",
        "large_task_vcpu",
        "alarm_email",
        "contract",
        "sweep_schedule",
        "log_retention_days",
        "incoming_prefix",
        "range_mib",
        "azcount",
    }
    assert "spot: expected true or false, got 'yes'" in problems
    assert (
        "large_task_vcpu: expected one of 0.25, 0.5, 1.0, 2.0, 4.0, 8.0, 16.0, got 3.0" in problems
    )


DIGEST = "sha256:" + "0123456789abcdef" * 4


@pytest.mark.parametrize(
    "image",
    [
        "123456789012.dkr.ecr.eu-central-1.amazonaws.com/shopkpi:2026-11-30",
        f"123456789012.dkr.ecr.us-east-1.amazonaws.com/team/shopkpi@{DIGEST}",
    ],
)
def test_an_image_in_ecr_is_accepted(image: str) -> None:
    assert read_settings({"image_uri": image}).image_uri == image


@pytest.mark.parametrize(
    "image",
    [
        "shopkpi:test",
        "docker.io/library/python:3.11",
        "ghcr.io/team/shopkpi:1",
        "public.ecr.aws/team/shopkpi:1",
        "123456789012.dkr.ecr.eu-central-1.amazonaws.com/shopkpi",
        "123456789012.dkr.ecr.eu-central-1.amazonaws.com/shopkpi@sha256:abc",
        "123456789012.dkr.ecr.eu-central-1.amazonaws.com.example.com/shopkpi:1",
    ],
)
def test_an_image_that_tasks_cannot_pull_is_refused(image: str) -> None:
    with pytest.raises(SettingsError, match="image_uri: expected an image in Amazon ECR"):
        read_settings({"image_uri": image})


def test_a_base_image_without_a_digest_is_refused() -> None:
    assert read_settings({"base_image": f"python:3.11-slim@{DIGEST}"})
    for image in ("python:3.11-slim", "python", "python@sha256:abc"):
        with pytest.raises(SettingsError, match="base_image: expected an image pinned by digest"):
            read_settings({"base_image": image})


def test_a_key_is_named_by_its_arn() -> None:
    for key in ("alias/shop", "arn:aws:kms:eu-central-1:123456789012:alias/shop", "1234abcd"):
        with pytest.raises(SettingsError, match="input_kms_key_arn: expected the ARN"):
            read_settings({"input_kms_key_arn": key})


@pytest.mark.parametrize(("stage", "hours"), [("dev", 0), ("prod", 24)])
def test_the_stage_decides_whether_uploads_are_missed(stage: str, hours: int) -> None:
    assert read_settings({"stage": stage}).success_within_hours == hours
    assert read_settings({"stage": stage, "success_within_hours": "6"}).success_within_hours == 6


@pytest.mark.parametrize("name", sorted(LIMITS))
def test_numbers_have_limits(name: str) -> None:
    for number in (LIMITS[name][0] - 1, LIMITS[name][1] + 1):
        with pytest.raises(SettingsError, match=f"{name}: expected"):
            read_settings({name: str(number)})


def test_context_of_the_cdk_itself_is_no_setting() -> None:
    own = {"@aws-cdk/core:x": True, "aws:cdk:enable-path-metadata": True, "aws-cdk-lib/y": 1}
    assert read_settings(own) == read_settings({})


def test_the_app_prints_wrong_settings_without_a_traceback() -> None:
    # The `cdk` command passes `-c stage=X` in this variable.
    environment = {**os.environ, "CDK_CONTEXT_JSON": '{"stage": "X"}'}
    done = subprocess.run(
        [sys.executable, "-m", "infra.app"],
        env=environment,
        capture_output=True,
        text=True,
        check=False,
        cwd=ROOT,
    )
    assert done.returncode == 2
    assert "stage: expected a-z" in done.stderr
    assert "Traceback" not in done.stderr


def test_every_setting_is_documented() -> None:
    guide = (ROOT / "docs" / "deploy.md").read_text("utf-8")
    for field in dataclasses.fields(Settings):
        assert f"`{field.name}`" in guide, f"docs/deploy.md does not explain {field.name}"


DEFAULTS_IN_WORDS = {
    "retain_data": "true for `prod`",
    "termination_protection": "true for `prod`",
    "base_image": "that of the Dockerfile",
    "success_within_hours": "24 for `prod`, else 0",
}


def test_the_page_gives_every_default() -> None:
    guide = (ROOT / "docs" / "deploy.md").read_text("utf-8")
    section = guide.partition("## Settings")[2].partition("\n## ")[0]
    shown: dict[str, str] = {}
    for names, values in re.findall(r"^\| (`[a-z_`, ]+`) \| ([^|]*)\|", section, re.MULTILINE):
        known = re.findall(r"`(\w+)`", names)
        defaults = values.split(",") if len(known) > 1 else [values]
        shown |= zip(known, map(str.strip, defaults), strict=True)
    for field in dataclasses.fields(Settings):
        value = field.default
        text = ",".join(value) if isinstance(value, tuple) else str(value)
        text = text.lower() if isinstance(value, bool) else text
        expected = DEFAULTS_IN_WORDS.get(field.name, text.removesuffix(".0"))
        assert shown[field.name] == expected, field.name


def test_the_transcript_is_that_of_its_script() -> None:
    guide = (ROOT / "docs" / "deploy.md").read_text("utf-8")
    shown = between_marks(guide)
    commands = [command for command, _ in STEPS]
    assert re.findall(r"^\$ (.*)", shown, re.MULTILINE) == [one.splitlines()[0] for one in commands]
    assert not [command for command in commands if f"$ {command}\n" not in shown]


def test_numbers_of_the_page_are_those_of_the_code() -> None:
    """Figures in sentences; tables have tests of their own."""
    guide = (ROOT / "docs" / "deploy.md").read_text("utf-8").replace("\n", " ")
    waits = [FIRST_WAIT_S * 2**number for number in range(MAX_RETRIES)]
    pace = Timings()
    (cdk,) = re.findall(r"aws-cdk@[0-9.]+", (ROOT / "Makefile").read_text("utf-8"))
    for sentence in (
        f"retries it {MAX_RETRIES} times, after up to {waits[0]}, {waits[1]} and {waits[2]} s",
        f"asks again every {MAX_WAIT_S // 60} minutes",
        f"up to {max(VCPUS):.0f} vCPU",
        f"after {HEARTBEAT_TIMEOUT.to_minutes()} minutes where it says nothing",
        f"Every {pace.heartbeat_s:.0f} s the state gets a heartbeat",
        f"commands have {pace.grace_s:.0f} s to end",
        f"one long poll of {pace.poll_s} s after another",
        f"one copy within S3 up to {COPY_LIMIT_BYTES >> 30} GiB",
        f"for keys of {COPY_LIMIT_KEY_BYTES + 1:,} bytes and more",
        f"npm install --no-save {cdk} ",
    ):
        assert sentence in guide, sentence
    assert pace.visibility_timeout_s == 60  # "hidden for another minute"
    assert MAX_RETRIES_AFTER_TIMEOUT == 1  # "stopped and retried once"
