"""Events for people (progress bars) and for machines (JSON lines, CloudWatch metrics)."""
