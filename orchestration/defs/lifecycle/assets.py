"""What retention has done with each raw table, as an asset per table that has a policy, with its check."""

import csv
import re
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

import dagster as dg

from orchestration import database, retention, schemas
from orchestration.dbt import PROJECT
from orchestration.errors import AgentbooksError


def tables_with_terms(seed: Path) -> list[str]:
    """Read for which tables the file of seed retention_policies has terms.

    Raises:
        AgentbooksError: It is not there, or says something else.
    """
    fault = f"retention: {seed.parent.name}/{seed.name}"
    try:
        # As dbt, which takes a byte order mark for none.
        with seed.open(encoding="utf-8-sig", newline="") as file:
            reader = csv.DictReader(file)
            missing = {"table_name", "active_for"} - set(reader.fieldnames or [])
            if missing:
                raise AgentbooksError(
                    f"{fault} has no column {min(missing)}; mend its first line, with commas between names."
                )
            rows = [(reader.line_num, row["table_name"], row["active_for"]) for row in reader]
    except OSError as error:
        raise AgentbooksError(f"{fault} cannot be read ({error.strerror}); put it back.") from error
    except (UnicodeDecodeError, csv.Error) as error:
        raise AgentbooksError(f"{fault} is no CSV in UTF-8 ({error}); save it as such.") from error
    tables = set()
    for line, name, term in rows:
        if not (term or "").strip():
            continue
        if not re.fullmatch(r"\w+\.\w+", name.strip(), re.ASCII):
            raise AgentbooksError(
                f'{fault} has in line {line} a term for "{name}"; write a table with its schema.'
            )
        tables.add(name.strip())
    return sorted(tables)


try:
    FAULT, TABLES = None, tables_with_terms(PROJECT / "seeds" / "retention_policies.csv")
except AgentbooksError as error:
    # All else in Dagster goes on; the job has one asset, which fails with this sentence.
    FAULT, TABLES = str(error), [retention.SEED]
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


@contextmanager
def _told() -> Iterator[None]:
    """Have Dagster show a sentence and no traceback."""
    try:
        yield
    except AgentbooksError as error:
        raise dg.Failure(str(error)) from error


def _moment(day: str | None) -> datetime:
    if not day:
        return datetime.now(UTC)
    try:
        return datetime.strptime(day, "%Y-%m-%d").replace(tzinfo=UTC)
    except ValueError as error:
        raise AgentbooksError(
            f'retention: as_of "{day}" is no day; write it as 2026-01-31, or leave it out for today.'
        ) from error


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
        Failure: Some table failed, and the others are done; or nothing can be done, and why.
    """
    if FAULT:
        raise dg.Failure(FAULT)
    with _told(), database.bootstrapped() as connection:
        as_of = _moment(config.as_of)
        named = schemas.read(connection)
        keys = {schemas.render(table, named): key for table, key in KEYS.items()}
        chosen = {table for table, key in keys.items() if key in context.selected_asset_keys}
        if config.dry_run:
            steps = [s for s in retention.plan(connection, as_of) if s.policy.table_name in chosen]
            context.log.info("\n".join([*retention.lint(connection), *retention.lines(steps)]))
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
