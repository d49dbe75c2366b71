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

use_counts as (
    select
        pattern_id,
        count(*) as uses,
        count(is_success) as judged_uses,
        count(*) filter (where is_success) as successes
    from pattern_uses
    group by pattern_id
),

-- A run that used a pattern more than once is one run.
runs_with_pattern as (
    select distinct
        pattern_uses.pattern_id,
        judged_runs.source_system,
        judged_runs.run_id,
        judged_runs.agent_key,
        judged_runs.domain,
        judged_runs.is_success
    from pattern_uses
    inner join judged_runs
        on
            pattern_uses.source_system = judged_runs.source_system
            and pattern_uses.run_id = judged_runs.run_id
),

-- What the same agent does in the same domain, with the pattern and over all its runs.
strata as (
    select
        pattern_id,
        agent_key,
        domain,
        count(*) as runs,
        count(*) filter (where is_success) as successes
    from runs_with_pattern
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

-- An agent without another run in the domain says nothing about a difference.
compared as (
    select
        strata.pattern_id,
        strata.runs,
        strata.successes,
        agent_totals.runs - strata.runs as other_runs,
        agent_totals.successes - strata.successes as other_successes
    from strata
    inner join agent_totals
        on
            strata.agent_key = agent_totals.agent_key
            and strata.domain is not distinct from agent_totals.domain
            and strata.runs < agent_totals.runs
),

comparisons as (
    select
        pattern_id,
        sum(runs) as compared_runs,
        sum(successes) as compared_successes,
        sum(other_runs) as other_runs,
        sum(runs * other_successes::numeric / other_runs) as expected_successes
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
left join uplifted on patterns.pattern_id = uplifted.pattern_id
