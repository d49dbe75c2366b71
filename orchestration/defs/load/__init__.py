"""Loading files of agent runs into the raw tables."""
