"""`python -m worker` is `shopkpi`."""

from worker.cli import main

main()
