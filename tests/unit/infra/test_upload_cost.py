"""What an upload costs beside its history, from the template and the table of prices."""

from __future__ import annotations

import math
import re
from itertools import pairwise

import pytest

from benchmarks.prices import load_prices
from tests.unit.infra.templates import ROOT, Template
from tests.unit.infra.workflows.expressions import evaluate, state

PATH = (
    *("Begin", "Window", "ListRunning", "HasRoom", "Validate", "ReadSummary", "WhatCame"),
    *("AnyRefused", "IsPublished", "Transform", "Archive", "NextRound", "IsLong", "CountFiles"),
    *("IsEmpty", "Drained"),
)
"""States of an execution that takes one batch."""

TASKS = ("Validate", "Transform", "Archive")


def batch_cost(template: Template) -> dict[str, float]:
    """Return what a batch costs whose tasks take less than the minute that is billed at least."""
    prices = {name: one.price for name, one in load_prices().items()}
    vcpus = 0.0
    for name in TASKS:
        override = state(template, "batches", name)["Arguments"]["Overrides"]
        vcpus += int(evaluate(override["Cpu"], input={})) / 1024
        memory = int(evaluate(override["Memory"], input={}))
        assert memory == 2 * int(evaluate(override["Cpu"], input={}))
    hour = prices["fargate_arm_vcpu_hour"] + 2 * prices["fargate_arm_gb_hour"]
    return {
        "tasks": vcpus / 60 * hour,
        "addresses": len(TASKS) * prices["public_ipv4_hour"],
        "transitions": len(PATH) * prices["state_transition"],
    }


def test_the_path_is_one_of_the_state_machine(template: Template) -> None:
    every = template.definitions["batches"]["States"]
    for one, after in pairwise(PATH):
        nexts = [choice["Next"] for choice in every[one].get("Choices", [])]
        assert after in {*nexts, every[one].get("Default"), every[one].get("Next")}, (one, after)


@pytest.mark.parametrize("what", ["tasks", "addresses", "transitions"])
def test_the_page_gives_the_batch_of_the_template(template: Template, what: str) -> None:
    page = (ROOT / "benchmarks" / "COST.md").read_text("utf-8")
    (shown,) = re.findall(rf"^\| {what}\b[^|]*\| \$(\d\.\d+) \|", page, re.MULTILINE)
    assert math.isclose(float(shown), batch_cost(template)[what], abs_tol=0.000005)


def test_the_page_adds_up(template: Template) -> None:
    page = (ROOT / "benchmarks" / "COST.md").read_text("utf-8")
    (shown,) = re.findall(r"Together \*\*\$(\d\.\d+)\*\* a batch", page)
    (month,) = re.findall(r"one by one \| \$([\d,]+) \|", page)
    (evening,) = re.findall(r"together each evening \| \$(\d+\.\d+) \|", page)
    batch = sum(batch_cost(template).values())
    assert math.isclose(float(shown), batch, abs_tol=0.00005)
    transform = 0.000028  # of one file, table of the history
    assert math.isclose(int(month.replace(",", "")), 15_000 * (batch + transform), abs_tol=0.5)
    assert math.isclose(float(evening), 30 * batch + 15_000 * transform, abs_tol=0.005)


def test_no_figure_is_from_memory() -> None:
    for name in ("benchmarks/COST.md", "docs/deploy.md"):
        text = (ROOT / name).read_text("utf-8")
        assert "from memory" not in text, name
        assert "not checked" not in text, name
