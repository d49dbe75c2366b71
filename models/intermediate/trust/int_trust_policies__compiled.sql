-- One row per policy: what the levels ask for, in the units of the fold.
with trust_policies as (
    select * from {{ ref("trust_policies") }}
),

trust_levels as (
    select * from {{ ref("trust_levels") }}
    where level > 0
),

-- Evidence is the logarithm of how much likelier an outcome is at the rate to accept than at the other.
weighed as (
    select
        *,
        1000000 * ln(accept_rate / reject_rate) as success_evidence,
        1000000 * ln((1 - accept_rate) / (1 - reject_rate)) as failure_evidence
    from trust_levels
),

steps as (
    select
        array_agg(round(success_evidence)::bigint order by level) as success_evidence,
        array_agg(round(failure_evidence)::bigint order by level) as failure_evidence,
        array_agg(round(1000000 * -ln(alpha))::bigint order by level) as promotes_at,
        array_agg(round(1000000 * ln(beta / (1 - alpha)))::bigint order by level) as restarts_at,
        -- A sum that drifts down by the mean evidence reaches h once in about exp(h) over that mean.
        array_agg(
            greatest(
                round(
                    1000000 * ln(
                        decisions_per_false_demotion
                        * (accept_rate * success_evidence + (1 - accept_rate) * failure_evidence)
                        / 1000000
                    )
                )::bigint,
                1
            )
            order by level
        ) as demotes_at,
        array_agg(min_decisions order by level) as min_decisions,
        array_agg(dwell_days order by level) as dwell_days
    from weighed
)

select
    trust_policies.policy as policy_name,
    (
        case
            when trust_policies.window_days is null
                then
                    row(
                        trust_policies.policy,
                        steps.success_evidence,
                        steps.failure_evidence,
                        steps.promotes_at,
                        steps.restarts_at,
                        steps.demotes_at,
                        steps.min_decisions,
                        steps.dwell_days,
                        trust_policies.cooldown_days,
                        trust_policies.idle_days,
                        null, null, null, null, null
                    )::ops.trust_policy
            else
                row(
                    trust_policies.policy,
                    null, null, null, null, null, null, null,
                    trust_policies.cooldown_days,
                    trust_policies.idle_days,
                    trust_policies.window_days,
                    trust_policies.min_decisions,
                    trust_policies.max_rejection_rate,
                    trust_policies.min_success_rate,
                    trust_policies.min_confidence
                )::ops.trust_policy
        end
    ) as policy
from trust_policies
cross join steps
