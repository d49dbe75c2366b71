"""The faults that the definition of traceability's tables had as it came, and that ours must not have."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from faults import accepted, acting, insert, refused, run, value

from orchestration import bootstrap, server

if TYPE_CHECKING:
    import psycopg

TABLES = (
    "agent_chaining_patterns",
    "agent_routing_decisions",
    "endpoint_calls",
    "error_patterns",
    "execution_traces",
    "hook_executions",
    "pattern_usage_log",
    "success_patterns",
)
VIEWS = (
    "agent_performance",
    "dashboard_summary",
    "error_analysis",
    "pattern_effectiveness",
    "trace_summary",
)
FUNCTIONS = (
    "bury_pattern",
    "cleanup_old_data",
    "error_message_pattern",
    "find_similar_patterns",
    "forget_learned_uses",
    "get_trace_timeline",
    "match_patterns",
    "match_score",
    "record_error_pattern",
    "record_pattern_usage",
    "set_updated_at",
)
OLD = "now() - interval '100 days'"
RUN = "11111111-1111-4111-8111-111111111111"
PATTERN = "22222222-2222-4222-8222-222222222222"
REAL_CLEAN_UP = "select table_name, rows from traceability.cleanup_old_data(90, 180, false)"


def trace(trace_id: str = RUN, **values: str) -> str:
    """Write the statement that inserts a finished trace, by default a root; values are SQL."""
    key = f"'{trace_id}'"
    required = {"id": key, "correlation_id": key, "root_id": key, "session_id": key}
    rest = {"source": "'user_prompt'", "status": "'completed'"}
    return insert("traceability.execution_traces", **(required | rest | values))


def pattern(**values: str) -> str:
    """Write the statement that inserts the pattern PATTERN; the values are SQL expressions."""
    required = {"id": f"'{PATTERN}'", "pattern_hash": "'p'", "agent_sequence": "'{coder}'"}
    return insert("traceability.success_patterns", **(required | values))


def use(**values: str) -> str:
    """Write the statement that inserts a use of the pattern by the trace RUN."""
    required = {"pattern_id": f"'{PATTERN}'", "trace_id": f"'{RUN}'"}
    return insert("traceability.pattern_usage_log", **(required | values))


def routing(**values: str) -> str:
    """Write the statement that inserts a routing decision for the trace RUN."""
    required = {
        "trace_id": f"'{RUN}'",
        "agent_selected": "'coder'",
        "confidence_score": "0.9",
        "routing_strategy": "'explicit'",
    }
    return insert("traceability.agent_routing_decisions", **(required | values))


def hook(**values: str) -> str:
    """Write the statement that inserts a hook's run in the trace RUN."""
    required = {
        "trace_id": f"'{RUN}'",
        "hook_type": "'Stop'",
        "hook_name": "'stop'",
        "execution_order": "1",
    }
    return insert("traceability.hook_executions", **(required | values))


def call(**values: str) -> str:
    """Write the statement that inserts an endpoint call in the trace RUN."""
    required = {
        "trace_id": f"'{RUN}'",
        "service": "'RAG'",
        "endpoint_url": "'/search'",
        "method": "'POST'",
        "success": "true",
    }
    return insert("traceability.endpoint_calls", **(required | values))


def count(connection: psycopg.Connection, table: str) -> int:
    """Count a table's rows."""
    return int(value(connection, f"select count(*) from {table}"))


def clean_up(connection: psycopg.Connection) -> dict[str, int]:
    """Delete what is over its term, as the job does, and give the rows by table."""
    with acting(connection, "agentbooks_retention"):
        return dict(connection.execute(REAL_CLEAN_UP).fetchall())


def test_the_extension_for_vectors_goes_by_its_own_name(database: psycopg.Connection) -> None:
    """A set-up that stops at its first line: pgvector's extension is called vector."""
    refused(database, "create extension pgvector", "0A000")
    assert value(database, "select count(*) from pg_extension where extname = 'vector'") == 1


def test_everything_that_is_named_is_there(database: psycopg.Connection) -> None:
    """Views and clean-up jobs over tables that were promised in twelve files and never given."""
    refused(database, "select from original.execution_traces", "42P01")
    for relation in TABLES + VIEWS:
        accepted(database, f"select from traceability.{relation}")
    routines = database.execute(
        "select proname from pg_proc where pronamespace = 'traceability'::regnamespace order by 1"
    )
    assert tuple(name for (name,) in routines) == FUNCTIONS


def test_settings_of_the_server_are_not_set_by_sql(database: psycopg.Connection) -> None:
    """Tuning that fails half-way: a running server cannot change how much memory it shares."""
    refused(database, "set shared_buffers = '256MB'", "55P02")
    assert "shared_buffers" in server.SETTINGS, "give the server its settings when it starts"
    scripts = " ".join(change.deploy for change in bootstrap.read_changes())
    assert "shared_buffers" not in scripts


def test_a_trace_leaves_with_all_that_hangs_on_it(database: psycopg.Connection) -> None:
    """A clean-up that fails at the first trace that anything was recorded for."""
    run(
        database,
        "create table original.traces (id int primary key);",
        "create table original.hooks (trace_id int references original.traces);",
        "insert into original.traces values (1); insert into original.hooks values (1)",
    )
    refused(database, "delete from original.traces", "23503")
    run(database, trace(started_at=OLD), routing(), hook(started_at=OLD), call(started_at=OLD))
    assert clean_up(database)["execution_traces"] == 1
    for table in (
        "execution_traces",
        "agent_routing_decisions",
        "hook_executions",
        "endpoint_calls",
    ):
        assert count(database, f"traceability.{table}") == 0, f"{table} keeps rows of a gone trace"


def test_rows_move_between_tables_with_computed_columns(database: psycopg.Connection) -> None:
    """A move by position that fails once a column is added, and at once where one is computed."""
    run(
        database,
        "create table original.uses (id int, double int generated always as (id * 2) stored);",
        "create table original.old_uses (like original.uses including all);",
        "insert into original.uses values (1)",
    )
    move = "insert into original.old_uses select * from original.uses"
    refused(database, move, "428C9")
    run(database, "alter table original.uses add column note text")
    refused(database, move, "42601")

    run(database, "alter table traceability.pattern_usage_log add column note text;", pattern())
    run(
        database,
        use(
            used_at="'2021-05-05'",
            expected_duration_ms="10",
            actual_duration_ms="15",
            note="'kept'",
        ),
    )
    run(
        database,
        "select ops.create_month_partitions("
        "'traceability.pattern_usage_log', '2021-05-01', '2021-05-31')",
    )
    moved = database.execute(
        "select tableoid::regclass::text, performance_variance, note"
        " from traceability.pattern_usage_log"
    ).fetchall()
    assert moved == [("traceability.pattern_usage_log_y2021m05", 0.5, "kept")]


def test_a_place_for_old_rows_is_made_once_and_stays_closed(database: psycopg.Connection) -> None:
    """A monthly move that fails in its second month, into a table that everybody may read."""
    run(
        database,
        "create table original.traces (user_id text);",
        "alter table original.traces enable row level security;",
        "create table original.archive (like original.traces including all)",
    )
    refused(database, "create table original.archive (like original.traces including all)", "42P07")
    protected = "select relrowsecurity from pg_class where oid = '{}'::regclass"
    assert not value(database, protected.format("original.archive"))

    make = (
        "select ops.create_month_partitions("
        "'traceability.hook_executions', '2021-05-01', '2021-05-31')"
    )
    assert value(database, make) == 1
    assert value(database, make) == 0
    month = "traceability.hook_executions_y2021m05"
    assert value(database, protected.format(month))
    with acting(database, "authenticated", "ada"):
        refused(database, f"select from {month}", "42501")


def test_a_pattern_that_was_used_can_be_deleted(database: psycopg.Connection) -> None:
    """A clean-up of bad patterns that fails at the first one that anybody ever tried."""
    run(
        database,
        "create table original.patterns (id int primary key);",
        "create table original.uses (pattern_id int references original.patterns);",
        "insert into original.patterns values (1); insert into original.uses values (1)",
    )
    refused(database, "delete from original.patterns", "23503")
    run(database, trace(), pattern(), use(), routing(pattern_id=f"'{PATTERN}'"))
    run(database, "delete from traceability.success_patterns")
    assert count(database, "traceability.pattern_usage_log") == 0
    decided = "select pattern_id is null from traceability.agent_routing_decisions"
    assert value(database, decided), "what was decided stays true without the pattern"


@pytest.mark.parametrize("name", ["idx_pattern_embedding", "idx_routing_embedding"])
def test_the_index_that_upkeep_rebuilds_is_there(database: psycopg.Connection, name: str) -> None:
    """An upkeep script that fails, since one of its two indexes was never made."""
    refused(database, f"reindex index original.{name}", "42P01")
    refused(database, f"drop index original.{name}", "42704")
    accepted(database, f"reindex index traceability.{name}")


def test_policies_name_roles_that_exist(database: psycopg.Connection) -> None:
    """Policies that cannot be made on a plain server, which has none of a vendor's roles."""
    run(database, "create table original.traces (id int)")
    refused(database, "create policy p on original.traces to vendors_role using (true)", "42704")
    roles = database.execute(
        "select rolname, rolcanlogin from pg_roles"
        " where rolname in ('service_role', 'authenticated', 'anon') order by 1"
    ).fetchall()
    assert roles == [("anon", False), ("authenticated", False), ("service_role", False)]


def test_the_index_of_recent_errors_has_no_moving_edge(database: psycopg.Connection) -> None:
    """A first deployment that failed, as an index cannot follow the clock."""
    run(database, "create table original.errors (last_occurrence_at timestamptz)")
    by_clock = "where last_occurrence_at > now() - interval '7 days'"
    refused(database, f"create index on original.errors (last_occurrence_at) {by_clock}", "42P17")
    definition = value(
        database, "select pg_get_indexdef('traceability.idx_error_recent'::regclass)"
    )
    assert definition.endswith("(last_occurrence_at DESC, severity)")


@pytest.mark.parametrize("table", TABLES)
def test_a_check_of_the_tables_looks_for_each_of_them(
    database: psycopg.Connection, table: str
) -> None:
    """A check that finds tables of strangers and never looks for three of the eight."""
    run(database, "create table original.trace_of_a_stranger (id int)")
    found = database.execute(
        "select table_name from information_schema.tables where table_schema = 'traceability'"
        " and table_name like '%trace%' or table_name like '%pattern%'"
        " or table_schema = 'original'"
    ).fetchall()
    assert ("trace_of_a_stranger",) in found
    assert ("hook_executions",) not in found

    run(database, f"alter table traceability.{table} rename to gone")
    checks = "".join(c.verify for c in bootstrap.read_changes() if "traceability" in c.version)
    refused(database, checks, "42P01")


def test_our_routines_stand_alone(database: psycopg.Connection) -> None:
    """A count of six functions that nobody can check among the hundreds of an extension."""
    routines = "select count(*) from information_schema.routines where routine_schema = '{}'"
    assert value(database, routines.format("public")) > len(FUNCTIONS)
    assert value(database, routines.format("traceability")) == len(FUNCTIONS)


def test_a_pattern_that_nobody_used_leaves_too(database: psycopg.Connection) -> None:
    """Patterns that were learned and never used, and that no clean-up ever takes."""
    old = {"created_at": "now() - interval '31 days'"}
    run(
        database,
        "create table original.patterns (success_rate numeric default 1, last_used_at timestamptz);",
        "insert into original.patterns default values;",
        "delete from original.patterns"
        " where success_rate < 0.5 and last_used_at < now() - interval '30 days'",
    )
    assert count(database, "original.patterns") == 1
    run(database, pattern(**old), pattern(id="default", pattern_hash="'young'"))
    assert clean_up(database)["success_patterns"] == 1
    assert value(database, "select pattern_hash from traceability.success_patterns") == "young"


def test_names_in_capitals_are_quoted(database: psycopg.Connection) -> None:
    """A report on tables that fails at the first one whose name has a capital letter."""
    run(
        database,
        'create table original."Uses" (used_at timestamptz) partition by range (used_at);',
        'alter table original."Uses" owner to agentbooks_owner;',
        "grant usage, create on schema original to agentbooks_owner",
    )
    by_hand = "select pg_total_relation_size(schemaname || '.' || tablename) from pg_tables"
    refused(database, f"{by_hand} where schemaname = 'original'", "42P01")
    run(
        database,
        """select ops.create_month_partitions('original."Uses"', '2021-05-01', '2021-05-31')""",
    )
    assert value(database, """select 'original."Uses_y2021m05"'::regclass is not null""")


def test_similar_patterns_are_found_whatever_was_there_first(database: psycopg.Connection) -> None:
    """A search that misses most of what is there: its lists were drawn up before there was a row."""
    vectors = (
        "select (select array_agg(sin(n * 7919 + i * (n % 13 + 1))) from generate_series(1, 1536) as i)"
        "::vector(1536) as embedding, n from generate_series(1, 100) as n"
    )
    run(
        database,
        "set local client_min_messages = error; set local enable_seqscan = off;",
        "create table original.patterns (embedding vector(1536));",
        "create index on original.patterns using ivfflat (embedding vector_cosine_ops)"
        " with (lists = 200);",
        f"insert into original.patterns select embedding from ({vectors}) as v",
    )
    nearest = (
        "select count(*) from (select from original.patterns"
        " order by embedding <=> (select embedding from original.patterns limit 1) limit 100) as p"
    )
    assert value(database, nearest) < 100

    run(
        database,
        "insert into traceability.success_patterns (pattern_hash, agent_sequence, prompt_embedding)"
        f" select n, '{{coder}}', embedding from ({vectors}) as v",
    )
    found = value(
        database,
        "select count(*) from traceability.find_similar_patterns("
        "(select prompt_embedding from traceability.success_patterns limit 1), -1, null)",
    )
    assert found == 100


@pytest.mark.parametrize(
    ("arguments", "score"),
    [
        ("1, '{a,b}', '{B,A}', true, true, 1", "1.0000"),
        ("0.9, '{a,b}', '{b,c,d,b}', true, false, 0.8", "0.7567"),
        ("1, '{a,a}', '{a,b}', false, false, null", "0.6600"),
        ("-1, '{}', '{}', null, null, 0", "0.1100"),
        ("null, null, null, null, null, null", "0.1600"),
        ("1.0000001, '{}', '{a}', true, true, 1", "0.8000"),
    ],
)
def test_a_match_adds_up_its_five_parts(
    database: psycopg.Connection, arguments: str, score: str
) -> None:
    """A score above one, one of nothing, or null: words said twice, no keywords, an unused pattern."""
    assert str(value(database, f"select traceability.match_score({arguments})")) == score


def test_patterns_are_advised_by_their_match_and_not_by_similarity(
    database: psycopg.Connection,
) -> None:
    """A replay of the nearest pattern, though its intent, its words and its record speak against it."""
    for name, angle, words, intent, counts in (
        ("fits", 0.1, "{refund,late}", "debugging", (9, 1)),
        ("near", 0.0, "{}", "testing", (1, 9)),
        ("far", 1.5, "{refund,late}", "debugging", (9, 0)),
        ("unused", 0.1, "{refund}", "debugging", (0, 0)),
        ("retired", 0.0, "{refund,late}", "debugging", (9, 0)),
    ):
        run(
            database,
            "insert into traceability.success_patterns (pattern_hash, agent_sequence, keywords,"
            " intent_classification, success_count, failure_count, is_active, prompt_embedding)"
            f" values ('{name}', '{{a}}', '{words}', '{intent}', {counts[0]}, {counts[1]},"
            f" {name != 'retired'}, (array[cos({angle}), sin({angle})]"
            " || array_fill(0::float8, array[1534]))::vector)",
        )
    found = database.execute(
        "select pattern_hash, advice, match_score from traceability.match_patterns("
        "(array[1.0] || array_fill(0::numeric, array[1535]))::vector, '{late,refund}', 'debugging')"
        " join traceability.success_patterns on id = pattern_id order by match_score desc"
    ).fetchall()
    assert [(name, advice, str(score)) for name, advice, score in found] == [
        ("fits", "replay", "0.9380"),
        ("unused", "suggest", "0.7980"),
    ]


def test_a_tree_of_traces_leaves_when_all_of_it_is_over(database: psycopg.Connection) -> None:
    """A clean-up by age alone that takes a run while it works, and a parent from its children."""
    child = "33333333-3333-4333-8333-333333333333"
    run(
        database,
        "create table original.traces (status text, started_at timestamptz);",
        f"insert into original.traces values ('in_progress', {OLD});",
        "delete from original.traces where started_at < now() - interval '90 days'",
    )
    assert count(database, "original.traces") == 0

    run(database, trace(status="'in_progress'", started_at=OLD))
    run(
        database,
        trace(child, root_id=f"'{RUN}'", parent_id=f"'{RUN}'", started_at=OLD),
    )
    assert clean_up(database)["execution_traces"] == 0, "part of the tree still runs"
    run(database, "update traceability.execution_traces set status = 'completed'")
    run(
        database,
        f"update traceability.execution_traces set started_at = now() where id = '{child}'",
    )
    assert clean_up(database)["execution_traces"] == 0, "part of the tree is young"
    run(database, f"update traceability.execution_traces set started_at = {OLD}")
    assert clean_up(database)["execution_traces"] == 2


def test_uses_of_patterns_outlive_their_traces(database: psycopg.Connection) -> None:
    """Traces that cannot leave after 90 days, as uses of patterns are kept for 180."""
    run(
        database,
        "create table original.traces (id int primary key);",
        "create table original.uses (trace_id int references original.traces);",
        "insert into original.traces values (1); insert into original.uses values (1)",
    )
    refused(database, "delete from original.traces", "23503")
    run(
        database,
        trace(started_at=OLD),
        pattern(success_count="1"),
        use(used_at=OLD),
        use(used_at="now() - interval '200 days'"),
    )
    assert clean_up(database) == {
        "execution_traces": 1,
        "pattern_usage_log": 1,
        "success_patterns": 0,
    }
    assert value(database, "select trace_id::text from traceability.pattern_usage_log") == RUN


def test_the_numbers_are_those_that_were_measured(database: psycopg.Connection) -> None:
    """Three documents that tell three different numbers of policies, none of them counted."""
    counts = database.execute(
        """
        with ours as (
            select c.oid, c.relkind from pg_class as c
            where c.relnamespace = 'traceability'::regnamespace and not c.relispartition
        )
        select
            count(*) filter (where relkind in ('r', 'p')) as tables,
            count(*) filter (where relkind = 'v') as views,
            count(*) filter (where relkind in ('i', 'I')) as indexes,
            (select count(*) from pg_policy where polrelid in (select oid from ours)) as policies,
            (
                select count(*) from pg_trigger
                where tgrelid in (select oid from ours) and tgname like 'trg%updated_at'
            ) as triggers
        from ours
        """
    ).fetchone()
    assert counts == (8, 5, 69, 16, 8)


def test_nothing_has_to_be_opened_to_look_into_it(database: psycopg.Connection) -> None:
    """Policies switched off to look for an error, and from then on off for everybody."""
    run(
        database,
        "create table original.traces (user_id text); insert into original.traces values ('bob');",
        "alter table original.traces enable row level security;",
        "alter table original.traces disable row level security;",
        "grant usage on schema original to authenticated;",
        "grant select on original.traces to authenticated",
    )
    run(database, trace(user_id="'bob'"))
    with acting(database, "authenticated", "ada"):
        assert count(database, "original.traces") == 1
        assert count(database, "traceability.execution_traces") == 0
    with acting(database, "agentbooks_refresher"):
        assert count(database, "traceability.execution_traces") == 1
