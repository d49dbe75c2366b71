-- One row per UTC day, agent_key, domain and level recorded for sessions that started on the day.
{{ config(
    materialized="incremental",
    period="run_date",
    indexes=[{"columns": ["run_date", "trust_vs_recorded_key"], "unique": true}],
) }}

{{ dirtied_by(
    [ref("trust_progression")], days_of_trusted_runs(ref("agent_runs"), ref("trust_progression"))
) }}

with runs as (
    select * from {{ ref("agent_runs") }}
    where source_system = 'agentic' and {{ in_dirty_days("run_date") }}
),

sessions as (
    select * from {{ ref("stg_agentic__agent_sessions") }}
    where {{ in_dirty("started_at") }}
),

progression as (
    select * from {{ ref("trust_progression") }}
),

counted as (
    select
        runs.run_date,
        runs.agent_key,
        runs.domain,
        runs.agent_domain_key,
        sessions.trust_level_recorded,
        count(*) as sessions
    from runs
    inner join sessions on runs.run_id = sessions.run_id
    where sessions.loaded_run_id is null
    group by
        runs.run_date,
        runs.agent_key,
        runs.domain,
        runs.agent_domain_key,
        sessions.trust_level_recorded
)

select
    {{ surrogate_key([
        "counted.run_date - date '2000-01-01'",
        "counted.agent_domain_key",
        "counted.trust_level_recorded",
    ]) }} as trust_vs_recorded_key,
    counted.run_date,
    counted.agent_key,
    counted.domain,
    counted.agent_domain_key,
    counted.trust_level_recorded,
    coalesce(known.level, 0) as trust_level_supported,
    counted.sessions,
    case sign(counted.trust_level_recorded - coalesce(known.level, 0))
        when 1 then 'more than the evidence supports'
        when 0 then 'what the evidence supports'
        else 'less than the evidence supports'
    end as verdict
from counted
left join lateral (
    select progression.level
    from progression
    where
        progression.agent_domain_key = counted.agent_domain_key
        and progression.as_of_date < counted.run_date
    order by progression.as_of_date desc
    limit 1
) as known on true
