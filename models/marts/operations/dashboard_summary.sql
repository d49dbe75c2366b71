-- One row per usage_date and tenant: what the head of a dashboard shows of the day.
{{ config(
    materialized="incremental",
    period="usage_date",
    indexes=[{"columns": ["usage_date", "dashboard_summary_key"], "unique": true}],
) }}

with agents_daily as (
    select * from {{ ref("agent_performance") }}
    where {{ in_dirty_days("usage_date") }}
),

errors_daily as (
    select * from {{ ref("errors_daily") }}
    where {{ in_dirty_days("usage_date") }}
),

busiest as (
    select distinct on (usage_date, tenant_key)
        usage_date,
        tenant_key,
        agent_name
    from agents_daily
    where agent_name is not null
    order by usage_date asc, tenant_key asc, runs desc, agent_name asc, agent_performance_key asc
),

parts as (
    select
        usage_date,
        tenant_key,
        agent_key,
        null as agent_name,
        runs,
        failed_runs,
        judged_runs,
        successes,
        priced_runs,
        cost_usd,
        duration_sketch,
        null::bigint as errors,
        null as error_type
    from agents_daily
    union all
    select
        usage_date,
        tenant_key,
        null as agent_key,
        null as agent_name,
        null as runs,
        null as failed_runs,
        null as judged_runs,
        null as successes,
        null as priced_runs,
        null as cost_usd,
        '{}' as duration_sketch,
        errors,
        error_type
    from errors_daily
    union all
    select
        usage_date,
        tenant_key,
        null as agent_key,
        agent_name,
        null as runs,
        null as failed_runs,
        null as judged_runs,
        null as successes,
        null as priced_runs,
        null as cost_usd,
        '{}' as duration_sketch,
        null as errors,
        null as error_type
    from busiest
),

daily as (
    select
        usage_date,
        tenant_key,
        coalesce(sum(runs), 0)::bigint as runs,
        coalesce(sum(failed_runs), 0)::bigint as failed_runs,
        coalesce(sum(judged_runs), 0)::bigint as judged_runs,
        coalesce(sum(successes), 0)::bigint as successes,
        count(distinct agent_key) as active_agents,
        max(agent_name) as most_used_agent,
        coalesce(sum(errors), 0)::bigint as errors,
        count(distinct error_type) as error_types,
        coalesce(sum(priced_runs), 0)::bigint as priced_runs,
        sum(cost_usd) as cost_usd,
        sketches.merge(duration_sketch) as duration_sketch
    from parts
    group by usage_date, tenant_key
)

select
    {{ surrogate_key(["usage_date - date '2000-01-01'", "tenant_key"]) }} as dashboard_summary_key,
    usage_date,
    tenant_key,
    runs,
    failed_runs,
    judged_runs,
    successes,
    {{ ratio("successes::numeric", "judged_runs") }} as success_rate,
    {{ wilson_bound("successes", "judged_runs", "low") }} as interval_low,
    {{ wilson_bound("successes", "judged_runs", "high") }} as interval_high,
    active_agents,
    most_used_agent,
    errors,
    error_types,
    sketches.percentile(duration_sketch, 0.5) as p50_run_ms,
    sketches.percentile(duration_sketch, 0.95) as p95_run_ms,
    priced_runs,
    cost_usd
from daily
