"""The worker of shopkpi: streams, clean zone, ledger, KPI stores, tasks and the command line."""
