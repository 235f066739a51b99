"""Clean rows to daily KPI rows."""
