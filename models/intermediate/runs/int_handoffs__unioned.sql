-- One row per handoff of work from one agent to another.
with raaf_spans as (
    select * from {{ ref("stg_raaf__spans") }}
),

executions as (
    select * from {{ ref("int_executions__routed") }}
),

handoff_spans as (
    select
        span_id as handoff_id,
        trace_id,
        handoff_from,
        handoff_to,
        started_at
    from raaf_spans
    where kind = 'handoff'
),

-- An agent's span lists its handoffs, whether or not they have spans of their own: a trace's spans
-- count where there are any, else its lists.
listed_handoffs as (
    select
        raaf_spans.span_id || ':' || listed.position as handoff_id,
        raaf_spans.trace_id,
        listed.handoff ->> 'from_agent' as handoff_from,
        listed.handoff ->> 'to_agent' as handoff_to,
        raaf_spans.started_at
    from raaf_spans
    cross join
        jsonb_array_elements(raaf_spans.handoffs_listed)
        with ordinality as listed (handoff, position)
    left join handoff_spans on raaf_spans.trace_id = handoff_spans.trace_id
    where raaf_spans.kind = 'agent' and handoff_spans.trace_id is null
),

raaf_handoffs as (
    select * from handoff_spans
    union all
    select * from listed_handoffs
)

select
    handoff_id,
    'raaf' as source_system,
    trace_id as run_id,
    lower(btrim(handoff_from)) as from_agent_name,
    lower(btrim(handoff_to)) as to_agent_name,
    started_at as handed_off_at
from raaf_handoffs
union all
select
    executions.trace_id::text as handoff_id,
    'traceability' as source_system,
    executions.run_id,
    parents.agent_name as from_agent_name,
    executions.agent_name as to_agent_name,
    executions.started_at as handed_off_at
from executions
inner join executions as parents on executions.parent_id = parents.correlation_id
where executions.run_id is not null
