-- A call, or a cost that a source reported, that got lost or doubled between the raw table and cost_daily.
-- Counted from the raw tables themselves, past every view.
with spans as (
    select * from {{ source("observability", "spans") }}
),

messages as (
    select * from {{ source("agentic", "conversation_history") }}
),

sessions as (
    select * from {{ source("agentic", "agent_sessions") }}
),

chat_messages as (
    select * from {{ source("chat", "chat_messages_v2") }}
    where not ({{ is_first_generation("session_id") }})
),

runs as (
    select * from {{ ref("agent_runs") }}
),

cost_daily as (
    select * from {{ ref("cost_daily") }}
),

unsettled_days as (
    {{ unsettled_days() }}
),

entries as (
    select
        'observability' as source_system,
        (started_at at time zone 'UTC')::date as usage_date,
        1 as llm_calls,
        cost as reported_cost_usd
    from spans
    where span_type = 'llm'
    union all
    select
        'agentic' as source_system,
        (messages.created_at at time zone 'UTC')::date as usage_date,
        1 as llm_calls,
        null as reported_cost_usd
    from messages
    inner join sessions on messages.session_id = sessions.session_id
    where
        messages.role = 'agent'
        and messages.tokens_used is not null
        -- The calls of a loaded run are its spans.
        and not coalesce(sessions.metadata ? 'loader', false)
    union all
    select
        'chat' as source_system,
        (created_at at time zone 'UTC')::date as usage_date,
        1 as llm_calls,
        null as reported_cost_usd
    from chat_messages
    where
        role = 'assistant'
        and 'number' in (
            jsonb_typeof(metadata -> 'tokens'),
            jsonb_typeof(metadata -> 'tokens' -> 'prompt'),
            jsonb_typeof(metadata -> 'tokens' -> 'completion'),
            jsonb_typeof(metadata -> 'tokens' -> 'total')
        )
    union all
    -- What a source recorded only in total is reported too, and no call.
    select
        source_system,
        run_date as usage_date,
        0 as llm_calls,
        coalesce(agent_cost_usd, 0) + coalesce(counterpart_cost_usd, 0) as reported_cost_usd
    from runs
    where llm_calls is null
    union all
    select
        source_system,
        usage_date,
        -llm_calls as llm_calls,
        -reported_cost_usd as reported_cost_usd
    from cost_daily
    where source_system <> 'raaf'
),

balances as (
    select
        source_system,
        usage_date,
        sum(llm_calls) as llm_calls,
        coalesce(sum(reported_cost_usd), 0) as reported_cost_usd
    from entries
    group by source_system, usage_date
)

select *
from balances
where
    usage_date not in (select * from unsettled_days)
    and (llm_calls <> 0 or reported_cost_usd <> 0)
