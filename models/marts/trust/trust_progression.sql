-- One row per agent_key, domain and as_of_date on which a decision was judged.
{{ config(
    materialized="incremental",
    key="agent_domain_key",
    indexes=[
        {"columns": ["trust_progression_key"], "unique": true},
        {"columns": ["agent_domain_key", "as_of_date"]},
    ],
) }}

with daily as (
    select * from {{ ref("int_decisions__daily") }}
    where {{ in_dirty("agent_domain_key") }}
),

trust_levels as (
    select * from {{ ref("trust_levels") }}
),

cumulated as (
    select
        agent_key,
        domain,
        agent_domain_key,
        decided_date as as_of_date,
        (sum(decisions) over progress)::bigint as decisions,
        (sum(successes) over progress)::bigint as successes
    from daily
    window progress as (partition by agent_key, domain order by decided_date)
),

bounded as (
    select
        *,
        successes::numeric / decisions as success_rate,
        {{ wilson_bound("successes", "decisions", "low") }} as interval_low,
        {{ wilson_bound("successes", "decisions", "high") }} as interval_high
    from cumulated
),

levelled as (
    select
        bounded.agent_key,
        bounded.domain,
        bounded.agent_domain_key,
        bounded.as_of_date,
        bounded.decisions,
        bounded.successes,
        bounded.success_rate,
        bounded.interval_low,
        bounded.interval_high,
        max(trust_levels.level) as level
    from bounded
    inner join trust_levels
        on
            bounded.decisions >= trust_levels.min_decisions
            and bounded.interval_low >= trust_levels.min_interval_low
    group by
        bounded.agent_key,
        bounded.domain,
        bounded.agent_domain_key,
        bounded.as_of_date,
        bounded.decisions,
        bounded.successes,
        bounded.success_rate,
        bounded.interval_low,
        bounded.interval_high
)

select
    {{ surrogate_key(["agent_key", "domain", "as_of_date - date '2000-01-01'"]) }}
        as trust_progression_key,
    agent_key,
    domain,
    agent_domain_key,
    as_of_date,
    decisions,
    successes,
    success_rate,
    interval_low,
    interval_high,
    level,
    format(
        '%s of %s decisions approved; success rate at least %s',
        successes, decisions, round(interval_low, 3)
    ) as evidence
from levelled
