-- One row per use of a pattern, with the run it was used in.
{{ config(
    materialized="incremental",
    period="used_date",
    publishes="run_date as day",
    indexes=[
        {"columns": ["pattern_use_key"], "unique": true},
        {"columns": ["used_date"]},
        {"columns": ["run_date"]},
        {"columns": ["run_id", "source_system"]},
    ],
) }}

{{ dirtied_by([ref("agent_runs")], days_of_pattern_uses(this)) }}

with pattern_uses as (
    select * from {{ ref("stg_traceability__pattern_usage_log") }}
    where {{ in_dirty("used_at") }}
),

runs as (
    select * from {{ ref("agent_runs") }}
)

select
    {{ surrogate_key([
        "pattern_uses.pattern_id",
        "pattern_uses.pattern_use_id",
        "extract(epoch from pattern_uses.used_at)",
    ]) }} as pattern_use_key,
    pattern_uses.pattern_use_id,
    pattern_uses.pattern_id,
    pattern_uses.source_system,
    pattern_uses.run_id,
    runs.agent_domain_key,
    runs.domain,
    runs.task_id,
    -- A run without a day has no month in which it could be compared.
    case when runs.run_date is not null then runs.is_success end as is_run_success,
    runs.cost_usd,
    runs.duration_ms,
    pattern_uses.used_at,
    (pattern_uses.used_at at time zone 'UTC')::date as used_date,
    coalesce(runs.run_date, (pattern_uses.used_at at time zone 'UTC')::date) as run_date,
    coalesce(pattern_uses.is_success, runs.is_success) as is_success
from pattern_uses
left join runs
    on pattern_uses.run_id = runs.run_id and pattern_uses.source_system = runs.source_system
