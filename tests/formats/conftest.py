"""Fixtures of the tests of formats."""

from __future__ import annotations

from tests.support.emulators import moto

__all__ = ["moto"]
