-- One row per run, UTC day, payer and model: what the run used on that day.
{{ config(
    materialized="incremental",
    period="activity_date",
    publishes="source_system, run_id, activity_date as day",
    indexes=[
        {"columns": ["daily_activity_key"], "unique": true},
        {"columns": ["activity_date"]},
        {"columns": ["run_id", "source_system"]},
    ],
) }}

{{ dirtied_by_calls(this) }}

with calls as (
    select * from {{ ref("int_llm_calls__priced") }}
    where {{ in_dirty("called_at") }}
),

tool_calls as (
    select * from {{ ref("int_tool_calls__unioned") }}
    where {{ in_dirty("called_at") }}
),

messages as (
    select * from {{ ref("int_messages__unioned") }}
    where {{ in_dirty("sent_at") }}
),

activities as (
    select
        source_system,
        run_id,
        (called_at at time zone 'UTC')::date as activity_date,
        payer,
        model_recorded,
        provider,
        model,
        count(*) as llm_calls,
        sum(input_tokens) as input_tokens,
        sum(cached_input_tokens) as cached_input_tokens,
        sum(output_tokens) as output_tokens,
        sum(unsplit_tokens) as unsplit_tokens,
        sum(reported_cost_usd) as reported_cost_usd,
        sum(computed_cost_usd) as computed_cost_usd,
        sum(cost_usd) as cost_usd,
        count(reported_cost_usd) as calls_reported,
        count(*) filter (where reported_cost_usd is null and cost_usd is not null) as calls_computed,
        count(*) filter (where cost_usd is null) as calls_unpriced,
        null::bigint as tool_calls,
        null::bigint as tool_errors,
        null::bigint as messages
    from calls
    group by source_system, run_id, activity_date, payer, model_recorded, provider, model
    union all
    select
        source_system,
        run_id,
        (called_at at time zone 'UTC')::date as activity_date,
        null as payer,
        null as model_recorded,
        null as provider,
        null as model,
        null as llm_calls,
        null as input_tokens,
        null as cached_input_tokens,
        null as output_tokens,
        null as unsplit_tokens,
        null as reported_cost_usd,
        null as computed_cost_usd,
        null as cost_usd,
        null as calls_reported,
        null as calls_computed,
        null as calls_unpriced,
        count(*) filter (where not is_call_missing) as tool_calls,
        count(*) filter (where is_error) as tool_errors,
        null as messages
    from tool_calls
    group by source_system, run_id, activity_date
    union all
    select
        source_system,
        run_id,
        (sent_at at time zone 'UTC')::date as activity_date,
        null as payer,
        null as model_recorded,
        null as provider,
        null as model,
        null as llm_calls,
        null as input_tokens,
        null as cached_input_tokens,
        null as output_tokens,
        null as unsplit_tokens,
        null as reported_cost_usd,
        null as computed_cost_usd,
        null as cost_usd,
        null as calls_reported,
        null as calls_computed,
        null as calls_unpriced,
        null as tool_calls,
        null as tool_errors,
        count(*) as messages
    from messages
    group by source_system, run_id, activity_date
)

select
    {{ surrogate_key([
        "source_system",
        "run_id",
        "activity_date - date '2000-01-01'",
        "payer",
        "model_recorded",
        "tool_calls is not null",
        "messages is not null",
    ]) }} as daily_activity_key,
    *
from activities
