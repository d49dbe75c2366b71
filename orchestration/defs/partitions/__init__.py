"""Keeping the monthly partitions of the raw tables ahead of the clock."""
