-- A level that everybody reaches, or nobody, and a policy that is none.
with levels as (
    select * from {{ ref("trust_levels") }}
),

policies as (
    select * from {{ ref("trust_policies") }}
),

faults as (
    select
        format('level %s (%s)', level, coalesce(name, '?')) as place,
        case
            when level not between 0 and 4 then 'is none of 0 to 4'
            when up_to_risk not in ('low', 'medium', 'high', 'critical')
                then
                    format('holds up to an unknown risk (%s): ', up_to_risk)
                    || 'write low, medium, high or critical'
            when level = 0 and up_to_risk <> 'critical'
                then 'must hold up to critical risk, as no level is below it'
            when level = 0 then null
            when
                num_nulls(
                    accept_rate, reject_rate, alpha, beta, min_decisions, dwell_days,
                    decisions_per_false_demotion
                ) > 0
                then 'leaves something out: only level 0 may'
            when not (0 < reject_rate and reject_rate < accept_rate and accept_rate < 1)
                then
                    format(
                        'accepts at %s and rejects at %s: the rate to accept must be the higher one, both '
                        'between 0 and 1', accept_rate, reject_rate
                    )
            when alpha <= 0 or alpha >= 0.5 or beta <= 0 or beta >= 0.5
                then
                    format('has the error rates %s and %s: write chances above 0 and below 0.5', alpha, beta)
            when min_decisions < 0 or dwell_days < 0 then 'waits for less than nothing'
            when
                decisions_per_false_demotion * (
                    accept_rate * ln(accept_rate / reject_rate)
                    + (1 - accept_rate) * ln((1 - accept_rate) / (1 - reject_rate))
                ) <= 1
                then
                    format(
                        'would be lost by mistake every %s decisions: that is fewer than it takes to tell '
                        'its two rates apart',
                        decisions_per_false_demotion
                    )
        end as reason
    from levels
    union all
    select
        format('level %s', expected.level) as place,
        'is missing: there must be one row for each of 0 to 4' as reason
    from generate_series(0, 4) as expected (level)
    where expected.level not in (select levels.level from levels)
    union all
    select
        format('policy %s', policy) as place,
        case
            when policy not in ('sequential', 'story') then 'is unknown: there are sequential and story'
            when cooldown_days < 0 or idle_days < 1
                then 'needs a cooldown of 0 days or more, and 1 idle day or more'
            when
                policy = 'sequential'
                and num_nonnulls(
                    window_days, min_decisions, max_rejection_rate, min_success_rate, min_confidence
                ) > 0
                then 'goes by evidence, not by a window: leave window_days and what follows empty'
            when policy = 'sequential' then null
            when
                num_nulls(
                    window_days, min_decisions, max_rejection_rate, min_success_rate, min_confidence
                ) > 0
                then 'goes by a window: fill in window_days and what follows'
            when window_days < 1 or min_decisions < 1
                then 'needs a window of a day or more, and a decision or more'
            when
                max_rejection_rate not between 0 and 1
                or min_success_rate not between 0 and 1
                or min_confidence not between 0 and 1
                then 'has a rate that is not between 0 and 1'
        end as reason
    from policies
    union all
    select
        'policy {{ var("trust_policy") }}' as place,
        'is chosen by the var trust_policy, and not in seed trust_policies' as reason
    where '{{ var("trust_policy") }}' not in (select policies.policy from policies)
)

select 'trust: ' || place || ' ' || reason || '.' as fault
from faults
where reason is not null
