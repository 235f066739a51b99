"""Notification topic, CloudWatch alarms and the dashboard."""
