"""Forecasting what the marts say that agents cost."""
