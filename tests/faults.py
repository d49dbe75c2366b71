"""What the tests of the original definitions' faults share.

Each such test shows a fault in a few lines of SQL in schema `original`, then does the same to our
schemas, where it must come out otherwise. Both happen in one transaction that is rolled back:
see the fixture `database` in conftest.py.
"""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import psycopg
import pytest

from orchestration import database, dbt

if TYPE_CHECKING:
    from collections.abc import Iterator

# Indexes that another one of the table makes needless: the same keys, or a longer list of them.
NEEDLESS_INDEXES = """
with indexes as (
    select
        i.indrelid, i.indexrelid, i.indisunique, c.relam, a.amname,
        pg_get_expr(i.indpred, i.indrelid) as predicate,
        array(
            select pg_get_indexdef(i.indexrelid, n, false) from generate_series(1, i.indnkeyatts) as n
        ) as keys
    from pg_index as i
    join pg_class as c on c.oid = i.indexrelid
    join pg_am as a on a.oid = c.relam
    where c.relnamespace = %s::regnamespace and not c.relispartition
)
select needless.indexrelid::regclass::text
from indexes as needless
join indexes as other
    on other.indrelid = needless.indrelid and other.indexrelid <> needless.indexrelid
    and other.relam = needless.relam and other.predicate is not distinct from needless.predicate
where not needless.indisunique and (
    other.keys = needless.keys
    or needless.amname = 'btree' and other.keys[:cardinality(needless.keys)] = needless.keys
)
order by 1
"""

# Foreign keys of a schema's tables whose columns begin no index. An index without nulls will do.
UNINDEXED_KEYS = """
select format('%%s: %%s', k.conrelid::regclass, k.conname)
from pg_constraint as k
join pg_class as c on c.oid = k.conrelid
where k.contype = 'f' and c.relnamespace = %s::regnamespace and not c.relispartition
    and not exists (
        select from pg_index as i
        where i.indrelid = k.conrelid
            and (i.indkey::int2[])[0:cardinality(k.conkey) - 1] @> k.conkey
            and (i.indpred is null or pg_get_expr(i.indpred, i.indrelid) like '%%IS NOT NULL)')
    )
order by 1
"""


def run(connection: psycopg.Connection, *statements: str) -> None:
    """Run statements one after the other."""
    connection.execute("".join(statements).encode())


def refused(
    connection: psycopg.Connection, sql: str, sqlstate: str, constraint: str | None = None
) -> None:
    """Run statements that must fail with this SQLSTATE, and by this constraint where one is given.

    They are undone, so that the transaction can go on.
    """
    error: psycopg.Error | None = None
    try:
        with connection.transaction():
            connection.execute(sql.encode())
    except psycopg.Error as raised:
        error = raised
    assert error is not None, f"must be refused with {sqlstate} ({constraint}): {sql}"
    assert error.sqlstate == sqlstate, f"refused for another reason, {error.sqlstate}: {error}"
    if constraint is not None:
        found = error.diag.constraint_name
        assert found == constraint, f"refused by {found} instead of {constraint}: {error}"


def accepted(connection: psycopg.Connection, sql: str) -> None:
    """Run statements that must succeed, and undo them."""
    with connection.transaction(force_rollback=True):
        connection.execute(sql.encode())


def refused_by_rule(
    connection: psycopg.Connection,
    table: str,
    sql: str,
    sqlstate: str,
    constraint: str | None = None,
) -> None:
    """Run a statement that a copy of the table without its rules takes and the table itself refuses.

    The statement names the table without its schema.
    """
    schema, name = table.split(".")
    connection.execute(f"create table original.{name} as table {table}".encode())
    connection.execute("set local search_path = original")
    accepted(connection, sql)
    connection.execute(f"set local search_path = {schema}".encode())
    refused(connection, sql, sqlstate, constraint)


def value(connection: psycopg.Connection, sql: str) -> Any:
    """Run a query of one row and one column."""
    row = connection.execute(sql.encode()).fetchone()
    assert row is not None, f"returned no row: {sql}"
    return row[0]


@contextmanager
def acting(connection: psycopg.Connection, role: str, user_id: str = "") -> Iterator[None]:
    """Act in a role's name and as one of its users, for the block."""
    connection.execute(
        "select set_config('role', %s, true), set_config('app.user_id', %s, true)", (role, user_id)
    )
    yield
    connection.execute("reset role")
    connection.execute("select set_config('app.user_id', '', true)")


def insert(table: str, **values: str) -> str:
    """Write the statement that inserts one row; the values are SQL expressions."""
    return f"insert into {table} ({', '.join(values)}) values ({', '.join(values.values())});"


def plan(connection: psycopg.Connection, query: str) -> str:
    """Tell how a query would be run on tables large enough to make any index worth while."""
    connection.execute("set local enable_seqscan = off")
    rows = connection.execute(f"explain (costs off) {query}".encode()).fetchall()
    return "\n".join(line for (line,) in rows)


def needless_indexes(connection: psycopg.Connection, schema: str) -> list[str]:
    """Name a schema's indexes that another one makes needless."""
    return [name for (name,) in connection.execute(NEEDLESS_INDEXES.encode(), (schema,))]


def unindexed_keys(connection: psycopg.Connection, schema: str) -> list[str]:
    """Name a schema's foreign keys whose columns begin no index."""
    return [name for (name,) in connection.execute(UNINDEXED_KEYS.encode(), (schema,))]


def staging_sql(url: str, *models: str) -> dict[str, Any]:
    """Give the queries of staging models by name, for tests that need rows but no build."""
    from dbt.cli.main import dbtRunner

    with pytest.MonkeyPatch.context() as environment:
        environment.setenv("AGENTBOOKS_DATABASE_URL", url)
        environment.setenv("PGPASSWORD", "")
        for name, setting in database.dbt_environment().items():
            environment.setenv(name, setting)
        places = ("--project-dir", str(dbt.PROJECT), "--profiles-dir", str(dbt.PROJECT))
        outcome = dbtRunner().invoke(["--quiet", "compile", *places, "--select", *models])
    assert outcome.success, f"dbt compile failed: {outcome.exception}"
    results: Any = outcome.result
    return {result.node.name: result.node.compiled_code for result in results}
