"""MiniStack once per session; a deployment of its own for each test."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.e2e.cloud.deployment import Deployment
from tests.e2e.cloud.running import SETTINGS, Cloud, deployable, running_cloud


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark the tests of this folder; they share one process (`Distribution`)."""
    here = Path(__file__).parent
    for item in items:
        if here in item.path.parents:
            item.add_marker(pytest.mark.emulated)


@pytest.fixture(scope="session")
def cloud(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cloud]:
    with running_cloud(tmp_path_factory.mktemp("cloud")) as running:
        yield running


@pytest.fixture
def deployment(cloud: Cloud) -> Deployment:
    return Deployment.create(cloud.emulator, cloud.template, cloud.home)


@pytest.fixture(scope="session")
def warm_template(tmp_path_factory: pytest.TempPathFactory) -> str:
    """Template of a deployment with a warm service of one task."""
    return deployable(tmp_path_factory.mktemp("warm"), {**SETTINGS, "warm_service": "true"})


@pytest.fixture
def warm_deployment(cloud: Cloud, warm_template: str) -> Iterator[Deployment]:
    made = Deployment.create(cloud.emulator, warm_template, cloud.home)
    made.wait_for_log("serve.started")
    yield made
    # The emulator does not stop the processes of a service by itself.
    made.scale(0)
    made.wait_for_log("serve.stopped")
