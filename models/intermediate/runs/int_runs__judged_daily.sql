-- One row per UTC day, agent_key, domain and task_id: the runs that were judged.
{{ config(
    materialized="incremental",
    period="run_date",
    publishes="agent_domain_key as key, run_date as day",
    indexes=[
        {"columns": ["run_date", "judged_daily_key"], "unique": true},
        {"columns": ["agent_domain_key"]},
    ],
) }}

with runs as (
    select * from {{ ref("agent_runs") }}
    where is_success is not null and {{ in_dirty_days("run_date") }}
),

counted as (
    select
        run_date,
        agent_key,
        domain,
        agent_domain_key,
        agent_name,
        agent_version,
        model_recorded,
        task_id,
        count(*) as runs,
        count(*) filter (where is_success) as successes,
        count(cost_usd) as priced_runs,
        coalesce(sum(trim_scale(cost_usd)), 0) as cost_usd,
        count(duration_ms) as timed_runs,
        coalesce(sum(trim_scale(duration_ms)), 0) as duration_ms
    from runs
    group by
        run_date,
        agent_key,
        domain,
        agent_domain_key,
        agent_name,
        agent_version,
        model_recorded,
        task_id
)

select
    {{ surrogate_key(["run_date - date '2000-01-01'", "agent_domain_key", "task_id"]) }}
        as judged_daily_key,
    *
from counted
