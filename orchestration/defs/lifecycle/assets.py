"""What retention has done with each raw table, as an asset per table that has a policy, with its check."""

import csv
from collections.abc import Iterator
from datetime import UTC, datetime

import dagster as dg

from orchestration import database, retention, schemas
from orchestration.dbt import PROJECT

with (PROJECT / "seeds" / "retention_policies.csv").open(encoding="utf-8", newline="") as seed:
    TABLES = sorted({row["table_name"] for row in csv.DictReader(seed) if row["active_for"]})
KEYS = {table: dg.AssetKey(["retention", *table.split(".")]) for table in TABLES}
REASONS = {
    "legal_hold": "No legal hold keeps rows that are due.",
    "tenant_override": "No tenant's own term keeps rows that are due for others.",
    "still_active": "No row that is due is at work, or leaned on by others.",
    "unsealed_mart": "No change waits to be counted in a mart of which days must be frozen.",
    "late_rows": "No row has come since the month was frozen.",
    "incomplete_survivor": "What is to stay of the rows says the same as they do.",
    "other": "Nothing else keeps rows that are due, no failure either.",
}


class Retention(dg.Config):
    """How the policies are enforced."""

    dry_run: bool = False
    as_of: str | None = None  # the UTC day from which terms count; today by default


@dg.multi_asset(
    specs=[
        dg.AssetSpec(
            key,
            deps=[dg.AssetKey(table.split("."))],
            skippable=True,
            group_name="lifecycle",
            kinds={"postgres"},
            description=f"Rows of {table} that were archived, blanked or removed.",
        )
        for table, key in KEYS.items()
    ],
    check_specs=[
        dg.AssetCheckSpec(f"no_{kind}", asset=key, description=description)
        for key in KEYS.values()
        for kind, description in REASONS.items()
    ],
    can_subset=True,
)
def enforce_retention(
    context: dg.AssetExecutionContext, config: Retention
) -> Iterator[dg.MaterializeResult[None] | dg.AssetCheckResult]:
    """Do what the policies say, table by table; with `dry_run` only tell it in the log.

    Raises:
        Failure: Some table failed; the others are done.
    """
    as_of = datetime.now(UTC)
    if config.as_of:
        as_of = datetime.fromisoformat(config.as_of).replace(tzinfo=UTC)
    with database.connect(autocommit=True) as connection:
        named = schemas.read(connection)
        keys = {schemas.render(table, named): key for table, key in KEYS.items()}
        chosen = {table for table, key in keys.items() if key in context.selected_asset_keys}
        if config.dry_run:
            steps = [s for s in retention.plan(connection, as_of) if s.policy.table_name in chosen]
            context.log.info("\n".join(retention.lines(steps)))
            return
        outcomes = retention.enforce(connection, as_of, chosen)
    for outcome in outcomes:
        key = keys[outcome.table_name]
        if not outcome.failure:
            yield dg.MaterializeResult(
                asset_key=key, metadata={"bytes": outcome.size, **outcome.rows}
            )
        for kind in REASONS:
            told = [r.reason for r in outcome.refusals if r.kind == kind]
            if kind == "other" and outcome.failure:
                told.append(outcome.sentence())
            yield dg.AssetCheckResult(
                asset_key=key,
                check_name=f"no_{kind}",
                passed=not told,
                severity=dg.AssetCheckSeverity.WARN,
                description="; ".join(dict.fromkeys(told)) or None,
                metadata={"refusals": len(told)},
            )
    failed = [outcome.sentence() for outcome in outcomes if outcome.failure]
    if failed:
        raise dg.Failure("; ".join(failed))
