"""The packages of the extra `iceberg`: where they are missing, its tests are left out."""

from __future__ import annotations

import os
from importlib.util import find_spec

collect_ignore_glob: list[str] = []

if find_spec("pyiceberg") is None:
    if os.environ.get("SHOPKPI_NEEDS_MINISTACK"):  # set by `make test`
        raise ModuleNotFoundError("pyiceberg is missing; requirements.lock has it")
    collect_ignore_glob.append("test_*.py")
