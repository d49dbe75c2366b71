-- One row per UTC day, agent_key and domain on which a decision was judged.
{{ config(
    materialized="incremental",
    period="decided_date",
    publishes="agent_domain_key as key",
    indexes=[
        {"columns": ["decisions_daily_key"], "unique": true},
        {"columns": ["decided_date"]},
        {"columns": ["agent_domain_key"]},
    ],
) }}

{{ dirtied_by([ref("agent_runs")], days_of_run_decisions(ref("int_decisions__recorded"))) }}

with decisions as (
    select * from {{ ref("int_decisions__judged") }}
    where {{ in_dirty_days("decided_date") }}
),

counted as (
    select
        decided_date,
        agent_key,
        domain,
        agent_domain_key,
        count(*) as decisions,
        sum(outcome) as successes
    from decisions
    group by decided_date, agent_key, domain, agent_domain_key
)

select
    {{ surrogate_key(["decided_date - date '2000-01-01'", "agent_domain_key"]) }}
        as decisions_daily_key,
    *
from counted
