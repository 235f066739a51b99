"""Write what the pipeline makes of the golden cases, to be looked at line by line before a commit.

python -m tests.golden.regenerate [CASE...]
"""

from __future__ import annotations

import sys

from tests.golden.cases import CASES, EXPECTED, names, run, to_text


def main() -> None:
    """All cases, or those named."""
    for case in sys.argv[1:] or names():
        path = CASES / case / EXPECTED
        text = to_text(run(case))
        changed = not path.exists() or path.read_text("utf-8") != text
        path.write_text(text, "utf-8")
        sys.stdout.write(f"{case}: {'changed' if changed else 'as it was'}\n")


if __name__ == "__main__":
    main()
