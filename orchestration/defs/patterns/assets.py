"""What is learned from runs, as an asset beside the marts; the next refresh counts its uses."""

import dagster as dg

from orchestration import database, learn

KEY = dg.AssetKey(["ops", "learned_counts"])


@dg.asset(
    key=KEY,
    deps=[dg.AssetKey(["marts", "agent_runs"])],
    group_name="patterns",
    kinds={"python", "postgres"},
)
def learned_counts() -> dg.MaterializeResult[None]:
    """Patterns, chains of agents and kinds of errors of every month whose runs are new or changed."""
    with database.connect(autocommit=True) as connection:
        learned = learn.learn(connection)
    return dg.MaterializeResult(
        metadata={
            "months_read": learned.months,
            "patterns": learned.patterns,
            "chains": learned.chains,
            "errors": learned.errors,
            "uses": learned.uses,
        }
    )
