-- One row per usage_date, source_system, tenant, agent and tool: how often it was called, and how it went.
{{ config(
    materialized="incremental",
    period="usage_date",
    indexes=[{"columns": ["usage_date", "tool_usage_key"], "unique": true}],
) }}
{%- set grain = ["usage_date", "source_system", "tenant_key", "agent_key", "agent_name", "tool_name"] %}

{{ dirtied_by_calls(ref("int_runs__daily_activity")) }}
{{ dirtied_by([ref("agent_runs")], days_of_run_activity(ref("int_runs__daily_activity"))) }}

with tool_calls as (
    select
        *,
        (called_at at time zone 'UTC')::date as usage_date
    from {{ ref("int_tool_calls__unioned") }}
    where {{ in_dirty("called_at") }}
),

runs as (
    select * from {{ ref("int_runs__active_daily") }}
    where {{ in_dirty_days("activity_date") }}
),

-- Counted by bucket first, so that no distribution is ever held value by value.
buckets as (
    select
        tool_calls.usage_date,
        runs.source_system,
        runs.tenant_key,
        runs.agent_key,
        runs.agent_name,
        tool_calls.tool_name,
        sketches.bucket(tool_calls.duration_ms) as bucket,
        count(*) as outcomes,
        count(*) filter (where not tool_calls.is_call_missing) as calls,
        count(*) filter (where tool_calls.is_error) as errors
    from tool_calls
    inner join runs
        on
            tool_calls.run_id = runs.run_id
            and tool_calls.source_system = runs.source_system
            and coalesce(tool_calls.usage_date, '-infinity') = coalesce(runs.activity_date, '-infinity')
    group by
        tool_calls.usage_date,
        runs.source_system,
        runs.tenant_key,
        runs.agent_key,
        runs.agent_name,
        tool_calls.tool_name,
        sketches.bucket(tool_calls.duration_ms)
),

daily as (
    select
        {{ grain | join(",\n        ") }},
        sum(outcomes)::bigint as outcomes,
        sum(calls)::bigint as calls,
        sum(errors)::bigint as errors,
        coalesce(jsonb_object_agg(bucket, outcomes) filter (where bucket is not null), '{}')
            as duration_sketch
    from buckets
    group by {{ grain | join(", ") }}
)

select
    {{ surrogate_key([
        "usage_date - date '2000-01-01'", "source_system", "tenant_key", "agent_key", "tool_name"
    ]) }} as tool_usage_key,
    {{ grain | join(",\n    ") }},
    calls,
    outcomes,
    errors,
    {{ ratio("(outcomes - errors)::numeric", "outcomes") }} as success_rate,
    {{ wilson_bound("(outcomes - errors)", "outcomes", "low") }} as interval_low,
    {{ wilson_bound("(outcomes - errors)", "outcomes", "high") }} as interval_high,
    sketches.percentile(duration_sketch, 0.5) as p50_ms,
    sketches.percentile(duration_sketch, 0.95) as p95_ms,
    duration_sketch
from daily
