"""Emulators for the tests of recovery."""

from __future__ import annotations

from tests.support.emulators import ministack

__all__ = ["ministack"]
