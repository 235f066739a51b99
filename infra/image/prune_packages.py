"""Delete package files that the worker never loads; run while the image is built."""

from __future__ import annotations

import shutil
import sys
import sysconfig
from pathlib import Path

# Service models that botocore needs: those that the worker calls, and those that give credentials.
SERVICE_MODELS = frozenset(
    {"dynamodb", "glue", "s3", "sqs", "stepfunctions", "sso", "sso-oidc", "sts"}
)

# Headers, tests and sources of packages. pyiceberg's client of Hive, and the slower of two bindings
# of Zstandard. Arrow's remote engines and file systems, which the worker
# does not import. Copies of Arrow's libraries under names that only linkers use.
UNUSED_PATTERNS = (
    "hive_metastore",
    "numpy/**/tests",
    "numpy/_core/include",
    "numpy/f2py",
    "pyarrow/include",
    "pyarrow/src",
    "pyarrow/tests",
    "pyarrow/_azurefs*",
    "pyarrow/_flight*",
    "pyarrow/_gcsfs*",
    "pyarrow/_hdfs*",
    "pyarrow/_pyarrow_cpp_tests*",
    "pyarrow/_s3fs*",
    "pyarrow/libarrow_flight*",
    "pyarrow/libarrow_python_flight*",
    "pyarrow/libarrow_s3*",
    "pyarrow/libarrow_python*.so",
    "pyarrow/libarrow_python*.so.*.*.*",
    "pyarrow/**/*.pxd",
    "pyarrow/**/*.pyx",
    "pyarrow/**/*.pxi",
    "zstandard/_cffi*",
)


def remove(path: Path) -> None:
    """Delete a file or a folder."""
    if path.is_dir():
        shutil.rmtree(path)
    else:
        path.unlink()


def prune(packages: Path) -> int:
    """Delete the unused files below a site-packages folder.

    Returns:
        Bytes freed.
    """
    before = size(packages)
    unused = [path for pattern in UNUSED_PATTERNS for path in packages.glob(pattern)]
    data = packages / "botocore" / "data"
    unused += [path for path in data.iterdir() if path.is_dir() and path.name not in SERVICE_MODELS]
    for path in sorted(unused, key=lambda path: len(path.parts), reverse=True):
        if path.exists():
            remove(path)
    return before - size(packages)


def size(folder: Path) -> int:
    """Return the bytes of all files below a folder."""
    return sum(path.lstat().st_size for path in folder.rglob("*") if not path.is_dir())


if __name__ == "__main__":
    freed = prune(Path(sysconfig.get_path("purelib")))
    sys.stdout.write(f"prune_packages: {freed / 2**20:.0f} MiB freed\n")
