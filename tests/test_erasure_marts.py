"""Whoever is erased leaves the marts without a sum changing, in open, sealed and frozen days alike.

Generated cases erase some of the people of simulated traffic, after days were sealed, frozen and taken out of
the database. `AGENTBOOKS_SEQUENCES` sets how many are tried: 5 unless it says otherwise, as each rebuilds.
"""

from __future__ import annotations

import hashlib
import os
import re
from typing import TYPE_CHECKING, Any

import psycopg
import pytest
from faults import value
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from residue import residue

from orchestration import cold_archive, erasure, simulated_traffic
from orchestration.cold_archive import Archive

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from refreshing import Refresher

SEQUENCES = int(os.environ.get("AGENTBOOKS_SEQUENCES", "5"))
PERIODS = {
    "marts.agent_runs": "run_date",
    "marts.users_daily": "usage_date",
    "marts.cost_daily": "usage_date",
    "marts.cost_by_tenant_daily": "usage_date",
    "marts.cost_by_scope_daily": "usage_date",
    "marts.cost_monthly": "usage_month",
    "intermediate.int_costs__banded": "usage_date",
}


class Company:
    """A database with traffic and its marts, and the people in it."""

    def __init__(self, url: str, connection: psycopg.Connection, refresher: Refresher) -> None:
        """Look up who is there."""
        self.url, self.connection, self.refresher = url, connection, refresher
        self.people = [
            user
            for (user,) in connection.execute(
                "select distinct user_id from ("
                "select user_id::text from observability.traces union all"
                " select user_id from traceability.execution_traces union all"
                " select user_id::text from chat.conversation_sessions union all"
                " select user_id::text from agentic.agent_sessions) as u"
                " where user_id is not null order by 1"
            ).fetchall()
        ]

    def keys(self, people: list[str]) -> list[str]:
        """What marts call these people."""
        salt = value(self.connection, "select salt from ops.pseudonym_salt")
        return [hashlib.sha256(f"{salt}:{person}".encode()).hexdigest() for person in people]

    def days(self, table: str) -> list[Any]:
        """Days that a mart has."""
        query = f"select distinct {PERIODS[table]} from {table} order by 1"
        return [day for (day,) in self.connection.execute(query.encode()).fetchall()]


@pytest.fixture(scope="module")
def company(empty_marts: Callable[[], Refresher]) -> Iterator[Company]:
    """Two weeks of traffic in all five systems, and the marts over it."""
    refresher = empty_marts()
    with psycopg.connect(refresher.url, autocommit=True) as connection:
        traffic = simulated_traffic.simulate_traffic(14, 20)
        for _, writes in traffic.batches():
            simulated_traffic.write(connection, writes)
        refresher.refresh(connection)
        yield Company(refresher.url, connection, refresher)


def sums(connection: psycopg.Connection, tables: list[str]) -> dict[str, Any]:
    """What each table adds up to by all that is no person; whole tables, where nobody is in them."""
    totals: dict[str, Any] = {}
    for table in tables:
        columns = dict(
            connection.execute(
                "select attname, atttypid::regtype::text from pg_attribute"
                " where attrelid = %s::regclass and attnum > 0 and not attisdropped",
                (table,),
            ).fetchall()
        )
        if "dimension_value" in columns or ("scope_key" in columns and table not in PERIODS):
            continue
        if not {"user_key", "scope_key"} & set(columns):
            totals[table] = connection.execute(
                f"select count(*), sum(hash_record_extended(t, 0)) from {table} as t".encode()
            ).fetchone()
            continue
        measures = [
            name
            for name, type_name in columns.items()
            if type_name in ("bigint", "integer", "numeric")
            and not re.search("_(from|to|utc)$", name)
        ]
        dimensions = [
            name
            for name in columns
            if name not in measures and not re.search(r"(?<!agent)(?<!tenant)(?<!model)_key$", name)
        ]
        totals[table] = connection.execute(
            (
                f"select array_agg(r::text order by r::text) from (select {', '.join(dimensions)},"
                f" {', '.join(f'trim_scale(sum({name})) as {name}' for name in measures)}"
                f" from {table} group by {', '.join(dimensions)}) as r"
            ).encode()
        ).fetchone()
    return totals


def keys_are_hashes(connection: psycopg.Connection) -> None:
    """Recompute the keys of all pooled models, in marts and seals, and see that they are unique."""
    for model, keys in connection.execute(
        "select model, keys from ops.pooled_models where keys <> '{}'"
    ).fetchall():
        schema = "intermediate" if model.startswith("int_") else "marts"
        kept = value(connection, f"select to_regclass(ops.sealed_table('{schema}.{model}'))::text")
        for table, seal in [(f"{schema}.{model}", "1"), *([(kept, "seal_number")] if kept else [])]:
            for key, parts in keys.items():
                query = f"select count(*) from {table} where {key} <> md5(row({parts})::text)"
                assert value(connection, query) == 0, f"{key} of {table}"
            key = next(
                name for name in keys if model.removeprefix("int_").replace("__", "_") in name
            )
            query = f"select count(*) - count(distinct ({seal}, {key})) from {table}"
            assert value(connection, query) == 0, f"{key} of {table} is there twice"


@settings(
    max_examples=SEQUENCES,
    deadline=None,
    database=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(data=st.data())
def test_sums_stay_whoever_is_erased(company: Company, tmp_path: Path, data: st.DataObject) -> None:
    """A cost that goes with its person, or is there twice; a sealed day that is not what its seal says."""
    connection, refresher = company.connection, company.refresher
    people = data.draw(
        st.lists(st.sampled_from(company.people), min_size=1, max_size=6, unique=True)
    )
    with connection.transaction(force_rollback=True):
        for table in PERIODS:
            for day in data.draw(
                st.lists(st.sampled_from(company.days(table)), max_size=4, unique=True)
            ):
                connection.execute("select ops.seal_period(%s, %s)", (table, day))
                if data.draw(st.booleans()):
                    connection.execute("select ops.freeze_period(%s, %s)", (table, day))
        before = sums(connection, list(refresher.statements))
        number = erasure.erase(connection, Archive(str(tmp_path)), people)
        assert number is not None
        refresher.refresh(connection)
        assert erasure.finish(connection, number)
        assert sums(connection, list(refresher.statements)) == before
        assert residue(connection, [*people, *company.keys(people)]) == []
        keys_are_hashes(connection)
        assert refresher.differences(connection) == []


def test_a_seal_of_pooled_rows_can_be_frozen(company: Company, tmp_path: Path) -> None:
    """A checksum of rows that are no longer there, by which nothing can be frozen or put back."""
    connection = company.connection
    with connection.transaction(force_rollback=True):
        day = company.days("marts.agent_runs")[3]
        connection.execute("select ops.seal_period('marts.agent_runs', %s)", (day,))
        erasure.erase(connection, Archive(str(tmp_path)), company.people)
        connection.execute("select ops.freeze_period('marts.agent_runs', %s)", (day,))
        found = connection.execute(
            "select count(*), count(*) filter (where user_key = 'erased') from sealed.agent_runs"
        ).fetchone()
        assert found is not None
        assert found[0] >= found[1] > 0


def test_people_of_a_month_that_has_left(company: Company, tmp_path: Path) -> None:
    """Somebody who is erased, and is back with the rows that are restored."""
    connection, refresher = company.connection, company.refresher
    archive = Archive(str(tmp_path / "archive"))
    months = {
        month
        for (month,) in connection.execute(
            "select distinct date_trunc('month', started_at at time zone 'UTC')::date"
            " from observability.spans"
        ).fetchall()
    }
    person = value(
        connection,
        "select t.user_id::text from observability.traces as t"
        " inner join observability.spans using (trace_id) where t.user_id is not null limit 1",
    )
    for month in sorted(months):
        cold_archive.remove_month(connection, archive, "observability.spans", month)
    before = sums(connection, list(PERIODS))
    number = erasure.erase(connection, archive, [person])
    assert number is not None
    refresher.refresh(connection)
    assert erasure.finish(connection, number)
    words = [person, *company.keys([person])]
    assert sums(connection, list(PERIODS)) == before
    assert residue(connection, words, archive.url) == []
    for month in sorted(months):
        cold_archive.restore_month(connection, archive, "observability.spans", month)
    refresher.refresh(connection)
    assert sums(connection, list(PERIODS)) == before
    assert residue(connection, words) == []
    assert refresher.differences(connection) == []
