"""Infer the contract of the files below some inputs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from kpi.inference.contract import Inferred, infer_contract
from kpi.inference.questions import NotInferableError
from worker.errors import ConfigError
from worker.infer.reading import read_samples
from worker.objects import ObjectStore
from worker.objects.location import Location


async def infer(
    inputs: Sequence[tuple[ObjectStore, Location]], answers: Mapping[str, str]
) -> Inferred:
    """Infer a contract.

    Args:
        inputs: Folders, prefixes or single objects.
        answers: By the word of their question.

    Raises:
        ConfigError: No contract can be inferred, or an answer fits no question.
        SourceError: A file cannot be read.
    """
    samples = await read_samples(inputs)
    try:
        return infer_contract(samples, answers)
    except NotInferableError as error:
        raise ConfigError(f"no contract can be inferred: {error}") from error
