"""Repair rejected rows: a person corrects them in a spreadsheet, and they count in their places."""
