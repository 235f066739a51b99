"""The worker of shopkpi: streams, clean zone, ledger, KPI stores, tasks and the command line."""

import os

# numpy's linear algebra, which nothing here uses, would start a thread for each core that spins.
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
