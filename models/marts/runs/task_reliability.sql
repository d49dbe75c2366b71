-- One row per agent_key, domain and k: the chance that k independent trials of a task all succeed.
{{ config(
    materialized="incremental",
    key="agent_domain_key",
    indexes=[
        {"columns": ["task_reliability_key"], "unique": true},
        {"columns": ["agent_domain_key"]},
    ],
) }}

with judged_monthly as (
    select * from {{ ref("int_runs__judged_monthly") }}
    where {{ in_dirty("agent_domain_key") }}
),

judged_daily as (
    select * from {{ ref("int_runs__judged_daily") }}
    where run_date is null and {{ in_dirty("agent_domain_key") }}
),

-- Months are few; runs of no known day are in none.
judged_runs as (
    select
        agent_key,
        domain,
        agent_domain_key,
        agent_name,
        agent_version,
        model_recorded,
        nullif(task_id, '') as task_id,
        runs,
        successes
    from judged_monthly
    union all
    select
        agent_key,
        domain,
        agent_domain_key,
        agent_name,
        agent_version,
        model_recorded,
        task_id,
        runs,
        successes
    from judged_daily
),

trial_counts as (
    select generate_series(1, 4) as k
),

agents as (
    select
        agent_key,
        domain,
        agent_domain_key,
        max(agent_name) as agent_name,
        max(agent_version) as agent_version,
        max(model_recorded) as model_recorded,
        sum(runs)::bigint as runs,
        sum(successes)::bigint as successes
    from judged_runs
    group by agent_key, domain, agent_domain_key
),

tasks as (
    select
        agent_key,
        domain,
        task_id,
        sum(runs) as trials,
        sum(successes) as successes
    from judged_runs
    where task_id is not null
    group by agent_key, domain, task_id
),

-- C(successes, k) / C(trials, k): the share of ways to draw k trials that all succeeded.
shares as (
    select
        tasks.agent_key,
        tasks.domain,
        trial_counts.k,
        case trial_counts.k
            when 1 then successes / trials
            when 2 then successes * (successes - 1) / (trials * (trials - 1))
            when 3
                then
                    successes * (successes - 1) * (successes - 2)
                    / (trials * (trials - 1) * (trials - 2))
            when 4
                then
                    successes * (successes - 1) * (successes - 2) * (successes - 3)
                    / (trials * (trials - 1) * (trials - 2) * (trials - 3))
        end as share,
        tasks.trials
    from tasks
    inner join trial_counts on tasks.trials >= trial_counts.k
),

estimates as (
    select
        agent_key,
        domain,
        k,
        count(*) as tasks,
        avg(share) as pass_hat_k,
        sum(trials) as trials,
        round(var_samp(share), 24) as variance
    from shares
    group by agent_key, domain, k
),

-- As many tasks as would vary that much if each either passed or failed, as shares between vary less; but no
-- more than there are trials, and where they do not vary, as many as there are.
weighed as (
    select
        *,
        case
            when variance > 0 and pass_hat_k between 0.000001 and 0.999999
                then
                    least(
                        greatest(round(tasks * pass_hat_k * (1 - pass_hat_k) / variance, 12), tasks),
                        trials
                    )
            else tasks
        end as effective_tasks
    from estimates
)

select
    {{ surrogate_key(["agents.agent_key", "agents.domain", "trial_counts.k"]) }}
        as task_reliability_key,
    agents.agent_key,
    agents.domain,
    agents.agent_domain_key,
    trial_counts.k,
    agents.agent_name,
    agents.agent_version,
    agents.model_recorded,
    coalesce(weighed.tasks, 0) as tasks,
    agents.runs,
    agents.successes,
    agents.successes::numeric / agents.runs as success_rate,
    weighed.pass_hat_k,
    {{ wilson_bound("weighed.pass_hat_k * weighed.effective_tasks", "weighed.effective_tasks", "low") }}
        as pass_hat_k_low,
    {{ wilson_bound("weighed.pass_hat_k * weighed.effective_tasks", "weighed.effective_tasks", "high") }}
        as pass_hat_k_high
from agents
cross join trial_counts
left join weighed
    on
        agents.agent_key = weighed.agent_key
        and agents.domain is not distinct from weighed.domain
        and trial_counts.k = weighed.k
