-- One row per pattern.
{{ config(
    materialized="incremental",
    indexes=[{"columns": ["pattern_effectiveness_key"], "unique": true}],
) }}

with patterns as (
    select * from {{ ref("stg_traceability__success_patterns") }}
),

-- What the same agent does in the same domain, with the pattern and over all its runs.
strata as (
    select * from {{ ref("int_patterns__strata") }}
),

agent_totals as (
    select
        agent_domain_key,
        runs,
        successes
    from {{ ref("task_reliability") }}
    where k = 1
),

use_counts as (
    select
        pattern_id,
        sum(uses)::bigint as uses,
        sum(judged_uses)::bigint as judged_uses,
        sum(successes)::bigint as successes
    from strata
    group by pattern_id
),

-- An agent without another run in the domain says nothing about a difference.
compared as (
    select
        strata.pattern_id,
        strata.runs,
        strata.run_successes as successes,
        agent_totals.runs - strata.runs as other_runs,
        agent_totals.successes - strata.run_successes as other_successes
    from strata
    inner join agent_totals
        on
            strata.agent_domain_key = agent_totals.agent_domain_key
            and strata.runs > 0
            and strata.runs < agent_totals.runs
),

comparisons as (
    select
        pattern_id,
        sum(runs) as compared_runs,
        sum(successes) as compared_successes,
        sum(runs * other_successes::numeric / other_runs) as expected_successes,
        -- As many evenly drawn runs would say as much: an agent that hardly ever goes without the
        -- pattern gives few runs to compare with, and they stand for many.
        sum(runs) ^ 2 / sum(runs * runs::numeric / other_runs) as other_runs
    from compared
    group by pattern_id
),

rated as (
    select
        use_counts.pattern_id,
        use_counts.uses,
        use_counts.judged_uses,
        use_counts.successes,
        comparisons.compared_runs,
        comparisons.compared_successes,
        comparisons.other_runs,
        comparisons.expected_successes
    from use_counts
    left join comparisons on use_counts.pattern_id = comparisons.pattern_id
),

bounded as (
    select
        *,
        successes::numeric / nullif(judged_uses, 0) as success_rate,
        {{ wilson_bound("successes", "judged_uses", "low") }} as interval_low,
        {{ wilson_bound("successes", "judged_uses", "high") }} as interval_high,
        compared_successes / nullif(compared_runs, 0) as compared_rate,
        expected_successes / nullif(compared_runs, 0) as expected_rate,
        {{ wilson_bound("compared_successes", "compared_runs", "low") }} as compared_low,
        {{ wilson_bound("compared_successes", "compared_runs", "high") }} as compared_high
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
    coalesce(uplifted.uses, 0) as uses,
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
left join uplifted on patterns.pattern_id::text = uplifted.pattern_id
