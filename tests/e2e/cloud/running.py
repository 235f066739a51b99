"""Run MiniStack with a local replacement of the Docker SDK, and synthesize templates for it."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.e2e.cloud.deployment import STAGE, emulated
from tests.support.emulators import Emulator, running_ministack
from tests.unit.infra.conftest import synthesize
from tests.unit.infra.templates import ROOT

SETTINGS = {
    "stage": STAGE,
    # The emulator knows no availability zones of a region.
    "availability_zones": "us-east-1a",
    "image_uri": "123456789012.dkr.ecr.us-east-1.amazonaws.com/shopkpi:test",
    "kpis": "order,category,product",
    # Small limits make a test's file a large one.
    "small_mib": "1",
    "range_mib": "2",
    "split_above_mib": "2",
    "batch_window_s": "1",
    # The sweep takes every object for left behind.
    "sweep_min_age_minutes": "0",
}


@dataclass(frozen=True)
class Cloud:
    """Running emulator and the template to deploy on it.

    Attributes:
        emulator: Running.
        template: JSON text.
        home: Folder of the Docker replacement: its record of runs, and orders to kill one.
    """

    emulator: Emulator
    template: str
    home: Path


def deployable(folder: Path, settings: Mapping[str, str]) -> str:
    """Synthesize a template without the resources that MiniStack cannot create, as JSON text."""
    return json.dumps(emulated(json.loads(synthesize(folder, settings).read_text("utf-8"))))


def without_batches(template: str) -> str:
    """Return a template by which every object but an empty one is too large for a batch."""
    limit = str(int(SETTINGS["small_mib"]) * 2**20)
    changed = template.replace(f"size <= {limit}", "size <= 0")
    for sign in ("<=", ">"):
        pattern = json.dumps([sign, int(limit)])
        assert pattern in changed
        changed = changed.replace(pattern, json.dumps([sign, 0]))
    return changed


@contextmanager
def running_cloud(folder: Path, settings: Mapping[str, str] = SETTINGS) -> Iterator[Cloud]:
    """Synthesize a template and start the emulator, both below an empty folder."""
    home = folder / "home"
    home.mkdir()
    template = deployable(folder / "cdk.out", settings)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PYTHONPATH", str(Path(__file__).parent / "standin"))
        patch.setenv("STANDIN_HOME", str(home))
        patch.setenv("STANDIN_ENTRYPOINT", json.dumps([sys.executable, "-m", "worker"]))
        patch.setenv("STANDIN_ENVIRONMENT", json.dumps({"PYTHONPATH": str(ROOT)}))
        # As in `make e2e SHOPKPI_IMAGE=localhost/shopkpi:test`, which `make image-test` builds.
        patch.setenv("STANDIN_IMAGE", os.environ.get("SHOPKPI_IMAGE", ""))
        patch.setenv("AWS_ACCESS_KEY_ID", "testing")
        patch.setenv("AWS_SECRET_ACCESS_KEY", "testing")
        # Scales the waits between retries and between polls of a running task.
        patch.setenv("SFN_WAIT_SCALE", "0.1")
        with running_ministack(home / "ministack.log") as emulator:
            yield Cloud(emulator, template, home)
