"""agentbooks: keeps the books on AI agents, on the PostgreSQL they already write to."""
