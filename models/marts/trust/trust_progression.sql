-- One row per agent_key, domain and as_of_date on which a decision was judged, or a critical action failed.
{{ config(
    materialized="incremental",
    key="trust_progression_key",
    publishes="trust_progression_key as key, agent_domain_key, as_of_date as day",
    indexes=[
        {"columns": ["trust_progression_key"], "unique": true},
        {"columns": ["agent_domain_key", "as_of_date"]},
    ],
) }}

with folded as (
    select * from {{ ref("int_trust__folded") }}
    where {{ in_dirty("decisions_daily_key") }}
),

policies as (
    select * from {{ ref("int_trust_policies__compiled") }}
    where policy_name = '{{ var("trust_policy") }}'
),

states as (
    select
        folded.decisions_daily_key,
        folded.agent_key,
        folded.domain,
        folded.agent_domain_key,
        folded.as_of_date,
        (folded.state).decisions as decisions,
        (folded.state).successes as successes,
        (folded.state).level as level,
        (folded.state).level_since as level_since,
        (folded.state).level_decisions as level_decisions,
        (folded.state).level_successes as level_successes,
        (folded.state).evidence as evidence,
        (folded.state).evidence_needed as evidence_needed,
        (folded.state).attempts as attempts,
        (folded.state).promotes_from as promotes_from,
        (folded.state).decline as decline,
        (policies.policy).success_evidence[(folded.state).level + 1] as success_evidence,
        (policies.policy).min_decisions[(folded.state).level + 1] as min_decisions
    from folded
    cross join policies
),

bounded as (
    select
        *,
        {{ wilson_bound("successes", "decisions", "low") }} as interval_low,
        {{ wilson_bound("successes", "decisions", "high") }} as interval_high
    from states
    where decisions > 0
)

select
    decisions_daily_key as trust_progression_key,
    agent_key,
    domain,
    agent_domain_key,
    as_of_date,
    decisions,
    successes,
    {{ ratio("successes::numeric", "decisions") }} as success_rate,
    {{ ratio("(successes + 1)::numeric", "(decisions + 2)") }} as posterior_mean,
    interval_low,
    interval_high,
    level,
    (level_since at time zone 'UTC')::date as level_since,
    level_decisions,
    level_successes,
    round(evidence / 1000000.0, 6) as evidence_for_next,
    round(evidence_needed / 1000000.0, 6) as evidence_needed,
    -- How many times evidence for the next level was begun to be gathered.
    attempts[level + 1] as attempt,
    greatest(
        ceil((evidence_needed - evidence)::numeric / success_evidence)::bigint,
        min_decisions - level_decisions
    ) as successes_needed,
    case when level < 4 and promotes_from > '-infinity' then promotes_from end as promotes_from,
    round(decline / 1000000.0, 6) as decline,
    format(
        '%s of %s decisions approved, %s of %s at level %s; success rate at least %s',
        successes, decisions, level_successes, level_decisions, level, round(interval_low, 3)
    ) as evidence
from bounded
