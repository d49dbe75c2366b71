-- One row per pattern.
with patterns as (
    select * from {{ ref("stg_traceability__success_patterns") }}
),

pattern_uses as (
    select * from {{ ref("int_pattern_uses__resolved") }}
),

runs as (
    select * from {{ ref("int_runs__unioned") }}
),

judged_runs as (
    select * from runs
    where is_success is not null
),

judged_uses as (
    select * from pattern_uses
    where is_success is not null
),

use_counts as (
    select
        pattern_id,
        count(*) as uses
    from pattern_uses
    group by pattern_id
),

-- What the same agent does in the same domain, with the pattern and over all its runs.
strata as (
    select
        pattern_id,
        agent_key,
        domain,
        count(*) as uses,
        count(*) filter (where is_success) as successes
    from judged_uses
    group by pattern_id, agent_key, domain
),

agent_totals as (
    select
        agent_key,
        domain,
        count(*) as runs,
        count(*) filter (where is_success) as successes
    from judged_runs
    group by agent_key, domain
),

compared as (
    select
        strata.pattern_id,
        strata.uses,
        strata.successes,
        agent_totals.runs - strata.uses as other_runs,
        agent_totals.successes - strata.successes as other_successes
    from strata
    left join agent_totals
        on
            strata.agent_key = agent_totals.agent_key
            and strata.domain is not distinct from agent_totals.domain
),

rated as (
    select
        pattern_id,
        sum(uses)::bigint as judged_uses,
        sum(successes)::bigint as successes,
        sum(other_runs)::bigint as other_runs,
        -- Strata without another run say nothing about a difference.
        sum(uses) filter (where other_runs > 0) as compared_uses,
        sum(successes) filter (where other_runs > 0) as compared_successes,
        sum(uses * other_successes::numeric / nullif(other_runs, 0)) as expected_successes
    from compared
    group by pattern_id
),

bounded as (
    select
        *,
        successes::numeric / judged_uses as success_rate,
        {{ wilson_bound("successes", "judged_uses", "low") }} as interval_low,
        {{ wilson_bound("successes", "judged_uses", "high") }} as interval_high,
        compared_successes / nullif(compared_uses, 0) as compared_rate,
        expected_successes / nullif(compared_uses, 0) as expected_rate,
        {{ wilson_bound("compared_successes", "compared_uses", "low") }} as compared_low,
        {{ wilson_bound("compared_successes", "compared_uses", "high") }} as compared_high
    from rated
),

expected as (
    select
        *,
        {{ wilson_bound("(expected_rate * other_runs)", "other_runs", "low") }} as expected_low,
        {{ wilson_bound("(expected_rate * other_runs)", "other_runs", "high") }} as expected_high
    from bounded
),

-- Newcombe's interval of a difference of two rates, from their Wilson intervals.
uplifted as (
    select
        *,
        compared_rate - expected_rate as uplift,
        compared_rate - expected_rate
        - sqrt((compared_rate - compared_low) ^ 2 + (expected_high - expected_rate) ^ 2)
            as uplift_low,
        compared_rate - expected_rate
        + sqrt((compared_high - compared_rate) ^ 2 + (expected_rate - expected_low) ^ 2)
            as uplift_high
    from expected
)

select
    {{ surrogate_key(["patterns.pattern_id"]) }} as pattern_effectiveness_key,
    patterns.pattern_id::text as pattern_id,
    patterns.pattern,
    patterns.domain,
    coalesce(use_counts.uses, 0) as uses,
    coalesce(uplifted.judged_uses, 0) as judged_uses,
    coalesce(uplifted.successes, 0) as successes,
    uplifted.success_rate,
    uplifted.interval_low,
    uplifted.interval_high,
    uplifted.uplift,
    uplifted.uplift_low,
    uplifted.uplift_high,
    case
        when uplifted.uplift_low > 0 then 'keep'
        when uplifted.uplift_high < 0 then 'retire'
        else 'watch'
    end as verdict
from patterns
left join use_counts on patterns.pattern_id = use_counts.pattern_id
left join uplifted on patterns.pattern_id = uplifted.pattern_id
