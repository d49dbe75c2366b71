"""The functions behind the refresh, on a small table: snapshots, periods, seals, other servers."""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING

import psycopg
import pytest
from faults import value

if TYPE_CHECKING:
    from collections.abc import Callable

    from conftest import TestServer

    Connect = Callable[[str], psycopg.Connection]

MODEL = """
select md5(row(day - date '2000-01-01')::text) as daily_key, day as usage_date, calls
from (
    select (started_at at time zone 'UTC')::date as day, count(*) as calls
    from observability.spans
    where /* dirty: started_at */ true
    group by 1
) as daily
"""
OWN_DAY = """
select case when keys ? 'day' then (keys ->> 'day')::date else 'infinity' end from changes
"""
TRACE = "00000000-0000-4000-8000-000000000001"


class Daily:
    """Spans by day, refreshed by period."""

    def __init__(self, connection: psycopg.Connection) -> None:
        """Make the mart's empty table, and one trace for spans to hang under."""
        self.connection = connection
        connection.execute(
            f"""
            create schema if not exists marts;
            create table marts.daily (daily_key text primary key, usage_date date, calls bigint);
            insert into observability.traces (trace_id, workflow_id, execution_id)
            values ('{TRACE}', 'wf', 'run')
            """.encode()
        )

    def span(self, at: str, connection: psycopg.Connection | None = None) -> None:
        """Insert a span."""
        (connection or self.connection).execute(
            f"""
            insert into observability.spans (trace_id, span_type, name, status, started_at)
            values ('{TRACE}', 'llm', 'call', 'running', '{at}')
            """.encode()
        )

    def refresh(self, *, is_full: bool = False, model: str = MODEL) -> tuple[str, int, int]:
        """Collect and refresh; tell what was refreshed, rows deleted and inserted."""
        self.connection.execute("select ops.collect_changes()")
        row = self.connection.execute(
            "select * from ops.refresh('marts.daily', %s, 'period', 'usage_date', %s,"
            " '{observability.spans}', 'usage_date as day', %s)",
            (model, OWN_DAY, is_full),
        ).fetchone()
        assert row is not None
        return (row[0], row[1], row[2])

    def days(self) -> dict[str, int]:
        """Read the mart: calls by day."""
        return {
            str(day): calls
            for day, calls in self.connection.execute("select usage_date, calls from marts.daily")
        }

    def ledger(self) -> dict[str, tuple[str, int, int]]:
        """Read the ledger: state, rows before and after, by day."""
        return {
            str(day): (state, before, after)
            for day, state, before, after in self.connection.execute(
                "select period, state, rows_before, rows_after from ops.refreshed_periods"
            )
        }


def build(server: TestServer, connect: Connect) -> Daily:
    """Make a mart by day with three days of spans, refreshed once."""
    made = Daily(connect(server.database()))
    for at in ("2026-03-30 12:00+00", "2026-03-31 23:59:59.999999+00", "2026-04-01 00:00+00"):
        made.span(at)
    assert made.refresh() == ("all", 0, 3)
    return made


@pytest.fixture
def daily(server18: TestServer, connect: Connect) -> Daily:
    """The mart on PostgreSQL 18."""
    return build(server18, connect)


# What is dirty


def test_nothing_new_refreshes_nothing(daily: Daily) -> None:
    """A schedule that computes everything again every hour."""
    assert daily.refresh() == ("nothing", 0, 0)


def test_a_run_looks_through_the_tables_only_where_somebody_has_written(
    daily: Daily, connect: Connect
) -> None:
    """An idle database whose every partition is opened each minute; or a write that a short cut overlooks."""
    start = "select ops.start_run('{}')"
    assert value(daily.connection, start) is True
    assert value(daily.connection, start) is False, "nobody but the run itself has written"
    other = connect(daily.connection.info.dsn)
    with other.transaction():
        daily.span("2026-03-30 05:00+00", other)
        assert value(daily.connection, start) is False, "a writer has not committed"
    assert value(daily.connection, start) is True, "it has"
    assert daily.refresh()[0] == "1 period"
    assert value(daily.connection, start) is True, "the refresh has written"
    with suppress(ZeroDivisionError), other.transaction():
        daily.span("2026-03-30 06:00+00", other)
        raise ZeroDivisionError
    assert value(daily.connection, start) is True, "whoever has written, and taken it back"
    daily.connection.execute("select ops.collect_changes()")
    assert value(daily.connection, start) is True, "raw rows were looked at, seeds were not"
    assert value(daily.connection, start) is False
    with daily.connection.transaction():
        daily.span("2026-03-30 07:00+00")
        assert value(daily.connection, start) is True, "its own transaction had written"


def test_a_new_day_is_noted_where_nobody_else_has_written(daily: Daily) -> None:
    """Marts of yesterday until tomorrow, as the run that saw midnight pass was the only one to write."""
    start = "select ops.start_run('{}')"
    assert value(daily.connection, start) is True
    daily.connection.execute("update ops.as_of set as_of_date = as_of_date - 1")
    daily.connection.execute("select ops.note_content('ops.as_of')")
    daily.connection.execute(
        "update ops.collections set next_transaction = pg_current_xact_id()::text::bigint + 1"
    )
    noted = "select max(change_id) from ops.changes where table_name = 'ops.as_of'"
    before = value(daily.connection, noted)
    assert value(daily.connection, start) is True
    assert value(daily.connection, noted) > before


def test_only_the_days_that_changed_are_replaced(server: TestServer, connect: Connect) -> None:
    """A late row that is lost, or that costs a rebuild, on any server."""
    daily = build(server, connect)
    daily.span("2026-03-31 08:00+00")
    daily.span("2025-11-02 08:00+00")
    assert daily.refresh() == ("2 period", 1, 2)
    assert daily.days() == {"2025-11-02": 1, "2026-03-30": 1, "2026-03-31": 2, "2026-04-01": 1}
    assert daily.ledger()["2026-03-31"] == ("open", 1, 1)
    assert daily.ledger()["2025-11-02"] == ("open", 0, 1)


def test_rows_that_come_out_the_same_are_not_written(daily: Daily) -> None:
    """A mart that is rewritten, and its readers' caches lost, because a source touched a row."""
    daily.connection.execute("update observability.spans set name = 'another'")
    written = value(
        daily.connection, "select array_agg(xmin::text order by daily_key) from marts.daily"
    )
    assert daily.refresh() == ("3 period", 0, 0)
    again = value(
        daily.connection, "select array_agg(xmin::text order by daily_key) from marts.daily"
    )
    assert again == written


def test_a_transaction_that_was_open_is_counted_after_its_commit(daily: Daily) -> None:
    """Rows written before a refresh and committed after it, which every clock-based window loses."""
    slow = psycopg.connect(daily.connection.info.dsn)
    daily.span("2026-03-30 00:00+00", slow)
    daily.span("2026-04-01 12:00+00")
    assert daily.refresh()[0] == "1 period"
    assert daily.refresh()[0] == "nothing", "an open writer must not keep a day dirty"
    slow.commit()
    slow.close()
    assert daily.refresh()[0] == "1 period"
    assert daily.days()["2026-03-30"] == 2


def test_an_idle_writer_in_another_database_costs_nothing(
    daily: Daily, server18: TestServer
) -> None:
    """A forgotten transaction elsewhere on the server that keeps everything since then dirty."""
    with psycopg.connect(server18.empty_database()) as idle:
        idle.execute("create table t (); select pg_current_xact_id()")
        daily.span("2026-03-30 01:00+00")
        assert daily.refresh()[0] == "1 period"
        for _ in range(3):
            assert daily.refresh()[0] == "nothing"


def test_another_sql_computes_everything_anew(daily: Daily) -> None:
    """A changed model whose old days still show what the old one gave."""
    assert daily.refresh(model=MODEL.replace("count(*)", "2 * count(*)"))[0] == "all"
    assert set(daily.days().values()) == {2}


def test_a_table_that_was_dropped_is_built_anew(daily: Daily) -> None:
    """A mart that stays empty because the ledger says it is up to date."""
    daily.connection.execute(
        "drop table marts.daily;"
        "create table marts.daily (daily_key text primary key, usage_date date, calls bigint)"
    )
    assert daily.refresh()[0] == "all"
    assert len(daily.days()) == 3


def test_a_truncated_table_empties_what_was_computed_from_it(daily: Daily) -> None:
    """Sums of rows that are gone."""
    daily.connection.execute("truncate observability.spans")
    assert daily.refresh() == ("all", 3, 0)
    assert {after for _, _, after in daily.ledger().values()} == {0}


def test_a_restored_database_is_computed_anew_once(daily: Daily) -> None:
    """Another server counts its transactions from the start: by number, new rows look old."""
    daily.connection.execute("update ops.collections set server = 'another server/1'")
    daily.connection.execute("update observability.spans set change_id = change_id")
    assert daily.refresh()[0] == "all"
    assert daily.refresh()[0] == "nothing"


def test_numbers_from_another_server_do_not_keep_days_dirty(daily: Daily) -> None:
    """Restored rows whose numbers this server reaches in years, dirty with every refresh until then."""
    daily.connection.execute(
        "alter table observability.spans disable trigger spans_updated;"
        "update observability.spans set change_id = 1000000000000;"
        "alter table observability.spans enable trigger spans_updated"
    )
    assert daily.refresh()[0] == "nothing"


def test_a_row_without_a_day_is_counted(daily: Daily) -> None:
    """Rows whose time is unknown, left out of every period."""
    model = MODEL.replace(
        "(started_at at time zone 'UTC')::date",
        "nullif((started_at at time zone 'UTC')::date, '2026-03-30')",
    )
    assert daily.refresh(model=model)[0] == "all"
    assert daily.days()["None"] == 1
    assert daily.ledger()["0001-01-01"] == ("open", 0, 1)


def test_a_crashed_refresh_leaves_its_work_to_the_next(daily: Daily) -> None:
    """A day marked as done whose rows were rolled back."""
    daily.span("2026-03-30 05:00+00")
    with suppress(ZeroDivisionError), daily.connection.transaction():
        daily.refresh()
        raise ZeroDivisionError
    assert daily.days()["2026-03-30"] == 1
    assert daily.refresh()[0] == "1 period"
    assert daily.days()["2026-03-30"] == 2


# Seals


def test_a_sealed_day_is_copied_and_opened_again_by_a_change(daily: Daily) -> None:
    """A seal that does not hold what the mart held, or that hides a later correction."""
    seal = value(daily.connection, "select ops.seal_period('marts.daily', '2026-03-31')")
    assert daily.ledger()["2026-03-31"][0] == "sealed"
    copy = daily.connection.execute("select seal_number, usage_date::text, calls from sealed.daily")
    assert copy.fetchall() == [(seal, "2026-03-31", 1)]
    daily.span("2026-03-31 08:00+00")
    daily.refresh()
    assert daily.ledger()["2026-03-31"][0] == "open"


def test_a_frozen_day_stands_whatever_happens(daily: Daily) -> None:
    """A number that changes because its raw rows were archived, or a full refresh that loses it."""
    daily.connection.execute("select ops.seal_period('marts.daily', '2026-03-31')")
    daily.connection.execute("select ops.freeze_period('marts.daily', '2026-03-31')")
    daily.connection.execute(
        "delete from observability.spans where started_at < '2026-04-01 00:00+00'"
    )
    before = {"2026-03-31": 1, "2026-04-01": 1}
    daily.refresh()
    assert daily.days() == before
    daily.refresh(is_full=True)
    assert daily.days() == before
    daily.connection.execute(
        "drop table marts.daily;"
        "create table marts.daily (daily_key text primary key, usage_date date, calls bigint, more int)"
    )
    daily.refresh(model=MODEL.replace("day as usage_date,", "day as usage_date, 1 as more,"))
    assert daily.days() == before, "a mart that was dropped gets its frozen days from the seal"
    more = value(daily.connection, "select more from marts.daily where usage_date = '2026-03-31'")
    assert more is None, "a column that is younger than the seal is null"


def test_a_thawed_day_is_computed_from_raw_rows_again(daily: Daily) -> None:
    """Restored rows that no refresh looks at, as nothing says they are back."""
    daily.connection.execute("select ops.seal_period('marts.daily', '2026-03-31')")
    daily.connection.execute("select ops.freeze_period('marts.daily', '2026-03-31')")
    daily.span("2026-03-31 08:00+00")
    assert daily.refresh()[0] == "nothing"
    daily.connection.execute("select ops.thaw_period('marts.daily', '2026-03-31')")
    assert daily.refresh()[0] == "1 period"
    assert daily.days()["2026-03-31"] == 2


@pytest.mark.parametrize(
    ("call", "reason"),
    [
        ("ops.seal_period('marts.daily', '2020-01-01')", "not in the ledger"),
        ("ops.freeze_period('marts.daily', '2026-03-31')", "is not sealed; seal it first"),
        ("ops.thaw_period('marts.daily', '2026-03-31')", "is not frozen"),
    ],
)
def test_states_follow_each_other(daily: Daily, call: str, reason: str) -> None:
    """A day frozen without a copy."""
    with pytest.raises(psycopg.errors.ObjectNotInPrerequisiteState, match=reason):
        daily.connection.execute(f"select {call}".encode())


def test_what_was_altered_after_its_seal_is_not_frozen(daily: Daily) -> None:
    """A mart edited by hand, whose seal then says something else."""
    daily.connection.execute("select ops.seal_period('marts.daily', '2026-03-31')")
    daily.connection.execute("update marts.daily set calls = 7 where usage_date = '2026-03-31'")
    with pytest.raises(psycopg.errors.ObjectNotInPrerequisiteState, match="not what was sealed"):
        daily.connection.execute("select ops.freeze_period('marts.daily', '2026-03-31')")


# Small tables


def test_a_seed_loaded_again_with_the_same_rows_changes_nothing(daily: Daily) -> None:
    """Seeds are loaded anew with each build: everything would be dirty each time."""
    execute = daily.connection.execute
    execute("create table public.seed (a int, b text); insert into seed values (1, 'x'), (2, null)")
    assert value(daily.connection, "select ops.note_content('seed')") is True
    execute("truncate seed; insert into seed values (2, null), (1, 'x')")
    assert value(daily.connection, "select ops.note_content('seed')") is False
    execute("update seed set b = 'y' where a = 1")
    assert value(daily.connection, "select ops.note_content('seed')") is True
