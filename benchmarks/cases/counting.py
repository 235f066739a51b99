"""Count what a command asks of S3 and DynamoDB."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from benchmarks.cost import DYNAMODB_READ, DYNAMODB_WRITE, S3_GET, S3_PUT
from benchmarks.emulator import client_environment
from benchmarks.measure import Usage, measure
from benchmarks.tap import Tap
from benchmarks.units import Units, units_of


@dataclass(frozen=True, kw_only=True)
class Counted:
    """What one command asked of S3 and DynamoDB.

    Attributes:
        gets: GET requests of objects.
        heads: HEAD requests.
        puts: PUT, POST and LIST requests.
        units: Of DynamoDB.
        peak_bytes: Largest resident set.
    """

    gets: int
    heads: int
    puts: int
    units: Units
    peak_bytes: int

    @property
    def dollars(self) -> float:
        """By the prices of COST.md."""
        return (
            (self.gets + self.heads) * S3_GET
            + self.puts * S3_PUT
            + self.units.read * DYNAMODB_READ
            + self.units.write * DYNAMODB_WRITE
        )


def count(command: Sequence[str], tap: Tap, logs: Path) -> tuple[Usage, Counted]:
    """Run a command, and count what passes by a tap."""
    tap.requests.clear()
    tap.answers.clear()
    usage = measure(
        list(command),
        log=logs / "counted.log",
        environment=client_environment(tap.endpoint_url),
    )
    verbs = [one.head.split(b" ", 2) for one in tap.requests if not one.target]
    lists = sum(verb[0] == b"GET" and b"list-type=" in verb[1] for verb in verbs)
    gets = sum(verb[0] == b"GET" for verb in verbs) - lists
    heads = sum(verb[0] == b"HEAD" for verb in verbs)
    counted = Counted(
        gets=gets,
        heads=heads,
        puts=len(verbs) - gets - heads,
        units=units_of(tap.answers),
        peak_bytes=usage.peak_bytes,
    )
    return usage, counted
