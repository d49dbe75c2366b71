-- One row per month, pattern, and agent in a domain: its runs with the pattern against its runs without.
{{ config(
    materialized="incremental",
    period="run_month",
    publishes="pattern_id as key",
    indexes=[
        {"columns": ["patterns_compared_key"], "unique": true},
        {"columns": ["run_month"]},
        {"columns": ["pattern_id"]},
    ],
) }}

with used as not materialized (
    select * from {{ ref("int_patterns__monthly") }}
    where {{ in_dirty_days("run_month") }}
),

judged as not materialized (
    select * from {{ ref("int_runs__judged_monthly") }}
    where {{ in_dirty_days("run_month") }}
),

totals as (
    select
        used.run_month,
        used.pattern_id,
        used.agent_domain_key,
        sum(used.uses)::bigint as uses,
        sum(used.judged_uses)::bigint as judged_uses,
        sum(used.successes)::bigint as successes,
        sum(used.runs)::bigint as runs,
        -- Where most runs have a run of the same task to be compared with, only those are.
        sum(used.runs) filter (where used.runs < judged.runs) * 2 >= sum(used.runs) as is_by_task
    from used
    left join judged
        on
            used.run_month = judged.run_month
            and used.agent_domain_key = judged.agent_domain_key
            and used.task_id = judged.task_id
            and used.task_id <> ''
    group by used.run_month, used.pattern_id, used.agent_domain_key
),

-- Everything the agent was judged for in the month, by task, with and without the pattern.
tasks as (
    select
        totals.run_month,
        totals.pattern_id,
        totals.agent_domain_key,
        judged.domain,
        judged.task_id,
        totals.is_by_task,
        coalesce(used.runs, 0) as runs,
        coalesce(used.run_successes, 0) as successes,
        judged.runs - coalesce(used.runs, 0) as other_runs,
        judged.successes - coalesce(used.run_successes, 0) as other_successes,
        coalesce(used.priced_runs, 0) as priced_runs,
        coalesce(used.cost_usd, 0) as cost_usd,
        judged.priced_runs - coalesce(used.priced_runs, 0) as other_priced_runs,
        judged.cost_usd - coalesce(used.cost_usd, 0) as other_cost_usd,
        coalesce(used.timed_runs, 0) as timed_runs,
        coalesce(used.duration_ms, 0) as duration_ms,
        judged.timed_runs - coalesce(used.timed_runs, 0) as other_timed_runs,
        judged.duration_ms - coalesce(used.duration_ms, 0) as other_duration_ms
    from totals
    inner join judged
        on
            totals.run_month = judged.run_month
            and totals.agent_domain_key = judged.agent_domain_key
    left join used
        on
            totals.run_month = used.run_month
            and totals.pattern_id = used.pattern_id
            and totals.agent_domain_key = used.agent_domain_key
            and judged.task_id = used.task_id
    where totals.runs > 0 and (not coalesce(totals.is_by_task, false) or used.runs < judged.runs)
),

task_totals as (
    select
        run_month,
        domain,
        task_id,
        sum(runs) as runs,
        sum(successes) as successes
    from judged
    where task_id <> ''
    group by run_month, domain, task_id
),

used_task_totals as (
    select
        run_month,
        pattern_id,
        domain,
        task_id,
        sum(runs) as runs,
        sum(run_successes) as successes
    from used
    where task_id <> ''
    group by run_month, pattern_id, domain, task_id
),

-- How hard a task is say other agents' runs without the pattern: neither this agent's luck nor what
-- the pattern does is taken for the task's.
rated_tasks as (
    select
        tasks.*,
        (
            task_totals.successes - tasks.other_successes - coalesce(used_task_totals.successes, 0)
        ) / nullif(
            task_totals.runs - tasks.other_runs - coalesce(used_task_totals.runs, 0), 0
        ) as others_rate
    from tasks
    left join task_totals
        on
            not coalesce(tasks.is_by_task, false)
            and tasks.run_month = task_totals.run_month
            and tasks.domain is not distinct from task_totals.domain
            and tasks.task_id = task_totals.task_id
    left join used_task_totals
        on
            not coalesce(tasks.is_by_task, false)
            and tasks.run_month = used_task_totals.run_month
            and tasks.pattern_id = used_task_totals.pattern_id
            and tasks.domain is not distinct from used_task_totals.domain
            and tasks.task_id = used_task_totals.task_id
),

banded_tasks as (
    select
        *,
        -- Fifths of the tasks from hard to easy; those that nobody else did are one of their own.
        case
            when is_by_task then task_id
            when others_rate is not null
                then (5 * (rank() over by_difficulty - 1) / count(*) over all_tasks)::text
        end as stratum
    from rated_tasks
    window
        all_tasks as (
            partition by run_month, pattern_id, agent_domain_key, others_rate is null
        ),
        by_difficulty as (
            partition by run_month, pattern_id, agent_domain_key, others_rate is null
            order by others_rate
        )
),

strata as (
    select
        run_month,
        pattern_id,
        agent_domain_key,
        is_by_task,
        sum(runs) as n1,
        sum(successes) as s1,
        sum(other_runs) as n0,
        sum(other_successes) as s0,
        sum(priced_runs) as priced1,
        sum(cost_usd) as cost1,
        sum(other_priced_runs) as priced0,
        sum(other_cost_usd) as cost0,
        sum(timed_runs) as timed1,
        sum(duration_ms) as ms1,
        sum(other_timed_runs) as timed0,
        sum(other_duration_ms) as ms0
    from banded_tasks
    group by run_month, pattern_id, agent_domain_key, is_by_task, stratum
    having sum(runs) > 0 and sum(other_runs) > 0
),

weighted as (
    select
        *,
        round(n1 * n0 / (n1 + n0), 12) as weight,
        round(priced1 * priced0 / nullif(priced1 + priced0, 0), 12) as priced_weight,
        round(timed1 * timed0 / nullif(timed1 + timed0, 0), 12) as timed_weight
    from strata
),

-- Mantel and Haenszel's weights: a stratum counts by how well it compares, and single runs do no harm.
comparisons as (
    select
        run_month,
        pattern_id,
        agent_domain_key,
        sum(n1)::bigint as compared_runs,
        sum(n1) filter (where is_by_task)::bigint as compared_by_task,
        sum(weight) as weight,
        sum(round(weight * s1 / n1, 12)) as weighted_rate,
        sum(round(weight * s0 / n0, 12)) as weighted_other_rate,
        sum(round(weight * weight / n1, 12)) as spread,
        sum(round(weight * weight / n0, 12)) as other_spread,
        sum(round(
            n1 * n0 * (s1 + s0) * (n1 + n0 - s1 - s0) / ((n1 + n0) ^ 2 * (n1 + n0 - 1)), 12
        )) as null_variance,
        sum(priced_weight) filter (where priced_weight > 0) as priced_weight,
        sum(round(priced_weight * (cost0 / nullif(priced0, 0) - cost1 / nullif(priced1, 0)), 12))
            as weighted_usd_saved,
        sum(timed_weight) filter (where timed_weight > 0) as timed_weight,
        sum(round(timed_weight * (ms0 / nullif(timed0, 0) - ms1 / nullif(timed1, 0)), 12))
            as weighted_ms_saved
    from weighted
    group by run_month, pattern_id, agent_domain_key
)

select
    {{ surrogate_key([
        "totals.run_month - date '2000-01-01'", "totals.pattern_id", "totals.agent_domain_key"
    ]) }} as patterns_compared_key,
    totals.run_month,
    totals.pattern_id,
    totals.agent_domain_key,
    totals.uses,
    totals.judged_uses,
    totals.successes,
    coalesce(comparisons.compared_runs, 0) as compared_runs,
    coalesce(comparisons.compared_by_task, 0) as compared_by_task,
    comparisons.weight,
    comparisons.weighted_rate,
    comparisons.weighted_other_rate,
    comparisons.spread,
    comparisons.other_spread,
    comparisons.null_variance,
    comparisons.priced_weight,
    comparisons.weighted_usd_saved,
    comparisons.timed_weight,
    comparisons.weighted_ms_saved
from totals
left join comparisons
    on
        totals.run_month = comparisons.run_month
        and totals.pattern_id = comparisons.pattern_id
        and totals.agent_domain_key is not distinct from comparisons.agent_domain_key
