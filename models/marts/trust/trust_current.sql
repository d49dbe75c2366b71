-- One row per agent_key and domain: the newest row of trust_progression.
{{ config(
    materialized="incremental",
    key="agent_domain_key",
    indexes=[
        {"columns": ["trust_current_key"], "unique": true},
        {"columns": ["agent_domain_key"], "unique": true},
    ],
) }}

with progression as (
    select * from {{ ref("trust_progression") }}
    where {{ in_dirty("agent_domain_key") }}
),

trust_levels as (
    select * from {{ ref("trust_levels") }}
),

compared as (
    select
        *,
        coalesce(level <> lag(level) over history, true) as is_change,
        row_number() over (partition by agent_key, domain order by as_of_date desc) as recency
    from progression
    window history as (partition by agent_key, domain order by as_of_date)
),

dated as (
    select
        *,
        max(as_of_date) filter (where is_change) over (partition by agent_key, domain)
            as level_since
    from compared
)

select
    {{ surrogate_key(["dated.agent_key", "dated.domain"]) }} as trust_current_key,
    dated.agent_key,
    dated.domain,
    dated.agent_domain_key,
    dated.as_of_date,
    dated.decisions,
    dated.successes,
    dated.success_rate,
    dated.interval_low,
    dated.interval_high,
    dated.level,
    dated.evidence,
    dated.level_since,
    case
        when next_levels.level is not null
            then
                format(
                    'level %s needs %s decisions (has %s) and a success rate of at least %s (has %s)',
                    next_levels.level,
                    next_levels.min_decisions,
                    dated.decisions,
                    next_levels.min_interval_low,
                    round(dated.interval_low, 3)
                )
    end as next_level_needs
from dated
left join trust_levels as next_levels on dated.level + 1 = next_levels.level
where dated.recency = 1
