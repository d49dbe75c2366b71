"""What the refresh goes by: change stamps, keys of departed rows, and partitions kept ahead."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import psycopg
import pytest
from faults import value

if TYPE_CHECKING:
    from collections.abc import Callable

    from conftest import TestServer

    Connect = Callable[[str], psycopg.Connection]

TRACE = "00000000-0000-0000-0000-0000000000a1"
OTHER = "00000000-0000-0000-0000-0000000000a2"

TRACES = f"""
insert into observability.traces (trace_id, workflow_id, execution_id, status, started_at, metadata)
values
('{TRACE}', 'w', 'one', 'running', '2026-03-31 23:30+00', '{{"loader": {{}}, "run_id": "run-1"}}'),
('{OTHER}', 'w', 'two', 'running', '2026-04-01 00:10+00', '{{"run_id": "not the loader''s"}}');
insert into observability.spans (trace_id, span_id, span_type, name, status, started_at)
select '{TRACE}', gen_random_uuid(), 'llm', 'call', 'running', day
from generate_series('2026-03-31 23:30+00'::timestamptz, '2026-04-02 12:00+00', '12 hours') as day
"""


def departed(connection: psycopg.Connection) -> list[tuple[str, dict[str, Any] | None]]:
    """Read what was left, once per table and keys."""
    return connection.execute(
        "select distinct table_name, keys from ops.changes order by table_name, keys"
    ).fetchall()


def left(*days: str) -> list[tuple[str, dict[str, Any]]]:
    """What spans leave when they go."""
    return [("observability.spans", {"day": day}) for day in days]


@pytest.fixture
def traces(raw: psycopg.Connection) -> psycopg.Connection:
    """Two traces, one of them with four spans on three days."""
    raw.execute(TRACES.encode())
    return raw


# Stamps


def test_an_update_is_stamped_with_its_own_transaction(traces: psycopg.Connection) -> None:
    """A changed row that looks as old as when it was inserted, and is not counted again."""
    with traces.transaction():
        now = value(traces, "select pg_current_xact_id()::text::bigint")
        traces.execute("update observability.spans set name = 'again'")
        stamps = traces.execute("select distinct change_id from observability.spans").fetchall()
    assert stamps == [(now,)]


def test_a_writer_cannot_choose_the_stamp_of_an_update(traces: psycopg.Connection) -> None:
    """An application that writes back the row it read, and with it the old stamp."""
    traces.execute("update observability.spans set change_id = 3, name = 'again'")
    assert value(traces, "select min(change_id) from observability.spans") > 3


# Departures


def test_inserts_and_plain_updates_leave_nothing(traces: psycopg.Connection) -> None:
    """A table of departures that grows with every write."""
    traces.execute("update observability.spans set name = 'again'")
    traces.execute("update observability.traces set status = 'completed', completed_at = now()")
    assert departed(traces) == []


def test_a_moved_event_time_leaves_its_old_day(traces: psycopg.Connection) -> None:
    """A row counted on both days after its time was corrected, also into another month."""
    traces.execute(
        "update observability.spans set started_at = '2026-05-05 00:00+00'"
        " where started_at < '2026-04-01 00:00+00'"
    )
    assert departed(traces) == left("2026-03-31")


def test_a_day_that_still_has_rows_of_the_update_is_not_left(traces: psycopg.Connection) -> None:
    """Needless work: the day is found by the stamps of the rows that stay there."""
    traces.execute(
        "update observability.spans set started_at = started_at + '1 day'"
        " where started_at < '2026-04-01 12:00+00'"
    )
    assert departed(traces) == left("2026-03-31")


def test_deleted_rows_leave_their_days(traces: psycopg.Connection) -> None:
    """A cost that stays in the marts after its rows were deleted."""
    traces.execute("delete from observability.spans where started_at >= '2026-04-01 00:00+00'")
    assert departed(traces) == left("2026-04-01", "2026-04-02")


def test_a_cascade_leaves_the_days_of_parent_and_children(traces: psycopg.Connection) -> None:
    """Children that a foreign key deletes, unseen by whoever counts them."""
    traces.execute("set role service_role")
    traces.execute("delete from observability.traces where trace_id = %s", (TRACE,))
    traces.execute("reset role")
    trace = {"trace_id": TRACE, "user_id": None, "day": "2026-03-31", "loaded_run_id": "run-1"}
    assert departed(traces) == [
        *left("2026-03-31", "2026-04-01", "2026-04-02"),
        ("observability.traces", trace),
    ]


def test_only_the_loader_names_a_loaded_run(traces: psycopg.Connection) -> None:
    """A source's own run_id taken for that of a loaded run."""
    traces.execute("delete from observability.traces where trace_id = %s", (OTHER,))
    [(_, keys)] = departed(traces)
    assert keys is not None
    assert keys["loaded_run_id"] is None


def test_a_truncated_table_leaves_everything(traces: psycopg.Connection) -> None:
    """An emptied table whose sums live on; the truncation's cascade included."""
    traces.execute("truncate observability.traces cascade")
    assert departed(traces) == [("observability.spans", None), ("observability.traces", None)]


def test_a_rollback_leaves_nothing(traces: psycopg.Connection) -> None:
    """A day that is counted again for ever, because a delete was tried and given up."""
    with traces.transaction(force_rollback=True):
        traces.execute("delete from observability.spans")
        assert departed(traces)
    assert departed(traces) == []


def test_set_null_is_an_update_that_leaves_the_user(raw: psycopg.Connection) -> None:
    """A deleted user's runs that still count under the user."""
    raw.execute(
        f"""
        insert into observability.profiles (id, email) values ('{OTHER}', 'someone@example.com');
        insert into observability.traces (
            trace_id, workflow_id, execution_id, user_id, status, started_at
        )
        values ('{TRACE}', 'w', 'one', '{OTHER}', 'running', '2026-03-31 23:30+00')
        """.encode()
    )
    raw.execute("delete from observability.profiles")
    trace = {"trace_id": TRACE, "user_id": OTHER, "day": "2026-03-31", "loaded_run_id": None}
    assert departed(raw) == [
        ("observability.profiles", {"id": OTHER}),
        ("observability.traces", trace),
    ]


def test_every_raw_table_is_captured_or_named(raw: psycopg.Connection) -> None:
    """A new table whose deletes no refresh hears of."""
    bare = raw.execute(
        """
        select n.nspname || '.' || c.relname
        from pg_class as c
        join pg_namespace as n on n.oid = c.relnamespace
        where n.nspowner = 'agentbooks_owner'::regrole and n.nspname <> 'ops'
            and c.relkind in ('r', 'p') and not c.relispartition
            and not exists (
                select from pg_trigger as t
                where t.tgrelid = c.oid and t.tgfoid = 'ops.mark_departed_rows()'::regprocedure
            )
        order by 1
        """
    ).fetchall()
    insert_only = ["agentic.audit_chain_heads", "agentic.schema_versions"]
    assert [name for (name,) in bare] == insert_only, (
        "list the table in 990_change_capture.sql with the keys its rows are counted by"
    )


def test_every_raw_table_carries_a_stamp_of_insert_and_update(raw: psycopg.Connection) -> None:
    """A table without change_id, or one that only an insert sets."""
    unstamped = raw.execute(
        """
        select n.nspname || '.' || c.relname
        from pg_class as c
        join pg_namespace as n on n.oid = c.relnamespace
        left join pg_attribute as a on a.attrelid = c.oid and a.attname = 'change_id'
        left join pg_attrdef as d on d.adrelid = c.oid and d.adnum = a.attnum
        where n.nspowner = 'agentbooks_owner'::regrole and n.nspname not in ('ops', 'archive')
            and c.relkind in ('r', 'p') and not c.relispartition
            and (
                not coalesce(a.attnotnull, false)
                or pg_get_expr(d.adbin, d.adrelid) not like '%pg_current_xact_id()%'
                or not exists (
                    select from pg_trigger as t
                    join pg_proc as p on p.oid = t.tgfoid
                    where t.tgrelid = c.oid and t.tgtype & 19 = 19
                        and p.prosrc like '%change_id := pg_current_xact_id()%'
                )
            )
        order by 1
        """
    ).fetchall()
    insert_only = [
        "agentic.agent_audit_log",
        "agentic.audit_chain_heads",
        "agentic.schema_versions",
    ]
    assert [name for (name,) in unstamped if name not in insert_only] == []


# Partitions


def test_rows_that_wait_in_a_default_partition_are_seen_and_moved(
    server: TestServer, connect: Connect
) -> None:
    """Rows of a wrong clock that no month holds, so that they never leave the database."""
    raw = connect(server.database())
    raw.execute(TRACES.encode())
    before = raw.execute("select * from observability.spans order by span_id").fetchall()
    with raw.transaction():
        raw.execute("set local role agentbooks_refresher")
        waiting = {
            row[0]: row[1:]
            for row in raw.execute(
                "select table_name, waiting_rows, first_at at time zone 'UTC'"
                " from ops.rows_in_default_partitions()"
            )
        }
    assert waiting["observability.spans"][0] == 4
    assert str(waiting["observability.spans"][1]) == "2026-03-31 23:30:00"
    assert waiting["chat.chat_messages_v2"] == (0, None)

    with raw.transaction():
        raw.execute("set local role agentbooks_retention")
        moved = {
            table: (made, rows)
            for table, made, rows in raw.execute("select * from ops.maintain_partitions(6)")
        }
    assert moved["observability.spans"] == (5, 4), "March, April, and three months ahead"
    assert moved["agentic.agent_audit_log"] == (3, 0)
    assert value(raw, "select sum(waiting_rows) from ops.rows_in_default_partitions()") == 0
    assert raw.execute("select * from observability.spans order by span_id").fetchall() == before
    assert departed(raw) == [], "a move is not a change"
    again = raw.execute("select sum(partitions_made) from ops.maintain_partitions(6)")
    assert again.fetchone() == (0,)


def test_audit_rows_that_wait_move_with_their_chain_whole(raw: psycopg.Connection) -> None:
    """The audit log refuses deletes: a move must not be taken for one, nor break the chain."""
    raw.execute(
        f"""
        insert into agentic.agents (agent_id, name, persona_type, capabilities)
        values ('{OTHER}', 'a', 'developer', '{{}}');
        insert into agentic.agent_audit_log (
            agent_id, session_id, action_type, action_details, risk_level, "timestamp"
        )
        select '{OTHER}', '{TRACE}', 'test', '{{}}', 'low', at
        from generate_series('2026-03-31 23:30+00'::timestamptz, '2026-04-02 12:00+00', '12 hours') as at
        """.encode()
    )
    raw.execute("select ops.maintain_partitions()")
    assert value(raw, "select count(*) from agentic.agent_audit_log_default") == 0
    assert value(raw, "select count(*) from agentic.agent_audit_log") == 4
    assert raw.execute("select * from agentic.audit_first_broken_link()").fetchall() == []


@pytest.mark.parametrize("months", [None, -1, 121])
def test_a_nonsensical_lead_is_refused(raw: psycopg.Connection, months: int | None) -> None:
    """A thousand partitions for a typing error, or none for a null."""
    with pytest.raises(psycopg.errors.InvalidParameterValue, match="must be from 0 to 120"):
        raw.execute("select ops.maintain_partitions(%s)", (months,))
