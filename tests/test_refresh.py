"""However writes and refreshes interleave, the tables end equal, row for row, to a rebuild from nothing.

`AGENTBOOKS_SEQUENCES` sets how many random sequences are tried: 500 unless it says otherwise.
"""

from __future__ import annotations

import json
import os
import random
import subprocess
import sys
import threading
import time
from contextlib import suppress
from pathlib import Path
from string import Template
from typing import TYPE_CHECKING

import psycopg
import psycopg.conninfo
import pytest
from conftest import ROOT
from faults import value
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from refreshing import Refresher

    Step = tuple[str, int, int, int]

SEQUENCES = int(os.environ.get("AGENTBOOKS_SEQUENCES", "500"))

# Each write is one transaction of an application. The numbers n, day and k of a step choose among few rows,
# days (the edges of two months among them) and words, so that the steps of a sequence meet.
WRITES = {
    "trace": """
        insert into observability.traces
            (trace_id, workflow_id, execution_id, status, started_at, total_tokens, metadata)
        values (
            id(1, $n), 'wf', 'run ' || $n, 'running', $at, '{"input": 50, "output": 5}',
            jsonb_build_object(
                'loader', '{}'::jsonb, 'run_id', 'run ' || $n, 'domain', $word,
                'agent', jsonb_build_object('name', $word, 'model', $model), 'task_id', 'task'
            )
        )
        on conflict (trace_id) do update
        set started_at = excluded.started_at, metadata = excluded.metadata""",
    "span": """
        insert into observability.spans
            (trace_id, span_id, span_type, name, status, started_at, model, tokens, cost, duration_ms)
        select
            id(1, $n), id(2, $k), case when $k % 3 = 0 then 'agent_tool_call' else 'llm' end, 'step',
            'completed', $at, $model, '{"input_tokens": 1000, "output_tokens": 10}',
            case when $k % 2 = 0 then 0.25 end, case when $k < 4 then 100 * $k end
        on conflict do nothing""",
    "move a span": "update observability.spans set started_at = $at where span_id = id(2, $k)",
    "hand a span on": "update observability.spans set trace_id = id(1, $n) where span_id = id(2, $k)",
    "reprice a span": """
        update observability.spans set cost = $k, model = $model, duration_ms = $n
        where span_id = id(2, $k)""",
    "drop a span": "delete from observability.spans where span_id = id(2, $k)",
    "drop a trace": "delete from observability.traces where trace_id = id(1, $n)",
    "truncate spans": "truncate observability.spans",
    "judge": """
        insert into agentic.agents (agent_id, name, persona_type, capabilities)
        values (id(3, 0), 'loader', 'assistant', '{}') on conflict do nothing;
        insert into agentic.agent_sessions (session_id, agent_id, started_at, metadata)
        values (id(4, $n), id(3, 0), $at, jsonb_build_object('loader', '{}'::jsonb, 'run_id', 'run ' || $n))
        on conflict do nothing;
        insert into agentic.agent_decisions (
            session_id, decision_id, decision_type, input_context, action_taken, user_feedback,
            created_at, metadata
        )
        values (
            id(4, $n), id(5, $n), 'task', '{}', '{}', $verdict, $at,
            jsonb_build_object('loader', '{}'::jsonb, 'run_id', 'run ' || $n)
        )
        on conflict do nothing""",
    "judge otherwise": """
        update agentic.agent_decisions set user_feedback = $verdict, created_at = $at
        where decision_id = id(5, $n)""",
    "drop a judged session": "delete from agentic.agent_sessions where session_id = id(4, $n)",
    "talk": """
        insert into agentic.agents (agent_id, name, persona_type, capabilities)
        values (id(3, $k), $word, 'developer', '{}') on conflict do nothing;
        insert into agentic.agent_sessions (session_id, agent_id, started_at, context)
        values (id(6, $n), id(3, $k), $at, jsonb_build_object('domain', $word)) on conflict do nothing;
        insert into agentic.conversation_history
            (session_id, message_id, role, content, created_at, tokens_used, model_used)
        values (id(6, $n), id(7, $k), 'agent', '-', $at, 7, $model) on conflict do nothing;
        insert into agentic.agent_decisions
            (session_id, decision_id, decision_type, input_context, action_taken, user_feedback, created_at)
        values (id(6, $n), id(8, $k), 'review', '{}', '{}', $verdict, $at) on conflict do nothing""",
    "rename an agent": """
        update agentic.agents set name = $word, version = version + 1 where agent_id = id(3, $k)""",
    "change a session's agent": """
        update agentic.agent_sessions
        set agent_id = id(3, $k), started_at = $at, version = version + 1
        where session_id = id(6, $n)""",
    "drop an agent": "delete from agentic.agents where agent_id = id(3, $k)",
    "use a pattern": """
        insert into traceability.success_patterns (id, pattern_hash, agent_sequence, success_count)
        values (id(9, $k), md5('p' || $k), array['a', 'b'], 1) on conflict do nothing;
        insert into traceability.pattern_usage_log (id, pattern_id, used_at, success, outcome, metadata)
        values (
            id(10, $k), id(9, $k), $at, case when $k % 2 = 0 then true end, 'success',
            jsonb_build_object('loader', '{}'::jsonb, 'run_id', 'run ' || $n)
        )
        on conflict do nothing""",
    "drop a pattern": "delete from traceability.success_patterns where id = id(9, $k)",
    "raaf": """
        insert into raaf.raaf_tracing_traces (trace_id, workflow_name, status, started_at)
        values ('t' || $n, $word, 'completed', case when $k % 4 > 0 then $at end)
        on conflict (trace_id) do update set started_at = excluded.started_at;
        insert into raaf.raaf_tracing_spans (
            span_id, trace_id, name, kind, start_time, agent_name, agent_model, input_tokens,
            output_tokens, call_fee_cents
        )
        values (
            's' || $k, 't' || $n, 'x', (array['agent', 'llm', 'job', 'tool'])[$k % 4 + 1], $at, $word, $model,
            10 * $k, $k, $k
        )
        on conflict do nothing""",
    "turn a raaf span": """
        update raaf.raaf_tracing_spans
        set kind = (array['agent', 'llm', 'job', 'tool'])[$n % 4 + 1], agent_name = $word, start_time = $at
        where span_id = 's' || $k""",
    "drop a raaf span": "delete from raaf.raaf_tracing_spans where span_id = 's' || $k",
    "execute": """
        insert into traceability.execution_traces
            (id, correlation_id, root_id, parent_id, session_id, source, started_at, status)
        values (
            id(11, $k), id(12, $k), id(12, $n), case when $k <> $n then id(12, $n) end, id(13, $n),
            'user_prompt', $at, 'in_progress'
        )
        on conflict do nothing;
        insert into traceability.hook_executions
            (trace_id, id, hook_type, hook_name, execution_order, tool_name, started_at, status)
        values (id(11, $k), id(14, $k), 'PostToolUse', 'h', $k, 'Write', $at, 'completed')
        on conflict do nothing""",
    "route": """
        insert into traceability.agent_routing_decisions
            (trace_id, id, agent_selected, confidence_score, routing_strategy, created_at)
        values (id(11, $k), id(15, $n), $word, 0.5, 'explicit', $at) on conflict do nothing""",
    "drop an execution": "delete from traceability.execution_traces where id = id(11, $k)",
    "chat": """
        insert into chat.users (id) values (id(16, 0)) on conflict do nothing;
        insert into chat.agents (id, user_id, name, description)
        values (id(17, $k), id(16, 0), $word, '-')
        on conflict (id) do update set name = excluded.name;
        insert into chat.conversation_sessions (id, conversation_id, user_id, agent_id, started_at)
        values (id(18, $n), id(18, $n), id(16, 0), id(17, $k), $at) on conflict do nothing;
        insert into chat.chat_messages_v2
            (id, conversation_id, session_id, role, sender_agent_id, content, metadata, created_at)
        values (
            id(19, $k), id(18, $n), id(18, $n), 'assistant', id(17, $k), '{"type": "text", "text": "-"}',
            jsonb_build_object('model', $model, 'tokens', jsonb_build_object('prompt', 9, 'completion', $k)),
            $at
        )
        on conflict do nothing""",
    "edit a message": """
        update chat.chat_messages_v2
        set created_at = $at, metadata = jsonb_build_object('model', $model, 'tokens', $k)
        where id = id(19, $k)""",
    "drop a chat agent": "delete from chat.agents where id = id(17, $k)",
    "forecast": """
        insert into ops.forecasts (
            as_of_date, scope_kind, scope_key, forecast_date, method, history_days, naive_error_usd,
            yhat_usd, low_80_usd, high_80_usd, low_95_usd, high_95_usd, total_yhat_usd
        )
        select
            ($at at time zone 'UTC')::date - $n - 1, kind, case kind when 'model' then $model else kind end,
            ($at at time zone 'UTC')::date, case when $k % 2 = 0 then 'theta' else 'mean' end, 9, $k,
            $k, 0, 2 * $k, 0, 3 * $k, $k
        from unnest(array['total', 'model']) as kind
        on conflict do nothing""",
    "drop forecasts": "delete from ops.forecasts where method = 'mean'",
    "change a price": """
        update seeds.model_prices set usd_per_million = usd_per_million + 1 where model like 'gpt-4.1%'""",
    "map an agent": """
        delete from seeds.agent_mapping where agent_name = $word;
        insert into seeds.agent_mapping
            (source_system, agent_name, canonical_source_system, canonical_agent_name)
        values ('raaf', $word, 'agentic', 'a')""",
    "unmap agents": "delete from seeds.agent_mapping",
    "set a budget": """
        insert into ops.budgets (scope_kind, scope_key, period, amount_usd)
        values ('workflow', $word, (array['day', 'week', 'month', 'quarter'])[$k % 4 + 1], 1 + $n)
        on conflict (scope_kind, scope_key, period, valid_from) do update
        set amount_usd = excluded.amount_usd""",
    "drop budgets": "delete from ops.budgets",
}
CLEANING = """
delete from observability.traces;
delete from agentic.agents;
delete from traceability.success_patterns;
delete from ops.pruned_patterns;
delete from raaf.raaf_tracing_traces;
delete from traceability.execution_traces;
delete from chat.users;
delete from ops.forecasts;
delete from seeds.agent_mapping;
delete from ops.budgets
"""
ARCHIVES = """
select
    a.hot::text,
    (
        select t.attname from pg_attribute as t
        where
            t.attrelid = a.hot and t.attnotnull
            and t.attname in ('started_at', 'created_at', 'valid_from', 'recorded_at')
        order by t.attname desc limit 1
    ),
    p.partrelid is not null
from ops.archives as a left join pg_partitioned_table as p on p.partrelid = a.hot
order by p.partrelid is null, 1
"""
# An application that writes an archived row anew, which nothing but a data test finds, is none of these.
ONCE = """
create function public.once() returns trigger language plpgsql as $$
declare
    is_archived boolean;
begin
    execute format(
        'select exists (select from archive.%I where %s)', ops.archive_name(tg_argv[0]::regclass), tg_argv[1]
    ) into is_archived using new;
    if is_archived then
        raise unique_violation;
    end if;
    return new;
end
$$;
do $$
declare
    k record;
begin
    for k in
        select
            a.hot,
            string_agg(format('%1$I = ($1).%1$I', t.attname), ' and ') as joined
        from ops.archives as a
        join pg_index as i on a.hot = i.indrelid and i.indisprimary
        join pg_attribute as t
            on a.hot = t.attrelid and t.attnum = any(i.indkey) and t.atttypid <> 'timestamptz'::regtype
        group by a.hot
    loop
        execute format(
            'create trigger once before insert on %s for each row execute function public.once(%L, %L)',
            k.hot, k.hot, k.joined
        );
    end loop;
end
$$
"""
# A truncated archive, or whole tables to refresh, would have the next sequence begin with a rebuild, after
# which it finds nothing.
FORGET = """
create table public.begun as
select target from ops.refreshes union all values ('seeds.model_prices'), ('ops.refreshed_periods');
do $$
declare
    name text;
begin
    for name in table public.begun
    loop
        execute format('create table public.%I as table %s', name, name);
    end loop;
end
$$;
create function public.forget_refreshes() returns void language plpgsql as $$
declare
    name text;
begin
    for name in table public.begun
    loop
        execute format('delete from %s', name);
        execute format('insert into %s table public.%I', name, name);
    end loop;
end
$$
"""
DAYS = (
    "2026-03-31 00:00:00+00", "2026-03-31 23:59:59.999999+00", "2026-04-01 00:00:00+00",
    "2026-04-30 23:59:59.999998+00", "2026-05-01 00:00:00+00", "2025-11-30 12:00:00+00",
)  # fmt: skip
WORDS = ("a", "b", "C")
MODELS = ("gpt-4.1", "gpt-4.1-mini", "nobody-1")
VERDICTS = ("approved", "rejected", "pending", "modified")
SMALL = st.integers(0, 5)
WRITE = st.tuples(st.sampled_from(sorted(WRITES)), SMALL, SMALL, SMALL)
REFRESH = st.tuples(
    st.sampled_from(["refresh", "refresh one", "refresh some", "kill", "refresh twice at once"]),
    SMALL, SMALL, SMALL,
)  # fmt: skip
MOVE = st.tuples(st.sampled_from(["archive", "archive all", "unarchive"]), SMALL, SMALL, SMALL)
LATE = st.tuples(st.sampled_from(["open", "commit"]), SMALL, SMALL, SMALL)
STEPS = st.lists(
    st.one_of(WRITE, WRITE, WRITE, WRITE, REFRESH, LATE, MOVE), min_size=2, max_size=14
)


class World:
    """A built database, its refresher, and one slow writer whose transaction stays open for a while."""

    def __init__(self, refresher: Refresher) -> None:
        """Connect as the one who writes and refreshes, and as the slow writer."""
        self.refresher = refresher
        self.connection = psycopg.connect(refresher.url, autocommit=True)
        self.slow_writer = psycopg.connect(refresher.url)
        self.archives = self.connection.execute(ARCHIVES).fetchall()

    def do(self, step: Step) -> None:
        """Take one step; a write that the database refuses is none."""
        kind, n, day, k = step
        names = list(self.refresher.statements)
        if kind == "refresh":
            self.refresher.refresh(self.connection)
        elif kind == "refresh one":
            self.refresher.refresh(self.connection, [names[(n * 6 + k) % len(names)]])
        elif kind == "refresh some":
            self.refresher.refresh(self.connection, names[n : n + k + 1])
        elif kind == "kill":
            self.kill(names[(n * 6 + k) % len(names)])
        elif kind == "refresh twice at once":
            self.refresh_twice_at_once()
        elif kind == "open":
            # What nobody else touches, or the test would wait for itself.
            try:
                self.slow_writer.execute(_bound(WRITES["trace"], n + 100, day, k))
                self.slow_writer.execute(_bound(WRITES["span"], n + 100, day, k + 100))
            except psycopg.errors.IntegrityError:  # one that is archived already
                self.slow_writer.rollback()
        elif kind == "commit":
            self.slow_writer.commit()
        elif kind in ("archive", "archive all", "unarchive"):
            self.slow_writer.commit()  # whose locks it would wait for
            chosen = [n * 6 + k] if kind == "archive" else range(2 * len(self.archives))
            for place in chosen:
                self.move(*self.archives[place % len(self.archives)], day, back=kind == "unarchive")
        else:
            if kind == "truncate spans":
                self.slow_writer.commit()  # whose lock it would wait for
            with suppress(psycopg.errors.IntegrityError, psycopg.errors.RaiseException):
                self.write(WRITES[kind], n, day, k)

    def move(self, table: str, clock: str, is_monthly: bool, day: int, *, back: bool) -> None:
        """Move rows up to a day to the archive or back; parents without their children stay."""
        function = ("un" if back else "") + ("archive_month" if is_monthly else "archive_rows")
        due = json.dumps({"clock": clock, "before": DAYS[day]})
        with suppress(psycopg.errors.IntegrityError):
            self.connection.execute(
                f"select ops.{function}(%s, %s)".encode(),
                (table, DAYS[day][:7] + "-01" if is_monthly else due),
            )

    def write(self, statements: str, n: int = 0, day: int = 0, k: int = 0) -> None:
        """Write in one transaction."""
        with self.connection.transaction():
            for statement in statements.split(";"):
                self.connection.execute(_bound(statement, n, day, k))

    def kill(self, last: str) -> None:
        """Refresh up to a table, and lose the connection after its rows were written."""
        self.refresher.collect(self.connection)
        for name, statement in self.refresher.statements.items():
            if name == last:
                victim = psycopg.connect(self.refresher.url)
                victim.execute(statement.encode())
                pid = victim.info.backend_pid
                victim.close()  # without a commit
                # Its locks are the next step's to wait for, but not for longer than a lock timeout.
                alive = f"select exists (select from pg_stat_activity where pid = {pid})"
                while value(self.connection, alive):
                    time.sleep(0.001)
                return
            self.refresher.run(self.connection, name, statement)

    def refresh_twice_at_once(self) -> None:
        """Refresh all tables from two connections that start together."""
        failures: list[BaseException] = []
        start = threading.Barrier(2)

        def refresh() -> None:
            try:
                with psycopg.connect(self.refresher.url, autocommit=True) as connection:
                    start.wait()
                    self.refresher.refresh(connection)
            except BaseException as failure:
                failures.append(failure)

        threads = [threading.Thread(target=refresh) for _ in range(2)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert not failures, f"two runs at once must both succeed: {failures}"

    def check(self) -> None:
        """Compare the refreshed tables with a rebuild."""
        self.slow_writer.commit()
        self.refresher.refresh(self.connection)
        assert self.refresher.errors(self.connection) == []

    def clean(self) -> None:
        """Leave nothing to the next sequence: no rows, and nothing to refresh either."""
        self.slow_writer.rollback()
        with self.connection.transaction():
            self.write(CLEANING)
            for table, *_ in self.archives:
                self.connection.execute(f"delete from archive.{table.replace('.', '__')}".encode())
            self.connection.execute("select public.forget_refreshes()")
        self.refresher.collect(self.connection)  # that a price is as it was
        self.connection.execute("delete from ops.changes")
        self.connection.execute(
            "select ops.create_month_partitions(partrelid::regclass, '2026-03-01', '2026-04-01')"
            " from pg_partitioned_table where partrelid::regclass::text !~ '^archive'"
        )

    def close(self) -> None:
        """Close both connections."""
        self.connection.close()
        self.slow_writer.close()


def _bound(statement: str, n: int, day: int, k: int) -> bytes:
    """Put a step's numbers, and what they stand for, into a write."""
    return (
        Template(statement)
        .substitute(
            n=n,
            k=k,
            at=f"timestamptz '{DAYS[day]}'",
            word=f"'{WORDS[(n + k) % len(WORDS)]}'",
            model=f"'{MODELS[k % len(MODELS)]}'",
            verdict=f"'{VERDICTS[k % len(VERDICTS)]}'",
        )
        .encode()
    )


@pytest.fixture(scope="module")
def world(empty_marts: Callable[[], Refresher]) -> Iterator[World]:
    """A database that dbt has built once; the steps are replayed through psycopg."""
    refresher = empty_marts()
    with psycopg.connect(refresher.url, autocommit=True) as connection:
        connection.execute(
            "create function public.id(kind int, number int) returns uuid language sql immutable"
            " return (lpad(kind::text, 8, '0') || '-0000-4000-8000-' || lpad(number::text, 12, '0'))::uuid"
        )
        connection.execute(
            "select ops.create_month_partitions(partrelid::regclass, '2026-03-01', '2026-04-01')"
            " from pg_partitioned_table"
        )
        connection.execute(ONCE.encode())
        # The empty months ahead would be planned for with every statement.
        for (month,) in connection.execute(
            "select inhrelid::regclass::text from pg_inherits"
            " inner join pg_partitioned_table on partrelid = inhparent"
            " where inhrelid::regclass::text !~ '(2026_?0[34]|default)'"
        ).fetchall():
            connection.execute(f"drop table {month}".encode())
    made = World(refresher)
    # Of the price book what the steps use: thousands of prices would take most of the time.
    made.write(
        "delete from seeds.model_prices where provider <> 'openai' or model not like 'gpt-4%';"
        "delete from seeds.model_aliases where provider <> 'openai'"
    )
    # Of each day something is refreshed and gone: a new one has its table analyzed, and all planned anew.
    for number in range(6):
        for kind in WRITES:
            if not kind.startswith(("drop", "truncate", "unmap")):
                made.do((kind, number, number, number))
    made.refresher.refresh(made.connection)
    made.write(CLEANING)
    made.refresher.refresh(made.connection)
    made.connection.execute(FORGET.encode())
    yield made
    made.close()


@settings(
    max_examples=SEQUENCES, deadline=None, suppress_health_check=list(HealthCheck), print_blob=True
)
@given(steps=STEPS)
def test_any_interleaving_ends_equal_to_a_rebuild(world: World, steps: list[Step]) -> None:
    """A row that is counted twice, or never, or on a day it has left: whatever came in which order."""
    try:
        for step in steps:
            world.do(step)
        world.check()
    finally:
        world.clean()


# What random sequences have found, as they were shrunk.
FOUND: dict[str, list[Step]] = {
    "one id on days of two months": [("talk", 0, 0, 0), ("talk", 0, 2, 0)],
    "one id in two sessions": [("talk", 0, 0, 0), ("talk", 1, 0, 0)],
    "one id of a use on two days": [("use a pattern", 0, 0, 0), ("use a pattern", 0, 2, 0)],
    "a span that leaves its day": [
        ("raaf", 0, 0, 1),
        ("refresh", 0, 0, 0),
        ("turn a raaf span", 0, 2, 1),
    ],
    "a trace without a time": [("raaf", 0, 0, 0), ("refresh", 0, 0, 0), ("raaf", 0, 2, 1)],
    "a slow writer of what is archived": [
        ("open", 2, 2, 1),
        ("archive all", 0, 2, 0),
        ("open", 2, 0, 1),
    ],
}


@pytest.mark.parametrize("found", FOUND)
def test_what_was_found_stays_mended(world: World, found: str) -> None:
    """Anything that a random sequence has once found."""
    try:
        for step in FOUND[found]:
            world.do(step)
        world.check()
    finally:
        world.clean()


def test_days_leave_the_hours_as_the_newest_day_moves_on_and_come_back(world: World) -> None:
    """Hours of last month that stay until their own rows change, or stay away when the newest day goes."""
    days = "select array_agg(distinct usage_date::text order by usage_date::text) from marts.cost_hourly"
    try:
        for number, day in ((1, 0), (2, 2)):
            world.write(WRITES["trace"] + ";" + WRITES["span"], n=number, day=day, k=number)
        world.refresher.refresh(world.connection)
        assert value(world.connection, days) == ["2026-03-31", "2026-04-01"]
        world.write(WRITES["trace"] + ";" + WRITES["span"], n=4, day=4, k=4)
        done = world.refresher.refresh(world.connection)
        assert value(world.connection, days) == ["2026-05-01"]
        assert done["marts.cost_hourly"] == "3 period", "the days that left, and the one that came"
        world.write(WRITES["drop a trace"], n=4)
        world.refresher.refresh(world.connection)
        assert value(world.connection, days) == ["2026-03-31", "2026-04-01"]
        world.check()
    finally:
        world.clean()


@pytest.mark.parametrize("write", sorted(WRITES))
def test_each_write_is_possible(world: World, write: str) -> None:
    """A random test whose writes are all refused, so that it tests nothing."""
    try:
        for need in (
            "trace",
            "span",
            "judge",
            "talk",
            "use a pattern",
            "raaf",
            "execute",
            "chat",
            "set a budget",
        ):
            if need == write:
                break
            world.write(WRITES[need], n=1, day=1, k=1)
        before = value(world.connection, "select pg_current_xact_id()::text::bigint")
        world.write(WRITES[write], n=1, day=2, k=1)
        world.refresher.collect(world.connection)
        marked = value(
            world.connection, f"select count(*) from ops.changes where change_id > {before}"
        )
        assert marked > 0, "the write changes nothing"
        world.check()
    finally:
        world.clean()


# Through dbt itself


def run_dbt(url: str, *arguments: str, **environment: str) -> subprocess.Popen[str]:
    """Start a bare dbt on the database, as people do."""
    info = psycopg.conninfo.conninfo_to_dict(url)
    places = {"PGHOST": info["host"], "PGPORT": info["port"], "PGDATABASE": info["dbname"]}
    return subprocess.Popen(
        [str(Path(sys.executable).parent / "dbt"), "--quiet", "--no-use-colors", *arguments],
        cwd=ROOT,
        env=os.environ | {"PGUSER": "postgres", "DBT_TARGET": "prod"} | places | environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


def finish(process: subprocess.Popen[str]) -> None:
    """Wait for dbt to end well."""
    output, _ = process.communicate()
    assert process.returncode == 0, output


def refreshed_at(world: World) -> object:
    """When any table was refreshed last."""
    return value(world.connection, "select max(refreshed_at) from ops.refreshes")


def test_twenty_interleavings_through_dbt(world: World, build_marts: Callable[..., None]) -> None:
    """A materialization that does something else than the statement it leaves in target/run."""
    selections = [
        ["resource_type:model"],
        ["marts"],
        ["cost_daily"],
        ["intermediate"],
        ["agent_runs+"],
    ]
    for seed in range(20):
        chance = random.Random(seed)  # noqa: S311 not for secrets
        try:
            for selection in (chance.choice(selections), ["resource_type:model"]):
                for _ in range(6):
                    step = (chance.choice(sorted(WRITES)), *(chance.randrange(6) for _ in range(3)))
                    world.do(step)
                build_marts(world.refresher.url, [*selection, "--resource-type", "model"])
            assert world.refresher.differences(world.connection) == [], f"seed {seed}"
        finally:
            world.clean()


def test_two_whole_dbt_runs_at_once_both_succeed(world: World, tmp_path: Path) -> None:
    """A schedule that fails because somebody runs dbt by hand."""
    world.write(WRITES["trace"] + ";" + WRITES["span"], n=1, day=1, k=1)
    runs = [
        run_dbt(world.refresher.url, "run", "--target-path", str(tmp_path / number))
        for number in ("one", "two")
    ]
    for run in runs:
        finish(run)
    assert world.refresher.differences(world.connection) == []
    world.clean()


def test_a_dbt_run_killed_half_way_is_taken_up_by_the_next(world: World, tmp_path: Path) -> None:
    """Days that count as refreshed because the run that was killed had begun with them."""
    for number in range(1, 6):
        world.write(WRITES["trace"] + ";" + WRITES["span"], n=number, day=number, k=number)
    before = refreshed_at(world)
    run = run_dbt(world.refresher.url, "run", "--threads", "1", "--target-path", str(tmp_path))
    while refreshed_at(world) == before:
        assert run.poll() is None, run.communicate()[0]
        time.sleep(0.002)
    run.kill()
    run.communicate()
    finish(run_dbt(world.refresher.url, "run", "--target-path", str(tmp_path)))
    assert world.refresher.differences(world.connection) == []
    world.clean()


def test_what_analysts_built_survives_a_full_refresh(world: World, tmp_path: Path) -> None:
    """A dashboard's view that is gone after the nightly build, dropped along with a table or a view."""
    world.connection.execute(
        "create view public.by_model as select model, sum(cost_usd) from marts.cost_daily group by model;"
        "create view public.traces as select run_id from staging.stg_observability__traces"
    )
    finish(run_dbt(world.refresher.url, "run", "--full-refresh", "--target-path", str(tmp_path)))
    assert value(world.connection, "select count(*) from public.by_model") == 0
    assert value(world.connection, "select count(*) from public.traces") == 0


def test_a_developers_run_counts_for_the_developer_alone(world: World, tmp_path: Path) -> None:
    """Production that leaves out what a developer has built, because a ledger says it is done."""
    world.write(WRITES["trace"] + ";" + WRITES["span"], n=1, day=1, k=1)
    seen = value(
        world.connection, "select seen from ops.refreshes where target = 'marts.cost_daily'"
    )
    developer = {"DBT_TARGET": "dev", "DBT_SCHEMA_PREFIX": "ada"}
    for command in ("seed", "run"):
        finish(run_dbt(world.refresher.url, command, "--target-path", str(tmp_path), **developer))
    assert value(world.connection, "select count(*) from ada_marts.cost_daily") == 1
    again = value(
        world.connection, "select seen from ops.refreshes where target = 'marts.cost_daily'"
    )
    assert again == seen
    world.check()
    world.clean()
