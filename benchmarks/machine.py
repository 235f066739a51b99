"""What the benchmarks ran on, and which state of the project they measured."""

from __future__ import annotations

import os
import platform
import subprocess
import sys
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import psutil

from benchmarks.measure import ROOT
from benchmarks.peers import PEERS

PACKAGES = ("pyarrow", "numpy", *(peer.package for peer in PEERS.values()))


def describe() -> dict[str, str]:
    """CPU, cores, memory, system and versions, for people."""
    return {
        "CPU": _cpu(),
        "cores": str(os.cpu_count()),
        "memory": f"{psutil.virtual_memory().total / 2**30:.0f} GiB",
        "system": f"{_system()}, Linux {platform.release()}"
        if sys.platform == "linux"
        else platform.platform(),
        "Python": platform.python_version(),
        "packages": ", ".join(f"{name} {_version(name)}" for name in PACKAGES),
        "Java": _java(),
    }


def commit() -> str:
    """Return the commit that is checked out, with a `+` where files differ from it."""
    try:
        found = _said("git", "rev-parse", "--short", "HEAD")
        changed = _said("git", "status", "--porcelain", "--untracked-files=no", "kpi", "worker")
    except (OSError, subprocess.CalledProcessError):
        return "unknown"
    return found + ("+" if changed else "")


def load() -> float:
    """Load average of the last minute."""
    return os.getloadavg()[0]


def _cpu() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text("utf-8").splitlines()
    except OSError:
        return platform.processor() or "unknown"
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    frequency = psutil.cpu_freq()
    clock = f", {frequency.current / 1000:.1f} GHz" if frequency else ""
    return (names[0] if names else platform.machine()) + clock


def _system() -> str:
    try:
        return platform.freedesktop_os_release()["PRETTY_NAME"]
    except (OSError, KeyError):
        return platform.system()


def _java() -> str:
    try:
        told = subprocess.run(
            ["java", "-version"],  # noqa: S607  (whichever Spark would find)
            capture_output=True,
            text=True,
            check=True,
        )
    except (OSError, subprocess.CalledProcessError):
        return "none"
    return told.stderr.splitlines()[0]


def _version(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:
        return "not installed"


def _said(*command: str) -> str:
    return subprocess.run(
        command, cwd=ROOT, capture_output=True, text=True, check=True
    ).stdout.strip()
