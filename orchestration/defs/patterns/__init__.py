"""Learning patterns from runs."""
