"""The faults that the definition of observability's tables had as it came, and that ours must not have."""

from __future__ import annotations

from decimal import Decimal
from typing import TYPE_CHECKING, Any

import pytest
from faults import (
    accepted,
    acting,
    insert,
    needless_indexes,
    plan,
    refused,
    run,
    staging_sql,
    value,
)

from orchestration import bootstrap

if TYPE_CHECKING:
    from collections.abc import Callable

    import psycopg

ADA = "aaaaaaaa-aaaa-4aaa-8aaa-aaaaaaaaaaaa"
BOB = "bbbbbbbb-bbbb-4bbb-8bbb-bbbbbbbbbbbb"
RUN = "11111111-1111-4111-8111-111111111111"
PROFILES = "".join(
    insert("observability.profiles", id=f"'{user}'", email=f"'{email}'")
    for user, email in ((ADA, "ada@example.org"), (BOB, "bob@example.org"))
)
# Traces as they were: whoever asks is told by a setting, and nobody's traces are everybody's.
OPEN_TRACES = f"""
create table original.traces (trace_id int, user_id uuid);
insert into original.traces values (1, '{ADA}'), (2, null);
alter table original.traces enable row level security;
create policy "read own" on original.traces for select
using (user_id = current_setting('app.user_id')::uuid or user_id is null);
create policy "change own" on original.traces for update
using (user_id = current_setting('app.user_id')::uuid or user_id is null);
grant usage on schema original to authenticated, anon;
grant select, update on original.traces to authenticated, anon;
"""


def trace(**values: str) -> str:
    """Write the statement that inserts a trace; the values are SQL expressions."""
    required = {"workflow_id": "'w'", "execution_id": "gen_random_uuid()"}
    return insert("observability.traces", **(required | values))


def span(**values: str) -> str:
    """Write the statement that inserts a span of the trace RUN; the values are SQL expressions."""
    required = {"trace_id": f"'{RUN}'", "span_type": "'llm'", "name": "'answer'"}
    return insert("observability.spans", **(required | values))


@pytest.fixture
def database(database: psycopg.Connection) -> psycopg.Connection:
    """The database of this file with two users and one finished trace, RUN, of the first."""
    finished = trace(trace_id=f"'{RUN}'", user_id=f"'{ADA}'", status="'completed'")
    run(database, PROFILES, finished)
    return database


@pytest.fixture(scope="module")
def staged(module_url: str) -> dict[str, Any]:
    """The queries of the staging views."""
    return staging_sql(module_url, "stg_observability__traces", "stg_observability__spans")


def test_the_users_that_traces_name_exist(database: psycopg.Connection) -> None:
    """A set-up that stops at its first line, as nobody made the table of users."""
    refused(
        database,
        "create table original.traces (user_id uuid references original.profiles)",
        "42P01",
    )
    assert value(database, "select user_id::text from observability.traces") == ADA
    stranger = "cccccccc-cccc-4ccc-8ccc-cccccccccccc"
    refused(database, trace(user_id=f"'{stranger}'"), "23503", "traces_user_id_fkey")


@pytest.mark.parametrize(
    ("setting", "content"),
    [
        ("app.user_id", ADA),
        ("request.jwt.claims", f'{{"sub": "{ADA}", "role": "authenticated"}}'),
    ],
)
def test_policies_need_nothing_of_a_vendors(
    database: psycopg.Connection, setting: str, content: str
) -> None:
    """Policies that cannot be made outside one vendor's service, which alone knows auth.uid()."""
    refused(database, "select auth.uid()", "3F000")
    database.execute("select set_config(%s, %s, true)", (setting, content))
    run(database, "set local role authenticated")
    assert value(database, "select count(*) from observability.traces") == 1


def test_policies_survive_a_second_run(
    database: psycopg.Connection, module_url: str, connect: Callable[[str], psycopg.Connection]
) -> None:
    """A deployment that is repeated and fails at its first policy, which is there already."""
    run(database, "create table original.traces (user_id uuid)")
    run(database, "create policy traces_own on original.traces using (true)")
    refused(database, "create policy traces_own on original.traces using (true)", "42710")
    assert bootstrap.bootstrap(connect(module_url)) == []


def test_a_large_cost_is_kept_to_the_last_digit(database: psycopg.Connection) -> None:
    """A trace that cannot be saved at all, because it cost 10,000 dollars."""
    run(database, "create table original.traces (total_cost numeric(10, 6))")
    refused(database, "insert into original.traces values (10000)", "22003")
    cost = "123456789.0000000123"
    run(database, trace(total_cost=cost) + span(cost=cost))
    for column in ("max(total_cost) from observability.traces", "cost from observability.spans"):
        assert value(database, f"select {column}") == Decimal(cost)


def test_nobodys_traces_are_not_everybodys(database: psycopg.Connection) -> None:
    """Any caller, even without a login, reads the traces without a user and takes them over."""
    run(database, OPEN_TRACES)
    steal = f"update {{}}.traces set user_id = '{BOB}' where user_id is null returning 1"
    with acting(database, "anon", BOB):
        assert value(database, "select count(*) from original.traces") == 1
        assert value(database, steal.format("original")) == 1

    run(database, trace(user_id="null"))
    with acting(database, "authenticated", BOB):
        assert value(database, "select count(*) from observability.traces") == 0
        assert database.execute(steal.format("observability").encode()).fetchall() == []
        refused(database, trace(user_id="null"), "42501")
        refused(database, trace(user_id=f"'{ADA}'"), "42501")
    with acting(database, "authenticated", ADA):
        give_away = f"update observability.traces set user_id = '{BOB}'"
        refused(database, give_away, "42501")
    with acting(database, "anon"):
        refused(database, "select from observability.traces", "42501")


def test_retention_deletes_what_it_says(database: psycopg.Connection) -> None:
    """A clean-up that deletes nothing and reports no error: no policy let its caller delete."""
    run(database, OPEN_TRACES)
    run(database, "grant delete on original.traces to authenticated")
    with acting(database, "authenticated", ADA):
        deleted = database.execute("delete from original.traces")
        assert deleted.rowcount == 0
    assert value(database, "select count(*) from original.traces") == 2

    with acting(database, "authenticated", ADA):
        refused(database, "select observability.cleanup_old_traces(1)", "42501")
        refused(database, "delete from observability.traces", "42501")
    run(database, "update observability.traces set started_at = now() - interval '2 days'")
    with acting(database, "agentbooks_retention"):
        assert value(database, "select observability.cleanup_old_traces(1)") == 1
    assert value(database, "select count(*) from observability.traces") == 0


def test_traces_leave_however_they_ended(database: psycopg.Connection) -> None:
    """Failed, cancelled and crashed runs that stay for ever: only completed ones were deleted."""
    states = ("completed", "failed", "cancelled", "running")
    run(
        database,
        "create table original.traces (status text);"
        + "".join(insert("original.traces", status=f"'{status}'") for status in states)
        + "delete from original.traces where status = 'completed'",
    )
    assert value(database, "select count(*) from original.traces") == 3

    old = {"started_at": "now() - interval '100 days'"}
    run(
        database,
        "".join(trace(status=f"'{status}'", **old) for status in states)
        + "update observability.traces set status = 'running', started_at = now() - interval"
        + f" '100 days' where trace_id = '{RUN}';"
        + span(status="'running'"),
    )
    assert value(database, "select observability.cleanup_old_traces(90)") == 4
    at_work = value(database, "select trace_id::text from observability.traces")
    assert at_work == RUN, "leave a run that still writes"


@pytest.mark.parametrize("days", ["null", "0", "-1"])
def test_a_term_that_is_none_is_refused(database: psycopg.Connection, days: str) -> None:
    """A term of null days that keeps everything without a word, and of -1 that deletes everything."""
    run(database, "create table original.traces as select now() - interval '1 hour' as started_at")
    deleted = database.execute(
        f"delete from original.traces where started_at < now() - ({days} || ' days')::interval".encode()
    )
    assert deleted.rowcount == (0 if days == "null" else 1)
    run(database, trace(started_at="now() - interval '1 hour'"))
    refused(database, f"select observability.cleanup_old_traces({days})", "22023")


def test_a_start_is_the_same_moment_in_every_session(database: psycopg.Connection) -> None:
    """Runs hours apart that ran at the same time: each session wrote its own local time."""
    run(database, "create table original.traces (started_at timestamp default now())")
    for zone in ("Asia/Kolkata", "America/New_York"):
        database.execute("select set_config('timezone', %s, true)", (zone,))
        run(database, insert("original.traces", started_at="default") + trace())
    assert value(database, "select count(distinct started_at) from original.traces") == 2
    assert value(database, "select count(distinct started_at) from observability.traces") == 1
    without_zone = value(
        database,
        "select count(*) from information_schema.columns"
        " where table_schema = 'observability' and data_type = 'timestamp without time zone'",
    )
    assert without_zone == 0, "make it timestamptz"


@pytest.mark.parametrize(
    ("values", "constraint"),
    [
        ({"cost": "-0.01"}, "spans_cost_check"),
        ({"duration_ms": "-1"}, "spans_duration_ms_check"),
        (
            {"started_at": "'2026-01-01 10:00Z'", "completed_at": "'2026-01-01 09:00Z'"},
            "spans_end_not_before_start",
        ),
        ({"span_type": "'lmm'"}, "valid_span_type"),
    ],
)
def test_a_step_cannot_be_impossible(
    database: psycopg.Connection, values: dict[str, str], constraint: str
) -> None:
    """Refunds, negative durations and misspelt steps, which sums then take at their word."""
    run(
        database,
        "create table original.spans (cost numeric, duration_ms int, started_at timestamptz,"
        " completed_at timestamptz, span_type text)",
    )
    accepted(database, insert("original.spans", **values))
    refused(database, span(**values), "23514", constraint)


@pytest.mark.parametrize(
    ("values", "constraint"),
    [
        ({"total_cost": "-0.01"}, "traces_total_cost_check"),
        ({"total_duration_ms": "-1"}, "traces_total_duration_ms_check"),
        (
            {"started_at": "'2026-01-01 10:00Z'", "completed_at": "'2026-01-01 09:00Z'"},
            "traces_end_not_before_start",
        ),
    ],
)
def test_a_run_cannot_be_impossible(
    database: psycopg.Connection, values: dict[str, str], constraint: str
) -> None:
    """A run that cost less than nothing, or was over before it began."""
    run(
        database,
        "create table original.traces (total_cost numeric, total_duration_ms int,"
        " started_at timestamptz, completed_at timestamptz)",
    )
    accepted(database, insert("original.traces", **values))
    refused(database, trace(**values), "23514", constraint)


def test_a_run_whose_end_was_not_recorded_gets_none(
    database: psycopg.Connection, staged: dict[str, Any]
) -> None:
    """A completed run without an end that counts as one of no length."""
    run(
        database,
        "create table original.traces (status text, completed_at timestamp,"
        " total_duration_ms int default 0);" + insert("original.traces", status="'completed'"),
    )
    assert value(database, "select total_duration_ms from original.traces") == 0
    row = database.execute(
        f"select status, ended_at, duration_recorded_ms from ({staged['stg_observability__traces']})"
        " as traces".encode()
    ).fetchone()
    assert row == ("succeeded", None, None)


def test_no_step_is_its_own_parent(database: psycopg.Connection) -> None:
    """A walk up the tree of steps that never ends."""
    run(
        database,
        "create table original.spans (span_id int primary key,"
        " parent_span_id int references original.spans)",
    )
    accepted(database, "insert into original.spans values (1, 1)")
    refused(
        database,
        span(span_id=f"'{ADA}'", parent_span_id=f"'{ADA}'"),
        "23514",
        "spans_not_own_parent",
    )


def test_children_are_told_by_their_parent_alone(
    database: psycopg.Connection, staged: dict[str, Any]
) -> None:
    """A list of children beside the children's key to their parent, of which one was made up."""
    run(database, "create table original.spans (span_id int, child_spans text[])")
    accepted(database, "insert into original.spans values (1, '{no such step}')")
    run(
        database,
        span(span_id=f"'{ADA}'", child_spans="'{no such step}'")
        + span(span_id=f"'{BOB}'", parent_span_id=f"'{ADA}'"),
    )
    steps = f"({staged['stg_observability__spans']}) as spans"
    refused(database, f"select child_spans from {steps}", "42703")
    children = f"select array_agg(span_id::text) from {steps} where parent_span_id = '{ADA}'"
    assert value(database, children) == [BOB]


def test_what_is_not_known_yet_is_not_zero(database: psycopg.Connection) -> None:
    """Means that sink while runs are under way: each counted as free and instant until it ended."""
    done = {"total_duration_ms": "4000", "total_cost": "2"}
    run(
        database,
        "create table original.traces (total_duration_ms int default 0, total_cost numeric default 0);"
        "insert into original.traces default values;"
        + insert("original.traces", **done)
        + trace(status="'running'")
        + trace(status="'completed'", **done),
    )
    means = "select array[avg(total_duration_ms), avg(total_cost)] from {}.traces"
    assert value(database, means.format("original")) == [2000, 1]
    assert value(database, means.format("observability")) == [4000, 2]


def test_a_failed_run_costs_what_its_steps_cost(
    database: psycopg.Connection, staged: dict[str, Any]
) -> None:
    """Failed runs that seem to cost nothing: the engine adds up a run's cost only if it succeeds."""
    run(
        database,
        "create table original.traces (status text, total_cost numeric default 0);"
        + insert("original.traces", status="'failed'"),
    )
    assert value(database, "select total_cost from original.traces") == 0
    run(database, "update observability.traces set status = 'failed'")
    run(database, span(cost="0.25") + span(cost="0.50"))
    recorded = f"select cost_recorded_usd from ({staged['stg_observability__traces']}) as traces"
    assert value(database, recorded) is None
    steps = f"select sum(reported_cost_usd) from ({staged['stg_observability__spans']}) as spans"
    assert value(database, steps) == Decimal("0.75")


def test_tokens_are_called_the_same_in_runs_and_steps(
    database: psycopg.Connection, staged: dict[str, Any]
) -> None:
    """A run's tokens that a query for its steps' keys does not find: the two spell them otherwise."""
    totals = """'{"input": 10, "output": 2, "total": 12}'"""
    tokens = """'{"input_tokens": 10, "output_tokens": 2, "total_tokens": 12}'"""
    run(database, f"create table original.traces as select {totals}::jsonb as total_tokens")
    assert value(database, "select total_tokens -> 'input_tokens' from original.traces") is None
    run(database, f"update observability.traces set total_tokens = {totals}")
    run(database, span(tokens=tokens) + trace())
    counts = "select input_tokens, output_tokens, total_tokens from ({}) as staged order by 1"
    runs = database.execute(counts.format(staged["stg_observability__traces"]).encode())
    assert runs.fetchall() == [(10, 2, 12), (None, None, None)]
    steps = database.execute(counts.format(staged["stg_observability__spans"]).encode())
    assert steps.fetchall() == [(10, 2, 12)]


def test_a_workflow_that_was_never_saved_stops_no_query(
    database: psycopg.Connection, staged: dict[str, Any]
) -> None:
    """A report by workflow that fails, because one run's workflow is called 'unknown'."""
    run(database, "create table original.traces as select 'unknown' as workflow_id")
    refused(database, "select workflow_id::uuid from original.traces", "22P02")
    run(database, "update observability.traces set workflow_id = 'unknown'")
    staged_run = (
        f"select workflow, workflow_id from ({staged['stg_observability__traces']}) as traces"
    )
    assert database.execute(staged_run.encode()).fetchall() == [("unknown", None)]


def test_a_deleted_users_traces_are_hidden(database: psycopg.Connection) -> None:
    """A user who leaves, whereupon everybody can read what the user asked."""
    run(database, OPEN_TRACES)
    count = "select count(*) from {}.traces"
    with acting(database, "authenticated", BOB):
        assert value(database, count.format("original")) == 1
    run(database, f"update original.traces set user_id = null where user_id = '{ADA}'")
    with acting(database, "authenticated", BOB):
        assert value(database, count.format("original")) == 2

    run(database, f"delete from observability.profiles where id = '{ADA}'")
    assert value(database, "select user_id from observability.traces") is None
    with acting(database, "authenticated", BOB):
        assert value(database, count.format("observability")) == 0


def test_no_index_repeats_another(database: psycopg.Connection) -> None:
    """Three indexes that a unique key or a longer index already serves, and every write pays for."""
    run(
        database,
        "create table original.traces (execution_id text unique, workflow_id text, started_at date);"
        "create index idx_execution on original.traces (execution_id);"
        "create index idx_workflow on original.traces (workflow_id);"
        "create index on original.traces (workflow_id, started_at desc)",
    )
    assert needless_indexes(database, "original") == [
        "original.idx_execution",
        "original.idx_workflow",
    ]
    assert needless_indexes(database, "observability") == [], "drop them"


def test_secrets_in_settings_are_in_no_index_and_under_no_job(database: psycopg.Connection) -> None:
    """Keys of other services copied into an index, and readable by every job that reads users."""
    indexed = "select indexdef from pg_indexes where tablename = 'profiles' and indexdef like '%settings%'"
    run(database, "create table original.profiles (settings jsonb)")
    run(database, "create index on original.profiles using gin (settings)")
    assert len(database.execute(indexed.encode()).fetchall()) == 1
    run(database, "drop table original.profiles")
    assert database.execute(indexed.encode()).fetchall() == []
    for role in ("agentbooks_loader", "agentbooks_refresher", "agentbooks_retention"):
        with acting(database, role):
            accepted(database, "select email from observability.profiles")
            refused(database, "select settings from observability.profiles", "42501")


def test_ids_need_no_extension(database: psycopg.Connection) -> None:
    """A set-up that fails where the extension uuid-ossp may not be installed."""
    refused(database, "select uuid_generate_v4()", "42883")
    accepted(database, trace(trace_id="default") + trace(trace_id="default"))


def test_a_check_does_not_take_a_namesake_for_the_real_thing(database: psycopg.Connection) -> None:
    """A check that passes although a policy is missing: a table elsewhere has one of that name."""
    run(
        database,
        "drop policy traces_own on observability.traces;"
        "create table original.traces (user_id uuid);"
        "create policy traces_own on original.traces using (true)",
    )
    assert (
        value(
            database,
            "select count(*) from pg_policies where policyname = 'traces_own' and schemaname <> 'archive'",
        )
        == 1
    )
    [verify] = [
        c.verify for c in bootstrap.read_changes() if c.version == "210_observability_traces"
    ]
    refused(database, verify, "22012")


def test_a_limit_says_its_unit(database: psycopg.Connection, staged: dict[str, Any]) -> None:
    """A timeout of 30 that means seconds to its writer and milliseconds to its reader."""
    unit = (
        "select coalesce(bool_and(a.attname ~ '_ms$' or d.description ~ 'Nothing reads it'), false)"
        " from pg_attribute as a left join pg_description as d"
        " on d.objoid = a.attrelid and d.objsubid = a.attnum"
        " where a.attrelid = '{}'::regclass and a.attname ~ '^timeout'"
    )
    run(database, "create table original.spans (timeout int)")
    assert not value(database, unit.format("original.spans"))
    assert value(database, unit.format("observability.spans")), "name the unit in the column's name"
    accepted(database, span(timeout_ms="30000"))
    steps = staged["stg_observability__spans"]
    refused(database, f"select timeout from ({steps}) as spans", "42703")


def test_a_step_is_shown_without_looking_up_its_trace(database: psycopg.Connection) -> None:
    """A list of steps that takes minutes: its policy looked into another table for each row."""
    run(
        database,
        OPEN_TRACES + "create table original.spans (trace_id int);"
        "insert into original.spans values (1);"
        "alter table original.spans enable row level security;"
        "create policy own on original.spans using (exists ("
        "    select from original.traces as t where t.trace_id = spans.trace_id));"
        "grant select on original.spans to authenticated",
    )
    run(database, span(user_id=f"'{ADA}'") + span(user_id=f"'{BOB}'"))
    with acting(database, "authenticated", ADA):
        assert "SubPlan" in plan(database, "select from original.spans")
        ours = plan(database, "select from observability.spans")
        assert "SubPlan" not in ours, "decide by the span's own columns"
        assert "Index Cond: (user_id = (InitPlan" in ours, (
            "ask once who is calling, and use the index"
        )
        assert value(database, "select user_id::text from observability.spans") == ADA
