"""Notifications, alarms and the dashboard."""
