"""What bootstrap_sql has made in a database: recorded as it is made, compared when asked.

The objects are those of `agentbooks_owner`, and those in its schemas. Partitions are left out: they
come and go with the months.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from psycopg.rows import class_row

from orchestration.errors import AgentbooksError

if TYPE_CHECKING:
    from collections.abc import Iterator

    import psycopg

    Objects = dict[tuple[str, str], str]  # definition by kind and name, schema included

# Deparsed expressions follow these settings; a definition must not.
SETTINGS = """
select
    set_config('search_path', 'pg_catalog', true),
    set_config('timezone', 'UTC', true),
    set_config('datestyle', 'ISO', true),
    set_config('intervalstyle', 'postgres', true),
    set_config('quote_all_identifiers', 'off', true)
"""

OBJECTS = """
with owner as (
    select r.oid from pg_roles as r where r.rolname = 'agentbooks_owner'
),
ours as (
    select n.oid, n.nspname::text, n.nspacl, n.nspowner
    from pg_namespace as n
    where n.nspname not like 'pg\\_%'
),
relations as (
    select c.*, o.nspname || '.' || c.relname as name
    from pg_class as c
    join ours as o on o.oid = c.relnamespace
    join owner as w on w.oid in (o.nspowner, c.relowner)
    where c.relkind in ('r', 'p', 'v', 'm', 'S', 'i', 'I') and not c.relispartition
)
select 'schema', nspname, concat_ws(' · ', obj_description(ours.oid, 'pg_namespace'), (
    select string_agg(x::text, ',' order by x::text) from unnest(nspacl) as x
))
from ours join owner on owner.oid = ours.nspowner
union all
select
    case relkind when 'v' then 'view' when 'm' then 'view' when 'S' then 'sequence' else 'table' end,
    name,
    concat_ws(
        ' · ', relpersistence, relrowsecurity, relforcerowsecurity, relowner::regrole, reloptions,
        pg_get_partkeydef(oid), case when relkind in ('v', 'm') then pg_get_viewdef(oid) end,
        obj_description(oid, 'pg_class'),
        (select string_agg(x::text, ',' order by x::text) from unnest(relacl) as x)
    )
from relations
where relkind not in ('i', 'I')
union all
select 'index', name, pg_get_indexdef(oid) from relations where relkind in ('i', 'I')
union all
select 'column', t.name || '.' || a.attname, concat_ws(
    ' · ', row_number() over (partition by t.oid order by a.attnum),
    format_type(a.atttypid, a.atttypmod), a.attnotnull, a.attgenerated, a.attidentity,
    pg_get_expr(d.adbin, d.adrelid), col_description(t.oid, a.attnum), a.attacl, a.attoptions
)
from relations as t
join pg_attribute as a on a.attrelid = t.oid and a.attnum > 0 and not a.attisdropped
left join pg_attrdef as d on d.adrelid = t.oid and d.adnum = a.attnum
where t.relkind not in ('i', 'I', 'S')
union all
select 'constraint', t.name || '.' || k.conname, concat_ws(
    ' · ', pg_get_constraintdef(k.oid), k.convalidated
)
from relations as t join pg_constraint as k on k.conrelid = t.oid
where k.contype not in ('n', 't') and k.conparentid = 0
union all
select 'policy', t.name || '.' || p.polname, concat_ws(
    ' · ', p.polcmd, p.polpermissive,
    (select string_agg(r::regrole::text, ',' order by r::regrole::text) from unnest(p.polroles) as r),
    pg_get_expr(p.polqual, p.polrelid), pg_get_expr(p.polwithcheck, p.polrelid)
)
from relations as t join pg_policy as p on p.polrelid = t.oid
union all
select 'trigger', t.name || '.' || g.tgname, concat_ws(' · ', pg_get_triggerdef(g.oid), g.tgenabled)
from relations as t join pg_trigger as g on g.tgrelid = t.oid and not g.tgisinternal
union all
select 'function', p.oid::regprocedure::text, concat_ws(
    ' · ',
    case p.prokind
        -- The state's type by name: a type that was made again has another number.
        when 'a' then (
            select jsonb_set(to_jsonb(a), '{aggtranstype}', to_jsonb(format_type(a.aggtranstype, null)))::text
            from pg_aggregate as a where a.aggfnoid = p.oid
        )
        else pg_get_functiondef(p.oid)
    end,
    obj_description(p.oid, 'pg_proc'), p.proowner::regrole,
    (select string_agg(x::text, ',' order by x::text) from unnest(p.proacl) as x)
)
from pg_proc as p
join ours as o on o.oid = p.pronamespace
join owner as w on w.oid in (o.nspowner, p.proowner)
"""

COMPARISON = """
select
    split_part(coalesce(e.name, f.name), '.', 1) as schema,
    coalesce(e.kind, f.kind) as kind,
    count(e.name) as expected,
    count(f.name) as found,
    coalesce(array_agg(e.name || ' (' || e.version || ')' order by e.name)
        filter (where f.name is null), '{}') as missing,
    coalesce(array_agg(e.name || ' (' || e.version || ')' order by e.name)
        filter (where e.server_major = %(major)s and e.definition <> f.definition), '{}') as changed,
    coalesce(array_agg(f.name order by f.name) filter (where e.name is null), '{}') as added
from ops.schema_objects as e
full join unnest(%(kinds)s::text[], %(names)s::text[], %(definitions)s::text[])
    as f (kind, name, definition) on f.kind = e.kind and f.name = e.name
group by 1, 2
order by 1, 2
"""


@dataclass(frozen=True)
class Comparison:
    """What is expected and what is found of one kind of object in one schema."""

    schema: str
    kind: str
    expected: int
    found: int
    missing: list[str] = field(default_factory=list)
    changed: list[str] = field(default_factory=list)
    added: list[str] = field(default_factory=list)


def objects(connection: psycopg.Connection) -> Objects:
    """Read every object of ours, partitions left out; empty before the first bootstrap."""
    with connection.transaction(force_rollback=True):  # which also takes the settings back
        connection.execute(SETTINGS)
        rows = connection.execute(OBJECTS).fetchall()
        return {(kind, name): definition for kind, name, definition in rows}


def record(connection: psycopg.Connection, version: str, before: Objects) -> None:
    """Write what a change made, altered and dropped into `ops.schema_objects`.

    What was altered by hand before the change is not taken for its doing.

    Args:
        connection: A connection inside the change's transaction.
        version: The change that has just been applied or reverted.
        before: The objects before it.
    """
    after = objects(connection)
    cursor = connection.cursor()
    cursor.executemany(
        "delete from ops.schema_objects where kind = %s and name = %s",
        list(before.keys() - after.keys()),
    )
    cursor.executemany(
        "insert into ops.schema_objects (kind, name, definition, version, server_major)"
        " values (%s, %s, %s, %s, %s) on conflict (kind, name) do update"
        " set definition = excluded.definition, server_major = excluded.server_major",
        [
            (*key, definition, version, connection.info.server_version // 10000)
            for key, definition in after.items()
            if before.get(key) != definition
        ],
    )


def record_table(connection: psycopg.Connection, table: str) -> None:
    """Write down how one table now stands, which has become another by a command.

    Args:
        connection: A connection inside a transaction.
        table: The table, with its schema.
    """

    def concerns(key: tuple[str, str], definition: str) -> bool:
        kind, name = key
        if ".growth_noted_by_" in name:  # it goes with the old rows
            return False
        if kind == "index":
            return f" ON {table} " in definition or f" ON ONLY {table} " in definition
        return name == table or name.startswith(f"{table}.")

    def of(found: Objects) -> Objects:
        return {key: words for key, words in found.items() if concerns(key, words)}

    rows = connection.execute("select kind, name, definition from ops.schema_objects").fetchall()
    recorded = of({(kind, name): definition for kind, name, definition in rows})
    after = of(objects(connection))
    cursor = connection.cursor()
    cursor.executemany(
        "delete from ops.schema_objects where kind = %s and name = %s",
        list(recorded.keys() - after.keys()),
    )
    cursor.executemany(
        "insert into ops.schema_objects (kind, name, definition, version, server_major)"
        " values (%s, %s, %s, 'agentbooks partition', %s) on conflict (kind, name) do update"
        " set definition = excluded.definition, server_major = excluded.server_major",
        [
            (*key, definition, connection.info.server_version // 10000)
            for key, definition in after.items()
            if recorded.get(key) != definition
        ],
    )


def compare(connection: psycopg.Connection) -> list[Comparison]:
    """Compare what bootstrap_sql has made with what is there, by schema and kind.

    Definitions are compared only on the server version that wrote them: another spells them otherwise.

    Raises:
        AgentbooksError: Nothing is applied yet.
    """
    if connection.execute("select to_regclass('ops.schema_objects')").fetchone() == (None,):
        raise AgentbooksError("bootstrap: nothing is applied here; run `agentbooks bootstrap`.")
    found = objects(connection)
    cursor = connection.cursor(row_factory=class_row(Comparison))
    cursor.execute(
        COMPARISON,
        {
            "major": connection.info.server_version // 10000,
            "kinds": [kind for kind, _ in found],
            "names": [name for _, name in found],
            "definitions": list(found.values()),
        },
    )
    return cursor.fetchall()


def lines(comparisons: list[Comparison]) -> Iterator[str]:
    """Write a comparison as one table, and under it what differs, object by object."""
    layout = "{:<14} {:<11} {:>8} {:>7} {:>8} {:>8} {:>6}"
    yield layout.format("schema", "kind", "expected", "found", "missing", "changed", "added")
    for row in comparisons:
        counts = (row.expected, row.found, len(row.missing), len(row.changed), len(row.added))
        yield layout.format(row.schema, row.kind, *counts)
    for row in comparisons:
        for what, names in (
            ("missing", row.missing),
            ("changed", row.changed),
            ("not of bootstrap_sql", row.added),
        ):
            for name in names:
                yield f"{what}: {row.kind} {name}"
