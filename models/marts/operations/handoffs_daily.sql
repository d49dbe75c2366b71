-- One row per usage_date, source_system, tenant and pair of agents that hand over work.
{{ config(
    materialized="incremental",
    period="usage_date",
    indexes=[{"columns": ["usage_date", "handoffs_daily_key"], "unique": true}],
) }}

with handoffs as (
    select * from {{ ref("int_handoffs__unioned") }}
    where {{ in_dirty_days("handed_off_date") }}
),

daily as (
    select
        handed_off_date as usage_date,
        source_system,
        tenant_key,
        from_agent_name,
        to_agent_name,
        count(*) as handoffs,
        count(*) filter (where status = 'failed') as failed_handoffs,
        count(is_success) as judged_handoffs,
        count(*) filter (where is_success) as successes,
        count(overhead_ms) as timed_handoffs,
        sum(overhead_ms) as overhead_ms,
        sketches.sketch(duration_ms) as duration_sketch
    from handoffs
    group by handed_off_date, source_system, tenant_key, from_agent_name, to_agent_name
)

select
    {{ surrogate_key([
        "usage_date - date '2000-01-01'",
        "source_system",
        "tenant_key",
        "from_agent_name",
        "to_agent_name",
    ]) }} as handoffs_daily_key,
    usage_date,
    source_system,
    tenant_key,
    from_agent_name,
    to_agent_name,
    handoffs,
    failed_handoffs,
    judged_handoffs,
    successes,
    {{ ratio("successes::numeric", "judged_handoffs") }} as success_rate,
    {{ wilson_bound("successes", "judged_handoffs", "low") }} as interval_low,
    {{ wilson_bound("successes", "judged_handoffs", "high") }} as interval_high,
    timed_handoffs,
    {{ ratio("overhead_ms", "timed_handoffs") }} as mean_overhead_ms,
    sketches.percentile(duration_sketch, 0.5) as p50_ms,
    sketches.percentile(duration_sketch, 0.95) as p95_ms,
    duration_sketch
from daily
