"""MiniStack with a stand-in for Docker, once per session; a deployment of its own for each test."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.e2e.cloud.deployment import STAGE, Deployment, emulated
from tests.infra.conftest import synthesize
from tests.infra.templates import ROOT
from tests.support.emulators import Emulator, running_ministack

SETTINGS = {
    "stage": STAGE,
    # Without names, an emulator would have to know the zones of its region.
    "availability_zones": "us-east-1a",
    "image_uri": "shopkpi:test",
    "kpis": "order,category,product",
    # Small enough that a test's file is a large one.
    "small_mib": "1",
    "range_mib": "2",
    "split_above_mib": "2",
    # Everything that lies in the bucket has been left behind.
    "sweep_min_age_minutes": "0",
}


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """All of them in one xdist worker: they share the emulator."""
    here = Path(__file__).parent
    for item in items:
        if here in item.path.parents:
            item.add_marker(pytest.mark.xdist_group("cloud"))


@dataclass(frozen=True)
class Cloud:
    """The emulator and the template to deploy on it.

    Attributes:
        emulator: Running, for the whole session.
        template: JSON text.
        home: Where the stand-in for Docker writes what it runs, and looks whom to kill.
    """

    emulator: Emulator
    template: str
    home: Path


@pytest.fixture(scope="session")
def cloud(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cloud]:
    home = tmp_path_factory.mktemp("standin")
    path = synthesize(tmp_path_factory.mktemp("cloud"), SETTINGS)
    template = emulated(json.loads(path.read_text("utf-8")))
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PYTHONPATH", str(Path(__file__).parent / "standin"))
        patch.setenv("STANDIN_HOME", str(home))
        patch.setenv("STANDIN_ENTRYPOINT", json.dumps([sys.executable, "-m", "worker"]))
        patch.setenv("STANDIN_ENVIRONMENT", json.dumps({"PYTHONPATH": str(ROOT)}))
        patch.setenv("AWS_ACCESS_KEY_ID", "testing")
        patch.setenv("AWS_SECRET_ACCESS_KEY", "testing")
        # Waits between retries and between looks at a running task, in proportion.
        patch.setenv("SFN_WAIT_SCALE", "0.1")
        with running_ministack(home / "ministack.log") as emulator:
            yield Cloud(emulator, json.dumps(template), home)


@pytest.fixture
def deployment(cloud: Cloud) -> Deployment:
    return Deployment.create(cloud.emulator, cloud.template, cloud.home)
