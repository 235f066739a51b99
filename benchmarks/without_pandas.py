"""`python -m worker` as its users run it: in an environment without pandas.

pyarrow imports pandas where it is installed, which takes half a second of CPU. Here it is installed
for one of the other engines alone; `shopkpi` neither needs nor installs it.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from importlib.abc import MetaPathFinder
from importlib.machinery import ModuleSpec
from types import ModuleType


class NoPandas(MetaPathFinder):
    """Answers for pandas what `import` says of a module that is not there."""

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        del path, target
        if fullname == "pandas":
            raise ModuleNotFoundError("No module named 'pandas'", name=fullname)
        return None


if __name__ == "__main__":
    sys.meta_path.insert(0, NoPandas())
    from worker.cli import main

    main()
