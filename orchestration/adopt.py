# ruff: noqa: S608  (names and expressions are those of the catalog)
"""Takes tables over that are there already: shows what differs, brings them to shape, and back again.

The shape to reach is no list of its own: bootstrap_sql is applied to empty schemas in a transaction
that is rolled back, and its catalog is compared with that of the tables. What they have had and what
they shall have is kept in `ops.adopted_objects`, and each step is the difference between what is found
and one of the two, so that a run that was killed is simply run again.
"""

from __future__ import annotations

import re
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import psycopg
from psycopg.types.json import Jsonb

from orchestration import bootstrap, catalog, schemas
from orchestration.database import first_line, patiently
from orchestration.errors import AgentbooksError

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterator

    from orchestration.schemas import Schemas

    Shape = dict[str, Any]  # as SHAPES gives it
    Tell = Callable[[str], None]

OWNER = "agentbooks_owner"
MODEL = "agentbooks_model_"  # schemas in which the shape to reach is made, and never seen
APPLICATION = "agentbooks_application"  # policy of those who had the table before
LOCK_WAIT = "300ms"
ALTER = "alter table"
BYTES_PER_SECOND = 100_000_000  # read by a validation, for the report's estimates
INDEXED_PER_SECOND = 25_000_000
REWRITTEN_PER_SECOND = 40_000_000
REWRITTEN_BYTES = 20_000_000  # written anew while locked, up to half a second
RAW_FILES = ("100", "600")  # the numbers from and before which files make raw tables

SHAPES = """
select n.nspname || '.' || c.relname, jsonb_build_object(
    'owner', c.relowner::regrole::text,
    'is_secured', c.relrowsecurity,
    'is_forced', c.relforcerowsecurity,
    'comment', obj_description(c.oid, 'pg_class'),
    'month', (
        select a.attname from pg_partitioned_table as p
        join pg_attribute as a on a.attrelid = c.oid and a.attnum = p.partattrs[0]
        where p.partrelid = c.oid
    ),
    'rights', (
        select jsonb_object_agg(r.grantee, r.rights) from (
            select
                case g.grantee when 0 then 'public' else g.grantee::regrole::text end as grantee,
                string_agg(g.privilege_type, ', ' order by g.privilege_type) as rights
            from aclexplode(coalesce(c.relacl, acldefault('r', c.relowner))) as g group by 1
        ) as r
    ),
    'columns', (
        select jsonb_object_agg(a.attname, jsonb_build_object(
            'type', format_type(a.atttypid, a.atttypmod), 'is_required', a.attnotnull,
            'default', case a.attgenerated when '' then pg_get_expr(d.adbin, d.adrelid) end,
            'generated', case a.attgenerated when '' then null else pg_get_expr(d.adbin, d.adrelid) end,
            'identity', a.attidentity, 'place', a.attnum,
            'comment', col_description(c.oid, a.attnum)
        ))
        from pg_attribute as a
        left join pg_attrdef as d on d.adrelid = c.oid and d.adnum = a.attnum
        where a.attrelid = c.oid and a.attnum > 0 and not a.attisdropped
    ),
    'constraints', coalesce((
        select jsonb_object_agg(k.conname, jsonb_build_object(
            'kind', k.contype, 'is_valid', k.convalidated,
            'definition', replace(pg_get_constraintdef(k.oid), ' NOT VALID', ''),
            'parent', nullif(k.confrelid, 0)::regclass::text,
            'columns', (
                select jsonb_agg(a.attname order by u.place)
                from unnest(k.conkey) with ordinality as u (attnum, place)
                join pg_attribute as a on a.attrelid = c.oid and a.attnum = u.attnum
            )
        ))
        from pg_constraint as k
        where k.conrelid = c.oid and k.contype in ('p', 'u', 'x', 'c', 'f')
    ), '{}'),
    'indexes', coalesce((
        select jsonb_object_agg(x.relname, jsonb_build_object(
            'definition', replace(pg_get_indexdef(i.indexrelid), ' ON ONLY ', ' ON '),
            'is_valid', i.indisvalid,
            'columns', (
                select jsonb_agg(a.attname) from pg_attribute as a
                where a.attrelid = c.oid and (a.attnum = any(i.indkey) or exists (
                    select from pg_depend as p
                    where p.classid = 'pg_class'::regclass and p.objid = i.indexrelid
                        and p.refobjid = c.oid and p.refobjsubid = a.attnum
                ))
            )
        ))
        from pg_index as i join pg_class as x on x.oid = i.indexrelid
        where i.indrelid = c.oid
            and not exists (
                select from pg_constraint as k
                where k.conindid = i.indexrelid and k.contype <> 'f'
            )
    ), '{}'),
    'policies', coalesce((
        select jsonb_object_agg(p.polname, format(
            'create policy %%I on %%s as %%s for %%s to %%s%%s%%s', p.polname, c.oid::regclass,
            case when p.polpermissive then 'permissive' else 'restrictive' end,
            case p.polcmd when 'r' then 'select' when 'a' then 'insert' when 'w' then 'update'
                when 'd' then 'delete' else 'all' end,
            (
                select string_agg(case r.oid when 0 then 'public' else r.oid::regrole::text end, ', ')
                from unnest(p.polroles) as r (oid)
            ),
            ' using (' || pg_get_expr(p.polqual, c.oid) || ')',
            ' with check (' || pg_get_expr(p.polwithcheck, c.oid) || ')'
        ))
        from pg_policy as p where p.polrelid = c.oid
    ), '{}'),
    'triggers', coalesce((
        select jsonb_object_agg(g.tgname, pg_get_triggerdef(g.oid))
        from pg_trigger as g where g.tgrelid = c.oid and not g.tgisinternal
    ), '{}')
)
from pg_class as c join pg_namespace as n on n.oid = c.relnamespace
where n.nspname = any(%s) and c.relkind in ('r', 'p') and not c.relispartition
order by 1
"""

# What is made beside tables under names that an original may have as well.
ROUTINES = """
select p.oid::regprocedure::text, jsonb_build_object(
    'definition', pg_get_functiondef(p.oid), 'owner', p.proowner::regrole::text,
    'triggers', (
        select jsonb_agg(g.tgname || ' on ' || g.tgrelid::regclass::text order by g.tgname)
        from pg_trigger as g where g.tgfoid = p.oid and not g.tgisinternal
    )
)
from pg_proc as p
where p.pronamespace::regnamespace::text = any(%(schemas)s) and p.prokind in ('f', 'p')
union all
select n.nspname || '.' || c.relname, jsonb_build_object(
    'definition', format('create view %%s as %%s', c.oid::regclass, pg_get_viewdef(c.oid)),
    'owner', c.relowner::regrole::text, 'triggers', null
)
from pg_class as c join pg_namespace as n on n.oid = c.relnamespace
where n.nspname = any(%(schemas)s) and c.relkind = 'v'
"""

# By columns that tell the table: what its rows lack and its parents know.
FILLINGS = {
    ("session_id", "message_id", "version_number"): """
update {table} as v set session_id = m.session_id
from {schema}.chat_messages_v2 as m
where m.id = v.message_id and v.id in (
    select w.id from {table} as w where w.session_id is null limit 10000
)
""",
}

# Why PostgreSQL would not let a column have another type.
READERS = """
select distinct a.attname, coalesce(v.oid::regclass::text, 'policy ' || quote_ident(p.polname))
from pg_depend as d
join pg_attribute as a on a.attrelid = d.refobjid and a.attnum = d.refobjsubid
left join pg_rewrite as w on d.classid = 'pg_rewrite'::regclass and w.oid = d.objid
left join pg_class as v on v.oid = w.ev_class
left join pg_policy as p on d.classid = 'pg_policy'::regclass and p.oid = d.objid
where d.refclassid = 'pg_class'::regclass and d.refobjid = %s::regclass
    and coalesce(w.oid, p.oid) is not null
"""

BUILT = """
select c.oid::regclass::text
from pg_depend as d
join pg_type as t on t.oid = d.refobjid and t.typnamespace = to_regnamespace('ops')
join pg_class as c on d.classid = 'pg_class'::regclass and c.oid = d.objid
where c.relkind = 'r' and c.relnamespace <> to_regnamespace('ops')
"""

OWN_TRIGGERS = """
select g.tgname from pg_trigger as g join pg_proc as p on p.oid = g.tgfoid
where g.tgrelid = %s::regclass and not g.tgisinternal and p.proowner = %s::regrole
"""

FAMILIES = (
    {"smallint", "integer", "bigint", "numeric", "real", "double precision"},
    {"character varying", "text", "character"},
    {"timestamp without time zone", "timestamp with time zone", "date"},
)


@dataclass
class Adoption:
    """What is there, what it shall be, and what a report says of the way."""

    originals: dict[str, Shape] = field(default_factory=dict)
    goals: dict[str, Shape] = field(default_factory=dict)
    kinds: dict[str, str] = field(default_factory=dict)  # table, routine or schema
    lines: list[str] = field(default_factory=list)
    stoppers: list[str] = field(default_factory=list)
    is_done: bool = False

    def tables(self) -> list[str]:
        """The tables that are taken over, parents first as far as names tell."""
        return [name for name, kind in self.kinds.items() if kind == "table"]


def adopted(connection: psycopg.Connection[Any]) -> Adoption:
    """Read what has been taken over here, or is being."""
    known = Adoption()
    if connection.execute("select to_regclass('ops.adopted_objects')").fetchone() != (None,):
        for name, kind, original, goal, is_done in connection.execute(
            "select name, kind, original, goal, is_done from ops.adopted_objects order by place"
        ).fetchall():
            known.kinds[name], known.is_done = kind, is_done
            known.originals[name], known.goals[name] = original, goal
    return known


# --- What is there, and what it shall be


def plan(connection: psycopg.Connection[Any], named: Schemas) -> Adoption:
    """Compare the tables that are there with what bootstrap_sql makes; nothing is changed.

    Raises:
        AgentbooksError: There is nothing to take over, or the model cannot be made.
    """
    places = {system: named.get(system, system) for system in schemas.SYSTEMS}
    there = shapes(connection, list(places.values()))
    model_names = {system: f"{MODEL}{system}" for system in schemas.SYSTEMS}
    adoption = Adoption()
    with connection.transaction(force_rollback=True):
        bootstrap.apply_all(connection, model_names)
        connection.execute("set local timezone = 'UTC'")
        targets = _renamed(shapes(connection, list(model_names.values())), places)
        ours = _renamed(routines(connection, list(model_names.values())), places)
        for table in targets:
            if table in there:
                adoption.kinds[table], adoption.originals[table] = "table", there[table]
        for table in adoption.tables():
            adoption.goals[table], notes = _goal(there[table], targets[table], adoption.originals)
            if not notes.stoppers:
                _count_violations(connection, table, adoption, notes, places)
            _report(connection, table, adoption, notes)
    if not adoption.kinds:
        raise AgentbooksError(
            f"bootstrap: there is no raw table in {', '.join(sorted(places.values()))}; name the "
            "schemas with --schema, or leave --adopt out."
        )
    missing = [
        table
        for table in targets
        if table not in there and table.split(".")[0] in {t.split(".")[0] for t in there}
    ]
    if missing:
        adoption.lines.append(f"Tables that are missing and will be made: {', '.join(missing)}")
    for name, found in routines(connection, list(places.values())).items():
        if name in ours:
            adoption.kinds[name] = "routine"
            adoption.originals[name], adoption.goals[name] = found, ours[name]
            adoption.lines.append(
                f"{name} is replaced by that of agentbooks; a revert brings it back."
            )
    for schema in sorted({table.split(".")[0] for table in adoption.tables()}):
        adoption.kinds[schema] = "schema"
        adoption.originals[schema] = {"rights": schema_rights(connection, schema)}
        adoption.goals[schema] = {}
    return adoption


def shapes(connection: psycopg.Connection[Any], names: list[str]) -> dict[str, Shape]:
    """Read what the catalog says of all tables in some schemas."""
    with connection.transaction(force_rollback=True):
        connection.execute(catalog.SETTINGS)
        return dict(connection.execute(SHAPES, (names,)).fetchall())


def routines(connection: psycopg.Connection[Any], names: list[str]) -> dict[str, Shape]:
    """Read the functions and views in some schemas."""
    with connection.transaction(force_rollback=True):
        connection.execute(catalog.SETTINGS)
        return dict(connection.execute(ROUTINES, {"schemas": names}).fetchall())


def schema_rights(connection: psycopg.Connection[Any], schema: str) -> dict[str, str]:
    """Read who may do what in a schema."""
    rows = connection.execute(
        "select case g.grantee when 0 then 'public' else g.grantee::regrole::text end,"
        " string_agg(g.privilege_type, ', ' order by g.privilege_type) from pg_namespace as n"
        " cross join aclexplode(coalesce(n.nspacl, acldefault('n', n.nspowner))) as g"
        " where n.nspname = %s group by 1",
        (schema,),
    )
    return dict(rows.fetchall())


def _renamed(found: dict[str, Shape], places: dict[str, str]) -> dict[str, Shape]:
    def rename(value: Any) -> Any:
        if isinstance(value, str):
            return re.sub(rf"\b{MODEL}([a-z]+)\b", lambda m: places[m[1]], value)
        if isinstance(value, dict):
            return {rename(key): rename(part) for key, part in value.items()}
        return [rename(part) for part in value] if isinstance(value, list) else value

    renamed: dict[str, Shape] = rename(found)
    return renamed


def _base(type_name: str) -> str:
    return re.sub(r"\([^)]*\)", "", type_name)


def _is_cheap(have: str, want: str) -> bool:
    """Whether a column takes another type without its table being written anew, in a UTC session."""
    return (_base(have), want) == ("timestamp without time zone", "timestamp with time zone")


def _filling(column: str, shape: Shape) -> str | None:
    """The statement that fills a batch of a column which others tell."""
    return next(
        (
            statement
            for (name, *others), statement in FILLINGS.items()
            if name == column and {name, *others} <= shape["columns"].keys()
        ),
        None,
    )


def _is_kin(have: str, want: str) -> bool:
    old, new = _base(have).removesuffix("[]"), _base(want).removesuffix("[]")
    is_array = [name.endswith("[]") for name in (have, want)]
    return is_array[0] == is_array[1] and (
        old == new or any(old in family and new in family for family in FAMILIES)
    )


def _words(definition: str) -> str:
    """An index without its name and its schema's."""
    unique = "unique " if definition.startswith("CREATE UNIQUE") else ""
    return unique + definition.partition(" USING ")[2]


@dataclass
class Notes:
    """What is to be told about a table beside the difference itself."""

    kept_types: list[str] = field(default_factory=list)
    kept_rules: list[str] = field(default_factory=list)
    replaced: list[str] = field(default_factory=list)
    left_empty: list[str] = field(default_factory=list)
    computed: list[str] = field(default_factory=list)
    filled: list[str] = field(default_factory=list)
    removed: list[str] = field(default_factory=list)
    stoppers: list[str] = field(default_factory=list)
    target: Shape = field(default_factory=dict)


def _goal(original: Shape, target: Shape, siblings: Collection[str]) -> tuple[Shape, Notes]:
    """Add to what a table has what it lacks; what it has too much stays."""
    notes = Notes(target=target)
    columns = {}
    for name, column in original["columns"].items():
        want, column = target["columns"].get(name), dict(column)
        if want is not None:
            if _is_cheap(column["type"], want["type"]):
                column["type"] = want["type"]
            elif column["type"] != want["type"] and _is_kin(column["type"], want["type"]):
                notes.kept_types.append(f"{name} {column['type']} (for {want['type']})")
            elif column["type"] != want["type"]:
                notes.stoppers.append(
                    f"{name} is {column['type']}, which cannot be read as {want['type']}: convert it."
                )
            if column["default"] is None and not (column["generated"] or column["identity"]):
                column["default"] = want["default"]
            column["is_required"] = column["is_required"] or want["is_required"]
        columns[name] = column
    for name, want in target["columns"].items():
        if name not in columns:
            columns[name] = want | {"comment": None}
            default = want["default"] or ""
            if want["generated"] or want["identity"] or "gen_random_uuid" in default:
                notes.computed.append(name)
            elif _filling(name, target):
                notes.filled.append(name)
            elif want["is_required"] and not default:
                columns[name]["is_required"] = False
                notes.left_empty.append(name)
    kept_keys = {
        (k["kind"], str(k["columns"]), k["parent"]) for k in target["constraints"].values()
    }
    constraints = {}
    for name, rule in original["constraints"].items():
        key = (rule["kind"], str(rule["columns"]), rule["parent"])
        if rule["kind"] == "f" and rule["parent"] in siblings and key not in kept_keys:
            # It would hold rows back which leave by their own date.
            notes.removed.append(f"{name} ({rule['definition']})")
        else:
            constraints[name] = rule
    said = {k["definition"] for k in constraints.values()}
    for name, want in target["constraints"].items():
        if want["definition"] in said or (
            want["kind"] == "p" and any(k["kind"] == "p" for k in constraints.values())
        ):
            continue
        for other, has in list(constraints.items()):
            same_key = want["kind"] == "f" and (has["columns"], has["parent"]) == (
                want["columns"],
                want["parent"],
            )
            if same_key or other == name:
                del constraints[other]
                notes.replaced.append(f"constraint {other}")
            if other == name and has["kind"] == "c":
                # Kept, as its words would come back otherwise: PostgreSQL reads them anew.
                constraints[f"{name[:54]}_original"] = has | {"was": name}
        constraints[name] = want
    indexes = dict(original["indexes"])
    words = {_words(i["definition"]) for i in indexes.values()} | {
        f"btree ({', '.join(k['columns'])})"
        for k in original["constraints"].values()
        if k["kind"] in "pu"
    }
    for name, want in target["indexes"].items():
        if _words(want["definition"]) not in words:
            if name in indexes:
                notes.replaced.append(f"index {name}")
            indexes[name] = want
    for kind, one in (("policies", "policy"), ("triggers", "trigger")):
        notes.replaced += [f"{one} {name}" for name in original[kind] if name in target[kind]]
    goal = target | {"columns": columns, "constraints": constraints, "indexes": indexes}
    for kind in ("policies", "triggers"):
        goal[kind] = original[kind] | target[kind]
    return goal, notes


def _count_violations(
    connection: psycopg.Connection[Any],
    table: str,
    adoption: Adoption,
    notes: Notes,
    places: dict[str, str],
) -> None:
    """Count the rows that new rules would refuse, in the transaction in which their functions exist."""
    original, goal = adoption.originals[table], adoption.goals[table]
    reads = ", ".join(
        f'"{name}"::{column["type"]}'
        if name in original["columns"]
        else f'{column["default"] or "null"}::{column["type"]} as "{name}"'
        for name, column in goal["columns"].items()
    )
    tests = {}
    for name, column in goal["columns"].items():
        has = original["columns"].get(name)
        if has and column["is_required"] and not has["is_required"]:
            tests[name] = f'"{name}" is null'
    fresh = {
        name: rule
        for name, rule in goal["constraints"].items()
        if original["constraints"].get(name) != rule
    }
    for name, rule in fresh.items():
        if rule["kind"] == "c":
            expression = rule["definition"].removeprefix("CHECK ")
            for system, schema in places.items():
                expression = re.sub(rf"\b{schema}\.(?=\w+\()", f"{MODEL}{system}.", expression)
            tests[name] = f"not {expression}"
    if tests:
        counts = ", ".join(f"count(*) filter (where {test})" for test in tests.values())
        row = connection.execute(
            f"select {counts} from (select {reads} from {table}) as r".encode()
        ).fetchone()
        for name, count in zip(tests, row or (), strict=True):
            if count and name in fresh:
                goal["constraints"][name] = fresh[name] | {"is_valid": False}
                notes.kept_rules.append(f"{name} ({count:,} rows)")
            elif count:
                notes.stoppers.append(
                    f"{count:,} rows have no {name}, by which they are counted: give them one."
                )
    for name, rule in fresh.items():
        if set(rule["columns"] or ()) - original["columns"].keys():
            continue  # what is added is empty, or the same in all rows
        columns = ", ".join(f'"{column}"' for column in rule["columns"] or ())
        if rule["kind"] == "u":
            query = (
                f"select count(*) from (select from {table} where num_nulls({columns}) = 0"
                f" group by {columns} having count(*) > 1) as r"
            )
        elif rule["kind"] == "f":
            query = f"select count(*) from {table} as c where num_nulls({columns}) = 0"
            if rule["parent"] in adoption.originals:
                keys = re.search(r"\(([^)]*)\)", rule["definition"].partition("REFERENCES ")[2])
                pairs = zip(rule["columns"], (keys[1] if keys else "").split(", "), strict=True)
                same = " and ".join(f'p.{theirs} = c."{ours}"' for ours, theirs in pairs)
                query += f" and not exists (select from {rule['parent']} as p where {same})"
        else:
            continue
        (count,) = connection.execute(query.encode()).fetchone() or (0,)
        if count:
            notes.stoppers.append(
                f"{count:,} {'keys stand in several rows' if rule['kind'] == 'u' else 'rows name no row'}"
                f" of {name} ({rule['definition']}): mend them."
            )


def _report(
    connection: psycopg.Connection[Any], table: str, adoption: Adoption, notes: Notes
) -> None:
    original, goal = adoption.originals[table], adoption.goals[table]
    (rows, size) = connection.execute(
        "select greatest(reltuples, 0)::bigint, pg_table_size(oid) from pg_class where oid = %s::regclass",
        (table,),
    ).fetchone() or (0, 0)
    retyped = [
        name
        for name, column in original["columns"].items()
        if goal["columns"][name]["type"] != column["type"]
    ]
    rebuilt = [
        name for name, index in original["indexes"].items() if set(index["columns"]) & set(retyped)
    ]
    fresh_indexes = [
        name
        for name, index in goal["indexes"].items()
        if original["indexes"].get(name, {}).get("definition") != index["definition"]
    ]
    fresh_rules = [
        name for name, rule in goal["constraints"].items() if name not in original["constraints"]
    ]
    fresh_triggers = {*goal["triggers"], *_version_triggers(table, original, goal)}
    required = [
        name
        for name, column in original["columns"].items()
        if goal["columns"][name]["is_required"] and not column["is_required"]
    ]
    said = [
        f"{table}: about {rows:,} rows, {size / 1e6:,.1f} MB, of {original['owner']}",
        *_listed("adds columns", sorted(set(goal["columns"]) - set(original["columns"])), "ms"),
        *_listed(
            "changes types",
            [f"{n} to {goal['columns'][n]['type']}" for n in retyped],
            "ms; read as UTC",
        ),
        *_listed("keeps types", notes.kept_types),
        *_listed(
            "computes columns", notes.computed, f"{max(size / REWRITTEN_PER_SECOND, 0.1):,.1f} s"
        ),
        *_listed("fills in batches", notes.filled, _seconds(size, REWRITTEN_PER_SECOND)),
        *_listed("leaves empty in rows that are there", notes.left_empty),
        *_listed("requires", required, _seconds(size, BYTES_PER_SECOND)),
        *_listed("adds constraints", fresh_rules, _seconds(size, BYTES_PER_SECOND)),
        *_listed("binds new rows alone by", notes.kept_rules),
        *_listed(
            "adds indexes", fresh_indexes, _seconds(size * len(fresh_indexes), INDEXED_PER_SECOND)
        ),
        *_listed("builds indexes anew", rebuilt, _seconds(size * len(rebuilt), INDEXED_PER_SECOND)),
        *_listed("adds triggers", sorted(fresh_triggers - set(original["triggers"])), "ms"),
        *_listed("adds policies", sorted(set(goal["policies"]) - set(original["policies"])), "ms"),
        *_listed("replaces", notes.replaced),
        *_listed("removes until a revert", notes.removed),
    ]
    if not original["is_secured"]:
        said.append("  has row level security switched on")
    if original["is_forced"]:
        said.append(f"  no longer forces row level security on its owner, who is {OWNER} now")
    if unbound := _unbound(original):
        said.append(f"  shows every row, as before, to {', '.join(unbound)}")
    if notes.target["month"]:
        said.append("  stays in one piece: no partitions unless asked for")
    if notes.computed and size > REWRITTEN_BYTES:
        notes.stoppers.append(
            f"it lacks {', '.join(notes.computed)}, with a value of its own in each row, and is too large "
            "to be written anew: add that first."
        )
    readers = [
        f"{column} is read by {reader}, so that its type cannot change: drop that first."
        for column, reader in connection.execute(READERS, (table,)).fetchall()
        if column in retyped
    ]
    adoption.lines += said
    adoption.stoppers += [f"{table}: {sentence}" for sentence in notes.stoppers + readers]


def _listed(what: str, names: list[str], lock: str = "") -> Iterator[str]:
    if names:
        yield f"  {what}: {', '.join(names)}" + (f" [{lock}]" if lock else "")


def _seconds(size: int, per_second: int) -> str:
    return f"no lock for writers; about {max(size / per_second, 0.1):,.1f} s"


# --- The way there


@contextmanager
def _told() -> Iterator[None]:
    """Say in a sentence what the database refused."""
    try:
        yield
    except psycopg.Error as error:
        raise AgentbooksError(
            f"bootstrap: {first_line(error)}; what is done stays, run it again to go on."
        ) from error


@_told()
def adopt(
    connection: psycopg.Connection[Any], named: Schemas, *, is_confirmed: bool, tell: Tell
) -> None:
    """Tell what taking the tables over would do and, if that is confirmed, do it.

    Raises:
        AgentbooksError: Something stops it; nothing is changed then.
    """
    adoption = adopted(connection)
    if adoption.kinds and adoption.is_done:
        raise AgentbooksError(
            "bootstrap: the tables are taken over already; nothing is left to do."
        )
    if not adoption.kinds:
        if bootstrap.is_applied(connection):
            raise AgentbooksError(
                "bootstrap: this database has its raw tables; --adopt is for one that has none of them."
            )
        adoption = plan(connection, named)
        for line in [*adoption.lines, *adoption.stoppers]:
            tell(line)
    if adoption.stoppers:
        raise AgentbooksError(
            f"bootstrap: {len(adoption.stoppers)} findings, told last, stop the adoption; nothing "
            "was changed."
        )
    if not is_confirmed:
        tell("Nothing was changed; run again with --yes to do it.")
        return
    take_over(connection, named, adoption, tell)
    tell(f"{len(adoption.tables())} tables are taken over; run `dbt build`.")


def take_over(
    connection: psycopg.Connection[Any], named: Schemas, adoption: Adoption, tell: Tell
) -> None:
    """Bring the tables to shape and apply bootstrap_sql around them; may be killed and run again.

    Raises:
        AgentbooksError: A step failed: what is done stays done.
    """
    connection.execute("set timezone = 'UTC'")
    connection.execute(f"set lock_timeout = '{LOCK_WAIT}'".encode())
    bootstrap.begin(connection, named, lambda: _keep(connection, adoption))
    tables = adoption.tables()
    bootstrap.bootstrap(connection, adopting_up_to=RAW_FILES[0])
    for name in adoption.kinds:
        if adoption.kinds[name] == "schema":
            _in_one(
                connection, [f"grant usage, create on schema {name} to {OWNER} with grant option"]
            )
    for number, table in enumerate(tables, 1):
        tell(f"{number}/{len(tables)} {table}: columns and owner")
        _prepare(connection, table, adoption)
    for table in tables:
        _make_keys(connection, table, adoption.goals[table])
    tell("bootstrap_sql")
    _in_one(connection, _default_rights(adoption, "grant", "to"))
    patiently(lambda: bootstrap.bootstrap(connection, adopting_up_to="999"))
    _in_one(connection, _default_rights(adoption, "revoke", "from"))
    _in_one(connection, _needless_rights(connection, adoption))
    for number, table in enumerate(tables, 1):
        tell(f"{number}/{len(tables)} {table}: constraints and indexes")
        goal, original = adoption.goals[table], adoption.originals[table]
        _make_indexes(connection, table, goal, original)
        _make_rules(connection, table, goal, original)
        if not original["is_secured"]:
            _in_one(connection, [f"alter table {table} enable row level security"])
    _finish(connection, adoption)


def _keep(connection: psycopg.Connection[Any], adoption: Adoption) -> None:
    connection.cursor().executemany(
        "insert into ops.adopted_objects (name, kind, original, goal) values (%s, %s, %s, %s)",
        [
            (name, kind, Jsonb(adoption.originals[name]), Jsonb(adoption.goals[name]))
            for name, kind in adoption.kinds.items()
        ],
    )


def _shape(connection: psycopg.Connection[Any], table: str) -> Shape:
    return shapes(connection, [table.split(".")[0]])[table]


def _in_one(connection: psycopg.Connection[Any], statements: list[str]) -> None:
    def work() -> None:
        with connection.transaction():
            for statement in statements:
                connection.execute(statement.encode())

    if statements:
        patiently(work)


def _prepare(connection: psycopg.Connection[Any], table: str, adoption: Adoption) -> None:
    """Do what the files need: the owner, room for what is replaced, and the columns."""
    original, goal, now = (
        adoption.originals[table],
        adoption.goals[table],
        _shape(connection, table),
    )
    statements = []
    if now["owner"] == original["owner"] != OWNER:
        for kind, one in (("triggers", "trigger"), ("policies", "policy")):
            statements += [
                f'drop {one} "{name}" on {table}'
                for name, definition in now[kind].items()
                if name in goal[kind] and goal[kind][name] != definition
            ]
        for name, routine in adoption.originals.items():
            if adoption.kinds[name] == "routine":
                statements += _drop_routine(connection, name, routine)
        statements.append(f"alter table {table} owner to {OWNER}")
        statements.append(f"grant all on table {table} to {original['owner']}")
        statements += [
            f"grant all on sequence {sequence} to {original['owner']}"
            for sequence in _sequences(connection, table)
        ]
        if unbound := _unbound(original):
            statements.append(
                f"create policy {APPLICATION} on {table} to {', '.join(unbound)}"
                " using (true) with check (true)"
            )
        if original["is_forced"]:
            # The owner is ours now, whose functions have to see every row.
            statements.append(f"alter table {table} no force row level security")
    statements += _column_changes(table, now, goal, {})
    statements += [
        statement
        for name, statement in _version_triggers(table, original, goal).items()
        if name not in now["triggers"]
    ]
    _in_one(connection, statements)


def _version_triggers(table: str, original: Shape, goal: Shape) -> dict[str, str]:
    """What raises a version for writers who know of none, by name: ahead of the trigger that wants it."""
    if "version" not in goal["columns"].keys() - original["columns"].keys():
        return {}
    name = f"{table.split('.')[1]}_raises_version"
    return {
        name: f"create trigger {name} before update on {table} for each row"
        " when (new.version = old.version) execute function ops.raise_version()"
    }


def _users(original: Shape) -> list[str]:
    """Those who had rights on a table, and go on."""
    return sorted({original["owner"], *original["rights"]} - {"public", OWNER})


def _unbound(original: Shape) -> list[str]:
    """Those whom no policy bound: everybody without row level security, else the owner."""
    if not original["is_secured"]:
        return _users(original)
    return [] if original["is_forced"] else sorted({original["owner"]} - {OWNER})


def _schemas_and_users(adoption: Adoption) -> list[tuple[str, str]]:
    return [
        (
            schema,
            ", ".join(
                sorted(
                    {
                        user
                        for table in adoption.tables()
                        if table.startswith(f"{schema}.")
                        for user in _users(adoption.originals[table])
                    }
                )
            ),
        )
        for schema, kind in adoption.kinds.items()
        if kind == "schema"
    ]


def _default_rights(adoption: Adoption, verb: str, to: str) -> list[str]:
    """Let those who go on writing call what checks and triggers call, from the moment that these exist."""
    statements = []
    for schema, users in _schemas_and_users(adoption):
        statements.append(
            f"alter default privileges for role {OWNER} in schema {schema}"
            f" {verb} execute on functions {to} {users}"
        )
        if verb == "grant":
            statements.append(f"grant usage on schema ops to {users}")
    return statements


def _needless_rights(connection: psycopg.Connection[Any], adoption: Adoption) -> list[str]:
    """Take back what no application may call."""
    statements = []
    for schema, users in _schemas_and_users(adoption):
        functions = connection.execute(
            "select oid::regprocedure::text from pg_proc where pronamespace = %s::regnamespace"
            " and not has_function_privilege('service_role', oid, 'execute')"
            " and proowner = %s::regrole and prorettype <> 'trigger'::regtype",
            (schema, OWNER),
        )
        statements += [
            f"revoke execute on function {function} from {users}"
            for (function,) in functions.fetchall()
        ]
    return statements


def _sequences(connection: psycopg.Connection[Any], table: str) -> list[str]:
    rows = connection.execute(
        "select d.objid::regclass::text from pg_depend as d"
        " join pg_class as s on s.oid = d.objid and s.relkind = 'S'"
        " where d.refobjid = %s::regclass and d.deptype in ('a', 'i')",
        (table,),
    )
    return [name for (name,) in rows.fetchall()]


def _drop_routine(connection: psycopg.Connection[Any], name: str, routine: Shape) -> list[str]:
    kind = "function" if name.endswith(")") else "view"
    finder = "to_regprocedure" if kind == "function" else "to_regclass"
    owner = connection.execute(
        f"select {'proowner' if kind == 'function' else 'relowner'}::regrole::text"
        f" from {'pg_proc' if kind == 'function' else 'pg_class'} where oid = {finder}(%s)".encode(),
        (name,),
    ).fetchone()
    if owner is None or owner[0] == OWNER:
        return []
    triggers = [f"drop trigger {trigger}" for trigger in routine["triggers"] or ()]
    return [*triggers, f"drop {kind} {name}"]


def _altered(table: str, actions: list[str]) -> str:
    return f"{ALTER} {table} {', '.join(actions)}"


def _column_changes(table: str, now: Shape, goal: Shape, known: Shape) -> list[str]:
    """Alter columns from what is found to a goal; `known` are columns that may go."""
    retyped = [
        name
        for name, column in now["columns"].items()
        if name in goal["columns"] and goal["columns"][name]["type"] != column["type"]
    ]
    schema = table.split(".")[0]
    statements = [
        f'drop index {schema}."{name}"'
        for name, index in now["indexes"].items()
        if set(index["columns"] or ()) & set(retyped)
    ]
    actions = [
        f'drop constraint "{name}"'
        for name, rule in now["constraints"].items()
        if rule["kind"] == "c" and set(rule["columns"] or ()) & set(retyped)
    ]
    actions += [f'alter "{name}" type {goal["columns"][name]["type"]}' for name in retyped]
    for name, column in sorted(goal["columns"].items(), key=lambda item: item[1]["place"]):
        has = now["columns"].get(name)
        if has is None:
            default = f" default {column['default']}" if column["default"] else ""
            if column["generated"]:
                default = f" generated always as ({column['generated']}) stored"
            elif column["identity"]:
                default = " generated by default as identity"
            required = " not null" if column["is_required"] and default else ""
            actions.append(f'add column "{name}" {column["type"]}{default}{required}')
            continue
        if not column["generated"] and has["default"] != column["default"]:
            actions.append(
                f'alter "{name}" set default {column["default"]}'
                if column["default"]
                else f'alter "{name}" drop default'
            )
        if has["is_required"] and not column["is_required"]:
            actions.append(f'alter "{name}" drop not null')
    actions += [
        f'drop column "{name}"'
        for name in now["columns"]
        if name not in goal["columns"] and name in known.get("columns", {})
    ]
    if actions:
        statements.append(_altered(table, actions))
    return statements


def _make_index(
    connection: psycopg.Connection[Any], table: str, name: str, definition: str
) -> None:
    """Build an index beside writers; one of this name that is another is replaced."""
    schema = table.split(".")[0]
    built = f"{name[:50]}_built"
    as_built = re.sub(
        r"^CREATE (UNIQUE )?INDEX (\"[^\"]+\"|\S+) ON",
        lambda found: f'create {(found[1] or "").lower()}index concurrently "{built}" on',
        definition,
    )
    patiently(
        lambda: connection.execute(f'drop index concurrently if exists {schema}."{built}"'.encode())
    )
    patiently(lambda: connection.execute(as_built.encode()))
    _in_one(
        connection,
        [
            f'drop index if exists {schema}."{name}"',
            f'alter index {schema}."{built}" rename to "{name}"',
        ],
    )


def _is_replaced(has: Shape, known: Shape | None, want: Shape) -> bool:
    """Whether what is found is the other side's. PostgreSQL may spell ours otherwise than the model's."""
    return known is not None and has["definition"] == known["definition"] != want["definition"]


def _make_indexes(
    connection: psycopg.Connection[Any], table: str, goal: Shape, known: Shape
) -> None:
    now = _shape(connection, table)
    for name, index in goal["indexes"].items():
        has = now["indexes"].get(name)
        if (
            has is None
            or not has["is_valid"]
            or _is_replaced(has, known["indexes"].get(name), index)
        ):
            _make_index(connection, table, name, index["definition"])
    schema = table.split(".")[0]
    for name in now["indexes"]:
        if name not in goal["indexes"] and name in known["indexes"]:
            _in_one(connection, [f'drop index {schema}."{name}"'])


def _make_keys(connection: psycopg.Connection[Any], table: str, goal: Shape) -> None:
    """Make keys that others may refer to, from an index that is built beside writers."""
    now = _shape(connection, table)
    for name, rule in goal["constraints"].items():
        if rule["kind"] not in "pu" or name in now["constraints"]:
            continue
        columns = ", ".join(f'"{column}"' for column in rule["columns"])
        for column in rule["columns"] if rule["kind"] == "p" else ():
            _require(connection, table, column, now)
        _make_index(
            connection,
            table,
            name,
            f'CREATE UNIQUE INDEX "{name}" ON {table} USING btree ({columns})',
        )
        what = "primary key" if rule["kind"] == "p" else "unique"
        _in_one(
            connection,
            [_altered(table, [f'add constraint "{name}" {what} using index "{name}"'])],
        )


def _require(connection: psycopg.Connection[Any], table: str, column: str, now: Shape) -> None:
    """Make a column required: its rows are looked through beside writers, by way of a check."""
    if now["columns"][column]["is_required"]:
        return
    check = f"agentbooks_{column}"[:60]
    if check not in now["constraints"]:
        _in_one(
            connection,
            [
                f'alter table {table} add constraint "{check}" check ("{column}" is not null) not valid'
            ],
        )
    patiently(
        lambda: connection.execute(f'alter table {table} validate constraint "{check}"'.encode())
    )
    _in_one(
        connection,
        [f'alter table {table} alter "{column}" set not null, drop constraint "{check}"'],
    )


def _fill(connection: psycopg.Connection[Any], table: str, statement: str | None) -> None:
    while statement:
        filled = connection.execute(
            statement.format(table=table, schema=table.split(".")[0]).encode()
        )
        if not filled.rowcount:
            return


def _make_rules(connection: psycopg.Connection[Any], table: str, goal: Shape, known: Shape) -> None:
    now = _shape(connection, table)
    for name, column in goal["columns"].items():
        if column["is_required"] and not now["columns"][name]["is_required"]:
            _fill(connection, table, _filling(name, goal))
            _require(connection, table, name, now)
    renames = [
        f'alter table {table} rename constraint "{old}" to "{new}"'
        for old, new in [
            *((rule["was"], name) for name, rule in goal["constraints"].items() if "was" in rule),
            *((name, rule["was"]) for name, rule in known["constraints"].items() if "was" in rule),
        ]
        if old in now["constraints"]
        and new not in now["constraints"]
        and now["constraints"][old]["definition"] == goal["constraints"][new]["definition"]
    ]
    _in_one(connection, renames)
    now = _shape(connection, table)
    actions = [
        f'drop constraint "{name}"'
        for name, rule in now["constraints"].items()
        if name in known["constraints"]
        and (
            name not in goal["constraints"]
            or _is_replaced(rule, known["constraints"][name], goal["constraints"][name])
        )
    ]
    for name, rule in goal["constraints"].items():
        has = now["constraints"].get(name)
        if rule["kind"] not in "pu" and (
            has is None or _is_replaced(has, known["constraints"].get(name), rule)
        ):
            late = " not valid" if rule["kind"] in "cf" else ""
            actions.append(f'add constraint "{name}" {rule["definition"]}{late}')
    if actions:
        _in_one(connection, [_altered(table, actions)])
    for name, rule in _shape(connection, table)["constraints"].items():
        if not rule["is_valid"] and goal["constraints"].get(name, {}).get("is_valid"):
            patiently(
                lambda name=name: connection.execute(  # type: ignore[misc]
                    f'alter table {table} validate constraint "{name}"'.encode()
                )
            )


def _finish(connection: psycopg.Connection[Any], adoption: Adoption) -> None:
    """Look whether everything is there, write it down and end the adoption."""

    def work() -> None:
        with connection.transaction():
            for table in adoption.tables():
                if month := adoption.goals[table]["month"]:
                    connection.execute(
                        "insert into ops.month_clocks (table_name, clock) values (%s, %s)"
                        " on conflict do nothing",
                        (table, month),
                    )
            connection.execute("select ops.sync_archives()")
            missing = [
                f"{version}: {reason}" for version, reason in bootstrap.verify(connection) if reason
            ]
            if missing:
                raise AgentbooksError(
                    f"bootstrap: {missing[0]}; mend that and run `agentbooks bootstrap --adopt --yes` again."
                )
            catalog.record(connection, "adopted", {})
            connection.execute("update ops.adopted_objects set is_done = true where not is_done")

    patiently(work)


# --- And back


@_told()
def revert(connection: psycopg.Connection[Any], to: str) -> list[str]:
    """Revert as `bootstrap.revert` does, and give tables back that were taken over.

    Raises:
        AgentbooksError: As there, or `to` lies between the files of the raw tables.
    """
    adoption = adopted(connection)
    if not adoption.kinds or (to != "all" and to >= RAW_FILES[1]):
        return bootstrap.revert(connection, to, is_adopting=True)
    if to != "all" and to > RAW_FILES[0]:
        raise AgentbooksError(
            f"bootstrap: tables that were taken over are given back together; revert to before {to}, "
            "to the last file under 100, or to `all`."
        )
    built = connection.execute(BUILT).fetchone()
    if built:
        raise AgentbooksError(
            f"bootstrap: {built[0]} stands on what a revert drops; drop the schemas that dbt has built "
            "first."
        )
    archives = connection.execute(
        "select oid::regclass::text from pg_class"
        " where relnamespace = to_regnamespace('archive') and relkind in ('r', 'p') and not relispartition"
    )
    for (archive,) in archives.fetchall():
        if connection.execute(f"select exists (select from {archive})".encode()).fetchone() == (
            True,
        ):
            raise AgentbooksError(
                f"bootstrap: {archive} holds rows, which belong to a table that is given back; bring "
                "them back with `agentbooks restore` first."
            )
    base = max(c.version for c in bootstrap.read_changes() if c.version < RAW_FILES[0])
    connection.execute("set timezone = 'UTC'")
    connection.execute(f"set lock_timeout = '{LOCK_WAIT}'".encode())
    let_go(connection, adoption)
    done: list[str] = []
    patiently(lambda: done.extend(bootstrap.revert(connection, base, is_adopting=True)))
    give_back(connection, adoption)
    connection.execute("delete from ops.adopted_objects")
    return done + bootstrap.revert(connection, to)


def let_go(connection: psycopg.Connection[Any], adoption: Adoption) -> None:
    """Take from the tables what stands on bootstrap_sql, before its files are reverted."""
    connection.execute("update ops.adopted_objects set is_done = false")
    for table in adoption.tables():
        original, goal, now = (
            adoption.originals[table],
            adoption.goals[table],
            _shape(connection, table),
        )
        actions = [
            f'drop constraint "{name}"'
            for name, rule in sorted(now["constraints"].items(), key=lambda item: item[1]["kind"])
            if name in goal["constraints"]
            and rule["kind"] in "cfx"
            and "was" not in goal["constraints"][name]
            and original["constraints"].get(name, {}).get("definition") != rule["definition"]
        ]
        statements = [_altered(table, actions)] if actions else []
        statements += [
            f'drop trigger "{name}" on {table}'
            for (name,) in connection.execute(OWN_TRIGGERS, (table, OWNER)).fetchall()
        ]
        statements += [
            f'drop policy "{name}" on {table}'
            for name, definition in now["policies"].items()
            if original["policies"].get(name) != definition and name in goal["policies"]
        ]
        _in_one(connection, statements)
    for table in adoption.tables():
        _drop_unknown(connection, table, adoption)


def _drop_unknown(connection: psycopg.Connection[Any], table: str, adoption: Adoption) -> None:
    original, goal, now = (
        adoption.originals[table],
        adoption.goals[table],
        _shape(connection, table),
    )
    schema = table.split(".")[0]
    _in_one(
        connection,
        [
            f'alter table {table} drop constraint "{name}"'
            for name, rule in now["constraints"].items()
            if rule["kind"] in "pu"
            and name in goal["constraints"]
            and name not in original["constraints"]
        ]
        + [
            f'drop index {schema}."{name}"'
            for name, index in now["indexes"].items()
            if name in goal["indexes"]
            and original["indexes"].get(name, {}).get("definition") != index["definition"]
        ],
    )


def give_back(connection: psycopg.Connection[Any], adoption: Adoption) -> None:
    """Make the tables what they were; called after the files are reverted, may be run again."""
    for table in adoption.tables():
        original, goal, now = (
            adoption.originals[table],
            adoption.goals[table],
            _shape(connection, table),
        )
        _in_one(connection, _column_changes(table, now, original, goal))
        _make_indexes(connection, table, original, goal)
        _make_keys(connection, table, original)
    for table in adoption.tables():
        _make_rules(connection, table, adoption.originals[table], adoption.goals[table])
    for name, routine in adoption.originals.items():
        if adoption.kinds[name] == "routine":
            _restore_routine(connection, name, routine)
    for table in adoption.tables():
        _restore_rights(connection, table, adoption.originals[table])
    _in_one(connection, _default_rights(adoption, "revoke", "from"))
    for _, users in _schemas_and_users(adoption):
        _in_one(connection, [f"revoke usage on schema ops from {users}"])
    for schema, kind in adoption.kinds.items():
        if kind == "schema":
            rights = adoption.originals[schema]["rights"]
            extra = set(schema_rights(connection, schema)) - set(rights)
            order = sorted(extra, key=lambda role: role != OWNER)
            _in_one(
                connection, [f"revoke all on schema {schema} from {role} cascade" for role in order]
            )


def _restore_routine(connection: psycopg.Connection[Any], name: str, routine: Shape) -> None:
    kind = "function" if name.endswith(")") else "view"
    finder = "to_regprocedure" if kind == "function" else "to_regclass"
    if connection.execute(f"select {finder}(%s) is null".encode(), (name,)).fetchone() == (True,):
        _in_one(
            connection,
            [routine["definition"], f"alter {kind} {name} owner to {routine['owner']}"],
        )


def _restore_rights(connection: psycopg.Connection[Any], table: str, original: Shape) -> None:
    now = _shape(connection, table)
    statements = []
    for kind in ("policies", "triggers"):
        statements += [
            definition for name, definition in original[kind].items() if name not in now[kind]
        ]
    if APPLICATION in now["policies"]:
        statements.append(f"drop policy {APPLICATION} on {table}")
    if now["is_secured"] and not original["is_secured"]:
        statements.append(f"alter table {table} disable row level security")
    if original["is_forced"] and not now["is_forced"]:
        statements.append(f"alter table {table} force row level security")
    if now["owner"] != original["owner"]:
        statements.append(f"alter table {table} owner to {original['owner']}")
    for sequence in _sequences(connection, table):
        statements.append(f"revoke all on sequence {sequence} from {OWNER}")
    for role, rights in {**now["rights"], **original["rights"]}.items():
        if role == OWNER != original["owner"]:
            statements.append(f"revoke all on table {table} from {role}")
        elif original["rights"].get(role) != now["rights"].get(role):
            statements.append(f"revoke all on table {table} from {role}")
            if role in original["rights"]:
                statements.append(f"grant {rights} on table {table} to {role}")
    if now["comment"] != original["comment"]:
        statements.append(f"comment on table {table} is {_literal(original['comment'])}")
    for name, column in original["columns"].items():
        if now["columns"][name]["comment"] != column["comment"]:
            statements.append(
                f'comment on column {table}."{name}" is {_literal(column["comment"])}'
            )
    _in_one(connection, statements)


def _literal(text: str | None) -> str:
    return "null" if text is None else "'" + text.replace("'", "''") + "'"
