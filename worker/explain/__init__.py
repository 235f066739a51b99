"""Answer what a KPI was at a ledger sequence, and what moved it: computed, never recorded."""
