"""Tables of the original definitions are taken over where they are, and given back as they were."""

from __future__ import annotations

import re
from collections import defaultdict
from dataclasses import dataclass, field
from random import Random
from typing import TYPE_CHECKING, Any
from uuid import UUID

import originals
import psycopg
import pytest
from faults import value
from killing import KILLS, Writers, kill_at_random, stepwise
from psycopg import sql
from raw_rows import ROWS
from refreshing import Refresher

from orchestration import adopt, bootstrap, catalog, database, schemas, simulated_traffic
from orchestration.errors import AgentbooksError

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from conftest import TestServer
    from killing import Write

NAMED = {system: f"legacy_{system}" for system in schemas.SYSTEMS}
APPLICATION = "legacy_app"


def make_originals(server: TestServer, systems: tuple[str, ...] = schemas.SYSTEMS) -> str:
    """Make a database with the tables of the originals in schemas of other names, owned by an application."""
    url = server.empty_database()
    with psycopg.connect(url, autocommit=True) as connection:
        has_vector = server.major > 15
        if has_vector:
            connection.execute("create extension vector")
        if not connection.execute("select to_regrole(%s)", (APPLICATION,)).fetchone()[0]:  # type: ignore[index]
            connection.execute(f"create role {APPLICATION}".encode())
        for system in systems:
            connection.execute(
                f"create schema {NAMED[system]} authorization {APPLICATION}".encode()
            )
            connection.execute(f"set role {APPLICATION}".encode())
            connection.execute(f"set search_path = {NAMED[system]}, public".encode())
            connection.execute(originals.tables(system, has_vector=has_vector).encode())
            connection.execute("reset role")
        connection.execute("reset search_path")
    return url


def columns(connection: psycopg.Connection, table: str) -> list[str]:
    """The columns that may be written."""
    rows = connection.execute(
        "select attname from pg_attribute where attrelid = %s::regclass and attnum > 0"
        " and not attisdropped and attgenerated = '' order by attnum",
        (table,),
    )
    return [name for (name,) in rows]


def copy_rows(source: str, target: str, named: tuple[schemas.Schemas, schemas.Schemas]) -> int:
    """Copy the rows of all raw tables in the columns that both sides have, checks but no triggers."""
    copied = 0
    with psycopg.connect(source) as reader, psycopg.connect(target) as writer:
        for connection in (reader, writer):
            connection.execute("set timezone = 'UTC'")
        for table in ROWS:
            there, here = (schemas.render(table, names) for names in named)
            sides = ((reader, there), (writer, here))
            if any(value(side, f"select to_regclass('{name}') is null") for side, name in sides):
                continue
            both = [c for c in columns(reader, there) if c in columns(writer, here)]
            # Cycles of keys; but what only a trigger can fill has to be filled.
            is_filled = table in ("chat.message_versions", "agentic.agent_audit_log")
            role = "origin" if is_filled else "replica"
            writer.execute(f"set session_replication_role = {role}".encode())
            names = sql.SQL(", ").join(map(sql.Identifier, both))
            out = sql.SQL("copy (select {} from {}) to stdout").format(names, sql.SQL(there))
            into = sql.SQL("copy {} ({}) from stdin").format(sql.SQL(here), names)
            with reader.cursor().copy(out) as read, writer.cursor().copy(into) as write:
                for block in read:
                    write.write(block)
                    copied += 1
    return copied


def contents(url: str) -> dict[str, Any]:
    """All that the catalog says of the originals' schemas, and all rows."""
    names = list(NAMED.values())
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute("set timezone = 'UTC'")
        found: dict[str, Any] = adopt.shapes(connection, names)
        for table in found:
            row = "(to_jsonb(t) - 'change_id')::text"
            hashed = f"select count(*), sum(hashtextextended({row}, 0)) from {table} as t"
            found[table]["rows"] = connection.execute(hashed.encode()).fetchone()
        found["routines"] = adopt.routines(connection, names)
        found["rights"] = {name: adopt.schema_rights(connection, name) for name in names}
        return found


def differences(before: Any, after: Any, place: str = "") -> list[str]:
    """Where two such descriptions differ."""
    if isinstance(before, dict) and isinstance(after, dict):
        return [
            line
            for key in sorted({*before, *after})
            for line in differences(before.get(key), after.get(key), f"{place} {key}")
        ]
    return [] if before == after else [f"{place}: {before} is now {after}"]


def refused_updates(connection: psycopg.Connection, tables: list[str]) -> list[str]:
    """Have the application write all rows of tables as they are; tell where it may not."""
    told = []
    for table in tables:
        column = columns(connection, table)[-1]
        with connection.transaction(force_rollback=True):
            count = value(connection, f"select count(*) from {table}")
            try:
                connection.execute(f"set local role {APPLICATION}".encode())
                written = connection.execute(
                    f'update {table} set "{column}" = "{column}"'.encode()
                ).rowcount
                if written != count:
                    told.append(f"{table}: {written} of {count} rows")
            except psycopg.Error as error:
                told.append(f"{table}: {error}")
    return told


def adopted(url: str, *, is_confirmed: bool = True) -> list[str]:
    """Take over what there is, and return what was told."""
    told: list[str] = []
    with psycopg.connect(url, autocommit=True) as connection:
        adopt.adopt(connection, NAMED, is_confirmed=is_confirmed, tell=told.append)
    return told


@pytest.fixture(scope="module")
def filled(server18: TestServer) -> str:
    """A database with the originals and three days of traffic in them."""
    simulated, url = server18.database(), make_originals(server18)
    with database.connect(simulated, autocommit=True) as connection:
        simulated_traffic.write(connection, simulated_traffic.simulate_traffic(3, 60).writes)
    assert copy_rows(simulated, url, ({}, NAMED)) > 1000
    with psycopg.connect(url) as connection:
        # The steps of some are in a column that the original does not have.
        connection.execute(
            "update legacy_traceability.success_patterns set agent_sequence = '{coder}'"
            " where agent_sequence = '{}'"
        )
    return url


def test_originals_are_taken_over_and_given_back(
    server18: TestServer, filled: str, build_marts: Callable[..., None]
) -> None:
    """Rows that an adoption loses, counts twice or shifts by a time zone; what a revert leaves behind."""
    before = contents(filled)
    told = adopted(filled, is_confirmed=False)
    assert differences(before, contents(filled)) == [], "a report changes nothing"
    assert "to_regclass" not in " ".join(told)
    with psycopg.connect(filled) as connection:
        assert value(connection, "select to_regclass('ops.adopted_objects') is null")

    # The same rows in tables of our own.
    ours = server18.database()
    copy_rows(filled, ours, (NAMED, {}))

    adopted(filled)
    with psycopg.connect(filled, autocommit=True) as connection:
        assert [row for row in bootstrap.verify(connection) if row[1]] == []
        found = catalog.compare(connection)
        assert [line for line in catalog.lines(found) if ": " in line] == []
        told = refused_updates(connection, sorted(before.keys() - {"routines", "rights"}))
        assert ["the audit log is insert only" in line for line in told] == [True], told
        with psycopg.connect(ours) as other:
            salt = value(other, "select salt from ops.pseudonym_salt")
            asleep = value(other, SLEEPING)
            assert asleep, "the negative control: there are triggers that wait for a migration"
            assert value(connection, SLEEPING) == asleep
        connection.execute("update ops.pseudonym_salt set salt = %s", (salt,))
    # With all of dbt's tests.
    build_marts(filled)
    refreshers = [Refresher.build(url, build_marts) for url in (ours, filled)]
    rows = []
    for refresher in refreshers:
        with psycopg.connect(refresher.url) as connection:
            rows.append(refresher.rows(connection))
    assert sum(map(len, rows[0].values())) > 1000, "the negative control: there are rows"
    assert [name for name in rows[0] if rows[0][name] != rows[1][name]] == []

    with connection_to(filled) as connection:
        with pytest.raises(AgentbooksError, match="drop the schemas that dbt has built first"):
            adopt.revert(connection, "all")
        connection.execute("drop schema seeds, staging, intermediate, marts cascade")
        adopt.revert(connection, "all")
        assert value(connection, "select to_regnamespace('ops') is null")
    assert differences(before, contents(filled)) == []


def connection_to(url: str) -> psycopg.Connection:
    """A connection in autocommit mode that its caller closes."""
    return psycopg.connect(url, autocommit=True)


@dataclass(frozen=True)
class Table:
    """A table that an application writes to: its key, a column that says something, and how a row begins.

    An insert takes the key and what the row says; that of a child takes its parent's key between them.
    """

    name: str
    key: str
    says: str
    insert: str


# A table of each system, and one whose rows hang under its rows.
FAMILIES = (
    (
        Table(
            "legacy_raaf.raaf_tracing_traces",
            "trace_id",
            "workflow_name",
            "(trace_id, workflow_name, started_at, created_at, updated_at)"
            " values (%s, %s, now(), now(), now())",
        ),
        Table(
            "legacy_raaf.raaf_tracing_spans",
            "span_id",
            "name",
            "(span_id, trace_id, name, start_time, created_at, updated_at)"
            " values (%s, %s, %s, now(), now(), now())",
        ),
    ),
    (
        Table(
            "legacy_observability.traces",
            "trace_id",
            "query",
            "(trace_id, query, workflow_id, execution_id, started_at)"
            " values (%s, %s, 'w', gen_random_uuid(), now())",
        ),
        Table(
            "legacy_observability.spans",
            "span_id",
            "duration_ms",
            "(span_id, trace_id, duration_ms, span_type, name, started_at)"
            " values (%s, %s, %s, 'llm', 's', now())",
        ),
    ),
    (
        Table(
            "legacy_traceability.execution_traces",
            "id",
            "prompt_text",
            "(id, prompt_text, correlation_id, root_id, session_id, source)"
            " values (%s, %s, gen_random_uuid(), gen_random_uuid(), gen_random_uuid(), 'cli')",
        ),
        Table(
            "legacy_traceability.hook_executions",
            "id",
            "duration_ms",
            "(id, trace_id, duration_ms, hook_type, hook_name, execution_order, started_at)"
            " values (%s, %s, %s, 'PreToolUse', 'h', 1, now())",
        ),
    ),
    (
        Table("legacy_chat.users", "id", "full_name", "(id, full_name) values (%s, %s)"),
        Table(
            "legacy_chat.chat_messages",
            "id",
            "content",
            "(id, sender_user_id, content) values (%s, %s, %s)",
        ),
    ),
    (
        Table(
            "legacy_agentic.agents",
            "agent_id",
            "name",
            "(agent_id, name, persona_type, capabilities) values (%s, %s, 'assistant', '{}')",
        ),
        Table(
            "legacy_agentic.agent_sessions",
            "session_id",
            "trust_level",
            "(session_id, agent_id, trust_level) values (%s, %s, %s)",
        ),
    ),
)
WRITTEN = {table.name: table for family in FAMILIES for table in family}
# What bootstrap_sql itself fills, with the time.
DATED = ("legacy_agentic.schema_versions", "legacy_chat.context_templates")
SLEEPING = """
select array_agg(c.relname || ' ' || g.tgname order by c.relname, g.tgname)
from pg_trigger as g inner join pg_class as c on g.tgrelid = c.oid
where g.tgenabled = 'D' and not c.relispartition
"""


@dataclass
class Application:
    """What writers left of rows of their own: by table and writer what each says, by its key."""

    left: defaultdict[tuple[Table, int], dict[str, str]] = field(
        default_factory=lambda: defaultdict(dict)
    )

    def draw_write(self, number: int, draw: Random) -> Write:
        """Begin or write a parent, or write or delete a child of one; told who writes, and chance."""
        parent, child = draw.choice(FAMILIES)
        parents, children = self.left[parent, number], self.left[child, number]
        key, said, chance = (
            str(UUID(int=draw.getrandbits(128))),
            str(draw.randrange(5)),
            draw.random(),
        )
        if not parents or chance < 0.2:
            parents[key] = said
            return f"insert into {parent.name} {parent.insert}", (key, said)
        if chance < 0.4:
            return self._say(parent, parents, draw.choice(list(parents)), said)
        if not children or chance < 0.7:
            children[key] = said
            hung = draw.choice(list(parents))
            return f"insert into {child.name} {child.insert}", (key, hung, said)
        key = draw.choice(list(children))
        if chance < 0.9:
            return self._say(child, children, key, said)
        del children[key]
        return f"delete from {child.name} where {child.key} = %s", (key,)

    def _say(self, table: Table, rows: dict[str, str], key: str, said: str) -> Write:
        rows[key] = said
        return f"update {table.name} set {table.says} = %s where {table.key} = %s", (said, key)

    def check(self, url: str) -> None:
        """Find every row once and as it was left, and the older ones as they were."""
        with connection_to(url) as connection:
            for table in WRITTEN.values():
                expected = dict(OLDER.get(table.name, {}))
                for (written, _), rows in self.left.items():
                    if written == table:
                        expected |= rows
                found = connection.execute(
                    f"select {table.key}::text, {table.says}::text from {table.name}".encode()
                ).fetchall()
                assert sorted(found) == sorted(expected.items()), table.name


def test_killed_anywhere_it_ends_as_if_undisturbed(server18: TestServer, tmp_path: Path) -> None:
    """An adoption or a revert that dies half-way, or a write beside it that is refused or lost."""
    names = [f"--schema={system}={name}" for system, name in NAMED.items()]
    there: tuple[str, ...] = ("bootstrap", *names, "--adopt", "--yes")
    back: tuple[str, ...] = ("bootstrap", "--revert", "all")

    def made() -> str:
        url = make_originals(server18)
        with connection_to(url) as connection:
            connection.execute(TRACE_AND_SPAN)
        return url

    def state(url: str) -> dict[str, Any]:
        found = contents(url)
        for table in found.keys() & {*WRITTEN, *DATED}:
            found[table].pop("rows")
        for table in found.keys() - {"routines", "rights"}:
            for column in found[table]["columns"].values():
                column.pop("place")  # which is another one once a column was dropped
        with connection_to(url) as connection:
            objects = catalog.objects(connection)
        return found | {
            # Rights come in any order.
            " ".join(key): re.sub(
                r"{.*?}", lambda match: str(sorted(match[0][1:-1].split(","))), text
            )
            for key, text in objects.items()
        }

    expected: dict[tuple[str, ...], dict[str, Any]] = {}
    steps: dict[tuple[str, ...], list[str]] = {}
    undisturbed, url = made(), made()
    with stepwise(tmp_path) as jobs:
        for command in (there, back):
            job = jobs.start(command, undisturbed)
            assert "agentbooks:" not in job.end()
            steps[command], expected[command] = job.steps, state(undisturbed)
            assert len(job.steps) > 100
        application, draw = Application(), Random(KILLS)  # noqa: S311  (it should repeat)
        writers = Writers(url, application.draw_write, role=APPLICATION)
        command, killed, ends = there, 0, 0
        while killed < KILLS or command == there:
            with writers.at_work():
                job = jobs.start(
                    command, url, draw.choice(steps[command]) if killed < KILLS else ""
                )
                is_killed = kill_at_random(job, url, draw)
            killed += is_killed
            application.check(url)
            if is_killed:
                # What its session still does keeps others from beginning.
                with connection_to(url) as connection:
                    connection.execute(
                        "select pg_terminate_backend(pid, 10000) from pg_stat_activity"
                        " where datname = current_database() and application_name = 'agentbooks'"
                    )
                continue
            # Its step was over before: nothing is left to do.
            found = differences(expected[command], state(url))
            assert not found, f"{command} after {killed} kills: {job.printed} {found[:9]}"
            command, ends = (back if command == there else there), ends + 1
        with writers.at_work():
            jobs.start(back, url).end()
    application.check(url)
    assert differences(expected[back], state(url)) == []
    print(
        f"{killed} kills, {ends} ends, {writers.done} writes, longest wait {writers.longest:.0f} ms"
    )


@pytest.fixture(params=[18, 15])
def small(request: pytest.FixtureRequest) -> str:
    """The originals of two systems with a row, on the newest and the oldest server."""
    server = request.getfixturevalue(f"server{request.param}")
    url = make_originals(server, ("raaf", "observability"))
    with psycopg.connect(url) as connection:
        connection.execute(TRACE_AND_SPAN)
    return url


TRACE_AND_SPAN = """
insert into legacy_raaf.raaf_tracing_traces (trace_id, workflow_name, started_at, created_at, updated_at)
values ('trace_1', 'Refund', '2026-03-01 23:30', '2026-03-01 23:30', '2026-03-01 23:30');
insert into legacy_raaf.raaf_tracing_spans (
    span_id, trace_id, name, kind, start_time, duration_ms, created_at, updated_at
)
values ('span_1', 'trace_1', 's', 'llm', '2026-03-01 23:30', 5, '2026-03-01 23:30', '2026-03-01 23:30')
"""
OLDER = {
    "legacy_raaf.raaf_tracing_traces": {"trace_1": "Refund"},
    "legacy_raaf.raaf_tracing_spans": {"span_1": "s"},
}


def test_the_application_goes_on(small: str) -> None:
    """Row level security, a new owner or a check's function that shut out those who wrote before."""
    before = contents(small)
    adopted(small)
    with connection_to(small) as connection:
        started = "select started_at = '2026-03-01 23:30+00' from legacy_raaf.raaf_tracing_traces"
        assert value(connection, started), "what has no zone is UTC"
        connection.execute(f"set role {APPLICATION}".encode())
        connection.execute(
            "insert into legacy_raaf.raaf_tracing_spans"
            " (span_id, trace_id, name, start_time, chat_messages, created_at, updated_at)"
            " values ('span_2', 'trace_1', 's', now(), '[]', now(), now())"
        )
        connection.execute("update legacy_raaf.raaf_tracing_spans set duration_ms = 7")
        assert value(connection, "select count(*) from legacy_raaf.raaf_tracing_spans") == 2
        stamped = "select min(change_id) = max(change_id) from legacy_raaf.raaf_tracing_spans"
        assert value(connection, stamped), "our trigger stamps what the application writes"
        connection.execute("delete from legacy_raaf.raaf_tracing_spans where span_id = 'span_2'")
        connection.execute("update legacy_raaf.raaf_tracing_spans set duration_ms = 5")
        connection.execute("reset role")
        assert value(connection, "select count(*) > 0 from ops.changes")
        connection.execute("set agentbooks.is_lifecycle = ''")
        adopt.revert(connection, "all")
    after = contents(small)
    # The last update stamped the time of its own, as an application of Rails does.
    for found in (before, after):
        found["legacy_raaf.raaf_tracing_spans"].pop("rows")
    assert differences(before, after) == []


def test_policies_bind_an_owner_whom_they_bound(server18: TestServer) -> None:
    """A table taken from an owner whom its policies did not bind, and one from an owner whom they did."""
    url = make_originals(server18, ("observability",))
    with connection_to(url) as connection:
        connection.execute(
            "with trace as (insert into legacy_observability.traces (workflow_id, execution_id)"
            " values ('w', 'e') returning trace_id)"
            " insert into legacy_observability.spans (trace_id, span_type, name, started_at)"
            " select trace_id, 'llm', 's', now() from trace"
        )
        connection.execute("alter table legacy_observability.spans force row level security")
        before = contents(url)
        adopted(url)
        # No policy of the originals lets anybody change a row.
        for role, spans_changed in ((APPLICATION, 0), ("agentbooks_owner", 1)):
            connection.execute(f"set role {role}".encode())
            for table, changed in (("traces", 1), ("spans", spans_changed)):
                change = f"update legacy_observability.{table} set status = 'completed'"
                assert connection.execute(change.encode()).rowcount == changed
        connection.execute("reset role")
        adopt.revert(connection, "all")
    after = contents(url)
    for found in (before, after):
        found["legacy_observability.traces"].pop("rows")
        found["legacy_observability.spans"].pop("rows")
    assert differences(before, after) == []


def test_an_application_that_knows_no_version_goes_on(server18: TestServer) -> None:
    """An update that is refused since the column is there which it does not know of, or that others miss."""
    url = make_originals(server18, ("agentic",))
    insert = (
        "insert into legacy_agentic.agents (name, persona_type, capabilities)"
        " values ('a', 'assistant', '{}')"
    )
    with connection_to(url) as connection:
        connection.execute(insert.encode())
        adopted(url)
        for says in ("b", "c"):
            connection.execute("update legacy_agentic.agents set name = %s", (says,))
        assert value(connection, "select version from legacy_agentic.agents") == 3
        raised = connection.execute(
            "update legacy_agentic.agents set version = 2 where version = 1"
        )
        assert raised.rowcount == 0, "who goes by the version finds another one"
        with pytest.raises(psycopg.DatabaseError, match="version 4 expected, 5 given"):
            connection.execute("update legacy_agentic.agents set version = 5")
        adopt.revert(connection, "all")


def test_rows_that_break_a_rule_are_counted_and_stay(small: str) -> None:
    """A rule that old rows break: it must neither refuse them nor let new ones in."""
    with connection_to(small) as connection:
        connection.execute("update legacy_raaf.raaf_tracing_spans set duration_ms = -1")
    told = adopted(small)
    assert any("raaf_tracing_spans_duration_ms_check (1 rows)" in line for line in told)
    with connection_to(small) as connection:
        assert value(
            connection,
            "select not convalidated from pg_constraint"
            " where conname = 'raaf_tracing_spans_duration_ms_check' and conrelid ="
            " 'legacy_raaf.raaf_tracing_spans'::regclass",
        )
        with pytest.raises(psycopg.errors.CheckViolation):
            connection.execute(
                "insert into legacy_raaf.raaf_tracing_spans"
                " (span_id, trace_id, name, start_time, duration_ms, created_at, updated_at)"
                " values ('span_2', 'trace_1', 's', now(), -1, now(), now())"
            )


@pytest.mark.parametrize(
    ("change", "told"),
    [
        (
            "update legacy_raaf.raaf_tracing_spans set start_time = null",
            "1 rows have no start_time",
        ),
        (
            "alter table legacy_raaf.raaf_tracing_spans alter events drop default,"
            " alter events type text",
            "events is text, which cannot be read as jsonb",
        ),
        (
            "create view legacy_raaf.recent as select started_at from legacy_raaf.raaf_tracing_traces",
            "started_at is read by legacy_raaf.recent",
        ),
        (
            "alter table legacy_raaf.raaf_tracing_spans drop constraint fk_rails_raaf_spans;"
            " delete from legacy_raaf.raaf_tracing_traces",
            "1 rows name no row of raaf_tracing_spans_trace_id_fkey",
        ),
    ],
)
def test_what_stops_an_adoption_is_told_first(server18: TestServer, change: str, told: str) -> None:
    """An adoption that finds out half-way what it cannot do."""
    url = make_originals(server18, ("raaf",))
    lines: list[str] = []
    with connection_to(url) as connection:
        connection.execute(TRACE_AND_SPAN)
        connection.execute("drop index legacy_raaf.index_raaf_tracing_spans_on_events")
        connection.execute(change.encode())
        before = contents(url)
        with pytest.raises(AgentbooksError, match="1 findings, told last, stop the adoption"):
            adopt.adopt(connection, NAMED, is_confirmed=True, tell=lines.append)
    assert told in lines[-1]
    assert differences(before, contents(url)) == []


@pytest.mark.parametrize(
    ("options", "reason"),
    [
        (["rag=x"], "names no source system"),
        (["raaf=a", "raaf=b"], "or one twice"),
        (["raaf=ops"], "is a schema of agentbooks"),
        (["raaf=pg_catalog"], "is a schema of agentbooks or of PostgreSQL"),
        (["raaf=Rails"], "is no plain name"),
        (["raaf=chat"], "cannot share schema chat"),
    ],
)
def test_names_of_schemas_that_cannot_be(options: list[str], reason: str) -> None:
    """A name that only fails when half of the schemas are made."""
    with pytest.raises(AgentbooksError, match=reason):
        schemas.parse(options)


def test_a_schema_keeps_the_name_that_it_was_given(server18: TestServer) -> None:
    """A second bootstrap that makes the tables again elsewhere, or on top of tables that are there."""
    with connection_to(server18.empty_database()) as connection:
        connection.execute("create schema rails; create table rails.raaf_tracing_traces (id int)")
        with pytest.raises(AgentbooksError, match="schema rails is there already"):
            bootstrap.bootstrap(connection, named={"raaf": "rails"})
        bootstrap.bootstrap(connection, named={"raaf": "traces"})
        assert value(connection, "select to_regnamespace('raaf') is null")
        assert [row for row in bootstrap.verify(connection) if row[1]] == []
        assert bootstrap.bootstrap(connection) == []
        with pytest.raises(AgentbooksError, match="raaf is in schema traces here, not in rails"):
            bootstrap.bootstrap(connection, named={"raaf": "rails"})
        bootstrap.revert(connection, "all")
        assert value(connection, "select to_regclass('rails.raaf_tracing_traces') is not null")
