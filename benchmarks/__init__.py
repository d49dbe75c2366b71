"""Measurements behind the project's claims of speed; `make bench` runs them."""
