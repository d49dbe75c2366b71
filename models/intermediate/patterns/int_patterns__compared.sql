-- One row per month and pattern: its runs against comparable runs without it.
{{ config(
    materialized="incremental",
    period="run_month",
    publishes="pattern_id as key",
    indexes=[
        {"columns": ["run_month", "patterns_compared_key"], "unique": true},
        {"columns": ["pattern_id"]},
    ],
) }}
{%- set counts = ["runs", "run_successes", "priced_runs", "cost_usd", "timed_runs", "duration_ms"] %}
{%- set rounds = 3 %}

with used as not materialized (
    select * from {{ ref("int_patterns__monthly") }}
    where {{ in_dirty_days("run_month") }}
),

judged as not materialized (
    select
        *,
        successes as run_successes
    from {{ ref("int_runs__judged_monthly") }}
    where {{ in_dirty_days("run_month") }}
),

totals as (
    select
        run_month,
        pattern_id,
        sum(uses)::bigint as uses,
        sum(judged_uses)::bigint as judged_uses,
        sum(successes)::bigint as successes
    from used
    group by run_month, pattern_id
),

-- An agent's runs of a task, with the pattern and without. Runs without a task are of one unknown task.
own_tasks as (
    select
        used.run_month,
        used.pattern_id,
        used.agent_domain_key,
        used.domain,
        used.task_id,
        {% for count in counts %}
        used.{{ count }},
        judged.{{ count }} - used.{{ count }} as other_{{ count }},
        {% endfor %}
        coalesce(
            sum(used.runs) filter (where used.runs < judged.runs) over by_agent * 2
            >= sum(used.runs) over by_agent,
            false
        ) as is_repeated
    from used
    inner join judged
        on
            used.run_month = judged.run_month
            and used.agent_domain_key = judged.agent_domain_key
            and used.task_id = judged.task_id
    where used.runs > 0
    window by_agent as (
        partition by used.run_month, used.pattern_id, used.agent_domain_key
    )
),

-- Agents who hardly ever do a task twice are compared with each other, on the tasks of any of them.
single_runs as (
    select
        *,
        dense_rank() over (order by run_month, pattern_id, domain) as group_number
    from own_tasks
    where not is_repeated
),

single_agents as (
    select
        group_number,
        run_month,
        pattern_id,
        agent_domain_key,
        row_number() over (order by group_number, agent_domain_key) as agent_number
    from single_runs
    group by group_number, run_month, pattern_id, agent_domain_key
),

single_tasks as (
    select
        group_number,
        task_id,
        row_number() over (order by group_number, task_id) as task_number
    from single_runs
    where task_id <> ''
    group by group_number, task_id
),

shared_tasks as (
    select
        single_agents.group_number,
        single_agents.agent_number,
        single_tasks.task_number,
        single_agents.run_month,
        single_agents.pattern_id,
        judged.runs as all_runs,
        {% for count in counts %}
        coalesce(used.{{ count }}, 0) as {{ count }},
        judged.{{ count }} - coalesce(used.{{ count }}, 0) as other_{{ count }},
        {% endfor %}
        sum(used.runs) over by_task as task_used_runs,
        sum(judged.runs) over by_task as task_runs,
        sum(judged.run_successes) over by_task as task_successes
    from single_agents
    inner join judged
        on
            single_agents.run_month = judged.run_month
            and single_agents.agent_domain_key = judged.agent_domain_key
    inner join single_tasks
        on
            single_agents.group_number = single_tasks.group_number
            and judged.task_id = single_tasks.task_id
    -- By its key, as the planner looks up one column of four only.
    left join used
        on
            {{ surrogate_key([
                "single_agents.run_month - date '2000-01-01'",
                "single_agents.pattern_id",
                "single_agents.agent_domain_key",
                "judged.task_id",
            ]) }} = used.patterns_monthly_key
    window by_task as (partition by single_tasks.task_number)
),

-- The share of runs with the pattern that an agent and a task let expect: their means are taken out in
-- turn. A run weighs by what it departs from that, so that neither good agents nor easy tasks count.
-- In billionths, as whole numbers are added up fast.
shares_0 as (
    select
        *,
        -- How far outcomes vary within tasks, each by as many runs as are its own.
        round(
            sum(all_runs * task_successes * (task_runs - task_successes) / task_runs ^ 2) over by_group
            / sum(all_runs * (task_runs - 1) / task_runs) over by_group,
            12
        ) as variance,
        0::bigint as share
    from shared_tasks
    where task_used_runs > 0 and task_used_runs < task_runs
    window by_group as (partition by group_number)
),

{% for step in range(1, rounds + 1) -%}
{%- for unit in ("agent", "task") -%}
{%- set before = "shares_" ~ (step - 1) if loop.first else "agent_shares_" ~ step -%}
{{ "agent_" if loop.first }}shares_{{ step }} as (
    select
        group_number,
        agent_number,
        task_number,
        run_month,
        pattern_id,
        variance,
        all_runs,
        {% for count in counts %}
        {{ count }},
        other_{{ count }},
        {% endfor %}
        share + (
            sum(runs * 1000000000 - all_runs * share) over by_{{ unit }}
            / sum(all_runs) over by_{{ unit }}
        )::bigint as share
    from {{ before }}
    window by_{{ unit }} as (partition by {{ unit }}_number)
),

{% endfor -%}
{% endfor -%}
cells as (
    select
        run_month,
        pattern_id,
        task_id <> '' as is_by_task,
        {% for count in counts %}
        {{ count }},
        other_{{ count }},
        {% endfor %}
        runs::numeric / (runs + other_runs) as share,
        (run_successes + other_run_successes)::numeric
        * (
            runs + other_runs
            - run_successes - other_run_successes
        ) / ((runs + other_runs) * (runs + other_runs - 1))
            as variance
    from own_tasks
    where is_repeated and other_runs > 0
    union all
    select
        run_month,
        pattern_id,
        true as is_by_task,
        {% for count in counts %}
        {{ count }},
        other_{{ count }},
        {% endfor %}
        share / 1000000000.0 as share,
        variance
    from shares_{{ rounds }}
),

-- In a stratum of one agent and task these are Mantel and Haenszel's weights. Once, not once per pattern.
comparisons as materialized (
    select
        run_month,
        pattern_id,
        sum(runs)::bigint as compared_runs,
        coalesce(sum(runs) filter (where is_by_task), 0)::bigint as compared_by_task,
        {% for measure, known in (("cost_usd", "priced"), ("duration_ms", "timed")) %}
        case
            when bool_and({{ known }}_runs = runs and other_{{ known }}_runs = other_runs)
                then sum(round(other_{{ measure }} * share - {{ measure }} * (1 - share), 12))
        end as weighted_{{ measure }}_saved,
        {% endfor %}
        sum(round(runs * (1 - share), 12)) as weight,
        sum(round(run_successes * (1 - share), 12)) as weighted_rate,
        sum(round(other_run_successes * share, 12)) as weighted_other_rate,
        sum(round(runs * (1 - share) ^ 2, 12)) as spread,
        sum(round(other_runs * share ^ 2, 12)) as other_spread,
        sum(round(runs * (1 - share) * variance, 12)) as null_variance
    from cells
    group by run_month, pattern_id
    having sum(round(runs * (1 - share), 12)) > 0
)

select
    {{ surrogate_key(["totals.run_month - date '2000-01-01'", "totals.pattern_id"]) }}
        as patterns_compared_key,
    totals.run_month,
    totals.pattern_id,
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
    case when comparisons.weighted_cost_usd_saved is not null then comparisons.weight end
        as priced_weight,
    comparisons.weighted_cost_usd_saved as weighted_usd_saved,
    case when comparisons.weighted_duration_ms_saved is not null then comparisons.weight end
        as timed_weight,
    comparisons.weighted_duration_ms_saved as weighted_ms_saved
from totals
left join comparisons
    on totals.run_month = comparisons.run_month and totals.pattern_id = comparisons.pattern_id
