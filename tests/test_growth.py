"""A table in one piece becomes partitioned beside its writers, and nobody notices."""

from __future__ import annotations

import threading
from datetime import UTC, datetime, timedelta
from random import Random
from typing import TYPE_CHECKING, Any
from uuid import UUID

import pytest
from killing import KILLS, Stepwise, Writers, kill_at_random, stepwise
from refreshing import Refresher

from orchestration import bootstrap, catalog, database, erasure, growth, retention
from orchestration.cold_archive import Archive
from orchestration.errors import AgentbooksError
from orchestration.simulated_traffic import simulate_traffic, write

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    import psycopg
    from conftest import TestServer

COSTS = "observability.cost_records"
START = datetime(2026, 1, 1, tzinfo=UTC)
PARTITION, BACK = ("partition", COSTS), ("partition", COSTS, "--back")
LOAD = """
insert into observability.cost_records (id, execution_id, node_id, node_type, cost, category, created_at)
select
    md5(i::text)::uuid, 'old', 'n', 'llm', 0.01 * i, 'llm',
    timestamptz '2026-01-01 00:00+00' + i * interval '40 minutes'
from generate_series(1, 6000) as i
"""
CONTENT = "select count(*), sum(hashtextextended(h::text, 0)) from history.observability__cost_records as h"
LEFT_OVER = """
select relname::text from pg_class where relnamespace in ('growing'::regnamespace, 'outgrown'::regnamespace)
union all
select relation_name from ops.growths
union all
select proname::text from pg_proc where pronamespace = 'growing'::regnamespace
"""


def content(connection: psycopg.Connection) -> tuple[Any, ...]:
    """Count and sum up all rows, archived ones too."""
    connection.execute("set time zone 'UTC'")
    return connection.execute(CONTENT.encode()).fetchall()[0]


@pytest.fixture
def costs(server18: TestServer, connect: Callable[[str], psycopg.Connection]) -> psycopg.Connection:
    """A database with some months of costs in one piece, the first of them archived."""
    return with_costs(server18, connect)


def with_costs(
    server: TestServer, connect: Callable[[str], psycopg.Connection]
) -> psycopg.Connection:
    """Make such a database."""
    connection = connect(server.database())
    connection.execute(LOAD)
    connection.execute(
        """select ops.archive_rows(%s, '{"clock": "created_at", "before": "2026-02-01"}')""",
        (COSTS,),
    )
    return connection


def test_a_table_becomes_partitioned_as_it_was(
    server: TestServer, connect: Callable[[str], psycopg.Connection]
) -> None:
    """A table that has its rows and not its rights, policies, triggers, keys or comments."""
    costs = with_costs(server, connect)
    before, objects = content(costs), catalog.objects(costs)
    list(growth.plan(costs, COSTS))
    growth.partition(costs, COSTS)
    growth.finish(costs, COSTS)
    assert content(costs) == before
    assert costs.execute(LEFT_OVER).fetchall() == []
    assert [row for row in catalog.compare(costs) if row.missing or row.changed or row.added] == []
    assert [row for row in bootstrap.verify(costs) if row[1]] == []
    after = catalog.objects(costs)
    differs = {key for key in {*objects, *after} if objects.get(key) != after.get(key)}
    kinds = {kind for kind, name in differs if "cost_records" in name}
    assert kinds == {"table", "index", "constraint"}, differs
    leaves = costs.execute(
        "select c.relname::text from pg_inherits join pg_class as c on c.oid = inhrelid"
        " where inhparent = %s::regclass and not c.relrowsecurity",
        (COSTS,),
    )
    assert leaves.fetchall() == []
    assert costs.execute(
        "select count(*) from only observability.cost_records_default"
    ).fetchone() == (0,)


def test_its_months_can_be_archived_then(costs: psycopg.Connection) -> None:
    """A table whose rows can neither leave as a month nor one by one, as its archive is in one piece."""
    before = content(costs)
    growth.partition(costs, COSTS)
    growth.finish(costs, COSTS)
    assert costs.execute("select ops.archive_month(%s, '2026-02-01')", (COSTS,)).fetchone()
    assert content(costs) == before
    hot = costs.execute("select min(created_at)::date::text from observability.cost_records")
    assert hot.fetchone() == ("2026-03-01",)
    costs.execute("select ops.unarchive_month(%s, '2026-02-01')", (COSTS,))
    costs.execute("select ops.unarchive_month(%s, '2026-01-01')", (COSTS,))
    assert content(costs) == before


def test_the_way_back_keeps_what_was_written(costs: psycopg.Connection) -> None:
    """Rows that are written after the switch, and lost when it is taken back."""
    objects = catalog.objects(costs)
    growth.partition(costs, COSTS)
    costs.execute("delete from observability.cost_records where cost = 60")
    costs.execute(
        "update observability.cost_records set cost = 7, created_at = '2026-03-03 00:00+00' where cost = 50"
    )
    costs.execute(
        "insert into observability.cost_records (execution_id, node_id, node_type, category)"
        " values ('new', 'n', 'llm', 'llm')"
    )
    written = content(costs)
    growth.undo(costs, COSTS)
    assert content(costs) == written
    assert costs.execute(LEFT_OVER).fetchall() == []
    assert catalog.objects(costs) == objects


def test_a_month_that_has_moved_bars_the_way_back(costs: psycopg.Connection) -> None:
    """A month that stands twice: in its archive, and in the old table that is put back."""
    growth.partition(costs, COSTS)
    costs.execute("select ops.archive_month(%s, '2026-02-01')", (COSTS,))
    before = content(costs)
    with pytest.raises(AgentbooksError, match="have moved since it is partitioned"):
        growth.undo(costs, COSTS)
    assert content(costs) == before
    growth.finish(costs, COSTS)
    assert content(costs) == before


def test_nobody_is_forgotten_while_old_rows_are_kept(costs: psycopg.Connection) -> None:
    """A person whose rows lie in the old table after all of them were said to be gone."""
    (person,) = costs.execute(
        "insert into observability.profiles (email) values ('a@example.org') returning id::text"
    ).fetchall()[0]
    growth.partition(costs, COSTS)
    with pytest.raises(AgentbooksError, match="its old rows would be kept; run `agentbooks part"):
        erasure.erase(costs, Archive.chosen(), [person])
    growth.finish(costs, COSTS)
    assert erasure.erase(costs, Archive.chosen(), [person]) is not None


def test_a_truncated_table_is_empty_on_both_sides(costs: psycopg.Connection) -> None:
    """Rows that come back from the dead as a truncation fires no trigger of a row."""
    database.patiently(lambda: costs.execute("select ops.start_growth(%s, 'created_at')", (COSTS,)))
    for _ in range(4):
        costs.execute("select ops.grow(%s, 10)", (COSTS,))
    costs.execute("truncate observability.cost_records")
    costs.execute(
        "insert into observability.cost_records (execution_id, node_id, node_type, category)"
        " values ('new', 'n', 'llm', 'llm')"
    )
    written = content(costs)
    growth.partition(costs, COSTS)
    assert content(costs) == written
    costs.execute("truncate observability.cost_records")
    written = content(costs)
    growth.undo(costs, COSTS)
    assert content(costs) == written


@pytest.mark.parametrize(
    ("table", "change", "reason"),
    [
        ("observability.spans", "select", "not a table in one piece"),
        (
            "observability.traces",
            "select",
            "key spans_trace_id_fkey of observability.spans leads to it",
        ),
        ("chat.agent_memories", "select", "column expires_at may be null"),
        ("observability.workflows", "select", "name the column by --by"),
        (
            COSTS,
            f"create unique index only_one on {COSTS} (execution_id, node_id)",
            "unique without created_at",
        ),
        (
            COSTS,
            f"create materialized view kept as select * from {COSTS}",
            "depends on it",
        ),
        (COSTS, f"create view seen as select * from {COSTS}", "belongs to postgres"),
        (
            COSTS,
            f"alter table {COSTS} add constraint late check (cost < 1000) not valid",
            "constraint late is not validated",
        ),
        ("observability.nothing", "select", "there is no table"),
    ],
)
def test_what_cannot_be_partitioned_is_told_before_anything_is_done(
    raw: psycopg.Connection, table: str, change: str, reason: str
) -> None:
    """A migration that stops half-way for a reason that was there from the start."""
    raw.execute(change.encode())
    objects = catalog.objects(raw)
    with pytest.raises(AgentbooksError, match=reason):
        growth.partition(raw, table)
    assert catalog.objects(raw) == objects


# As an original definition leaves them: known by the id alone, led to by itself, in one piece.
SPANS = "observability.spans"
IN_ONE_PIECE = """
create table observability.plain (like observability.spans including all excluding indexes);
insert into observability.plain select * from observability.spans;
drop table observability.spans cascade;
drop table archive.observability__spans cascade;
alter table observability.plain rename to spans;
alter table observability.spans
add constraint spans_pkey primary key (span_id),
add constraint spans_trace_id_fkey
foreign key (trace_id) references observability.traces on delete cascade,
add constraint spans_parent_span_id_fkey
foreign key (parent_span_id) references observability.spans (span_id) on delete set null;
alter table observability.spans owner to agentbooks_owner;
alter table observability.spans enable row level security;
grant select on observability.spans to agentbooks_refresher;
create policy spans_own on observability.spans for all to authenticated
using (tenant_id = (select ops.caller_tenant_id()));
create policy spans_in_own_traces on observability.spans as restrictive for all to authenticated
using (true) with check (exists (select from observability.traces as t where t.trace_id = spans.trace_id));
create index idx_spans_trace_id on observability.spans (trace_id);
create index idx_spans_tokens on observability.spans using gin (tokens);
create trigger spans_updated before update on observability.spans
for each row execute function ops.stamp_change();
create view observability.slow_spans with (security_invoker = true) as
select span_id, duration_ms from observability.spans where duration_ms > 1000;
alter view observability.slow_spans owner to agentbooks_owner;
grant select on observability.slow_spans to authenticated;
delete from ops.captured_tables where table_name = 'observability.spans';
set role agentbooks_owner;
select ops.create_archive('observability.spans');
select ops.sync_archives();
select ops.capture_changes('observability.spans', $$(started_at at time zone 'UTC')::date as day$$);
reset role;
"""


def test_an_original_table_becomes_partitioned_and_no_mart_changes(
    server18: TestServer,
    connect: Callable[[str], psycopg.Connection],
    build_marts: Callable[..., None],
) -> None:
    """Marts that count a table twice, not at all, or no longer hear of its changes."""
    connection = connect(server18.database())
    for _, writes in simulate_traffic(6, 3, 1).batches():
        write(connection, writes)
    connection.execute(IN_ONE_PIECE.encode())
    refresher = Refresher.build(connection.info.dsn, build_marts)
    refresher.refresh(connection)
    before = refresher.rows(connection)

    told = "\n".join(growth.plan(connection, SPANS))
    assert "keyed by (trace_id, span_id, started_at)" in told
    assert "no longer unique by (span_id) alone" in told
    assert "Key spans_parent_span_id_fkey leads to the table itself and goes" in told
    growth.partition(connection, SPANS)
    growth.partition(connection, COSTS)
    growth.finish(connection, SPANS)
    assert retention.lint(connection) == []
    refresher.refresh(connection)
    assert refresher.rows(connection) == before
    refresher.refresh(connection, is_full=True)
    assert refresher.rows(connection) == before

    connection.execute(
        "update observability.spans set cost = cost + 1 where span_type = 'llm' and cost is not null"
    )
    connection.execute("delete from observability.spans where span_type = 'chunking'")
    refresher.refresh(connection)
    refreshed = refresher.rows(connection)
    assert refreshed != before, "the negative control: marts hear of it"
    refresher.refresh(connection, is_full=True)
    assert refresher.rows(connection) == refreshed
    keys = connection.execute(
        "select conname::text from pg_constraint where conrelid = %s::regclass and contype = 'f'"
        " and conparentid = 0",
        (SPANS,),
    )
    assert keys.fetchall() == [("spans_trace_id_fkey",)]
    by_id = connection.execute(
        "select pg_get_indexdef('observability.idx_spans_pkey'::regclass)"
    ).fetchone()
    assert by_id
    assert by_id[0].endswith("(span_id)")
    assert connection.execute("select count(*) > 0 from observability.slow_spans").fetchone()


# Killed


class Costs:
    """What eight writers have written, by their own account."""

    def __init__(self) -> None:
        """Begin with nothing."""
        self.rows: dict[UUID, tuple[int, datetime]] = {}
        self.lock = threading.Lock()

    def draw_write(self, number: int, draw: Random) -> tuple[str, tuple[Any, ...]]:
        """Insert a row, or update, move or delete one of this writer's own."""
        own = [row for row in list(self.rows) if row.int % 8 == number]
        cost = draw.randrange(1_000_000)
        created_at = START + timedelta(minutes=draw.randrange(400_000))
        if len(own) < 20 or draw.random() < 0.4:
            row = UUID(int=draw.getrandbits(124) * 8 + number)
            self.rows[row] = (cost, created_at)
            return (
                f"insert into {COSTS} (id, execution_id, node_id, node_type, category, cost, created_at)"
                " values (%s, 'new', 'n', 'llm', 'llm', %s, %s)",
                (row, cost, created_at),
            )
        row = draw.choice(own)
        if draw.random() < 0.3:
            del self.rows[row]
            return f"delete from {COSTS} where id = %s", (row,)
        if draw.random() < 0.5:
            created_at = self.rows[row][1]
        self.rows[row] = (cost, created_at)
        return (
            f"update {COSTS} set cost = %s, created_at = %s where id = %s",
            (cost, created_at, row),
        )

    def check(self, connection: psycopg.Connection, old: tuple[Any, ...]) -> None:
        """Find every row once and as it was left, and the older ones as they were."""
        found = connection.execute(
            f"select id, cost::int, created_at from {COSTS} where execution_id = 'new'".encode()
        ).fetchall()
        assert len(found) == len(self.rows)
        assert {row[0]: row[1:] for row in found} == self.rows
        assert (
            connection.execute(f"{CONTENT} where execution_id = 'old'".encode()).fetchone() == old
        )


@pytest.fixture(scope="module")
def jobs(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stepwise]:
    """What starts commands that stop before a step."""
    with stepwise(tmp_path_factory.mktemp("jobs")) as started:
        yield started


def test_killed_anywhere_it_ends_as_if_undisturbed(
    server18: TestServer,
    jobs: Stepwise,
    connect: Callable[[str], psycopg.Connection],
) -> None:
    """A row that is lost, doubled or older than its last write, or a writer who is refused."""
    undisturbed = connect(server18.database())
    undisturbed.execute(LOAD)
    steps: dict[tuple[str, ...], list[str]] = {}
    for command in (PARTITION, BACK, PARTITION):
        job = jobs.start(command, undisturbed.info.dsn)
        job.end()
        steps[command] = job.steps
    growth.finish(undisturbed, COSTS)

    url = server18.database()
    connection = connect(url)
    connection.execute("set time zone 'UTC'")
    connection.execute(LOAD)
    old = connection.execute(f"{CONTENT} where execution_id = 'old'".encode()).fetchone()
    assert old
    costs, draw = Costs(), Random(KILLS)  # noqa: S311  (it should repeat)
    writers = Writers(url, costs.draw_write)
    command, killed, done = PARTITION, 0, 0
    while killed < KILLS:
        with writers.at_work():
            for _ in range(8):
                job = jobs.start(command, url, draw.choice(steps[command]))
                if kill_at_random(job, url, draw):
                    killed += 1
                elif "Traceback" not in job.printed:
                    done += 1
                    command = BACK if command == PARTITION else PARTITION
        costs.check(connection, old)
    with writers.at_work():
        for last in (PARTITION,) if command == PARTITION else (PARTITION, PARTITION):
            jobs.start(last, url).end()
        jobs.start((*PARTITION, "--finish"), url).end()
    costs.check(connection, old)
    assert connection.execute(LEFT_OVER).fetchall() == []
    assert catalog.objects(connection) == catalog.objects(undisturbed)
    print(
        f"{killed} kills, {done} ends, {writers.done} writes, longest wait {writers.longest:.0f} ms"
    )
