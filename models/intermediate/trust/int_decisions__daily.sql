-- One row per UTC day, agent_key and domain on which a decision was judged, or a critical action failed.
{{ config(
    materialized="incremental",
    period="decided_date",
    publishes="agent_domain_key, decided_date as day",
    indexes=[
        {"columns": ["decisions_daily_key"], "unique": true},
        {"columns": ["decided_date"]},
        {"columns": ["agent_domain_key", "decided_date"]},
    ],
) }}

{{ dirtied_by(
    [ref("agent_runs")],
    days_of_run_decisions(ref("int_decisions__recorded"), ref("int_critical_failures__recorded"))
) }}
{{ dirtied_by([ref("int_decisions__recorded")], days_of_decided_runs(ref("agent_runs"))) }}

with outcomes as (
    select * from {{ ref("int_outcomes__unioned") }}
    where outcome is not null and {{ in_dirty_days("decided_date") }}
),

critical_failures as (
    select * from {{ ref("int_critical_failures__recorded") }}
    where {{ in_dirty_days("acted_date") }}
),

runs as (
    select * from {{ ref("agent_runs") }}
),

-- In this order they are folded; -1 is a critical failure.
events as (
    select
        decided_date,
        agent_key,
        domain,
        agent_domain_key,
        outcome,
        feedback,
        confidence_score,
        decided_at,
        outcome_key as event_key
    from outcomes
    union all
    select
        critical_failures.acted_date as decided_date,
        runs.agent_key,
        runs.domain,
        runs.agent_domain_key,
        -1 as outcome,
        null as feedback,
        null as confidence_score,
        critical_failures.acted_at as decided_at,
        critical_failures.critical_failure_key as event_key
    from critical_failures
    inner join runs
        on
            critical_failures.source_system = runs.source_system
            and critical_failures.run_id = runs.run_id
),

counted as (
    select
        decided_date,
        max(agent_key) as agent_key,
        max(domain) as domain,
        agent_domain_key,
        count(*) filter (where outcome >= 0) as decisions,
        count(*) filter (where outcome = 1) as successes,
        count(*) filter (where feedback = 'rejected') as rejections,
        count(*) filter (where outcome = -1) as critical_failures,
        trim_scale(sum(confidence_score)) as confidence_total,
        count(confidence_score) as confidences,
        array_agg(outcome::smallint order by decided_at, outcome < 0, event_key) as outcomes,
        array_agg(decided_at order by decided_at, outcome < 0, event_key) as decided_ats
    from events
    group by decided_date, agent_domain_key
)

select
    {{ surrogate_key(["decided_date - date '2000-01-01'", "agent_domain_key"]) }}
        as decisions_daily_key,
    *
from counted
