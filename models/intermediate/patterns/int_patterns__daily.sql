-- One row per UTC day of the run, pattern, and the agent and domain it was used by.
{{ config(
    materialized="incremental",
    period="run_date",
    publishes="pattern_id as key",
    indexes=[
        {"columns": ["patterns_daily_key"], "unique": true},
        {"columns": ["run_date"]},
        {"columns": ["pattern_id"]},
    ],
) }}

with pattern_uses as (
    select * from {{ ref("int_pattern_uses__resolved") }}
    where {{ in_dirty_days("run_date") }}
),

counted as (
    select
        run_date,
        pattern_id::text as pattern_id,
        agent_domain_key,
        count(*) as uses,
        count(is_success) as judged_uses,
        count(*) filter (where is_success) as successes,
        -- A run that used a pattern more than once is one run.
        count(distinct run_id) filter (where is_run_success is not null) as runs,
        count(distinct run_id) filter (where is_run_success) as run_successes
    from pattern_uses
    group by run_date, pattern_id, agent_domain_key
)

select
    {{ surrogate_key(["run_date - date '2000-01-01'", "pattern_id", "agent_domain_key"]) }}
        as patterns_daily_key,
    *
from counted
