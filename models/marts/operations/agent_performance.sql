-- One row per usage_date, source_system, tenant, domain and agent: its runs and how they went.
{{ config(
    materialized="incremental",
    period="usage_date",
    indexes=[{"columns": ["usage_date", "agent_performance_key"], "unique": true}],
) }}

with runs_daily as (
    select * from {{ ref("int_runs__costed_daily") }}
    where {{ in_dirty_days("run_date") }}
),

distributions as (
    select * from {{ ref("distributions_daily") }}
    where measure = 'run_ms' and {{ in_dirty_days("usage_date") }}
),

daily as (
    select
        run_date as usage_date,
        source_system,
        tenant_key,
        domain,
        agent_key,
        agent_name,
        sum(runs)::bigint as runs,
        sum(failed_runs)::bigint as failed_runs,
        sum(judged_runs)::bigint as judged_runs,
        sum(successes)::bigint as successes,
        sum(tool_calls)::bigint as tool_calls,
        sum(tool_errors)::bigint as tool_errors,
        sum(priced_runs)::bigint as priced_runs,
        sum(cost_usd) as cost_usd
    from runs_daily
    group by run_date, source_system, tenant_key, domain, agent_key, agent_name
),

-- Once: for the one row that the planner expects of a new day it would do it once per row of it.
durations as materialized (
    select
        {{ surrogate_key([
            "usage_date - date '2000-01-01'", "source_system", "tenant_key", "domain", "agent_key"
        ]) }} as agent_performance_key,
        sum(observations)::bigint as timed_runs,
        sketches.merge(sketch) as duration_sketch
    from distributions
    group by usage_date, source_system, tenant_key, domain, agent_key
),

keyed as (
    select
        {{ surrogate_key([
            "usage_date - date '2000-01-01'", "source_system", "tenant_key", "domain", "agent_key"
        ]) }} as agent_performance_key,
        *
    from daily
)

select
    keyed.agent_performance_key,
    keyed.usage_date,
    keyed.source_system,
    keyed.tenant_key,
    keyed.domain,
    keyed.agent_key,
    keyed.agent_name,
    keyed.runs,
    keyed.failed_runs,
    keyed.judged_runs,
    keyed.successes,
    {{ ratio("keyed.successes::numeric", "keyed.judged_runs") }} as success_rate,
    {{ wilson_bound("keyed.successes", "keyed.judged_runs", "low") }} as interval_low,
    {{ wilson_bound("keyed.successes", "keyed.judged_runs", "high") }} as interval_high,
    coalesce(durations.timed_runs, 0) as timed_runs,
    sketches.percentile(durations.duration_sketch, 0.5) as p50_ms,
    sketches.percentile(durations.duration_sketch, 0.95) as p95_ms,
    coalesce(durations.duration_sketch, '{}') as duration_sketch,
    keyed.tool_calls,
    keyed.tool_errors,
    keyed.priced_runs,
    keyed.cost_usd
from keyed
left join durations on keyed.agent_performance_key = durations.agent_performance_key
