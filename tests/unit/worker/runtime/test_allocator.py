"""All parts of Arrow take their memory from one allocator."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

COMMAND = """
import sys
from worker.cli import main
sys.argv[1:] = ["--version"]
try:
    main()
except SystemExit:
    pass
import pyarrow as pa
print(pa.default_memory_pool().backend_name)
"""


@pytest.mark.skipif(sys.platform != "linux", reason="packages for other systems lack jemalloc")
@pytest.mark.parametrize("chosen", [None, "system"])
def test_the_command_chooses_the_allocator_unless_the_user_has(chosen: str | None) -> None:
    environment = {k: v for k, v in os.environ.items() if k != "ARROW_DEFAULT_MEMORY_POOL"}
    if chosen is not None:
        environment["ARROW_DEFAULT_MEMORY_POOL"] = chosen
    done = subprocess.run(
        [sys.executable, "-c", COMMAND], env=environment, capture_output=True, text=True, check=True
    )
    assert done.stderr == ""
    assert done.stdout.splitlines()[-1] == (chosen or "jemalloc")
