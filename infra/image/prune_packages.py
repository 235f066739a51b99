"""Run while the image is built: delete what the worker never loads from its environment."""

from __future__ import annotations

import shutil
import sys
import sysconfig
from pathlib import Path

# Services whose API descriptions botocore must keep: what the worker calls, and how it signs in.
SERVICES = frozenset({"dynamodb", "s3", "sqs", "stepfunctions", "sso", "sso-oidc", "sts"})

# Headers, tests and sources of packages; Arrow's remote engines and file systems, which nothing of
# the worker imports; and the copies of its libraries under names that only compilers look for.
UNUSED = (
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
)


def remove(path: Path) -> None:
    """Delete a file or a folder."""
    if path.is_dir():
        shutil.rmtree(path)
    else:
        path.unlink()


def slim(packages: Path) -> int:
    """Delete what is not needed below a site-packages folder.

    Returns:
        Bytes freed.
    """
    before = size(packages)
    unused = [path for pattern in UNUSED for path in packages.glob(pattern)]
    data = packages / "botocore" / "data"
    unused += [path for path in data.iterdir() if path.is_dir() and path.name not in SERVICES]
    for path in sorted(unused, key=lambda path: len(path.parts), reverse=True):
        if path.exists():
            remove(path)
    return before - size(packages)


def size(folder: Path) -> int:
    """Bytes of all files below a folder."""
    return sum(path.lstat().st_size for path in folder.rglob("*") if not path.is_dir())


if __name__ == "__main__":
    freed = slim(Path(sysconfig.get_path("purelib")))
    sys.stdout.write(f"slim: {freed / 2**20:.0f} MiB freed\n")
