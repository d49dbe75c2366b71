-- One row per pattern, pruned ones included.
{{ config(
    materialized="incremental",
    indexes=[{"columns": ["pattern_effectiveness_key"], "unique": true}],
) }}
{%- set false_discovery_rate, fewest_compared_runs = 0.05, 5 %}

with patterns as (
    select * from {{ ref("stg_traceability__success_patterns") }}
),

pruned_patterns as (
    select * from {{ source("ops", "pruned_patterns") }}
),

totals as (
    select * from {{ ref("int_patterns__totalled") }}
),

known_patterns as (
    select
        pattern_id,
        pattern,
        domain,
        is_learned,
        false as is_pruned
    from patterns
    union all
    select
        pruned_patterns.pattern_id,
        pruned_patterns.pattern,
        pruned_patterns.domain,
        pruned_patterns.is_learned,
        true as is_pruned
    from pruned_patterns
    left join patterns on pruned_patterns.pattern_id = patterns.pattern_id
    where patterns.pattern_id is null
),

-- What is left of a pattern's uses, or what its tombstone remembers, where that is more.
evidence as (
    select
        known_patterns.*,
        totals.compared_runs,
        totals.compared_by_task,
        totals.weight,
        totals.null_variance,
        totals.newest_weight,
        totals.newest_gain,
        totals.newest_null_variance,
        counts.uses,
        counts.judged_uses,
        counts.successes,
        {{ ratio("totals.weighted_rate", "totals.weight") }} as compared_rate,
        {{ ratio("totals.weighted_other_rate", "totals.weight") }} as other_rate,
        -- As many runs drawn evenly would say as much.
        {{ ratio("totals.weight ^ 2", "totals.spread") }} as effective_runs,
        {{ ratio("totals.weight ^ 2", "totals.other_spread") }} as effective_other_runs,
        totals.weighted_rate - totals.weighted_other_rate as gain,
        {{ ratio("totals.weighted_usd_saved", "totals.priced_weight") }} as cost_saved_usd,
        {{ ratio("totals.weighted_ms_saved", "totals.timed_weight") }} as duration_saved_ms
    from known_patterns
    left join totals on known_patterns.pattern_id::text = totals.pattern_id
    left join pruned_patterns on known_patterns.pattern_id = pruned_patterns.pattern_id
    cross join lateral (
        select
            counted.uses,
            counted.judged_uses,
            counted.successes
        from (
            values
            (totals.uses, totals.judged_uses, totals.successes),
            (pruned_patterns.uses, pruned_patterns.judged_uses, pruned_patterns.successes),
            (0, 0, 0)
        ) as counted (uses, judged_uses, successes)
        order by counted.uses desc nulls last
        limit 1
    ) as counts
),

-- Kleinman's moments of a beta-binomial: how far the patterns of a domain differ beyond chance,
-- 0 (not at all) to 1.
domains as (
    select
        domain,
        sum(successes) / sum(judged_uses) as rate,
        sum(judged_uses) as trials,
        count(*) as patterns,
        sum(judged_uses::numeric ^ 2) as squared_trials,
        sum(round(successes::numeric ^ 2 / judged_uses, 12)) as squared_successes
    from evidence
    where judged_uses > 0
    group by domain
),

priors as (
    select
        domain,
        rate,
        least(1, greatest(0, coalesce(
            {{ ratio(
                "(squared_successes / trials - rate ^ 2 - rate * (1 - rate) * (patterns - 1) / trials)",
                "(rate * (1 - rate) * (1 - squared_trials / trials ^ 2 - (patterns - 1) / trials))"
            ) }},
            0
        ))) as difference
    from domains
),

bounded as (
    select
        *,
        {{ wilson_bound("(compared_rate * effective_runs)", "effective_runs", "low") }}
            as compared_low,
        {{ wilson_bound("(compared_rate * effective_runs)", "effective_runs", "high") }}
            as compared_high,
        {{ wilson_bound("(other_rate * effective_other_runs)", "effective_other_runs", "low") }}
            as other_low,
        {{ wilson_bound("(other_rate * effective_other_runs)", "effective_other_runs", "high") }}
            as other_high,
        -- Cochran, Mantel and Haenszel's test. A pattern that was compared too rarely to show
        -- anything is not among those tested, whatever its outcome.
        case
            when compared_runs >= {{ fewest_compared_runs }} and null_variance > 0
                then gain / sqrt(null_variance)
            when compared_runs >= {{ fewest_compared_runs }} then 0
        end as z_score,
        newest_gain / nullif(newest_weight, 0)
        - (gain - newest_gain) / nullif(weight - newest_weight, 0) as change,
        newest_null_variance / nullif(newest_weight ^ 2, 0)
        + (null_variance - newest_null_variance) / nullif((weight - newest_weight) ^ 2, 0)
            as change_variance
    from evidence
),

tested as (
    select
        *,
        {{ two_sided_p("z_score") }} as p_value
    from bounded
),

ranked as (
    select
        *,
        p_value * count(p_value) over () / nullif(count(p_value) over (order by p_value), 0)
            as expected_share
    from tested
),

-- Benjamini and Hochberg: if all patterns up to this one are called, that share of them is by chance.
-- Newcombe's interval of a difference of two rates, from their Wilson intervals.
judged as (
    select
        *,
        compared_rate - other_rate as uplift,
        compared_rate - other_rate
        - round(sqrt((compared_rate - compared_low) ^ 2 + (other_high - other_rate) ^ 2), 12)
            as uplift_low,
        compared_rate - other_rate
        + round(sqrt((compared_high - compared_rate) ^ 2 + (other_rate - other_low) ^ 2), 12)
            as uplift_high,
        case
            when p_value is not null
                then least(1, min(expected_share) over (order by p_value desc nulls last))
        end as q_value
    from ranked
)

select
    {{ surrogate_key(["judged.pattern_id"]) }} as pattern_effectiveness_key,
    judged.pattern_id::text as pattern_id,
    judged.pattern,
    judged.domain,
    judged.is_learned,
    judged.is_pruned,
    judged.uses,
    judged.judged_uses,
    judged.successes,
    {{ ratio("judged.successes::numeric", "judged.judged_uses") }} as success_rate,
    {{ wilson_bound("judged.successes", "judged.judged_uses", "low") }} as interval_low,
    {{ wilson_bound("judged.successes", "judged.judged_uses", "high") }} as interval_high,
    {{ ratio(
        "(priors.difference * judged.successes + (1 - priors.difference) * priors.rate)",
        "(priors.difference * judged.judged_uses + 1 - priors.difference)"
    ) }} as shrunken_rate,
    coalesce(judged.compared_runs, 0) as compared_runs,
    coalesce(judged.compared_by_task, 0) as compared_by_task,
    judged.uplift,
    judged.uplift_low,
    judged.uplift_high,
    round(judged.q_value, 12) as q_value,
    case
        when judged.change is null then null
        when judged.change ^ 2 <= 1.959964 ^ 2 * judged.change_variance then 'steady'
        when judged.change > 0 then 'rising'
        else 'falling'
    end as trend,
    judged.cost_saved_usd,
    judged.duration_saved_ms,
    case
        when judged.is_pruned then 'retire'
        when judged.q_value <= {{ false_discovery_rate }} and judged.uplift_low > 0 then 'keep'
        when judged.q_value <= {{ false_discovery_rate }} and judged.uplift_high < 0 then 'retire'
        else 'watch'
    end as verdict
from judged
left join priors on judged.domain is not distinct from priors.domain
