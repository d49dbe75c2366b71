"""The one exception that people see."""


class AgentbooksError(Exception):
    """A failure told in one sentence: what happened, to what, and what to do next."""
