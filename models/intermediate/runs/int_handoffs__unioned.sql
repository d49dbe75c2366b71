-- One row per handoff of work from one agent to another.
{{ config(
    materialized="incremental",
    period="handed_off_date",
    publishes="source_system, run_id, handed_off_date as day",
    indexes=[
        {"columns": ["handoff_key"], "unique": true},
        {"columns": ["handed_off_date"]},
        {"columns": ["run_id", "source_system"]},
    ],
) }}

{{ dirtied_by(["raaf.raaf_tracing_spans"], days_of_raaf_spans()) }}
{{ dirtied_by(["traceability.execution_traces"], days_of_delegations()) }}
{{ dirtied_by(["traceability.agent_routing_decisions"], days_of_delegations()) }}

with raaf_spans as not materialized (
    select * from {{ ref("stg_raaf__spans") }}
),

executions as (
    select * from {{ ref("int_executions__routed") }}
    where {{ in_dirty("started_at") }}
),

parents as (
    select * from {{ ref("int_executions__routed") }}
),

handoff_spans as (
    select
        span_id as handoff_id,
        trace_id,
        tenant_key,
        handoff_from,
        handoff_to,
        started_at,
        status,
        duration_ms
    from raaf_spans
    where kind = 'handoff' and {{ in_dirty("started_at") }}
),

-- An agent's span lists its handoffs, whether or not they have spans of their own: a trace's spans
-- count where there are any, else its lists.
listed_handoffs as (
    select
        raaf_spans.span_id || ':' || listed.position as handoff_id,
        raaf_spans.trace_id,
        raaf_spans.tenant_key,
        listed.handoff ->> 'from_agent' as handoff_from,
        listed.handoff ->> 'to_agent' as handoff_to,
        raaf_spans.started_at,
        'unknown' as status,
        null::numeric as duration_ms
    from raaf_spans
    cross join
        jsonb_array_elements(raaf_spans.handoffs_listed)
        with ordinality as listed (handoff, position)
    where
        raaf_spans.kind = 'agent'
        and {{ in_dirty("raaf_spans.started_at") }}
        and not exists (
            select
            from raaf_spans as with_spans
            where with_spans.trace_id = raaf_spans.trace_id and with_spans.kind = 'handoff'
        )
),

raaf_handoffs as (
    select * from handoff_spans
    union all
    select * from listed_handoffs
),

all_handoffs as (
    select
        handoff_id,
        'raaf' as source_system,
        trace_id as run_id,
        lower(btrim(handoff_from)) as from_agent_name,
        lower(btrim(handoff_to)) as to_agent_name,
        started_at as handed_off_at,
        tenant_key,
        status,
        null::boolean as is_success,
        duration_ms,
        null::numeric as overhead_ms
    from raaf_handoffs
    union all
    select
        executions.trace_id::text as handoff_id,
        'traceability' as source_system,
        executions.run_id,
        parents.agent_name as from_agent_name,
        executions.agent_name as to_agent_name,
        executions.started_at as handed_off_at,
        executions.tenant_key,
        executions.status,
        executions.is_success,
        executions.duration_ms,
        executions.duration_ms - executions.agent_ms as overhead_ms
    from executions
    inner join parents on executions.parent_id = parents.correlation_id
    where executions.run_id is not null
)

select
    {{ surrogate_key(["source_system", "handoff_id"]) }} as handoff_key,
    handoff_id,
    source_system,
    run_id,
    from_agent_name,
    to_agent_name,
    handed_off_at,
    (handed_off_at at time zone 'UTC')::date as handed_off_date,
    tenant_key,
    status,
    is_success,
    duration_ms,
    -- A clock that differs between router and agent must not make an overhead less than none.
    case when overhead_ms < 0 then 0 else overhead_ms end as overhead_ms
from all_handoffs
