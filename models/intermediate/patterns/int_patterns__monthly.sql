-- One row per month, pattern, task, and the agent and domain it was used by.
{{ config(
    materialized="incremental",
    period="run_month",
    indexes=[
        {"columns": ["patterns_monthly_key"], "unique": true},
        {"columns": ["run_month", "pattern_id", "agent_domain_key", "task_id"]},
    ],
) }}

{{ dirtied_by([ref("int_patterns__daily")], months_of_days()) }}

with {{ days_of_dirty_months(ref("int_patterns__daily"), "run_date", "run_month") }},

monthly as (
    select
        run_month,
        pattern_id,
        agent_domain_key,
        domain,
        coalesce(task_id, '') as task_id,
        sum(uses)::bigint as uses,
        sum(judged_uses)::bigint as judged_uses,
        sum(successes)::bigint as successes,
        sum(runs)::bigint as runs,
        sum(run_successes)::bigint as run_successes,
        sum(priced_runs)::bigint as priced_runs,
        sum(cost_usd) as cost_usd,
        sum(timed_runs)::bigint as timed_runs,
        sum(duration_ms) as duration_ms
    from days
    group by run_month, pattern_id, agent_domain_key, domain, coalesce(task_id, '')
)

select
    {{ surrogate_key([
        "run_month - date '2000-01-01'", "pattern_id", "agent_domain_key", "task_id"
    ]) }} as patterns_monthly_key,
    *
from monthly
