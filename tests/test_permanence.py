"""Raw rows leave and come back, and no number of a mart changes but by what came late, and is listed.

Each sequence of steps is done on two databases: one whose months leave and come back, and a twin that keeps
everything. `AGENTBOOKS_SEQUENCES` sets how many random sequences are tried: 50 unless it says otherwise.
"""

from __future__ import annotations

import os
from contextlib import suppress
from typing import TYPE_CHECKING

import psycopg
import pytest
from faults import value
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from psycopg.types.json import Jsonb
from test_refresh import CLEANING, DAYS, SMALL, _bound
from test_refresh import WRITES as WRITES_ANYWHERE

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from conftest import TestServer
    from refreshing import Refresher

    Step = tuple[str, int, int, int]

SEQUENCES = int(os.environ.get("AGENTBOOKS_SEQUENCES", "50"))
# A trace without a time of its own counts when it was written, which is not the same moment in both.
WRITES = WRITES_ANYWHERE | {
    "raaf": WRITES_ANYWHERE["raaf"]
    .replace("status, started_at)", "status, started_at, created_at)")
    .replace("when $k % 4 > 0 then $at end)", "when $k % 4 > 0 then $at end, $at)"),
    # So that the conversation may leave, and before it began.
    "chat": WRITES_ANYWHERE["chat"]
    .replace("agent_id, started_at)", "agent_id, started_at, last_active)")
    .replace("id(17, $k), $at)", "id(17, $k), $at, $at)"),
}
# A row that has left cannot be altered: where its table has it, found in the twin by this.
ALTERED = {
    "move a span": ("observability.spans", "started_at", "span_id = id(2, $k)"),
    "hand a span on": ("observability.spans", "started_at", "span_id = id(2, $k)"),
    "reprice a span": ("observability.spans", "started_at", "span_id = id(2, $k)"),
    "drop a span": ("observability.spans", "started_at", "span_id = id(2, $k)"),
    "truncate spans": ("observability.spans", "started_at", "true"),
    "judge otherwise": ("agentic.agent_decisions", "created_at", "decision_id = id(5, $n)"),
    "turn a raaf span": ("raaf.raaf_tracing_spans", "start_time", "span_id = 's' || $k"),
    "drop a raaf span": ("raaf.raaf_tracing_spans", "start_time", "span_id = 's' || $k"),
    "edit a message": ("chat.chat_messages_v2", "created_at", "id = id(19, $k)"),
    "drop a chat agent": ("chat.chat_messages_v2", "created_at", "true"),
}
# What a write finds, adds or hangs under: once that is archived, other rows than in the twin.
TOUCHED = {
    "trace": {"observability.traces": "trace_id = id(1, $n)"},
    "span": {
        "observability.traces": "trace_id = id(1, $n)",
        "observability.spans": "span_id = id(2, $k)",
    },
    "move a span": {"observability.spans": "span_id = id(2, $k)"},
    "hand a span on": {
        "observability.traces": "trace_id = id(1, $n)",
        "observability.spans": "span_id = id(2, $k)",
    },
    "reprice a span": {"observability.spans": "span_id = id(2, $k)"},
    "drop a span": {"observability.spans": "span_id = id(2, $k)"},
    "truncate spans": {"observability.spans": "true"},
    "drop a trace": {
        "observability.traces": "trace_id = id(1, $n)",
        "observability.spans": "trace_id = id(1, $n)",
    },
    "judge": {
        "agentic.agent_sessions": "session_id = id(4, $n)",
        "agentic.agent_decisions": "decision_id = id(5, $n)",
    },
    "judge otherwise": {"agentic.agent_decisions": "decision_id = id(5, $n)"},
    "drop a judged session": {
        "agentic.agent_sessions": "session_id = id(4, $n)",
        "agentic.agent_decisions": "session_id = id(4, $n)",
    },
    "talk": {
        "agentic.agent_sessions": "session_id = id(6, $n)",
        "agentic.conversation_history": "message_id = id(7, $k)",
        "agentic.agent_decisions": "decision_id = id(8, $k)",
    },
    "change a session's agent": {"agentic.agent_sessions": "session_id = id(6, $n)"},
    "drop an agent": {
        "agentic.agent_decisions": "true",
        "agentic.agent_sessions": "agent_id = id(3, $k)",
        "agentic.conversation_history": "true",
    },
    "use a pattern": {"traceability.pattern_usage_log": "id = id(10, $k)"},
    "raaf": {
        "raaf.raaf_tracing_traces": "trace_id = 't' || $n",
        "raaf.raaf_tracing_spans": "span_id = 's' || $k",
    },
    "turn a raaf span": {"raaf.raaf_tracing_spans": "span_id = 's' || $k"},
    "drop a raaf span": {"raaf.raaf_tracing_spans": "span_id = 's' || $k"},
    "execute": {
        "traceability.execution_traces": "id = id(11, $k)",
        "traceability.hook_executions": "id = id(14, $k)",
    },
    "route": {
        "traceability.execution_traces": "id = id(11, $k)",
        "traceability.agent_routing_decisions": "id = id(15, $n)",
    },
    "drop an execution": {
        "traceability.execution_traces": "id = id(11, $k)",
        "traceability.hook_executions": "trace_id = id(11, $k)",
        "traceability.agent_routing_decisions": "trace_id = id(11, $k)",
    },
    "chat": {
        "chat.conversation_sessions": "id = id(18, $n)",
        "chat.chat_messages_v2": "id = id(19, $k)",
    },
    "edit a message": {"chat.chat_messages_v2": "id = id(19, $k)"},
    "drop a chat agent": {
        "chat.conversation_sessions": "agent_id = id(17, $k)",
        "chat.chat_messages_v2": "true",
    },
}
LIFECYCLE = st.tuples(st.sampled_from(["remove", "restore", "check"]), SMALL, SMALL, SMALL)
REFRESH = st.tuples(
    st.sampled_from(["refresh", "full refresh", "change a view"]), SMALL, SMALL, SMALL
)
WRITE = st.tuples(st.sampled_from(sorted(WRITES)), SMALL, SMALL, SMALL)
# There are rows, and the months of some tables leave, before anything else: else most sequences would remove
# nothing, and no row would come late.
REMOVAL = st.tuples(st.just("remove"), SMALL, SMALL, SMALL)
STEPS = st.tuples(
    REMOVAL, st.lists(st.one_of(WRITE, WRITE, WRITE, REFRESH, LIFECYCLE), max_size=10)
)
ROWS = ("trace", "span", "raaf", "talk", "chat", "judge", "use a pattern", "execute", "route")
MONTHS = sorted({day[:7] + "-01" for day in DAYS})
TABLES = (
    "observability.spans",
    "raaf.raaf_tracing_spans",
    "traceability.hook_executions",
    "traceability.pattern_usage_log",
    "chat.chat_messages_v2",
    "agentic.agent_decisions",
    "agentic.conversation_history",
    # In one piece; after what hangs under them.
    "traceability.agent_routing_decisions",
    "observability.traces",
    "raaf.raaf_tracing_traces",
    "traceability.execution_traces",
    "chat.conversation_sessions",
    "agentic.agent_sessions",
)
IN_ONE_PIECE = TABLES[-6:]


class Archived:
    """A database whose months leave and come back; the archive is kept in memory."""

    def __init__(self, connection: psycopg.Connection) -> None:
        """Archive from this connection."""
        self.connection = connection
        self.away: dict[tuple[str, str], bytes] = {}
        self.copies: dict[tuple[str, str], bytes] = {}

    def archive(self, month: str) -> None:
        """Archive all that is as old as a month or older, and that nothing leans on."""
        for table in TABLES:
            if table in IN_ONE_PIECE:
                clock = value(self.connection, f"select ops.month_clock('{table}')")
                before = value(
                    self.connection,
                    f"select (date '{month}' + interval '1 month')::timestamp at time zone 'UTC'",
                )
                due = {"clock": clock, "before": str(before)}
                if table == "traceability.execution_traces":
                    due["together_by"] = "root_id"
                self.connection.execute("select ops.archive_rows(%s, %s)", (table, Jsonb(due)))
                continue
            for earlier in MONTHS[: MONTHS.index(month) + 1]:
                self.connection.execute("select ops.archive_month(%s, %s)", (table, earlier))

    def freeze(self, table: str, month: str) -> None:
        """Freeze a month."""
        self.connection.execute("select ops.freeze_month(%s, %s)", (table, month))

    def copy(self, table: str, month: str) -> int:
        """Copy a month, and say that the copy was verified."""
        rows_sql = value(self.connection, f"select ops.month_rows('{table}', '{month}')")
        query = f"copy (select {self.columns(table)} from ({rows_sql}) as r) to stdout"
        with self.connection.cursor().copy(query.encode()) as copy:
            self.copies[table, month] = b"".join(bytes(part) for part in copy)
        row = self.connection.execute(
            f"select (select count(*) from ({rows_sql}) as r), ops.column_checksums(%s, %s)".encode(),
            (table, rows_sql),
        ).fetchone()
        assert row is not None
        self.connection.execute(
            "delete from ops.archive_files where url = %s", (f"{table} {month}",)
        )
        with self.connection.transaction():
            self.connection.execute("set local search_path = ''")  # types with their schemas
            self.connection.execute(
                "insert into ops.archive_files"
                " select %s, %s, %s, %s, 0, repeat('0', 64), %s, jsonb_object_agg(attname,"
                " format_type(atttypid, atttypmod)), 'test', 'verified' from pg_attribute"
                " where attrelid = %s::regclass and attnum > 0 and not attisdropped",
                (table, month, f"{table} {month}", row[0], Jsonb(row[1]), table),
            )
        return int(row[0])

    def remove(self, table: str, month: str) -> int:
        """Freeze a month, copy it and drop it; of a table in one piece what is archived."""
        if table in IN_ONE_PIECE:
            self.archive(month)
        self.freeze(table, month)
        rows = self.copy(table, month)
        assert value(self.connection, f"select ops.remove_month('{table}', '{month}')") == rows
        self.away[table, month] = self.copies[table, month]
        return rows

    def stage(self, table: str, month: str) -> str:
        """Copy a month to where it comes back from."""
        staged = str(value(self.connection, f"select ops.stage_month('{table}', '{month}')"))
        query = f"copy {staged} ({self.columns(table)}) from stdin"
        with self.connection.cursor().copy(query.encode()) as copy:
            copy.write(self.copies[table, month])
        return staged

    def restore(self, table: str, month: str) -> None:
        """Bring a month back."""
        self.stage(table, month)
        self.connection.execute("select ops.restore_month(%s, %s)", (table, month))
        self.away.pop((table, month), None)

    def restore_all(self) -> None:
        """Bring everything back, what others hang under first."""
        for away in sorted(self.away, key=lambda away: -TABLES.index(away[0])):
            self.restore(*away)

    def columns(self, table: str) -> str:
        """List the columns."""
        return str(
            value(
                self.connection,
                "select string_agg(quote_ident(attname), ', ' order by attnum) from pg_attribute"
                f" where attrelid = '{table}'::regclass and attnum > 0 and not attisdropped",
            )
        )


class World:
    """Both databases, and the refresher of both."""

    def __init__(self, refresher: Refresher, archived: str, twin: str) -> None:
        """Connect to both."""
        self.refresher = refresher
        self.archived = Archived(psycopg.connect(archived, autocommit=True))
        self.twin = psycopg.connect(twin, autocommit=True)

    @property
    def connections(self) -> tuple[psycopg.Connection, psycopg.Connection]:
        """Both connections."""
        return (self.archived.connection, self.twin)

    def refresh(self) -> None:
        """Refresh both."""
        for connection in self.connections:
            self.refresher.refresh(connection)

    def write(self, statements: str, n: int = 0, day: int = 0, k: int = 0) -> None:
        """Write the same to both, each in one transaction."""
        for connection in self.connections:
            with (
                suppress(psycopg.errors.IntegrityError, psycopg.errors.RaiseException),
                connection.transaction(),
            ):
                for statement in statements.split(";"):
                    connection.execute(_bound(statement, n, day, k))

    def begin(self, days: int) -> None:
        """Write rows of each kind, whose runs begin on one day and go on on the next."""
        for number in range(6):
            for write in ROWS:
                later = write in ("span", "raaf") and number % 2
                self.write(WRITES[write], n=number, day=(number + later) % days, k=number)
                if write == "raaf":
                    self.write(WRITES[write], n=number, day=number % days, k=(number + 3) % 6)
        self.refresh()

    def do(self, step: Step) -> None:
        """Take one step; what a database refuses is none."""
        kind, n, day, k = step
        month = DAYS[day][:7] + "-01"
        if kind == "refresh":
            self.refresh()
        elif kind == "full refresh":
            self.refresher.refresh(self.archived.connection, is_full=True)
        elif kind == "change a view":
            self.archived.connection.execute(
                "select ops.note_view(view, sql_hash) from ops.built_views order by view limit 1 offset %s",
                (n * 9 + k,),
            )
        elif kind == "remove":
            # Of one table, or of several as a policy would have it.
            self.refresh()
            for table in (TABLES + TABLES)[k : k + 1 + n % 3 * 3]:
                with suppress(psycopg.errors.ObjectNotInPrerequisiteState):
                    if (table, month) not in self.archived.away:
                        self.archived.remove(table, month)
        elif kind == "restore":
            for away in list(self.archived.away)[: n + 1]:
                with suppress(psycopg.errors.ObjectNotInPrerequisiteState):
                    self.archived.restore(*away)
        elif kind == "check":
            self.check()
        elif not (
            self.would_alter_what_has_left(kind, n, day, k)
            or self.would_touch_an_archive(kind, n, day, k)
        ):
            self.write(WRITES[kind], n, day, k)

    def would_alter_what_has_left(self, kind: str, n: int, day: int, k: int) -> bool:
        """Say whether a write would find rows in the twin that are in the archive here."""
        if kind not in ALTERED:
            return False
        table, clock, condition = ALTERED[kind]
        months = self.twin.execute(
            _bound(
                f"select to_char({clock} at time zone 'UTC', 'YYYY-MM-01') from {table} where {condition}",
                n,
                day,
                k,
            )
        ).fetchall()
        return any((table, month) in self.archived.away for (month,) in months)

    def would_touch_an_archive(self, kind: str, n: int, day: int, k: int) -> bool:
        """Say whether a write would find rows in the twin that are archived, or were, here."""
        ours = self.archived.connection
        for table, condition in TOUCHED.get(kind, {}).items():
            is_archived, is_here = ours.execute(
                _bound(
                    f"select exists (select from archive.{table.replace('.', '__')} where {condition}),"
                    f" exists (select from {table} where {condition})",
                    n,
                    day,
                    k,
                )
            ).fetchall()[0]
            if is_archived:
                return True
            in_twin = self.twin.execute(
                _bound(f"select exists (select from {table} where {condition})", n, day, k)
            ).fetchall()[0]
            if table in IN_ONE_PIECE and in_twin[0] and not is_here:
                return True
        return False

    def check(self) -> None:
        """Find what differs from the twin without being listed as late, and frozen days that have moved."""
        self.refresh()
        ours = self.archived.connection
        assert self.refresher.differences(ours) == [], "a full refresh gives something else"
        late = {target for (target,) in ours.execute("select distinct target from ops.late_rows")}
        inputs: dict[str, list[str]] = dict(
            ours.execute("select target, inputs from ops.refreshes").fetchall()
        )
        for name in self.refresher.statements:  # in the order of the graph
            if late & set(inputs[name]):
                late.add(name)
        unexplained = [line for line in self.differences() if line.partition(":")[0] not in late]
        assert unexplained == [], "nothing is listed that would explain it"
        for target, column in ours.execute(
            "select target, grain_column from ops.refreshes"
            " where target in (select target from ops.refreshed_periods where state = 'frozen')"
        ).fetchall():
            moved = value(
                ours,
                f"select count(*) from ops.refreshed_periods as p"
                f" cross join lateral (select s.* from ops.seals as s where s.target = p.target"
                f" and s.period = p.period order by s.seal_number desc limit 1) as s"
                f" cross join lateral (select count(*) as rows,"
                f" coalesce(sum(hash_record_extended(t, 0)), 0) as checksum"
                f" from {target} as t where coalesce(t.{column}, '0001-01-01') = p.period) as t"
                f" where p.target = '{target}' and p.state = 'frozen'"
                f" and (t.rows, t.checksum) is distinct from (s.sealed_rows, s.checksum)",
            )
            assert moved == 0, f"{moved} frozen days of {target} are not what was sealed"

    def restore_all(self) -> None:
        """Bring everything back, and compare."""
        self.archived.restore_all()
        for table, month in self.archived.connection.execute(
            "select table_name, month from ops.departures"
        ).fetchall():
            self.archived.connection.execute("select ops.thaw_month(%s, %s)", (table, month))
        self.refresh()
        assert self.differences() == []
        assert value(self.archived.connection, "select count(*) from ops.late_rows") == 0
        assert value(self.archived.connection, "select count(*) from ops.departed_keys") == 0

    def clean(self) -> None:
        """Leave nothing to the next sequence."""
        self.archived.restore_all()
        for table, month in self.archived.connection.execute(
            "select table_name, month from ops.departures"
        ).fetchall():
            self.archived.connection.execute("select ops.thaw_month(%s, %s)", (table, month))
        for table in TABLES:
            self.archived.connection.execute(
                f"truncate archive.{table.replace('.', '__')}".encode()
            )
        self.write(CLEANING)
        for month in MONTHS:
            self.archived.connection.execute(
                "select ops.create_month_partitions(partrelid::regclass, %(month)s, %(month)s)"
                " from pg_partitioned_table where partrelid::regclass::text !~ '^archive'",
                {"month": month},
            )

    def differences(self) -> list[str]:
        """Compare the two databases, table by table."""
        ours, theirs = (self.refresher.rows(connection) for connection in self.connections)
        return [
            f"{name}: {sign} {row[0]}"
            for name in ours
            for sign, rows in (
                ("here alone", ours[name] - theirs[name]),
                ("in the twin alone", theirs[name] - ours[name]),
            )
            for row in rows
        ]


@pytest.fixture(scope="module")
def world(server18: TestServer, empty_marts: Callable[[], Refresher]) -> Iterator[World]:
    """Two databases whose marts are built; the steps are replayed through psycopg."""
    refresher = empty_marts()
    with psycopg.connect(refresher.url, autocommit=True) as connection:
        connection.execute(
            "create function public.id(kind int, number int) returns uuid language sql immutable"
            " return (lpad(kind::text, 8, '0') || '-0000-4000-8000-' || lpad(number::text, 12, '0'))::uuid"
        )
        connection.execute("update ops.as_of set as_of_date = greatest(as_of_date, '2026-12-01')")
        for month in MONTHS:
            connection.execute(
                "select ops.create_month_partitions(partrelid::regclass, %(month)s, %(month)s)"
                " from pg_partitioned_table",
                {"month": month},
            )
        for (month,) in connection.execute(
            "select inhrelid::regclass::text from pg_inherits"
            " inner join pg_partitioned_table on partrelid = inhparent"
            " where inhrelid::regclass::text !~ '(2025m11|2026m03|2026m04|2026m05|default)'"
        ).fetchall():
            connection.execute(f"drop table {month}".encode())
        connection.execute(
            "delete from seeds.model_prices where provider <> 'openai' or model not like 'gpt-4%'"
        )
        connection.execute("delete from seeds.model_aliases where provider <> 'openai'")
    made = World(refresher, refresher.url, server18.copy(refresher.url.rpartition("/")[2]))
    made.refresh()
    yield made
    for connection in made.connections:
        connection.close()


def test_a_month_leaves_and_comes_back_and_no_number_changes(world: World) -> None:
    """Numbers that go with their raw rows, by a refresh or by a full refresh."""
    try:
        world.begin(days=3)
        assert world.differences() == []
        removed = [world.archived.remove(table, "2026-03-01") for table in TABLES[:-6]]
        assert min(removed) > 0, removed
        world.refresh()
        assert world.differences() == []
        assert world.refresher.differences(world.archived.connection) == []
        assert world.differences() == []
        # What comes late waits, and is counted once all is back.
        world.write(WRITES["span"], n=2, day=1, k=20)
        world.refresh()
        assert world.differences() != []
        assert value(world.archived.connection, "select count(*) from ops.late_rows") > 0
        assert world.refresher.differences(world.archived.connection) == []
        world.archived.restore_all()
        world.refresh()
        assert value(world.archived.connection, "select count(*) from ops.late_rows") == 0
        assert world.differences() == []
    finally:
        world.clean()


def test_what_rows_hang_under_leaves_too(world: World) -> None:
    """Traces and sessions that stay for ever, or whose rows change their numbers once they have gone."""
    try:
        world.begin(days=3)
        world.archived.archive("2026-05-01")
        removed = {table: world.archived.remove(table, "2026-03-01") for table in TABLES}
        assert min(removed.values()) > 0, removed
        checkpoints = "select count(*) from ops.trust_checkpoints"
        assert value(world.archived.connection, checkpoints) > 0, "what the decisions led to"
        world.refresh()
        assert world.differences() == []
        assert world.refresher.differences(world.archived.connection) == []
        assert world.differences() == []
        # A name that comes late for the runs of sessions that have gone, and a run of its own.
        world.write(WRITES["rename an agent"], n=2, k=2)
        world.write(WRITES["trace"], n=20, day=1)
        world.write(WRITES["span"], n=20, day=1, k=20)
        world.check()
        assert world.differences() != []
        late = world.archived.connection.execute(
            "select distinct table_name from ops.late_rows order by 1"
        ).fetchall()
        assert [name for (name,) in late if name in ("agentic.agents", "observability.traces")] == [
            "agentic.agents",
            "observability.traces",
        ]
        world.restore_all()
        assert value(world.archived.connection, checkpoints) == 0
    finally:
        world.clean()


@settings(
    max_examples=SEQUENCES, deadline=None, suppress_health_check=list(HealthCheck), print_blob=True
)
@given(steps=STEPS)
def test_any_interleaving_differs_by_what_came_late_alone(
    world: World, steps: tuple[Step, list[Step]]
) -> None:
    """A number that moves, stays away or counts twice as rows leave and come back, whatever comes between."""
    try:
        world.begin(days=len(DAYS))
        for step in (steps[0], *steps[1]):
            world.do(step)
        world.check()
        world.restore_all()
    finally:
        world.clean()


# What random sequences have found, as they were shrunk.
FOUND: dict[str, list[Step]] = {
    "a run that moves from a frozen day to an open one": [
        ("remove", 5, 2, 1),
        ("trace", 1, 5, 0),
    ],
    "a truncation that reaches a frozen day through other models": [
        ("remove", 0, 0, 3),
        ("truncate spans", 0, 0, 0),
    ],
    "a full refresh before anybody has seen what came late": [
        ("remove", 0, 0, 3),
        ("reprice a span", 3, 0, 0),
        ("full refresh", 0, 0, 0),
    ],
    "a changed view before anybody has seen what came late": [
        ("remove", 0, 0, 3),
        ("reprice a span", 3, 0, 0),
        *(("change a view", n, 0, k) for n in range(6) for k in range(6)),
    ],
}


@pytest.mark.parametrize("found", FOUND)
def test_what_was_found_stays_mended(world: World, found: str) -> None:
    """Anything that a random sequence has once found."""
    try:
        world.begin(days=len(DAYS))
        for step in FOUND[found]:
            world.do(step)
        world.check()
        world.restore_all()
    finally:
        world.clean()
