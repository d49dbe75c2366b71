-- One row per month, agent_key, domain and task_id: the runs that were judged.
{{ config(
    materialized="incremental",
    period="run_month",
    publishes="agent_domain_key as key, run_month as day",
    indexes=[
        {"columns": ["run_month", "judged_monthly_key"], "unique": true},
        {"columns": ["run_month", "agent_domain_key", "task_id"]},
        {"columns": ["agent_domain_key"]},
    ],
) }}

{{ dirtied_by([ref("int_runs__judged_daily")], months_of_days()) }}

with {{ days_of_dirty_months(ref("int_runs__judged_daily"), "run_date", "run_month") }},

monthly as (
    select
        run_month,
        agent_key,
        domain,
        agent_domain_key,
        coalesce(task_id, '') as task_id,
        max(agent_name) as agent_name,
        max(agent_version) as agent_version,
        max(model_recorded) as model_recorded,
        sum(runs)::bigint as runs,
        sum(successes)::bigint as successes,
        sum(priced_runs)::bigint as priced_runs,
        sum(cost_usd) as cost_usd,
        sum(timed_runs)::bigint as timed_runs,
        sum(duration_ms) as duration_ms
    from days
    group by run_month, agent_key, domain, agent_domain_key, coalesce(task_id, '')
)

select
    {{ surrogate_key(["run_month - date '2000-01-01'", "agent_domain_key", "task_id"]) }}
        as judged_monthly_key,
    *
from monthly
