"""A month of raw rows that leaves and comes back: what speaks against it, crashes, bad input."""

from __future__ import annotations

from typing import TYPE_CHECKING

import psycopg
import pytest
from faults import value
from test_permanence import Archived
from test_refresh_functions import MODEL, OWN_DAY, TRACE, Daily, build

if TYPE_CHECKING:
    from collections.abc import Callable

    from conftest import TestServer

    Connect = Callable[[str], psycopg.Connection]

SPANS, MARCH = "observability.spans", "2026-03-01"
REFUSED = psycopg.errors.ObjectNotInPrerequisiteState


def monthly(server: TestServer, connect: Connect) -> Daily:
    """Make the mart with two days in March, one in April, and partitions for both."""
    daily = build(server, connect)
    daily.connection.execute("update ops.as_of set as_of_date = greatest(as_of_date, '2026-06-01')")
    daily.connection.execute(
        "select ops.create_month_partitions('observability.spans', '2026-03-01', '2026-04-01')"
    )
    return daily


@pytest.fixture
def daily(server18: TestServer, connect: Connect) -> Daily:
    """The mart on PostgreSQL 18."""
    return monthly(server18, connect)


@pytest.fixture
def archived(daily: Daily) -> Archived:
    """The archive of its raw rows."""
    return Archived(daily.connection)


def refusals(daily: Daily) -> list[str]:
    """Ask what speaks against March."""
    return [
        reason
        for (reason,) in daily.connection.execute(
            "select reason from ops.departure_refusals(%s, %s)", (SPANS, MARCH)
        )
    ]


def test_a_month_leaves_waits_and_comes_back(server: TestServer, connect: Connect) -> None:
    """Numbers that change as rows leave, late rows that are lost or counted on half a day, on any server."""
    daily = monthly(server, connect)
    archived = Archived(daily.connection)
    before = daily.days()
    assert archived.remove(SPANS, MARCH) == 2
    assert value(daily.connection, "select count(*) from observability.spans") == 1
    assert daily.refresh()[0] == "nothing"
    assert daily.days() == before
    daily.refresh(is_full=True)
    assert daily.days() == before

    daily.span("2026-03-30 09:00+00")
    daily.span("2026-03-05 09:00+00")
    daily.span("2026-04-01 09:00+00")
    assert daily.refresh()[0] == "1 period"
    assert daily.days() == before | {"2026-04-01": 2}
    late = daily.connection.execute(
        "select table_name, day::text, target, period::text from ops.late_rows order by day"
    ).fetchall()
    assert late == [(SPANS, day, "marts.daily", day) for day in ("2026-03-05", "2026-03-30")]

    archived.restore(SPANS, MARCH)
    assert daily.refresh()[0] == "31 period", "all days of the month"
    assert daily.days() == {"2026-03-05": 1, "2026-03-30": 2, "2026-03-31": 1, "2026-04-01": 2}
    assert value(daily.connection, "select count(*) from ops.late_rows") == 0
    archived.remove(SPANS, MARCH)


def test_what_came_late_is_not_forgotten_by_a_full_refresh(
    daily: Daily, archived: Archived
) -> None:
    """A late row that a full refresh has seen, has not counted, and has not listed either."""
    archived.remove(SPANS, MARCH)
    daily.span("2026-03-30 09:00+00")
    daily.refresh(is_full=True)
    assert value(daily.connection, "select count(*) from ops.late_rows") == 1


def test_only_a_month_that_is_frozen_and_copied_leaves(daily: Daily) -> None:
    """Rows dropped while a mart may still want them, or before there is a copy."""
    month = "2026-03 of observability.spans"
    assert refusals(daily) == [
        f"{month} is not frozen in marts.daily: run ops.freeze_month",
        f"{month} has 2 rows, its verified copy 0",
    ]
    with pytest.raises(REFUSED, match=r"is not frozen in marts\.daily"):
        daily.connection.execute("select ops.remove_month(%s, %s)", (SPANS, MARCH))
    daily.connection.execute("select ops.freeze_month(%s, %s)", (SPANS, MARCH))
    assert refusals(daily) == [f"{month} has 2 rows, its verified copy 0"]
    daily.span("2026-03-30 09:00+00")
    assert "changes came since it was frozen (1)" in refusals(daily)[0]
    daily.refresh()
    assert daily.days()["2026-03-30"] == 1, "it waits"
    daily.connection.execute("select ops.thaw_month(%s, %s)", (SPANS, MARCH))
    daily.refresh()
    assert daily.days()["2026-03-30"] == 2, "it is counted"


def test_a_row_that_waits_for_a_partition_keeps_its_month(daily: Daily, archived: Archived) -> None:
    """A late row of a warm month that is copied, stays where it is, and is counted from both."""
    daily.connection.execute("select ops.archive_month(%s, %s)", (SPANS, MARCH))
    daily.span("2026-03-30 09:00+00")
    daily.refresh()
    archived.freeze(SPANS, MARCH)
    archived.copy(SPANS, MARCH)
    assert refusals(daily) == [
        "2026-03 of observability.spans has 1 rows that wait for a partition; "
        "ops.maintain_partitions makes it"
    ]
    daily.connection.execute("select from ops.maintain_partitions()")
    assert refusals(daily) == []
    assert value(daily.connection, f"select ops.remove_month('{SPANS}', '{MARCH}')") == 3
    in_march = "select count(*) from history.observability__spans where started_at < '2026-04-01'"
    assert value(daily.connection, in_march) == 0


@pytest.mark.parametrize(
    "change", ["rows = rows + 1", "checksums = checksums || '{\"cost\": 1}'", "state = 'written'"]
)
def test_a_copy_that_differs_is_refused(daily: Daily, archived: Archived, change: str) -> None:
    """A month dropped although its copy lacks a row, has another value, or was never read back."""
    archived.freeze(SPANS, MARCH)
    archived.copy(SPANS, MARCH)
    assert refusals(daily) == []
    daily.connection.execute(f"update ops.archive_files set {change}".encode())
    assert "its verified copy" in refusals(daily)[0]
    with pytest.raises(REFUSED, match="its verified copy"):
        daily.connection.execute("select ops.remove_month(%s, %s)", (SPANS, MARCH))


@pytest.mark.parametrize(
    "hold",
    [
        ("trace_id", f"'{TRACE}'"),
        ("first_day, last_day", "'2026-03-31', '2026-03-31'"),
        ("table_name, first_day, last_day", "'observability.spans', '2026-01-01', '2026-12-31'"),
        ("subject_id", f"'{TRACE}'"),
    ],
)
def test_a_legal_hold_keeps_the_month(
    daily: Daily, archived: Archived, hold: tuple[str, str]
) -> None:
    """Evidence that retention takes away, or a hold that outlives its release."""
    daily.connection.execute(
        f"insert into observability.profiles (id, email) values ('{TRACE}', 'a@example.org');"
        f"update observability.traces set user_id = '{TRACE}'".encode()
    )
    daily.refresh()
    archived.freeze(SPANS, MARCH)
    archived.copy(SPANS, MARCH)
    for _ in range(2):  # holds may overlap
        daily.connection.execute(
            f"insert into ops.legal_holds (reason, {hold[0]}) values ('case 1', {hold[1]})".encode()
        )
    found = refusals(daily)
    assert len(found) == 2
    assert "legal hold 1 covers" in found[0]
    daily.connection.execute("update ops.legal_holds set released_at = now()")
    assert refusals(daily) == []


def test_a_hold_on_others_holds_nothing_here(daily: Daily, archived: Archived) -> None:
    """Retention that stands still because of a hold elsewhere."""
    daily.connection.execute(
        "insert into ops.legal_holds (reason, table_name, session_id, first_day, last_day) values"
        " ('x', 'agentic.agent_decisions', null, '2026-03-01', '2026-03-31'),"
        " ('x', null, 'a session', null, null),"
        " ('x', null, null, '2026-04-01', '2026-04-30')"
    )
    archived.remove(SPANS, MARCH)


def test_a_month_with_uncounted_changes_is_not_frozen(daily: Daily) -> None:
    """Days that are frozen without what the next refresh would have counted."""
    daily.span("2026-03-30 09:00+00")
    with pytest.raises(REFUSED, match=r"changes wait to be counted in marts\.daily; run dbt first"):
        daily.connection.execute("select ops.freeze_month(%s, %s)", (SPANS, MARCH))
    daily.refresh()
    daily.connection.execute("select ops.freeze_month(%s, %s)", (SPANS, MARCH))


@pytest.mark.parametrize(
    "copied",
    [
        # As pg_restore leaves it.
        "create table marts.copied (like marts.daily including all);"
        "insert into marts.copied select * from marts.daily;"
        "drop table marts.daily; alter table marts.copied rename to daily",
        # As `create database … template` does.
        "update ops.collections set server = 'elsewhere'",
    ],
)
def test_a_copy_freezes_nothing_until_dbt_has_run(daily: Daily, copied: str) -> None:
    """A mart that is not seen to read the month, is not frozen, and is computed anew without its rows."""
    daily.connection.execute(copied.encode())
    with pytest.raises(
        REFUSED, match=r"marts\.daily is not known to be up to date.*; run dbt first"
    ):
        daily.connection.execute("select ops.freeze_month(%s, %s)", (SPANS, MARCH))
    daily.refresh()
    assert value(daily.connection, f"select ops.freeze_month('{SPANS}', '{MARCH}')") == 31


def test_what_is_not_refreshed_by_day_holds_the_month(daily: Daily) -> None:
    """A mart by key, of which nothing can be frozen, that would lose its numbers."""
    daily.connection.execute(
        "create table marts.totals (trace_id uuid primary key, calls bigint);"
        "select ops.refresh('marts.totals',"
        " 'select trace_id, count(*) as calls from observability.spans group by 1',"
        " 'key', 'trace_id', 'select null from changes', '{observability.spans}', 'trace_id as key')"
    )
    with pytest.raises(
        REFUSED, match=r"marts\.totals reads observability\.spans and is not refreshed by day"
    ):
        daily.connection.execute("select ops.freeze_month(%s, %s)", (SPANS, MARCH))


@pytest.mark.parametrize(
    ("call", "reason"),
    [
        (
            "ops.freeze_month('observability.spans', '2999-01-01')",
            "2999-01 of observability.spans is not over",
        ),
        (
            "ops.freeze_month('observability.profiles', '2026-03-01')",
            "observability.profiles is not kept by months",
        ),
        ("ops.departure_refusals('ops.as_of', '2026-03-01')", "ops.as_of is no raw table"),
        (
            "ops.departure_refusals('observability.spans', null)",
            "observability.spans is no raw table",
        ),
        ("ops.thaw_month('observability.spans', '2026-03-01')", "is not frozen"),
        ("ops.stage_month('observability.spans', '2026-03-01')", "has not left"),
        (
            "ops.restore_month('observability.spans', '2026-03-01')",
            "no rows of 2026-03 of observability.spans",
        ),
        ("observability.cleanup_old_traces(1)", "marts are computed from these rows"),
    ],
)
def test_what_cannot_be_is_refused_in_a_sentence(daily: Daily, call: str, reason: str) -> None:
    """A wrong call that does half of something."""
    before = value(daily.connection, "select count(*) from observability.spans")
    with pytest.raises(psycopg.Error, match=reason):
        daily.connection.execute(f"select * from {call}".encode())
    assert value(daily.connection, "select count(*) from observability.spans") == before
    assert value(daily.connection, "select count(*) from ops.departures") == 0


# Crashes


@pytest.mark.parametrize("step", ["freeze", "remove", "stage", "restore"])
def test_a_step_that_is_killed_leaves_all_as_it_was(
    daily: Daily, archived: Archived, step: str
) -> None:
    """A month that is neither here nor there, or here twice, as a job was killed before its commit."""
    before = daily.days()
    call = f"select ops.{step}_month('{SPANS}', '{MARCH}')"
    if step in ("stage", "restore"):
        archived.remove(SPANS, MARCH)
        if step == "restore":
            archived.stage(SPANS, MARCH)
    elif step == "remove":
        archived.freeze(SPANS, MARCH)
        archived.copy(SPANS, MARCH)
    rows = value(daily.connection, "select count(*) from observability.spans")
    victim = psycopg.connect(daily.connection.info.dsn)
    victim.execute(call.encode())
    daily.connection.execute("select pg_terminate_backend(%s, 5000)", (victim.info.backend_pid,))
    victim.close()
    assert value(daily.connection, "select count(*) from observability.spans") == rows
    daily.refresh(is_full=True)
    assert daily.days() == before
    daily.connection.execute(call.encode())
    daily.refresh()
    assert daily.days() == before


def test_rows_that_were_altered_on_the_way_back_are_refused(
    daily: Daily, archived: Archived
) -> None:
    """An archive with one changed value, or one row less, that becomes the truth."""
    archived.remove(SPANS, MARCH)
    for damage in (
        "update {} set name = 'cal' where name = 'call'",
        "delete from {} where started_at < '2026-03-31'",
        "update {} set started_at = started_at + interval '1 microsecond'",
    ):
        staged = archived.stage(SPANS, MARCH)
        daily.connection.execute(damage.format(staged).encode())
        with pytest.raises(psycopg.errors.DataCorrupted, match="are not those that were archived"):
            daily.connection.execute("select ops.restore_month(%s, %s)", (SPANS, MARCH))
    archived.restore(SPANS, MARCH)


def test_a_refresh_waits_while_rows_leave(daily: Daily, archived: Archived) -> None:
    """A day computed from half of its rows, as the other half left meanwhile."""
    archived.freeze(SPANS, MARCH)
    archived.copy(SPANS, MARCH)
    with psycopg.connect(daily.connection.info.dsn) as remover:
        remover.execute("select ops.remove_month(%s, %s)", (SPANS, MARCH))
        daily.connection.execute("set lock_timeout = '100ms'")
        with pytest.raises(psycopg.errors.LockNotAvailable):
            daily.refresh()
        remover.rollback()
    daily.refresh()


# What comes between


def test_a_mart_made_after_rows_left_says_what_it_lacks(daily: Daily, archived: Archived) -> None:
    """A new mart that shows the rest of a month as if it were all of it."""
    archived.remove(SPANS, MARCH)
    daily.span("2026-03-30 09:00+00")
    daily.connection.execute(
        "create table marts.later (daily_key text, usage_date date, calls bigint)"
    )

    def refresh() -> None:
        daily.connection.execute("select ops.collect_changes()")
        daily.connection.execute(
            "select * from ops.refresh('marts.later', %s, 'period', 'usage_date', %s,"
            " '{observability.spans}', 'usage_date as day')",
            (MODEL, OWN_DAY),
        )

    refresh()
    counted = "select array_agg(usage_date::text order by usage_date) from marts.later"
    assert value(daily.connection, counted) == ["2026-04-01"]
    lacking = daily.connection.execute(
        "select target, missing_columns, frozen_days, last_day::text from ops.incomplete_marts"
    ).fetchall()
    assert lacking == [("marts.later", None, 31, "2026-03-31")]
    archived.restore(SPANS, MARCH)
    refresh()
    assert value(daily.connection, counted) == ["2026-03-30", "2026-03-31", "2026-04-01"]
    assert value(daily.connection, "select count(*) from ops.incomplete_marts") == 0


def test_a_retried_insert_of_an_archived_row_counts_once(daily: Daily, archived: Archived) -> None:
    """A writer who tries again after the row has left, and is counted twice when it is back."""
    again = (
        "insert into observability.spans (trace_id, span_id, span_type, name, status, started_at)"
        f" values ('{TRACE}', '{TRACE}', 'llm', %s, 'running', '2026-03-30 10:00+00')"
    )
    daily.connection.execute(again, ("first",))
    daily.refresh()
    archived.remove(SPANS, MARCH)
    daily.connection.execute(again, ("again",))
    daily.refresh()
    archived.restore(SPANS, MARCH)
    daily.refresh()
    assert daily.days()["2026-03-30"] == 2
    assert (
        value(daily.connection, f"select name from observability.spans where span_id = '{TRACE}'")
        == "first"
    )
    reason = value(daily.connection, "select reason from ops.rejected_records")
    assert reason == "a row of this key was archived before it came"


def test_rows_of_a_deleted_trace_do_not_come_back(daily: Daily, archived: Archived) -> None:
    """A deletion that the archive undoes, also where the trace's id is taken again."""
    archived.remove(SPANS, MARCH)
    trace = (
        "insert into observability.traces (trace_id, workflow_id, execution_id)"
        f" values ('{TRACE}', 'wf', 'run')"
    )
    daily.connection.execute("delete from observability.traces")
    daily.connection.execute(trace.encode())
    archived.restore(SPANS, MARCH)
    daily.refresh()
    assert daily.days() == {}


def test_the_audit_chain_is_whole_while_a_month_is_away(
    raw: psycopg.Connection,
) -> None:
    """A chain that cannot be verified any more, or a gap in it that nobody can tell from a forgery."""
    raw.execute("update ops.as_of set as_of_date = '2026-12-01'")
    raw.execute(
        "insert into agentic.agents (agent_id, name, persona_type, capabilities)"
        f" values ('{TRACE}', 'a', 'developer', '{{}}');"
        "select ops.create_month_partitions('agentic.agent_audit_log', '2026-03-01', '2026-04-01')"
    )
    for day in ("03-01", "03-02", "04-01"):
        raw.execute(
            "insert into agentic.agent_audit_log (agent_id, action_type, action_details, timestamp)"
            f" values ('{TRACE}', 'x', '{{}}', '2026-{day} 12:00+00')".encode()
        )
    broken = "select count(*) from agentic.audit_first_broken_link()"
    archived = Archived(raw)
    archived.remove("agentic.agent_audit_log", MARCH)
    assert value(raw, "select count(*) from agentic.agent_audit_log") == 1
    assert value(raw, broken) == 0
    raw.execute("update ops.departed_audit_links set row_hash = previous_hash where sequence = 2")
    assert value(raw, broken) == 1
    archived.restore("agentic.agent_audit_log", MARCH)
    assert value(raw, broken) == 0
    assert value(raw, "select count(*) from ops.departed_audit_links") == 0


def test_jobs_do_it_with_the_rights_they_have(daily: Daily, archived: Archived) -> None:
    """Retention that works for the superuser alone."""
    execute = daily.connection.execute
    execute("grant usage, create on schema marts to agentbooks_refresher")
    execute("alter table marts.daily owner to agentbooks_refresher")
    execute("set role agentbooks_refresher")
    archived.freeze(SPANS, MARCH)
    execute("reset role")
    archived.copy(SPANS, MARCH)
    execute("set role agentbooks_retention")
    assert refusals(daily) == []
    execute("select ops.remove_month(%s, %s)", (SPANS, MARCH))
    archived.stage(SPANS, MARCH)
    execute("select ops.restore_month(%s, %s)", (SPANS, MARCH))
    execute("reset role")
    daily.refresh()
    assert len(daily.days()) == 3
