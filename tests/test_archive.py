"""Moving rows between raw tables and their archives: all there, none twice, nothing marked as changed."""

from __future__ import annotations

import json
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from typing import TYPE_CHECKING, Any

import psycopg
import pytest
from faults import refused, value
from raw_rows import EVENT, ONE, ROWS, insert

from orchestration import bootstrap

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from conftest import TestServer

MONTH = "2020-03-01"
DUE = {"clock": "started_at", "before": "2020-04-01"}


@pytest.fixture
def world(server18: TestServer) -> Iterator[psycopg.Connection]:
    """A base row in every table, months made, and changes collected once."""
    yield from _world(server18)


@pytest.fixture
def each_world(server: TestServer) -> Iterator[psycopg.Connection]:
    """The same, on each supported server in turn."""
    yield from _world(server)


def _world(server: TestServer) -> Iterator[psycopg.Connection]:
    with psycopg.connect(server.database(), autocommit=True) as connection:
        for table, row in ROWS.items():
            insert(connection, table, row)
        connection.execute("select from ops.maintain_partitions()")
        connection.execute(
            "insert into ops.refreshes (target, relation, grain, inputs, dirty_sql, model_hash, seen)"
            " select 'ops.as_of', 'ops.as_of'::regclass, 'all', array_agg(table_name), '', '',"
            " pg_current_snapshot() from ops.captured_tables"
        )
        connection.execute("select ops.collect_changes()")
        yield connection


def rows_of(connection: psycopg.Connection, relation: str) -> list[str]:
    """Read a relation's rows as text, columns by name."""
    rows = connection.execute(f"select to_jsonb(t)::text from {relation} as t order by 1".encode())
    return [row for (row,) in rows.fetchall()]


def archive_rows(connection: psycopg.Connection, table: str, **due: Any) -> int:
    """Move rows of the trace's month into the archive."""
    moved = connection.execute(
        "select ops.archive_rows(%s, %s)", (table, json.dumps(DUE | due))
    ).fetchone()
    return int(moved[0]) if moved else 0


def changes(connection: psycopg.Connection) -> list[Any]:
    """Tell what was marked as changed since all was seen."""
    connection.execute("select ops.collect_changes()")
    return connection.execute(
        "select table_name, keys from ops.changes where keys is not null"
        " or table_name not in (select table_name from ops.captured_tables)"
    ).fetchall()


def tables(connection: psycopg.Connection, *, monthly: bool) -> list[tuple[str, str]]:
    """Name raw tables with an archive, and how the archive and the view of both are called."""
    return connection.execute(
        "select a.hot::text, ops.archive_name(a.hot) from ops.archives as a"
        " left join pg_partitioned_table as p on p.partrelid = a.hot"
        " where (p.partrelid is not null) = %s order by 1",
        (monthly,),
    ).fetchall()


def test_a_month_of_every_partitioned_table_goes_and_comes_back(
    each_world: psycopg.Connection,
) -> None:
    """A row lost or altered by a move, a move that marks it as changed, a second archive for one month."""
    for table, name in tables(each_world, monthly=True):
        before, history = rows_of(each_world, table), rows_of(each_world, f"history.{name}")
        assert len(before) == 1
        assert before == history
        assert value(each_world, f"select ops.archive_month('{table}', '{MONTH}')") is not None, (
            table
        )
        assert rows_of(each_world, table) == []
        assert (
            rows_of(each_world, f"archive.{name}")
            == rows_of(each_world, f"history.{name}")
            == before
        )
        assert value(each_world, f"select ops.archive_month('{table}', '{MONTH}')") is None
    assert changes(each_world) == []
    for table, name in tables(each_world, monthly=True):
        assert value(each_world, f"select ops.unarchive_month('{table}', '{MONTH}')") is not None
        assert rows_of(each_world, f"archive.{name}") == []
        assert rows_of(each_world, table) == rows_of(each_world, f"history.{name}") != []
    assert changes(each_world) == []


def test_a_batch_looks_at_no_more_than_it_moves(world: psycopg.Connection) -> None:
    """Moves that take longer for each row the more there are, as every batch weighs all that is due."""
    for number in range(60):
        insert(
            world,
            "observability.traces",
            ROWS["observability.traces"]
            | {
                "trace_id": f"00000000-0000-4000-8000-{number + 100:012}",
                "execution_id": str(number),
            },
        )
    with world.transaction():
        world.execute("select ops.archive_rows('observability.traces', %s, 1)", (json.dumps(DUE),))
        looked_up = value(
            world,
            "select sum(s.seq_scan + coalesce(s.idx_scan, 0)) from pg_stat_xact_all_tables as s"
            " join pg_inherits as i on s.relid = i.inhrelid"
            " where i.inhparent = 'observability.spans'::regclass",
        )
    assert looked_up < 60, "spans are looked up for traces that do not move"


def test_rows_of_every_other_table_go_and_come_back(each_world: psycopg.Connection) -> None:
    """As above, for tables in one piece; and rows that others lean on, which keys would take along."""
    for table, _ in tables(each_world, monthly=True):
        each_world.execute("select ops.archive_month(%s, %s)", (table, MONTH))
    clocks = dict(
        each_world.execute(
            "select attrelid::regclass::text, min(attname) from pg_attribute"
            " where attnotnull and atttypid = 'timestamptz'::regtype group by 1"
        ).fetchall()
    )
    before = {table: rows_of(each_world, table) for table, _ in tables(each_world, monthly=False)}
    left = dict(tables(each_world, monthly=False))
    for _ in range(4):
        for table in list(left):
            if archive_rows(each_world, table, clock=clocks[table], before="2100-01-01"):
                name = left.pop(table)
                assert rows_of(each_world, table) == []
                assert rows_of(each_world, f"archive.{name}") == rows_of(
                    each_world, f"history.{name}"
                )
                assert rows_of(each_world, f"archive.{name}") == before[table]
    assert left == {}, "something still leans on these"
    assert changes(each_world) == []
    for table, name in reversed(tables(each_world, monthly=False)):
        due = json.dumps({"clock": clocks[table], "before": "2100-01-01"})
        try:
            each_world.execute("select ops.unarchive_rows(%s, %s)", (table, due))
        except psycopg.errors.ForeignKeyViolation:
            left[table] = name
    for table in left:
        due = json.dumps({"clock": clocks[table], "before": "2100-01-01"})
        each_world.execute("select ops.unarchive_rows(%s, %s)", (table, due))
    assert {table: rows_of(each_world, table) for table in before} == before
    assert changes(each_world) == []


def test_a_trace_stays_while_a_span_of_it_does(world: psycopg.Connection) -> None:
    """A move that deletes the trace, and by its key all its spans."""
    assert archive_rows(world, "observability.traces") == 0
    world.execute("select ops.archive_month('observability.spans', %s)", (MONTH,))
    assert archive_rows(world, "observability.traces") == 1
    assert len(rows_of(world, "history.observability__spans")) == 1


def test_a_span_that_comes_while_its_trace_is_chosen_is_kept_or_refused(
    world: psycopg.Connection, connect: Callable[[str], psycopg.Connection]
) -> None:
    """A late span that is committed between the look at a trace and its lock, and goes with it by the key."""
    traces = [
        row[0]
        for row in world.execute(
            "insert into observability.traces (workflow_id, execution_id, started_at) "
            "select 'w', 'late ' || i, %s from generate_series(1, 20000) as i returning trace_id",
            (EVENT,),
        ).fetchall()
    ]
    written, is_over = [], threading.Event()
    writer = connect(f"{world.info.dsn} password=''")

    def write() -> None:
        for trace in reversed(traces):
            if is_over.is_set():
                return
            with suppress(psycopg.errors.ForeignKeyViolation):
                written.extend(
                    writer.execute(
                        "insert into observability.spans (trace_id, span_type, name) "
                        "values (%s, 'llm', 'late') returning span_id",
                        (trace,),
                    ).fetchall()
                )

    thread = threading.Thread(target=write)
    thread.start()
    world.execute("select ops.archive_rows('observability.traces', %s, 20000)", (json.dumps(DUE),))
    is_over.set()
    thread.join()
    spans = set(world.execute("select span_id from observability.spans").fetchall())
    assert written
    assert set(written) <= spans


def test_a_tree_goes_whole_and_only_when_it_is_over(world: psycopg.Connection) -> None:
    """A root that leaves the execution that it waits for."""
    for table in ("traceability.hook_executions", "traceability.endpoint_calls"):
        world.execute("select ops.archive_month(%s, %s)", (table, MONTH))
    archive_rows(
        world, "traceability.agent_routing_decisions", clock="created_at", before="2100-01-01"
    )
    root = value(world, "select root_id from traceability.execution_traces")
    insert(
        world,
        "traceability.execution_traces",
        ROWS["traceability.execution_traces"]
        | {
            "id": "10000000-0000-4000-8000-000000000000",
            "correlation_id": "10000000-0000-4000-8000-000000000000",
            "root_id": root,
            "started_at": EVENT,
            "status": "in_progress",
        },
    )
    due = {"state_column": "status", "states": ["completed", "failed"], "together_by": "root_id"}
    world.execute(
        "update traceability.execution_traces set status = 'completed' where id = %s", (ONE,)
    )
    assert archive_rows(world, "traceability.execution_traces", **due) == 0
    world.execute("update traceability.execution_traces set status = 'failed'")
    assert archive_rows(world, "traceability.execution_traces", **due) == 2


def test_what_was_not_counted_is_marked_as_it_goes(world: psycopg.Connection) -> None:
    """A late row that is archived before a refresh saw it, and that no one counts ever after."""
    span = ROWS["observability.spans"] | {"span_id": "20000000-0000-4000-8000-000000000000"}
    insert(world, "observability.spans", span)
    world.execute("select ops.archive_month('observability.spans', %s)", (MONTH,))
    world.execute("update observability.traces set query = 'late'")
    assert archive_rows(world, "observability.traces") == 1
    marked = changes(world)
    assert ("observability.spans", {"day": "2020-03-01"}) in marked
    assert [keys["day"] for table, keys in marked if table == "observability.traces"] == [
        "2020-03-01"
    ]


def test_rows_for_an_archived_month_join_it(world: psycopg.Connection) -> None:
    """A month that is there twice, or a move that fails for ever since one late row came."""
    world.execute("select ops.archive_month('observability.spans', %s)", (MONTH,))
    late = ROWS["observability.spans"] | {"span_id": "20000000-0000-4000-8000-000000000000"}
    insert(world, "observability.spans", late)
    world.execute("select from ops.maintain_partitions()")
    assert len(rows_of(world, "history.observability__spans")) == 2
    world.execute("select ops.archive_month('observability.spans', %s)", (MONTH,))
    assert len(rows_of(world, "archive.observability__spans")) == 2

    insert(world, "observability.spans", late | {"span_id": "30000000-0000-4000-8000-000000000000"})
    world.execute("select ops.unarchive_month('observability.spans', %s)", (MONTH,))
    assert len(rows_of(world, "observability.spans")) == 3
    assert rows_of(world, "archive.observability__spans") == []


RETRIED = ("observability.spans", "observability.traces")


def retry(connection: psycopg.Connection) -> list[list[str]]:
    """Archive a trace and its span, and write both again, as an application that got no answer."""
    connection.execute("select ops.archive_month('observability.spans', %s)", (MONTH,))
    assert archive_rows(connection, "observability.traces") == 1
    before = [rows_of(connection, f"archive.{table.replace('.', '__')}") for table in RETRIED]
    for table in reversed(RETRIED):
        insert(connection, table, ROWS[table])
    return before


def history(connection: psycopg.Connection) -> list[list[str]]:
    """Read what dbt does."""
    return [rows_of(connection, f"history.{table.replace('.', '__')}") for table in RETRIED]


@pytest.mark.parametrize("has_partition", [False, True])
def test_a_retried_insert_of_an_archived_row_is_refused_before_a_refresh(
    world: psycopg.Connection, has_partition: bool
) -> None:
    """Two rows of one key, by which unique keys of marts stop each dbt run until somebody deletes one."""
    before = retry(world)
    if has_partition:
        world.execute("select from ops.maintain_partitions()")
    with world.transaction():
        world.execute("set local role agentbooks_refresher")
        world.execute("select ops.collect_changes()")
    assert history(world) == before
    assert [rows_of(world, table) for table in RETRIED] == [[], []]
    assert value(world, "select count(*) from ops.rejected_records") == 2


def test_what_hangs_under_a_retried_row_is_kept(world: psycopg.Connection) -> None:
    """A new span that is deleted with the trace above it, which was not."""
    (span,), (trace,) = retry(world)
    world.execute("update observability.traces set query = 'again'")
    new = ROWS["observability.spans"] | {"span_id": "20000000-0000-4000-8000-000000000000"}
    insert(world, "observability.spans", new)
    changes(world)
    assert rows_of(world, "observability.traces") == [trace], "as it was archived"
    assert rows_of(world, "archive.observability__traces") == []
    spans = rows_of(world, "history.observability__spans")
    assert span in spans
    assert len(spans) == 2


@pytest.mark.parametrize("moves", ["archive", "unarchive"])
def test_a_retried_insert_of_an_archived_row_stops_no_move(
    world: psycopg.Connection, moves: str
) -> None:
    """A night that fails for ever as one row is in the archive already, or a restore that does."""
    before = retry(world)
    world.execute("select from ops.maintain_partitions()")
    month, rows = f"select ops.{moves}_month(%s, %s)", f"select ops.{moves}_rows(%s, %s)"
    calls = [(month, (RETRIED[0], MONTH)), (rows, (RETRIED[1], json.dumps(DUE)))]
    for call, arguments in calls if moves == "archive" else reversed(calls):
        world.execute(call, arguments)
    assert history(world) == before
    assert value(world, "select count(*) from ops.rejected_records") == 2


def test_another_row_with_an_archived_name_is_told(world: psycopg.Connection) -> None:
    """A new trace that is thrown away, as its execution's number was given twice."""
    retry(world)
    world.execute("delete from observability.spans")
    world.execute("update observability.traces set trace_id = %s", (ONE[:-1] + "9",))
    refused(world, f"select ops.archive_rows('observability.traces', '{json.dumps(DUE)}')", "23505")
    assert len(rows_of(world, "observability.traces")) == 1


def test_a_change_in_an_archive_is_told(world: psycopg.Connection) -> None:
    """A deleted user's archived costs that stay counted under the user, as nobody looks into archives."""
    world.execute("update observability.cost_records set user_id = %s", (ONE,))
    changes(world)
    archive_rows(world, "observability.cost_records", clock="created_at")
    world.execute("truncate ops.changes")
    world.execute("delete from observability.profiles")
    assert value(world, "select user_id from history.observability__cost_records") is None
    assert "observability.cost_records" in {table for table, _ in changes(world)}


def test_nobody_pretends_to_be_the_lifecycle(world: psycopg.Connection) -> None:
    """A writer who hides a change from the refresh by a setting."""
    before = value(world, "select change_id from observability.traces")
    with world.transaction():
        world.execute("set local agentbooks.is_lifecycle = 'on'")
        world.execute("set local role service_role")
        world.execute("update observability.traces set query = 'hidden'")
        refused(world, "select ops.set_lifecycle(true)", "42501")
        refused(
            world, "insert into ops.lifecycle_transactions values (pg_current_xact_id())", "42501"
        )
    assert value(world, "select change_id from observability.traces") > before
    world.execute("set agentbooks.is_lifecycle = 'on'")
    world.execute("delete from observability.spans")
    assert "observability.spans" in {table for table, _ in changes(world)}


@pytest.mark.parametrize(
    ("call", "sqlstate"),
    [
        ("ops.archive_month('observability.spans', '2020-03-02')", "22023"),
        ("ops.archive_month('observability.spans', null)", "22023"),
        ("ops.archive_month('observability.spans', date_trunc('month', now())::date)", "22023"),
        ("ops.archive_month('observability.traces', '2020-03-01')", "42809"),
        ("ops.archive_month('chat.users', '2020-03-01')", "42809"),
        ("ops.archive_rows('observability.spans', '{}')", "42809"),
        ("ops.archive_rows('observability.traces', '{}')", "22023"),
        (
            'ops.archive_rows(\'observability.traces\', \'{"clock": "nope", "before": "2020-01-01"}\')',
            "42703",
        ),
        ("ops.archive_rows('observability.traces', '{\"clock\": \"x; drop table y\"}')", "42703"),
        ("ops.archive_rows('observability.traces', '{}', 0)", "22023"),
        ("ops.strip_payloads('observability.spans', 'nope', '{}')", "42703"),
        ("ops.strip_payloads('observability.spans', 'cost', '{}')", "22023"),
    ],
)
def test_what_cannot_be_moved_is_told(
    module_connection: psycopg.Connection, call: str, sqlstate: str
) -> None:
    """A wrong name or month that moves something, or fails somewhere deep inside."""
    if "cost" in call:
        module_connection.execute("create schema if not exists staging")
        module_connection.execute(
            "create or replace view staging.spans as select cost from history.observability__spans"
        )
    refused(module_connection, f"select {call}", sqlstate)


def test_payloads_go_and_all_else_stays(world: psycopg.Connection) -> None:
    """Blanking that marks rows as changed, keeps the old text as a version, or takes what is read."""
    world.execute(
        'update chat.chat_messages_v2 set content = \'{"type": "text", "text": "secret"}\''
    )
    world.execute("truncate chat.message_versions")
    changes(world)
    world.execute("truncate ops.changes")
    before = value(world, "select change_id from chat.chat_messages_v2")
    due = json.dumps({"clock": "created_at", "before": "2100-01-01"})
    call = (
        f"select stripped from ops.strip_payloads('chat.chat_messages_v2', 'content(type)', '{due}'"
    )
    assert value(world, call + ", only_count => true)") == 1
    assert value(world, call + ")") == 1
    assert value(world, call + ")") == 0
    assert value(world, "select content from chat.chat_messages_v2") == {"type": "text"}
    assert value(world, "select change_id from chat.chat_messages_v2") == before
    assert value(world, "select count(*) from chat.message_versions") == 0
    assert changes(world) == []


def test_batches_go_on_where_the_last_one_ended(world: psycopg.Connection) -> None:
    """A batch that looks again at what others have blanked, or ends before the last of them."""
    world.execute(
        "insert into observability.spans (trace_id, span_type, name, started_at, inputs) "
        "select trace_id, 'llm', 's', started_at + n * interval '1 day', '{\"text\": \"secret\"}' "
        "from observability.traces cross join generate_series(1, 20) as n cross join generate_series(1, 50)"
    )
    world.execute("select ops.archive_month('observability.spans', %s)", (MONTH,))
    left = "select count(*) from history.observability__spans where inputs is not null"
    due, place, stripped = json.dumps({"clock": "started_at", "before": "2100-01-01"}), None, []
    rows = value(world, left)
    while place or not stripped:
        row = world.execute(
            "select stripped, place from ops.strip_payloads("
            "'observability.spans', 'inputs outputs', %s, 100, after => %s)",
            (due, place),
        ).fetchone()
        assert row
        stripped.append(row[0])
        place = row[1]
    assert sum(stripped) == rows
    assert len(stripped) > 5
    assert value(world, left) == 0


def test_a_new_column_reaches_the_archive(raw: psycopg.Connection) -> None:
    """A column that the hot table has gained, without which the next month cannot be attached."""
    raw.execute("alter table observability.spans add column region text not null default 'eu'")
    raw.execute("alter table observability.traces add column region text not null default 'eu'")
    raw.execute("select ops.sync_archives()")
    insert(raw, "observability.profiles", ROWS["observability.profiles"])
    insert(raw, "observability.workflows", ROWS["observability.workflows"])
    insert(raw, "observability.traces", ROWS["observability.traces"])
    insert(raw, "observability.spans", ROWS["observability.spans"])
    raw.execute("select from ops.maintain_partitions()")
    raw.execute("select ops.archive_month('observability.spans', %s)", (MONTH,))
    assert archive_rows(raw, "observability.traces") == 1
    assert value(raw, "select region from history.observability__spans") == "eu"
    assert value(raw, "select region from history.observability__traces") == "eu"
    # As somebody does who makes the view anew.
    raw.execute("drop view history.observability__spans")
    raw.execute("alter table observability.spans alter column region drop default")
    raw.execute("alter table observability.spans alter column region type int using 1")
    refused(raw, "select ops.sync_archives()", "42804")


def test_a_later_index_reaches_the_archive_and_a_later_check_waits(raw: psycopg.Connection) -> None:
    """A search that is slow for old rows, or a month that never comes back, or comes back unchecked."""
    for table in ("observability.profiles", "observability.workflows", "observability.traces"):
        insert(raw, table, ROWS[table])
    insert(raw, "observability.spans", ROWS["observability.spans"])
    raw.execute("select from ops.maintain_partitions()")
    raw.execute("select ops.archive_month('observability.spans', %s)", (MONTH,))
    for table in ("observability.spans", "observability.traces"):
        raw.execute(f"create index on {table} (tenant_id, started_at)".encode())
    raw.execute("alter table observability.spans add constraint named check (name <> 'none')")
    raw.execute("select ops.sync_archives()")
    indexed = (
        "select count(*) from pg_indexes where schemaname = 'archive'"
        " and indexdef like '%(tenant_id, started_at)' and tablename ~ '^observability__(spans|traces)$'"
    )
    assert value(raw, indexed) == 2
    raw.execute("select ops.sync_archives()")
    assert value(raw, indexed) == 2, "once"
    raw.execute("select ops.unarchive_month('observability.spans', %s)", (MONTH,))
    refused(raw, "update observability.spans set name = 'none'", "23514")
    raw.execute("select ops.archive_month('observability.spans', %s)", (MONTH,))
    raw.execute("alter table observability.spans add constraint newer check (name = 'none')")
    refused(raw, f"select ops.unarchive_month('observability.spans', '{MONTH}')", "23514")
    assert len(rows_of(raw, "archive.observability__spans")) == 1


def test_stricter_rights_reach_the_archive(raw: psycopg.Connection) -> None:
    """A policy or a grant that was taken back, while archived rows go on being read by it."""
    policies = "select array_agg(oid order by oid) from pg_policy"
    before = value(raw, policies)
    raw.execute("select ops.sync_archive_rights()")
    assert value(raw, policies) == before, "what is right is made anew, which locks the archives"
    raw.execute("drop policy traces_own on observability.traces")
    raw.execute("revoke select on observability.traces from authenticated")
    raw.execute("grant insert on archive.observability__traces to service_role")
    bootstrap.bootstrap(raw)
    assert (
        value(
            raw,
            "select count(*) from pg_policy where polrelid = 'archive.observability__traces'::regclass"
            " and polname = 'traces_own'",
        )
        == 0
    )
    for place in ("archive.observability__traces", "history.observability__traces"):
        assert not value(raw, f"select has_table_privilege('authenticated', '{place}', 'select')")
    writes = "has_table_privilege('service_role', 'archive.observability__traces', 'insert')"
    assert not value(raw, f"select {writes}")


def test_a_revert_keeps_archived_rows(world: psycopg.Connection) -> None:
    """A revert that drops the archive with all that is in it."""
    world.execute("select ops.archive_month('observability.spans', %s)", (MONTH,))
    with pytest.raises(Exception, match="holds rows; bring them back first"):
        bootstrap.revert(world, "590_agentic_plain")
    assert len(rows_of(world, "archive.observability__spans")) == 1


def test_a_move_waits_for_no_one_long(
    world: psycopg.Connection, connect: Callable[[str], psycopg.Connection]
) -> None:
    """A move that queues for a lock, and all writers behind it, as long as one transaction is open."""
    url = f"{world.info.dsn} password=''"
    holder, writer, mover = (connect(url) for _ in range(3))
    longest = 0.0
    with holder.transaction():
        holder.execute("select from observability.spans")
        done = threading.Thread(
            target=lambda: mover.execute(
                "select ops.archive_month('observability.spans', %s)", (MONTH,)
            )
        )
        done.start()
        for number in range(15):
            span = ROWS["observability.spans"] | {
                "span_id": f"{number:08}-0000-4000-8000-000000000000",
                "started_at": "2020-03-05 10:00:00+00",
                "completed_at": None,
            }
            before = time.monotonic()
            insert(writer, "observability.spans", span)
            longest = max(longest, time.monotonic() - before)
            time.sleep(0.02)
    done.join()
    assert longest < 5, "a writer waited as long as the reader's transaction was open"
    assert len(rows_of(world, "history.observability__spans")) == 16


def test_a_refresh_and_a_move_wait_for_each_other(
    world: psycopg.Connection, connect: Callable[[str], psycopg.Connection]
) -> None:
    """A bare `dbt run` beside retention, neither of which knows of a pool."""
    other = connect(f"{world.info.dsn} password=''")
    with other.transaction():
        other.execute("select ops.collect_changes()")
        world.execute("set lock_timeout = '200ms'")
        refused(
            world, f"select ops.archive_rows('observability.traces', '{json.dumps(DUE)}')", "55P03"
        )
    with other.transaction():
        other.execute("select ops.archive_rows('observability.traces', %s)", (json.dumps(DUE),))
        refused(world, "select ops.collect_changes()", "55P03")


def test_a_month_waits_for_a_refresh_as_long_as_that_takes(
    world: psycopg.Connection, connect: Callable[[str], psycopg.Connection]
) -> None:
    """A night that fails as a refresh was at work for longer than a move waits for writers."""
    url = f"{world.info.dsn} password=''"
    refresh, mover = connect(url), connect(url)
    waits = (
        "select exists (select from pg_locks where pid = {} and locktype = 'advisory' and not granted"
        " and waitstart < clock_timestamp() - interval '0.3 s')"
    )
    with ThreadPoolExecutor(1) as pool:
        with refresh.transaction():
            refresh.execute("select ops.collect_changes()")
            moved = pool.submit(
                value, mover, f"select ops.archive_month('observability.spans', '{MONTH}')"
            )
            is_waiting = False
            while not (is_waiting or moved.done()):
                is_waiting = value(world, waits.format(mover.info.backend_pid))
                time.sleep(0.02)
        assert moved.result() is not None
    assert rows_of(world, "observability.spans") == []
    assert value(mover, "show lock_timeout") == "0"
