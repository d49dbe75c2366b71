-- One row per UTC day, agent_key and domain: how far an agent worked by itself.
{{ config(
    materialized="incremental",
    period="usage_date",
    indexes=[
        {"columns": ["usage_date", "autonomy_in_practice_key"], "unique": true},
        {"columns": ["agent_domain_key"]},
    ],
) }}

{{ dirtied_by([ref("agent_runs")], days_of_run_activity(ref("int_runs__daily_autonomy"))) }}

with activities as (
    select * from {{ ref("int_runs__daily_autonomy") }}
    where {{ in_dirty_days("activity_date") }}
),

runs as (
    select * from {{ ref("agent_runs") }}
),

-- Apart, as the runs of activities may have started on any day.
dated_runs as (
    select * from {{ ref("agent_runs") }}
    where {{ in_dirty_days("run_date") }}
),

activities_and_starts as (
    select
        activities.activity_date as usage_date,
        runs.agent_key,
        runs.domain,
        runs.agent_domain_key,
        null::boolean as is_interrupted,
        activities.decisions,
        activities.unreviewed_decisions,
        activities.corrections,
        activities.clarifications,
        activities.rated_actions,
        activities.irreversible_actions,
        activities.turns_ms
    from activities
    inner join runs
        on activities.run_id = runs.run_id and activities.source_system = runs.source_system
    union all
    select
        run_date as usage_date,
        agent_key,
        domain,
        agent_domain_key,
        status = 'cancelled' as is_interrupted,
        0 as decisions,
        0 as unreviewed_decisions,
        0 as corrections,
        0 as clarifications,
        0 as rated_actions,
        0 as irreversible_actions,
        null as turns_ms
    from dated_runs
),

counted as (
    select
        usage_date,
        max(agent_key) as agent_key,
        max(domain) as domain,
        agent_domain_key,
        count(is_interrupted) as runs,
        count(*) filter (where is_interrupted) as interruptions,
        sum(decisions)::bigint as decisions,
        sum(unreviewed_decisions)::bigint as unreviewed_decisions,
        sum(corrections)::bigint as corrections,
        sum(clarifications)::bigint as clarifications,
        sum(rated_actions)::bigint as rated_actions,
        sum(irreversible_actions)::bigint as irreversible_actions
    from activities_and_starts
    group by usage_date, agent_domain_key
),

sketched as (
    select
        activities_and_starts.usage_date,
        activities_and_starts.agent_domain_key,
        sketches.sketch(turns.turn_ms) as turn_sketch
    from activities_and_starts
    cross join lateral unnest(activities_and_starts.turns_ms) as turns (turn_ms)
    group by activities_and_starts.usage_date, activities_and_starts.agent_domain_key
)

select
    {{ surrogate_key(["counted.usage_date - date '2000-01-01'", "counted.agent_domain_key"]) }}
        as autonomy_in_practice_key,
    counted.usage_date,
    counted.agent_key,
    counted.domain,
    counted.agent_domain_key,
    counted.runs,
    counted.interruptions,
    counted.decisions,
    counted.unreviewed_decisions,
    {{ ratio("counted.unreviewed_decisions::numeric", "counted.decisions") }} as auto_approved_share,
    counted.corrections,
    counted.clarifications,
    counted.rated_actions,
    counted.irreversible_actions,
    {{ ratio("counted.irreversible_actions::numeric", "counted.rated_actions") }}
        as irreversible_share,
    sketches.observations(sketched.turn_sketch) as turns,
    sketches.percentile(sketched.turn_sketch, 0.5) as turn_p50_ms,
    sketches.percentile(sketched.turn_sketch, 0.9) as turn_p90_ms,
    sketches.percentile(sketched.turn_sketch, 0.99) as turn_p99_ms,
    sketches.percentile(sketched.turn_sketch, 0.999) as turn_p999_ms,
    sketched.turn_sketch
from counted
left join sketched
    on
        counted.usage_date is not distinct from sketched.usage_date
        and counted.agent_domain_key = sketched.agent_domain_key
