-- One row per UTC day of the run, pattern, task, and the agent and domain it was used by.
{{ config(
    materialized="incremental",
    period="run_date",
    indexes=[{"columns": ["run_date", "patterns_daily_key"], "unique": true}],
) }}

with pattern_uses as (
    select * from {{ ref("int_pattern_uses__resolved") }}
    where {{ in_dirty_days("run_date") }}
),

-- A run that used a pattern more than once is one run.
used_runs as (
    select
        run_date,
        pattern_id::text as pattern_id,
        agent_domain_key,
        domain,
        task_id,
        is_run_success,
        case when is_run_success is not null then cost_usd end as cost_usd,
        case when is_run_success is not null then duration_ms end as duration_ms,
        count(*) as uses,
        count(is_success) as judged_uses,
        count(*) filter (where is_success) as successes
    from pattern_uses
    group by
        run_date,
        pattern_id,
        agent_domain_key,
        domain,
        task_id,
        source_system,
        run_id,
        is_run_success,
        cost_usd,
        duration_ms
),

counted as (
    select
        run_date,
        pattern_id,
        agent_domain_key,
        domain,
        task_id,
        sum(uses)::bigint as uses,
        sum(judged_uses)::bigint as judged_uses,
        sum(successes)::bigint as successes,
        count(is_run_success) as runs,
        count(*) filter (where is_run_success) as run_successes,
        count(cost_usd) as priced_runs,
        coalesce(sum(trim_scale(cost_usd)), 0) as cost_usd,
        count(duration_ms) as timed_runs,
        coalesce(sum(trim_scale(duration_ms)), 0) as duration_ms
    from used_runs
    group by run_date, pattern_id, agent_domain_key, domain, task_id
)

select
    {{ surrogate_key(["run_date - date '2000-01-01'", "pattern_id", "agent_domain_key", "task_id"]) }}
        as patterns_daily_key,
    *
from counted
