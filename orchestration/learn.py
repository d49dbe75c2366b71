"""Learns patterns from what runs did: sequences of tools, chains of agents, kinds of errors.

A month at a time and each in one transaction, so that a job may die, run twice, or beside another. A
month is read again when runs of it came or changed, and then replaces what it had counted; rows that
other writers recorded are left alone. What is learned is chosen by how often it happened and never by
how it ended, so that the choice does not flatter the patterns.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import psycopg

from orchestration.errors import AgentbooksError

if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import date

LEARN_LOCK = 0x61676E746C726E  # "agntlrn"
LONGEST = 5
"""Steps of the longest sequence that is looked for."""
FEWEST_RUNS = 10
FEWEST_SHARE = 0.01
"""A sequence is frequent in a month if so many runs have it, and this share of its domain's."""
MOST_PATTERNS = 100
"""New patterns a month, tenant, domain and kind: the most frequent ones."""
FEWEST_ERRORS = 2
"""An error that came once is no kind yet."""

# A month whose raw rows are gone cannot be learned anew.
MONTHS = """
    select month, runs_seen
    from (
        select
            date_trunc('month', period::timestamp)::date as month,
            md5(string_agg(period || ' ' || refreshed_at, ',' order by period)) as runs_seen
        from ops.refreshed_periods
        where target = 'marts.agent_runs' and period > '0001-01-01'
        group by 1
        having bool_and(state <> 'frozen') and sum(rows_after) > 0
    ) as refreshed
    left join ops.learned_months as learned using (month, runs_seen)
    where learned.month is null
    order by month
"""

# What the session's role reads, for the loader's to write.
READ = (
    """
    create temp table month_runs on commit drop as
    select
        source_system, run_id, tenant_key, agent_name, is_success, duration_ms, started_at,
        coalesce(domain, 'unknown') as domain,
        case when source_system = 'traceability' then run_id::uuid end as trace_id
    from marts.agent_runs
    where run_date >= %(month)s and run_date < %(next_month)s
    """,
    "create unique index on month_runs (run_id, source_system)",
    "analyze month_runs",
    # The same tool again is one step. Calls of one moment have no order of their own.
    """
    create temp table month_sequences on commit drop as
    with calls as (
        select
            source_system, run_id, tool_name, called_at, tool_call_id,
            lag(tool_name) over (
                partition by source_system, run_id order by called_at, tool_name, tool_call_id
            ) as tool_before
        from intermediate.int_tool_calls__unioned
        where payer = 'agent' and tool_name is not null and not is_call_missing
            and called_at >= %(month)s::date - 1 and called_at < %(next_month)s::date + 7
    ),

    handoffs as (
        select
            source_system, run_id, from_agent_name, to_agent_name, handed_off_at, handoff_id,
            lag(to_agent_name) over (
                partition by source_system, run_id order by handed_off_at, handoff_id
            ) as agent_before
        from intermediate.int_handoffs__unioned
        where num_nulls(from_agent_name, to_agent_name) = 0
            and handed_off_at >= %(month)s::date - 1 and handed_off_at < %(next_month)s::date + 7
    ),

    chained as (
        select
            *,
            count(*) filter (where from_agent_name is distinct from agent_before) over (
                partition by source_system, run_id order by handed_off_at, handoff_id
            ) as chain
        from handoffs
    )

    select
        'tool' as kind, source_system, run_id,
        array_agg(tool_name order by called_at, tool_name, tool_call_id) as steps
    from calls
    where tool_name is distinct from tool_before
    group by source_system, run_id
    union all
    select
        'agent', source_system, run_id,
        (array_agg(from_agent_name order by handed_off_at, handoff_id))[1]
        || array_agg(to_agent_name order by handed_off_at, handoff_id)
    from chained
    group by source_system, run_id, chain
    """,
    """
    create temp table month_parts on commit drop as
    select distinct
        s.kind, r.tenant_key, r.domain, s.steps[first : first + length - 1] as steps,
        s.source_system, s.run_id
    from month_sequences as s
    inner join month_runs as r using (source_system, run_id)
    cross join generate_series(2, %(longest)s) as length
    cross join lateral generate_series(1, cardinality(s.steps) - length + 1) as first
    """,
    """
    create temp table month_patterns on commit drop as
    with domains as (
        select tenant_key, domain, count(*) as runs from month_runs group by tenant_key, domain
    ),

    frequent as (
        select p.kind, p.tenant_key, p.domain, p.steps, count(*) as runs
        from month_parts as p
        inner join domains as d using (tenant_key, domain)
        group by p.kind, p.tenant_key, p.domain, p.steps, d.runs
        having count(*) >= greatest(%(fewest_runs)s, %(fewest_share)s * d.runs)
    ),

    -- What never happens but within a longer sequence says nothing that this does not.
    swallowed as (
        select kind, tenant_key, domain, steps[: cardinality(steps) - 1] as steps, runs from frequent
        union
        select kind, tenant_key, domain, steps[2 :], runs from frequent
    ),

    ranked as (
        select
            *,
            row_number() over (
                partition by kind, tenant_key, domain order by runs desc, steps
            ) as place
        from frequent as f
        where not exists (
            select from swallowed as s
            where (s.kind, s.tenant_key, s.domain, s.steps, s.runs)
                = (f.kind, f.tenant_key, f.domain, f.steps, f.runs)
        )
    ),

    identified as (
        select
            kind, tenant_key, domain, steps,
            md5(row('pattern', kind, tenant_key, domain, steps)::text)::uuid as pattern_id
        from ranked
        where place <= %(most_patterns)s
    )

    select i.*
    from identified as i
    left join ops.pruned_patterns as pruned using (pattern_id)
    where pruned.pattern_id is null
    union
    select
        case when cardinality(tool_sequence) > 0 then 'tool' else 'agent' end, tenant_id, domain,
        case when cardinality(tool_sequence) > 0 then tool_sequence else agent_sequence end, id
    from traceability.success_patterns
    where pattern_hash like 'learned:%%'
    """,
    """
    create temp table month_uses on commit drop as
    select
        p.pattern_id, p.kind, p.tenant_key, p.steps, r.source_system, r.run_id, r.trace_id,
        r.started_at, r.is_success, r.duration_ms,
        md5(row(p.pattern_id, r.source_system, r.run_id)::text)::uuid as use_id
    from month_patterns as p
    inner join month_parts as m using (kind, tenant_key, domain, steps)
    inner join month_runs as r using (source_system, run_id)
    """,
    """
    create temp table month_errors on commit drop as
    with failures as (
        select
            t.tenant_key, s.error_type, s.error as message, s.started_at as occurred_at,
            t.agent_name, null::uuid as trace_id
        from observability.spans as s
        inner join staging.stg_observability__traces as t using (trace_id)
        where s.error is not null
            and s.started_at >= %(month)s and s.started_at < %(next_month)s
        union all
        select r.tenant_id, t.error_type, r.error, r.started_at, t.agent_name, null
        from observability.traces as r
        inner join staging.stg_observability__traces as t using (trace_id)
        where r.error is not null
            and r.started_at >= %(month)s and r.started_at < %(next_month)s
        union all
        select x.tenant_id, x.error_type, x.error_message, x.started_at, e.agent_name, x.trace_id
        from (
            select id as trace_id, tenant_id, error_type, error_message, started_at
            from traceability.execution_traces
            union all
            select trace_id, tenant_id, error_type, error_message, started_at
            from traceability.hook_executions
            union all
            select trace_id, tenant_id, error_type, error_message, started_at
            from traceability.endpoint_calls
        ) as x
        left join intermediate.int_executions__routed as e using (trace_id)
        where x.error_message is not null
            and x.started_at >= %(month)s and x.started_at < %(next_month)s
        union all
        select
            s.tenant_id, e.event #>> '{attributes,exception.type}',
            e.event #>> '{attributes,exception.message}', s.start_time, lower(s.agent_name), null
        from raaf.raaf_tracing_spans as s
        cross join jsonb_array_elements(
            case when jsonb_typeof(s.events) = 'array' then s.events else '[]' end
        ) as e (event)
        where s.status = 'error' and e.event ->> 'name' = 'exception'
            and s.start_time >= %(month)s and s.start_time < %(next_month)s
    )

    select
        tenant_key, occurred_at, agent_name, trace_id,
        coalesce(nullif(btrim(error_type), ''), 'unclassified') as error_type,
        traceability.error_message_pattern(message) as message_pattern
    from failures
    where btrim(message) <> ''
    """,
    # A kind of error that is known counts on when it comes but once.
    """
    create temp table month_counts on commit drop as
    select
        pattern_id as learned_id, 'pattern' as kind, count(*) as occurrences,
        count(*) filter (where is_success) as successes,
        count(*) filter (where not is_success) as failures,
        count(duration_ms) as timed, coalesce(sum(duration_ms), 0) as duration_ms,
        min(started_at) as first_at, max(started_at) as last_at,
        '{}'::text[] as agents, '{}'::uuid[] as example_trace_ids,
        min(tenant_key) as tenant_key, min(steps) as steps,
        null as error_type, null as message_pattern
    from month_uses
    group by pattern_id
    union all
    select
        md5(row('chain', tenant_key, steps)::text)::uuid, 'chain', count(*),
        count(*) filter (where is_success), count(*) filter (where not is_success),
        count(duration_ms), coalesce(sum(duration_ms), 0), min(started_at), max(started_at),
        '{}', coalesce(
            (array_agg(trace_id order by started_at, trace_id) filter (where trace_id is not null))[:10],
            '{}'
        ),
        tenant_key, steps, null, null
    from month_uses
    where kind = 'agent'
    group by tenant_key, steps
    union all
    select
        e.learned_id, 'error', count(*), 0, 0, 0, 0, min(occurred_at), max(occurred_at),
        coalesce(array_agg(distinct agent_name) filter (where agent_name is not null), '{}'),
        coalesce(
            (array_agg(trace_id order by occurred_at, trace_id) filter (where trace_id is not null))[:10],
            '{}'
        ),
        tenant_key, null, error_type, message_pattern
    from (
        select
            *,
            md5(row('error', tenant_key, error_type, message_pattern)::text)::uuid as learned_id
        from month_errors
    ) as e
    left join (
        select learned_id from ops.learned_counts where kind = 'error' group by learned_id
    ) as known using (learned_id)
    group by e.learned_id, known.learned_id, tenant_key, error_type, message_pattern
    having count(*) >= %(fewest_errors)s or known.learned_id is not null
    """,
    "grant select on month_patterns, month_uses, month_counts to agentbooks_loader",
)

WRITE = (
    """
    insert into ops.learned_months (month, runs_seen) values (%(month)s, %(runs_seen)s)
    on conflict (month) do update
    set runs_seen = excluded.runs_seen, learned_at = excluded.learned_at
    """,
    "create temp table stale on commit drop as"
    " select learned_id from ops.learned_counts where month = %(month)s",
    "delete from ops.learned_counts where month = %(month)s",
    """
    insert into ops.learned_counts
    select
        learned_id, %(month)s, kind, occurrences, successes, failures, timed, duration_ms,
        first_at, last_at, agents, example_trace_ids
    from month_counts
    """,
    """
    insert into traceability.success_patterns (
        id, pattern_hash, tool_sequence, agent_sequence, keywords, domain, tags, created_at, tenant_id
    )
    select
        p.pattern_id, 'learned:' || p.pattern_id,
        case when p.kind = 'tool' then p.steps end,
        case when p.kind = 'agent' then p.steps else '{}' end,
        array(select distinct step from unnest(p.steps) as step order by step),
        p.domain, array['learned', p.kind || '_sequence'], c.first_at, p.tenant_key
    from month_patterns as p
    inner join month_counts as c on p.pattern_id = c.learned_id
    on conflict do nothing
    """,
    """
    insert into traceability.agent_chaining_patterns (id, chain_pattern, tags, created_at, tenant_id)
    select learned_id, steps, '{learned}', first_at, tenant_key
    from month_counts
    where kind = 'chain'
    on conflict do nothing
    """,
    """
    insert into traceability.error_patterns (
        id, error_type, error_message_pattern, tags, first_occurrence_at, last_occurrence_at,
        created_at, tenant_id
    )
    select
        learned_id, error_type, message_pattern, '{learned}', first_at, last_at, first_at, tenant_key
    from month_counts
    where kind = 'error'
    on conflict do nothing
    """,
    """
    select traceability.forget_learned_uses(array_agg(l.id), %(month)s, %(next_month)s)
    from traceability.pattern_usage_log as l
    left join month_uses as u on l.id = u.use_id and l.used_at = u.started_at
    where l.metadata ? 'learned' and u.use_id is null
        and l.used_at >= %(month)s and l.used_at < %(next_month)s
    """,
    """
    update traceability.pattern_usage_log as l
    set
        success = u.is_success, actual_duration_ms = u.ms,
        outcome = case when u.is_success then 'success' when not u.is_success then 'failure' end
    from (select *, least(round(duration_ms), 2147483647)::int as ms from month_uses) as u
    where l.pattern_id = u.pattern_id and l.id = u.use_id and l.used_at = u.started_at
        and (l.success, l.actual_duration_ms) is distinct from (u.is_success, u.ms)
    """,
    """
    insert into traceability.pattern_usage_log (
        pattern_id, id, trace_id, used_at, success, actual_duration_ms, outcome, metadata, tenant_id
    )
    select
        u.pattern_id, u.use_id, u.trace_id, u.started_at, u.is_success,
        least(round(u.duration_ms), 2147483647),
        case when u.is_success then 'success' when not u.is_success then 'failure' end,
        jsonb_build_object(
            'learned', '{}'::jsonb, 'run_id', u.run_id, 'source_system', u.source_system
        ),
        u.tenant_key
    from month_uses as u
    where not exists (
        select from traceability.pattern_usage_log as l
        where (l.pattern_id, l.id, l.used_at) = (u.pattern_id, u.use_id, u.started_at)
    )
    """,
    """
    create temp table totals on commit drop as
    select
        touched.learned_id,
        coalesce(sum(c.occurrences), 0)::int as occurrences,
        coalesce(sum(c.successes), 0)::int as successes,
        coalesce(sum(c.failures), 0)::int as failures,
        round(sum(c.duration_ms) / nullif(sum(c.timed), 0), 6) as avg_duration_ms,
        min(c.first_at) as first_at, max(c.last_at) as last_at,
        array(
            select distinct example
            from ops.learned_counts as e
            cross join unnest(e.example_trace_ids) as example
            where e.learned_id = touched.learned_id
            order by example
            limit 10
        ) as example_trace_ids
    from (
        select learned_id from stale union select learned_id from month_counts
    ) as touched
    left join ops.learned_counts as c using (learned_id)
    group by touched.learned_id
    """,
    """
    update traceability.success_patterns as p
    set
        success_count = t.successes, failure_count = t.failures,
        avg_duration_ms = t.avg_duration_ms, last_used_at = t.last_at
    from totals as t
    where p.id = t.learned_id
        and (p.success_count, p.failure_count, p.avg_duration_ms, p.last_used_at)
        is distinct from (t.successes, t.failures, t.avg_duration_ms, t.last_at)
    """,
    """
    update traceability.agent_chaining_patterns as p
    set
        occurrence_count = t.occurrences, avg_success_rate = t.success_rate,
        avg_total_duration_ms = t.ms, last_used_at = t.last_at,
        example_trace_ids = t.example_trace_ids
    from (
        select
            *,
            round(successes::numeric / nullif(successes + failures, 0), 4) as success_rate,
            least(round(avg_duration_ms), 2147483647)::int as ms
        from totals
        where occurrences > 0
    ) as t
    where p.id = t.learned_id
        and (
            p.occurrence_count, p.avg_success_rate, p.avg_total_duration_ms, p.last_used_at,
            p.example_trace_ids
        ) is distinct from (t.occurrences, t.success_rate, t.ms, t.last_at, t.example_trace_ids)
    """,
    """
    update traceability.error_patterns as p
    set
        error_count = t.occurrences, first_occurrence_at = t.first_at,
        last_occurrence_at = t.last_at, affected_agents = t.agents,
        example_trace_ids = t.example_trace_ids
    from (
        select
            *,
            array(
                select distinct agent
                from ops.learned_counts as c
                cross join unnest(c.agents) as agent
                where c.learned_id = totals.learned_id
                order by agent
            ) as agents
        from totals
        where occurrences > 0
    ) as t
    where p.id = t.learned_id
        and (
            p.error_count, p.first_occurrence_at, p.last_occurrence_at, p.affected_agents,
            p.example_trace_ids
        ) is distinct from (t.occurrences, t.first_at, t.last_at, t.agents, t.example_trace_ids)
    """,
)

COUNT = """
    select
        count(*) filter (where kind = 'pattern') as patterns,
        count(*) filter (where kind = 'chain') as chains,
        count(*) filter (where kind = 'error') as errors,
        coalesce(sum(occurrences) filter (where kind = 'pattern'), 0)::bigint as uses
    from month_counts
"""


@dataclass
class Learned:
    """What the months that were read had."""

    months: int = 0
    patterns: int = 0
    chains: int = 0
    errors: int = 0
    uses: int = 0

    def sentence(self) -> str:
        """Say it."""
        if not self.months:
            return "No run is new or changed since; nothing was learned."
        return (
            f"{self.months} months read: {self.uses:,} uses of {self.patterns:,} patterns, "
            f"{self.chains:,} chains of agents, {self.errors:,} kinds of errors, by month."
        )


def learn(
    connection: psycopg.Connection, progress: Callable[[date], None] = lambda _: None
) -> Learned:
    """Learn from every month whose runs came or changed since it was last read.

    Args:
        connection: In autocommit mode, as a role that may read the marts and raw tables and act as
            `agentbooks_loader`.
        progress: Called with each month that is done.

    Raises:
        AgentbooksError: There are no marts to read runs from, or the role may not write.
    """
    learned = Learned()
    try:
        while (month := _learn_next(connection, learned)) is not None:
            progress(month)
    except (psycopg.errors.UndefinedTable, psycopg.errors.InvalidSchemaName) as error:
        raise AgentbooksError(
            "learn: the database has no marts; run `dbt build` or `make demo` first."
        ) from error
    except psycopg.errors.InsufficientPrivilege as error:
        user = connection.info.user
        raise AgentbooksError(
            f"learn: {user} may not read the marts or write patterns; run it as dbt's role and let an "
            f"administrator run `grant agentbooks_loader to {user}`."
        ) from error
    return learned


def _learn_next(connection: psycopg.Connection, learned: Learned) -> date | None:
    """Learn one month, and tell which; the transaction makes it whole or leaves it undone."""
    with connection.transaction():
        connection.execute("set local time zone 'UTC'")
        connection.execute("select pg_advisory_xact_lock(%s)", (LEARN_LOCK,))
        row = connection.execute(f"{MONTHS} limit 1".encode()).fetchone()
        if row is None:
            return None
        month: date = row[0]
        next_month = month.replace(year=month.year + month.month // 12, month=month.month % 12 + 1)
        parameters = {
            "month": month,
            "next_month": next_month,
            "runs_seen": row[1],
            "longest": LONGEST,
            "fewest_runs": FEWEST_RUNS,
            "fewest_share": FEWEST_SHARE,
            "most_patterns": MOST_PATTERNS,
            "fewest_errors": FEWEST_ERRORS,
        }
        for statement in READ:
            connection.execute(statement.encode(), parameters)
        found = connection.execute(COUNT).fetchone() or (0, 0, 0, 0)
        connection.execute("set local role agentbooks_loader")
        connection.execute(
            "select ops.create_month_partitions('traceability.pattern_usage_log', %s, %s)",
            (month, month),
        )
        for statement in WRITE:
            connection.execute(statement.encode(), parameters)
    learned.months += 1
    learned.patterns += found[0]
    learned.chains += found[1]
    learned.errors += found[2]
    learned.uses += found[3]
    return month
