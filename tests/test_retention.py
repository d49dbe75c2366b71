"""Policies that can work and those that cannot, what is due by them, and what happens then."""

from __future__ import annotations

import csv
import io
import json
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

import psycopg
import pytest
from faults import value
from raw_rows import ONE, ROWS, insert

from orchestration import cli, cold_archive, database, retention
from orchestration.dbt import PROJECT
from orchestration.errors import AgentbooksError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from conftest import TestServer

SEED = (PROJECT / "seeds" / "retention_policies.csv").read_text(encoding="utf-8")
COLUMNS = SEED.partition("\n")[0].split(",")
AS_OF = datetime(2020, 7, 15, tzinfo=UTC)  # the base rows are of March 2020


def seed(connection: psycopg.Connection) -> None:
    """Load the seed, as dbt does."""
    connection.execute(
        "create schema if not exists seeds; drop table if exists seeds.retention_policies"
    )
    connection.execute(
        f"create table seeds.retention_policies ({', '.join(f'{c} text' for c in COLUMNS)})".encode()
    )
    with connection.cursor() as cursor:
        rows = csv.DictReader(io.StringIO(SEED))
        cursor.executemany(
            f"insert into seeds.retention_policies values ({', '.join(['%s'] * len(COLUMNS))})".encode(),
            [[row[column] or None for column in COLUMNS] for row in rows],
        )


@pytest.fixture
def seeded(transaction: psycopg.Connection) -> psycopg.Connection:
    """The seed and a staging view, in a transaction that is rolled back."""
    seed(transaction)
    transaction.execute("create schema staging")
    transaction.execute(
        "create view staging.stg_spans as select tokens from history.observability__spans"
    )
    return transaction


@pytest.fixture
def world(server18: TestServer) -> Iterator[psycopg.Connection]:
    """The seed, and a base row in every table."""
    with psycopg.connect(server18.database(), autocommit=True) as connection:
        seed(connection)
        for table, row in ROWS.items():
            insert(connection, table, row)
        connection.execute("select from ops.maintain_partitions()")
        yield connection


def test_the_seed_can_work(seeded: psycopg.Connection) -> None:
    """A policy of ours that the linter refuses; a seed of which dbt makes other columns."""
    assert retention.lint(seeded) == []


SPANS, METRICS = (
    f"where table_name = '{t}'" for t in ("observability.spans", "agentic.trust_metrics")
)
FINDINGS = {
    "observability.spans  names no raw table": f"set table_name = 'observability.spans ' {SPANS}",
    "Observability.Spans names no raw table": f"set table_name = 'Observability.Spans' {SPANS}",
    "a.b.c.d names no raw table": f"set table_name = 'a.b.c.d' {SPANS}",
    "says cold_for = P290000Y": f"set cold_for = 'P290000Y' {SPANS}",
    "says cold_for = P501Y: write a term such as P90D, P6M or P1Y6M, of at most 500 years": (
        f"set cold_for = 'P501Y' {SPANS}"
    ),
    "says active_for = P99999999999D": f"set active_for = 'P99999999999D' {SPANS}",
    "names verdict as state_column, which is no column of it": (
        "set state_column = 'verdict', states = 'retire' where table_name = 'observability.traces'"
    ),
    "names the survivor marts.trust_metrics_daily: write a table": (
        f"set survivor = 'marts.trust_metrics_daily' {METRICS}"
    ),
    "sums no_value for its survivor, which is no column of it": (
        f"set survivor = 'marts.trust_metrics_daily * total=no_value' {METRICS}"
    ),
    "names no_total of ops.departed_keys, which is no column": (
        f"set survivor = 'ops.departed_keys * no_total=metric_value' {METRICS}"
    ),
    "has the payload columns inputs(: write names": f"set payload_columns = 'inputs(' {SPANS}",
    "keeps keys of error_stack, which is no JSON": f"set payload_columns = 'error_stack(type)' {SPANS}",
    "names no raw table": (
        "set table_name = 'observability.nothing' where table_name = 'observability.profiles'"
    ),
    "observability.profiles has no policy": "delete where table_name = 'observability.profiles'",
    "write a term such as P90D": "set active_for = '90 days' where table_name = 'observability.spans'",
    "write purge, aggregate or keep": "set finally = 'forget' where table_name = 'observability.spans'",
    "a term and no clock": "set clock = null where table_name = 'observability.usage_logs'",
    "has no reason": "set reason = null where table_name = 'observability.spans'",
    "is there twice": "insert select * from seeds.retention_policies where table_name = 'agentic.users'",
    "which is no column of it": "set clock = 'began_at' where table_name = 'observability.spans'",
    "which is no time with a zone": "set clock = 'status' where table_name = 'observability.usage_logs'",
    "its months are those of started_at": (
        "set clock = 'completed_at' where table_name = 'observability.spans'"
    ),
    "moves by whole months": (
        "set state_column = 'status', states = 'completed' where table_name = 'observability.spans'"
    ),
    "ends with aggregate and has no survivor": (
        "set survivor = null where table_name = 'agentic.trust_metrics'"
    ),
    "ends with purge and names a survivor": (
        "set survivor = 'marts.x *' where table_name = 'observability.spans'"
    ),
    "its rows cannot leave": (
        "set clock = 'created_at', active_for = 'P1Y', finally = 'purge'"
        " where table_name = 'traceability.error_patterns'"
    ),
    "its rows leave by months of started_at": (
        "set clock = 'created_at' where table_name = 'traceability.execution_traces'"
    ),
    "has states and no state_column": "set states = 'completed' where table_name = 'observability.traces'",
    "asks for an archive": (
        "set clock = 'created_at', active_for = 'P1Y', archived_for = 'P1Y', finally = 'purge'"
        " where table_name = 'traceability.error_patterns'"
    ),
    "with status cancelled have no policy": (
        "set states = 'completed failed' where table_name = 'traceability.execution_traces'"
    ),
    "has payload columns and no payload_for": (
        "set payload_for = null where table_name = 'observability.spans'"
    ),
    "keeps payloads for P9Y, longer than": (
        "set payload_for = 'P9Y' where table_name = 'observability.spans'"
    ),
    "names prompts as a payload": "set payload_columns = 'prompts' where table_name = 'observability.spans'",
    "takes tokens, which staging.stg_spans reads": (
        "set payload_columns = 'inputs tokens' where table_name = 'observability.spans'"
    ),
    "observability.traces would leave after P30D, before observability.spans (P90D)": (
        "set active_for = 'P30D' where table_name = 'observability.traces'"
    ),
    "agentic.agents would leave after P1Y, before agentic.agent_audit_log (P3Y), whose key "
    "agent_audit_log_agent_id_fkey forbids it": (
        "set clock = 'created_at', active_for = 'P1Y', finally = 'purge' where table_name = 'agentic.agents'"
    ),
    "agentic.agent_sessions leaves the database while rows of agentic.agent_decisions": (
        "set archived_for = 'P1Y' where table_name = 'agentic.agent_sessions'"
    ),
    "within the 31 days that models reach back": (
        "set active_for = 'P7D', archived_for = null where table_name = 'agentic.trust_metrics'"
    ),
    "agentic.agent_audit_log is kept for less than P3Y": (
        "set active_for = 'P1Y', cold_for = 'P1Y' where table_name = 'agentic.agent_audit_log'"
    ),
}


@pytest.mark.parametrize("finding", FINDINGS)
def test_a_policy_that_cannot_work_is_told(seeded: psycopg.Connection, finding: str) -> None:
    """A policy that lets nothing go, or too much, and says so a year later."""
    verb, _, rest = FINDINGS[finding].partition(" ")
    start = {
        "set": "update seeds.retention_policies set",
        "delete": "delete from seeds.retention_policies",
    }
    seeded.execute(f"{start.get(verb, 'insert into seeds.retention_policies')} {rest}".encode())
    found = retention.lint(seeded)
    assert any(finding in sentence for sentence in found), f"not told, but: {found}"
    with pytest.raises(AgentbooksError, match="nothing was touched"):
        retention.enforce(seeded, AS_OF)


def test_a_tenants_term_below_the_law_is_told(seeded: psycopg.Connection) -> None:
    """An exception for a tenant that breaks the law for all."""
    seeded.execute(
        "insert into ops.retention_overrides (tenant_id, table_name, active_for, cold_for, reason)"
        " values ('a', 'agentic.agent_audit_log', '1 year', '0', 'they asked')"
    )
    assert any(
        "Tenant a keeps agentic.agent_audit_log" in found for found in retention.lint(seeded)
    )


@pytest.mark.parametrize("table", ["observability.profiles", "agentic.users"])
def test_a_tenants_term_that_means_nothing_is_told(seeded: psycopg.Connection, table: str) -> None:
    """An exception that somebody relies on, and that is never looked at."""
    seeded.execute(
        "insert into ops.retention_overrides (tenant_id, table_name, active_for, reason)"
        " values ('a', %s, '1 year', 'contract')",
        (table,),
    )
    assert any(
        f"Tenant a has terms of its own for {table}" in found for found in retention.lint(seeded)
    )


def test_rows_later_than_their_archive_are_told(world: psycopg.Connection) -> None:
    """Rows that come later than the policy expects, month after month."""
    world.execute("select ops.archive_month('observability.spans', '2020-03-01')")
    insert(
        world, "observability.spans", ROWS["observability.spans"] | {"span_id": str(ONE)[:-1] + "9"}
    )
    world.execute("select from ops.maintain_partitions()")
    assert any("came after that month was archived" in found for found in retention.lint(world))


def test_the_plan_touches_nothing(world: psycopg.Connection) -> None:
    """A dry run that moves rows, or that tells of rows that are not there."""
    before = json.dumps(value(world, "select array_agg(xmin::text) from observability.spans"))
    steps = retention.plan(world, AS_OF, ["observability.spans", "observability.traces"])
    told = {(step.policy.table_name, step.action): step for step in steps}
    assert told["observability.spans", "archive"].rows == 1
    assert told["observability.spans", "archive"].month is not None
    assert told["observability.traces", "archive"].rows == 0
    assert "1 rows that others lean on" in str(told["observability.traces", "archive"].held_back)
    assert (
        json.dumps(value(world, "select array_agg(xmin::text) from observability.spans")) == before
    )
    assert value(world, "select count(*) from archive.observability__spans") == 0
    lines = list(retention.lines(steps))
    assert lines[0].startswith("table")
    assert any("observability.spans" in line for line in lines)


def test_nothing_is_due_before_its_term(world: psycopg.Connection) -> None:
    """A month that is archived as soon as its first day is due."""
    early = datetime(2020, 6, 29, tzinfo=UTC)  # 90 days after the 31st of March
    steps = retention.plan(world, early, ["observability.spans"])
    assert [step for step in steps if step.action == "archive"] == []
    due = retention.plan(world, datetime(2020, 6, 30, tzinfo=UTC), ["observability.spans"])
    assert [step.rows for step in due if step.action == "archive"] == [1]


def test_what_is_due_goes_and_only_once(world: psycopg.Connection) -> None:
    """A second night that finds the same work again; parents that wait for the next one."""
    outcomes = {outcome.table_name: outcome for outcome in retention.enforce(world, AS_OF)}
    assert {name: o.failure for name, o in outcomes.items() if o.failure} == {}
    assert outcomes["observability.spans"].rows["archive"] == 1
    assert outcomes["observability.traces"].rows["archive"] == 1
    assert value(world, "select count(*) from history.observability__traces") == 1
    assert value(world, "select query from history.observability__traces") is None
    again = retention.enforce(world, AS_OF)
    assert {o.table_name: o.rows for o in again if o.rows} == {}


def test_dbt_lets_who_keeps_rows_read_the_policies(
    server18: TestServer, build_marts: Callable[..., None]
) -> None:
    """A grant on the seed that is worth nothing, as its schema is closed."""
    url = server18.database()
    build_marts(url, ["retention_policies"])
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute("set role agentbooks_retention")
        assert retention.lint(connection) == []


def test_who_may_do_nothing_is_connected_and_told(
    world: psycopg.Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    """`Cannot connect`, and advice to start a server that runs."""
    monkeypatch.setenv(database.URL_VARIABLE, f"{world.info.dsn} options='-c role=anon'")
    with database.connect(autocommit=True) as connection:
        needs = r"permission denied for schema \w+; it needs a role in agentbooks_retention and agentbooks"
        with pytest.raises(AgentbooksError, match=needs):
            retention.plan(connection, AS_OF)
        with pytest.raises(AgentbooksError, match=needs):
            retention.enforce(connection, AS_OF)


@pytest.fixture
def keeper(world: psycopg.Connection) -> Iterator[psycopg.Connection]:
    """The world, as a role that runs retention and owns nothing."""
    world.execute(
        "create role night_keeper bypassrls in role agentbooks_retention, agentbooks_refresher"
    )
    world.execute("grant usage on schema seeds to agentbooks_retention")
    world.execute("grant select on seeds.retention_policies to agentbooks_retention")
    world.execute("set role night_keeper")
    yield world
    world.execute("reset role")
    world.execute("drop owned by night_keeper; drop role night_keeper")


def test_who_keeps_rows_need_not_own_them(
    keeper: psycopg.Connection, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Retention that only the owner or a superuser can run, or that fails for half of the tables."""
    monkeypatch.setenv(cold_archive.URL_VARIABLE, str(tmp_path))
    assert retention.lint(keeper) == []
    assert retention.plan(keeper, AS_OF)
    for day, action in ((AS_OF, "archive"), (LEAVES, "leave"), (ENDS, "purge")):
        outcomes = retention.enforce(keeper, day)
        assert {o.table_name: o.failure for o in outcomes if o.failure} == {}
        assert any(action in o.rows for o in outcomes)
        keeper.execute("reset role")
        a_week_passes(keeper)
        keeper.execute("set role night_keeper")


def test_one_failure_stops_none_of_the_others(world: psycopg.Connection) -> None:
    """An archive that somebody altered by hand, and for months nothing of any table is archived."""
    world.execute("alter table archive.observability__spans add constraint odd check (name <> 'x')")
    tables = ["observability.spans", "raaf.raaf_tracing_spans"]
    outcomes = {o.table_name: o for o in retention.enforce(world, AS_OF, tables)}
    assert 'missing constraint "odd"' in str(outcomes["observability.spans"].failure)
    assert outcomes["raaf.raaf_tracing_spans"].rows == {"archive": 1}


def test_what_nobody_foresaw_stops_none_of_the_others(
    world: psycopg.Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A storage with an error of its own, after which no table is looked at any more."""
    do = retention._do

    def fail_for_spans(connection: psycopg.Connection, step: retention.Step, outcome: Any) -> None:
        if step.policy.table_name == "observability.spans":
            raise OSError("no route to host")
        do(connection, step, outcome)

    monkeypatch.setattr(retention, "_do", fail_for_spans)
    tables = ["observability.spans", "raaf.raaf_tracing_spans"]
    outcomes = {o.table_name: o for o in retention.enforce(world, AS_OF, tables)}
    assert outcomes["observability.spans"].failure == "unexpected OSError (no route to host)"
    assert outcomes["raaf.raaf_tracing_spans"].rows == {"archive": 1}


def test_a_permanent_checkpoint_stays(
    world: psycopg.Connection, archive: cold_archive.Archive
) -> None:
    """A copy that somebody was promised for ever, and that goes with those that nobody asked to keep."""
    table = "chat.state_checkpoints"
    assert archive
    world.execute(f"update {table} set retention_policy = null, expires_at = null".encode())
    for number, kept in ((8, "permanent"), (9, "archive")):
        row = {"id": f"00000000-0000-4000-8000-{number:012}", "retention_policy": kept}
        insert(world, table, ROWS[table] | row | {"expires_at": None})
    retention.enforce(world, AS_OF, [table])
    left = value(world, f"select array_agg(retention_policy::text) from {table}")
    assert left == ["permanent"]
    [outcome] = retention.enforce(world, LEAVES, [table])
    assert outcome.rows == {}
    assert any("has 1 rows that are not archived" in wait for wait in outcome.waits)
    assert value(world, "select count(*) from archive.chat__state_checkpoints") == 2


def test_two_at_once_share_the_work(
    world: psycopg.Connection, connect: Callable[[str], psycopg.Connection]
) -> None:
    """A night and somebody's command, of which one finds gone what it had planned."""
    with ThreadPoolExecutor(2) as pool:
        both = [
            pool.submit(retention.enforce, connect(world.info.dsn), AS_OF, ["observability.spans"])
            for _ in range(2)
        ]
        outcomes = [run.result()[0] for run in both]
    assert [outcome.failure for outcome in outcomes] == [None, None]
    assert sorted(outcome.rows.get("archive", 0) for outcome in outcomes) == [0, 1]


def test_a_tenant_has_a_term_of_its_own(world: psycopg.Connection) -> None:
    """A contract for longer that is kept for everybody, or nobody."""
    table = "observability.usage_logs"
    insert(
        world, table, ROWS[table] | {"id": "20000000-0000-4000-8000-000000000000", "tenant_id": "a"}
    )
    world.execute(
        "insert into ops.retention_overrides (tenant_id, table_name, active_for, reason)"
        " values ('a', 'observability.usage_logs', '2 years', 'contract')"
    )
    retention.enforce(world, AS_OF, [table])
    assert value(world, f"select array_agg(tenant_id) from {table}") == ["a"]
    retention.enforce(world, datetime(2022, 7, 1, tzinfo=UTC), [table])
    assert value(world, f"select count(*) from {table}") == 0


def test_an_archive_that_is_lost_fails_the_job(
    world: psycopg.Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A storage that is full or gone for months, and a job that says nothing and ends well."""
    monkeypatch.setenv(cold_archive.URL_VARIABLE, "/proc/nowhere")
    retention.enforce(world, AS_OF)
    [outcome] = retention.enforce(world, datetime(2023, 7, 1, tzinfo=UTC), ["observability.spans"])
    assert "cannot write /proc/nowhere/observability.spans" in str(outcome.failure)
    assert value(world, "select count(*) from history.observability__spans") == 1


HELD = "insert into ops.legal_holds (trace_id, reason) values (%s, 'case 7')"


def test_what_leaves_the_database_goes_to_files_and_comes_back(
    world: psycopg.Connection, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Rows that are purged without a copy, or that nothing brings back."""
    monkeypatch.setenv(cold_archive.URL_VARIABLE, str(tmp_path))
    table, late = "observability.spans", datetime(2022, 7, 1, tzinfo=UTC)
    whole = (
        "select count(*), sum(hashtextextended(r::text, 0)) from history.observability__spans as r"
    )
    before = world.execute(whole.encode()).fetchone()
    retention.enforce(world, AS_OF)
    assert value(world, "select count(*) from archive.observability__spans") == 1
    [outcome] = retention.enforce(world, late, [table])
    assert (outcome.rows, outcome.waits, outcome.failure) == ({"leave": 1}, [], None)
    assert value(world, "select count(*) from history.observability__spans") == 0
    assert (tmp_path / table / "2020-03.parquet").stat().st_size > 0
    archive, march = cold_archive.Archive(str(tmp_path)), date(2020, 3, 1)
    assert list(cold_archive.restore(world, archive, table, march, march)) == [
        "observability.spans 2020-03: 1 rows are back."
    ]
    assert world.execute(whole.encode()).fetchone() == before
    assert value(world, "select count(*) from observability.spans") in (0, 1)


def test_what_is_held_stays(
    world: psycopg.Connection, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A case at court whose records a nightly job has taken away."""
    monkeypatch.setenv(cold_archive.URL_VARIABLE, str(tmp_path))
    table, late = "observability.spans", datetime(2022, 7, 1, tzinfo=UTC)
    retention.enforce(world, AS_OF)
    world.execute(HELD, (ROWS[table]["trace_id"],))
    [step] = [s for s in retention.plan(world, late, [table]) if s.action == "leave"]
    assert step.held_back == "legal hold 1 covers 1 rows"
    [outcome] = retention.enforce(world, late, [table])
    assert outcome.rows == {}
    assert outcome.waits == ["2020-03-01: legal hold 1 covers 1 rows"]
    world.execute("update ops.legal_holds set released_at = now()")
    [outcome] = retention.enforce(world, late, [table])
    assert outcome.rows == {"leave": 1}


def test_the_plan_tells_which_payloads_are_held_and_how_much_the_others_are(
    world: psycopg.Connection,
) -> None:
    """A plan by which nothing is due although a hold keeps it, or that blanks gigabytes as 0.0 MB."""
    table = "observability.spans"
    world.execute('update observability.spans set inputs = \'{"text": "hello"}\'')
    strip, *_ = retention.plan(world, AS_OF, [table])
    assert (strip.action, strip.rows, strip.held_back) == ("strip", 1, None)
    assert strip.size > 0
    assert strip.oldest == datetime(2020, 3, 1, 10, tzinfo=UTC)
    world.execute(HELD, (ROWS[table]["trace_id"],))
    strip, *_ = retention.plan(world, AS_OF, [table])
    assert (strip.rows, strip.size, strip.oldest) == (0, 0, None)
    assert strip.held_back == "legal hold 1 covers 1 rows"


def test_enforce_tells_what_it_leaves_and_why(
    world: psycopg.Connection,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """A command that leaves what is due without a word, and one that cannot be told from it."""
    monkeypatch.setenv(cold_archive.URL_VARIABLE, str(tmp_path))
    monkeypatch.setenv(database.URL_VARIABLE, world.info.dsn)

    def told(table: str, day: datetime) -> list[str]:
        cli.retention_enforce(table, day)
        return capsys.readouterr().out.splitlines()

    spans, traces = "observability.spans", "observability.traces"
    assert told(traces, AS_OF) == [
        f"{traces}: nothing done; archive: 1 rows that others lean on, or whose tree is at work"
    ]
    assert "archive 1" in told(spans, AS_OF)[0]
    assert told(spans, AS_OF) == ["Nothing was due."]
    world.execute(HELD, (ROWS[spans]["trace_id"],))
    assert told(spans, LEAVES) == [f"{spans}: nothing done; 2020-03-01: legal hold 1 covers 1 rows"]
    world.execute("update ops.legal_holds set released_at = now()")

    def refuse(*_: object) -> None:
        raise cold_archive.RefusedError("archive: a mart is not known to be up to date.")

    monkeypatch.setattr(cold_archive, "remove_month", refuse)
    assert told(spans, LEAVES) == [
        f"{spans}: nothing done; archive: a mart is not known to be up to date."
    ]


def test_a_plan_begins_with_what_keeps_it_from_being_done(
    world: psycopg.Connection, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """A misspelt term that reads as a decision to keep rows for ever."""
    monkeypatch.setenv(database.URL_VARIABLE, world.info.dsn)
    world.execute(
        "update seeds.retention_policies set active_for = 'P-90D'"
        " where table_name = 'observability.spans'"
    )
    cli.retention_plan("observability.spans", AS_OF)
    finding = "The policy for observability.spans says active_for = P-90D: write a term such as"
    assert capsys.readouterr().out.startswith(finding)


LEAVES = datetime(2022, 7, 1, tzinfo=UTC)  # after 90 days and a year
ENDS = datetime(2023, 7, 1, tzinfo=UTC)  # and two years as files
MARCH = date(2020, 3, 1)
TRACES = "observability.traces"
# With each kind of clock: fixed, updated, null for rows that stay, other than the events' day.
IN_ONE_PIECE = (
    TRACES,
    "raaf.raaf_tracing_traces",
    "chat.conversation_sessions",
    "agentic.trust_metrics",
    "chat.agent_states",
    "chat.state_checkpoints",
)


def whole(connection: psycopg.Connection, table: str) -> tuple[object, ...] | None:
    """Every value of a table and its archive."""
    view = table.replace(".", "__", 1)
    return connection.execute(
        f"select count(*), sum(hashtextextended(r::text, 0)) from history.{view} as r".encode()
    ).fetchone()


@pytest.fixture
def archive(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> cold_archive.Archive:
    """The chosen archive: an empty folder."""
    monkeypatch.setenv(cold_archive.URL_VARIABLE, str(tmp_path))
    return cold_archive.Archive.chosen()


@pytest.fixture
def survivor(world: psycopg.Connection) -> str:
    """What dbt would keep of the trust metrics."""
    world.execute(
        "create schema marts; create table marts.trust_metrics_daily as"
        " select date '2020-03-05' as day, 1::bigint as measurements, 93.5 as recorded_total"
    )
    return "marts.trust_metrics_daily"


@pytest.mark.parametrize("table", IN_ONE_PIECE)
def test_a_table_in_one_piece_leaves_and_comes_back(
    world: psycopg.Connection, archive: cold_archive.Archive, survivor: str, table: str
) -> None:
    """Rows that stay in their archive for ever, or come back changed."""
    assert survivor
    with world.transaction():
        world.execute("set local session_replication_role = replica")  # no trigger may object
        world.execute("update chat.agent_states set is_current = false, valid_until = now()")
        for name, clock in world.execute(
            "select * from ops.month_clocks where table_name <> 'chat.agent_memories'"
        ).fetchall():
            world.execute(f"update {name} set {clock} = '2020-03-10 10:00+00'".encode())
    retention.enforce(world, datetime(2021, 2, 1, tzinfo=UTC))
    before = whole(world, table)
    assert value(world, f"select count(*) from {table}") == 0
    [outcome] = retention.enforce(world, LEAVES, [table])
    assert (outcome.rows, outcome.waits, outcome.failure) == ({"leave": 1}, [], None)
    assert whole(world, table) == (0, None)
    assert retention.enforce(world, LEAVES, [table])[0].rows == {}
    told = [*cold_archive.restore(world, archive, table, MARCH, MARCH)]
    assert told[0] == f"{table} 2020-03: 1 rows are back."
    is_back = value(world, f"select count(*) from {table}") == 1
    assert is_back != told[-1].endswith("restore that, then these.")
    assert whole(world, table) == before
    assert value(world, "select count(*) from ops.departed_keys") == 0


def test_what_is_archived_comes_back_without_a_file(
    world: psycopg.Connection, archive: cold_archive.Archive
) -> None:
    """A restore that knows months of partitions and files alone."""
    retention.enforce(world, AS_OF)
    assert value(world, f"select count(*) from {TRACES}") == 0
    with pytest.raises(AgentbooksError, match="nothing of"):
        [*cold_archive.restore(world, archive, TRACES, date(2020, 4, 1), date(2020, 4, 1))]
    assert [*cold_archive.restore(world, archive, TRACES, MARCH, MARCH)] == [
        f"{TRACES} 2020-03 to 2020-03: 1 rows are back from its archive."
    ]
    assert value(world, f"select count(*) from {TRACES}") == 1


def test_what_is_at_work_keeps_its_month(
    world: psycopg.Connection, archive: cold_archive.Archive
) -> None:
    """Half a month that leaves, so that the rest can never follow."""
    assert archive
    insert(world, TRACES, ROWS[TRACES] | {"trace_id": str(ONE)[:-1] + "9", "execution_id": "x"})
    retention.enforce(world, AS_OF)
    world.execute(
        "insert into observability.traces select * from archive.observability__traces limit 1"
    )
    world.execute(
        "delete from archive.observability__traces"
        " where trace_id in (select trace_id from observability.traces)"
    )
    insert(
        world,
        "observability.spans",
        ROWS["observability.spans"]
        | {
            "trace_id": value(world, "select trace_id from observability.traces"),
            "started_at": "2026-10-01",
        },
    )
    [outcome] = retention.enforce(world, LEAVES, [TRACES])
    assert outcome.rows == {}
    assert outcome.waits == [
        "archive: 1 rows that others lean on, or whose tree is at work",
        "2020-03-01: has 1 rows that are not archived",
    ]
    assert [refusal.kind for refusal in outcome.refusals] == ["still_active", "still_active"]
    assert value(world, "select count(*) from history.observability__traces") == 2


def test_a_row_whose_key_was_taken_meanwhile_comes_back(
    world: psycopg.Connection, archive: cold_archive.Archive
) -> None:
    """A retried insert that keeps its month away, or that costs the rows that hang under it."""
    before = whole(world, TRACES)
    retention.enforce(world, AS_OF)
    retention.enforce(world, LEAVES, [TRACES])
    insert(world, TRACES, ROWS[TRACES] | {"query": "again"})
    world.execute("select ops.unarchive_month('observability.spans', '2020-03-01')")
    cold_archive.restore_month(world, archive, TRACES, MARCH)
    assert value(world, "select count(*) from observability.spans") == 1
    assert whole(world, TRACES)[0] == 1  # type: ignore[index]
    assert value(world, "select query from observability.traces") is None, "as it was archived"
    assert value(world, "select count(*) from ops.rejected_records") == 1
    assert before is not None


def test_what_hangs_under_rows_that_have_left_waits_for_them(
    world: psycopg.Connection, archive: cold_archive.Archive
) -> None:
    """Spans that are dropped on their way back, as their trace is not there yet."""
    retention.enforce(world, AS_OF)
    for table in ("observability.spans", TRACES):
        retention.enforce(world, LEAVES, [table])
    with pytest.raises(AgentbooksError, match="restore those first"):
        cold_archive.restore_month(world, archive, "observability.spans", MARCH)
    cold_archive.restore_month(world, archive, TRACES, MARCH)
    assert cold_archive.restore_month(world, archive, "observability.spans", MARCH) == 1


def test_a_policy_that_fails_stops_no_other_of_its_table(
    world: psycopg.Connection,
    archive: cold_archive.Archive,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Rows that expire and stay, as others of their table wait for a storage."""
    table = "chat.state_checkpoints"
    retention.enforce(world, AS_OF)
    expiring = {"created_at": "2022-06-20", "expires_at": "2022-06-21"}
    insert(world, table, ROWS[table] | expiring)

    def is_lost() -> cold_archive.Archive:
        raise AgentbooksError("archive: the storage is gone.")

    monkeypatch.setattr(cold_archive.Archive, "chosen", is_lost)
    [outcome] = retention.enforce(world, LEAVES, [table])
    assert (outcome.rows, outcome.failure) == ({"archive": 1}, "archive: the storage is gone.")
    assert archive


def a_week_passes(world: psycopg.Connection) -> None:
    """Let months have left long enough ago for their files to go."""
    world.execute("update ops.departures set removed_at = removed_at - interval '7 days'")


@pytest.mark.parametrize(
    "as_of", [datetime(2099, 1, 1, tzinfo=UTC), datetime.now(UTC) + timedelta(days=1)]
)
def test_a_day_that_has_not_come_is_refused(
    world: psycopg.Connection, archive: cold_archive.Archive, as_of: datetime
) -> None:
    """A slip of the pen, or a machine's clock, that ends all terms in one night."""
    before = whole(world, TRACES)
    with pytest.raises(AgentbooksError, match=rf"as {as_of.date()} has not come: .* clock says 20"):
        retention.enforce(world, as_of)
    assert whole(world, TRACES) == before
    assert archive
    assert retention.plan(world, as_of), "asking is free"


def test_a_month_does_not_leave_and_end_in_one_night(
    world: psycopg.Connection, archive: cold_archive.Archive
) -> None:
    """Rows whose terms are all over at once, as nobody enforced them before or a term was mistyped."""
    retention.enforce(world, AS_OF)
    [outcome] = retention.enforce(world, ENDS, [TRACES])
    assert outcome.rows == {"leave": 1}
    assert "it has just left; its files stay until 20" in outcome.waits[0]
    with pytest.raises(
        psycopg.errors.ObjectNotInPrerequisiteState, match="has just left; its files"
    ):
        world.execute("select ops.purge_month('observability.traces', '2020-03-01', 'x')")
    assert len([*Path(archive.url).rglob("*.parquet")]) == 1
    a_week_passes(world)
    assert retention.enforce(world, ENDS, [TRACES])[0].rows == {"purge": 1}


def test_in_the_end_the_file_goes_and_a_receipt_stays(
    world: psycopg.Connection, archive: cold_archive.Archive
) -> None:
    """Files that nobody ever deletes, or of which nobody can say that they were."""
    retention.enforce(world, AS_OF)
    retention.enforce(world, LEAVES, [TRACES])
    [step] = [s for s in retention.plan(world, LEAVES, [TRACES]) if s.action == "wait"]
    assert step.due_on == date(2023, 6, 30)
    assert "2023-06-30" in [*retention.lines([step])][1]
    a_week_passes(world)
    [outcome] = retention.enforce(world, ENDS, [TRACES])
    assert outcome.rows == {"purge": 1}
    assert [*Path(archive.url).rglob("*.parquet")] == []
    assert value(world, "select count(*) from ops.archive_files") == 0
    receipt = world.execute(
        "select table_name, month, rows, policy, files -> 0 ->> 'sha256' is not null from ops.purges"
    ).fetchone()
    assert receipt is not None
    assert receipt[:3] == (TRACES, MARCH, 1)
    assert "cold P2Y, then purge (001" in receipt[3]
    assert receipt[4]
    assert value(world, "select count(*) from ops.departures where removed_at is not null") == 1
    assert retention.enforce(world, ENDS, [TRACES])[0].rows == {}
    with pytest.raises(AgentbooksError, match=r"2020-03 of observability\.traces was purged"):
        cold_archive.restore_month(world, archive, TRACES, MARCH)


def test_files_that_are_kept_stay(world: psycopg.Connection, archive: cold_archive.Archive) -> None:
    """A policy that says keep, and a file that goes all the same; or rows that keep the database full."""
    world.execute(
        f"update {retention.SEED} set finally = 'keep' where table_name ~ '^observability'".encode()
    )
    retention.enforce(world, AS_OF)
    assert retention.enforce(world, LEAVES, [TRACES])[0].rows == {"leave": 1}
    assert retention.enforce(world, ENDS.replace(year=2026), [TRACES])[0].rows == {}
    assert len([*Path(archive.url).rglob("*.parquet")]) == 1


def test_a_purge_that_was_cut_short_is_taken_up(
    world: psycopg.Connection, archive: cold_archive.Archive, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A file that stays for ever as the job died, or a month that never ends as its file is gone."""
    retention.enforce(world, AS_OF)
    retention.enforce(world, LEAVES, [TRACES])
    a_week_passes(world)
    for is_deleted in (False, True):
        remove = cold_archive.Archive.remove

        def dies(self: cold_archive.Archive, url: str) -> None:
            if is_deleted:  # noqa: B023
                remove(self, url)  # noqa: B023
            raise AgentbooksError("archive: the storage is gone.")

        monkeypatch.setattr(cold_archive.Archive, "remove", dies)
        [outcome] = retention.enforce(world, ENDS, [TRACES])
        assert "the storage is gone" in outcome.sentence()
        assert value(world, "select state from ops.archive_files") == "purged"
        monkeypatch.setattr(cold_archive.Archive, "remove", remove)
    [outcome] = retention.enforce(world, ENDS, [TRACES])
    assert outcome.rows == {"purge": 1}
    assert value(world, "select count(*) from ops.archive_files") == 0
    assert value(world, "select count(*) from ops.purges") == 1


def test_a_file_that_cannot_be_found_is_not_purged(
    world: psycopg.Connection,
    archive: cold_archive.Archive,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
) -> None:
    """A receipt for a file that is still where the job has not looked."""
    retention.enforce(world, AS_OF)
    retention.enforce(world, LEAVES, [TRACES])
    a_week_passes(world)
    [file] = Path(archive.url).rglob("*.parquet")
    monkeypatch.setenv(cold_archive.URL_VARIABLE, str(tmp_path / "elsewhere"))
    [outcome] = retention.enforce(world, ENDS, [TRACES])
    assert "is not in" in outcome.sentence()
    monkeypatch.setenv(cold_archive.URL_VARIABLE, f"file://{archive.url}/")
    away = file.rename(tmp_path / "away")
    [outcome] = retention.enforce(world, ENDS, [TRACES])
    assert "is not there, and nothing says that it was deleted" in outcome.sentence()
    assert value(world, "select count(*) from ops.purges") == 0
    away.rename(file)
    assert retention.enforce(world, ENDS, [TRACES])[0].rows == {"purge": 1}
    assert not file.exists()


@pytest.mark.parametrize(
    "hold",
    [
        "(first_day, last_day, reason) values ('2020-03-31', '2020-04-02', 'x')",
        f"(trace_id, reason) values ('{ONE}', 'x')",
        f"(subject_id, reason) values ('{ONE}', 'x')",
    ],
)
def test_a_legal_hold_beats_the_purge(
    world: psycopg.Connection, archive: cold_archive.Archive, hold: str
) -> None:
    """Evidence that goes with its file, as nobody looks into files for whose it is."""
    tables = [TRACES, "observability.spans"]
    world.execute(f"update observability.traces set user_id = '{ONE}'".encode())
    retention.enforce(world, AS_OF)
    for table in tables:
        assert retention.enforce(world, LEAVES, [table])[0].rows["leave"] == 1
    a_week_passes(world)
    world.execute(f"insert into ops.legal_holds {hold}".encode())
    for outcome in retention.enforce(world, ENDS, tables):
        assert outcome.waits == ["2020-03-01: legal hold 1 covers it"]
    with pytest.raises(psycopg.errors.ObjectNotInPrerequisiteState, match="kept by legal hold 1"):
        world.execute("select ops.purge_month('observability.traces', '2020-03-01', 'x')")
    assert len([*Path(archive.url).rglob("*.parquet")]) == 2
    world.execute("update ops.legal_holds set released_at = now()")
    assert [o.rows for o in retention.enforce(world, ENDS, tables)] == [{"purge": 1}, {"purge": 1}]


@pytest.mark.parametrize("column", ["metadata", "span_attributes"])
def test_a_hold_on_a_user_beats_the_purge_of_what_names_them_in_json(
    world: psycopg.Connection, archive: cold_archive.Archive, column: str
) -> None:
    """Traces of a person, known by their JSON alone, that leave and are purged under a hold."""
    tables = ["raaf.raaf_tracing_spans", "raaf.raaf_tracing_traces"]
    world.execute("update raaf.raaf_tracing_traces set created_at = started_at")
    world.execute(
        "update raaf.raaf_tracing_{} set {} = %s".format(
            *("traces", column) if column == "metadata" else ("spans", column)
        ).encode(),
        (json.dumps({"user_id": "user-1 of 50%"}),),
    )
    hold = "insert into ops.legal_holds (subject_id, reason) values ('user-1 of 50%', 'x') returning hold_id"
    retention.enforce(world, AS_OF)
    number = value(world, hold)
    for outcome in retention.enforce(world, LEAVES, tables):
        assert outcome.waits == [f"2020-03-01: legal hold {number} covers 1 rows"]
    world.execute("update ops.legal_holds set released_at = now()")
    for outcome in retention.enforce(world, LEAVES, tables):
        assert outcome.rows == {"leave": 1}
    a_week_passes(world)
    number = value(world, hold)
    for outcome in retention.enforce(world, ENDS, tables):
        assert outcome.waits == [f"2020-03-01: legal hold {number} covers it"]
    assert len([*Path(archive.url).rglob("*.parquet")]) == 2


def test_what_is_aggregated_goes_once_its_survivor_says_the_same(
    world: psycopg.Connection,
    archive: cold_archive.Archive,
    survivor: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Raw rows purged while what should stay of them is not there, or a purge cut short that never ends."""
    table = "agentic.trust_metrics"
    retention.enforce(world, AS_OF)
    for broken in ("measurements = 2", "recorded_total = 93"):
        with world.transaction(force_rollback=True):
            world.execute(f"update {survivor} set {broken}".encode())
            [step] = [s for s in retention.plan(world, LEAVES, [table]) if s.action == "leave"]
            assert [r.kind for r in step.refusals] == ["incomplete_survivor"]
    [outcome] = retention.enforce(world, LEAVES, [table])
    assert outcome.rows == {"leave": 1}
    a_week_passes(world)
    world.execute(f"update {survivor} set recorded_total = 93".encode())
    [outcome] = retention.enforce(world, ENDS, [table])
    assert outcome.waits == [f"2020-03-01: {survivor} has 1, 93 of it, its rows 1, 93.5"]
    world.execute(f"update {survivor} set recorded_total = 93.5".encode())

    def dies(self: cold_archive.Archive, url: str) -> None:
        raise AgentbooksError("archive: the storage is gone.")

    with monkeypatch.context() as patch:
        patch.setattr(cold_archive.Archive, "remove", dies)
        [outcome] = retention.enforce(world, ENDS, [table])
        assert "the storage is gone" in outcome.sentence()
    [outcome] = retention.enforce(world, ENDS, [table])
    assert outcome.rows == {"purge": 1}
    assert [*Path(archive.url).rglob("*.parquet")] == []


@pytest.mark.parametrize("table", [TRACES, "observability.spans"])
def test_the_longest_term_of_a_tenant_keeps_the_month(
    world: psycopg.Connection, archive: cold_archive.Archive, table: str
) -> None:
    """A tenant's rows that leave by the term of others, or a month that stays and nobody knows why."""
    retention.enforce(world, AS_OF)
    tenant = value(world, f"select tenant_id from history.{table.replace('.', '__')}")
    world.execute(
        "insert into ops.retention_overrides (tenant_id, table_name, archived_for, cold_for, reason)"
        " values (%s, %s, '3 years', '0', 'contract'), ('nobody', %s, '90 years', '0', 'none has rows')",
        (tenant, table, table),
    )
    [step] = [s for s in retention.plan(world, LEAVES, [table]) if s.action == "leave"]
    assert step.held_back == f"tenant {tenant} keeps 1 rows until 2023-06-30"
    [outcome] = retention.enforce(world, LEAVES, [table])
    assert (outcome.rows, [r.kind for r in outcome.refusals]) == ({}, ["tenant_override"])
    world.execute("update ops.retention_overrides set archived_for = null, cold_for = '9 years'")
    assert retention.enforce(world, LEAVES, [table])[0].rows == {"leave": 1}
    a_week_passes(world)
    [outcome] = retention.enforce(world, ENDS, [table])
    assert outcome.waits == [f"2020-03-01: tenant {tenant} keeps rows until 2030-06-30"]
    assert archive


def test_rights_are_those_of_the_table_after_a_night(world: psycopg.Connection) -> None:
    """A reader whose grant was revoked by hand, and who reads what is archived until the next release."""
    world.execute("revoke select on observability.traces from authenticated")
    retention.enforce(world, AS_OF, [])
    reads = "has_table_privilege('authenticated', 'archive.observability__traces', 'select')"
    assert not value(world, f"select {reads}")
    world.execute(
        "create policy odd on observability.traces using (traces in (select t from observability.traces t))"
    )
    with pytest.raises(AgentbooksError, match="an archive could not be given the policies"):
        retention.enforce(world, AS_OF, [])


def test_a_retired_pattern_goes_after_all_that_names_it(world: psycopg.Connection) -> None:
    """A pattern whose uses its deletion takes along, with the numbers that rest on them."""
    world.execute("create schema marts")
    world.execute(
        "create table marts.pattern_effectiveness as select id::text as pattern_id, 'retire' as verdict"
        " from traceability.success_patterns"
    )
    table = "traceability.success_patterns"
    world.execute("update traceability.success_patterns set last_used_at = '2020-03-01'")
    at = datetime(2021, 1, 1, tzinfo=UTC)
    retention.enforce(world, at, [table])
    assert value(world, f"select count(*) from {table}") == 1
    world.execute(
        "delete from traceability.pattern_usage_log; delete from traceability.agent_routing_decisions"
    )
    retention.enforce(world, at, [table])
    assert value(world, f"select count(*) from {table}") == 0
    assert "retired by" in value(world, "select reason from ops.pruned_patterns")


def test_an_unknown_table_is_told(world: psycopg.Connection) -> None:
    """A typing error that reads as `nothing is due`."""
    with pytest.raises(AgentbooksError, match=r"observability\.span has no policy"):
        retention.plan(world, AS_OF, ["observability.span"])
    world.execute("drop table seeds.retention_policies")
    with pytest.raises(AgentbooksError, match="run `dbt seed` first"):
        retention.plan(world, AS_OF)


def test_a_retired_pattern_under_a_hold_stays(world: psycopg.Connection) -> None:
    """Evidence that goes as a pattern which nobody used, and a plan that does not say what holds it."""
    table = "traceability.success_patterns"
    world.execute(
        "create schema marts; create table marts.pattern_effectiveness as"
        " select id::text as pattern_id, 'retire' as verdict from traceability.success_patterns"
    )
    world.execute("delete from traceability.pattern_usage_log")
    world.execute(
        f"update {table} set last_used_at = '2020-03-01', source_trace_id = '{ONE}'".encode()
    )
    world.execute("update traceability.execution_traces set user_id = ' 50% '")
    world.execute("insert into ops.legal_holds (subject_id, reason) values ('50%', 'x')")
    [step] = retention.plan(world, datetime(2021, 1, 1, tzinfo=UTC), [table])
    assert (step.rows, step.held_back) == (0, "legal hold 1 covers 1 rows")
    assert retention.enforce(world, datetime(2021, 1, 1, tzinfo=UTC), [table])[0].rows == {}
    world.execute("update ops.legal_holds set released_at = now()")
    assert retention.enforce(world, datetime(2021, 1, 1, tzinfo=UTC), [table])[0].rows == {
        "prune": 1
    }
