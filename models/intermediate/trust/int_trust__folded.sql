-- One row per agent_key, domain and UTC day of int_decisions__daily: the state of trust after that day.
{{ config(
    materialized="incremental",
    key="decisions_daily_key",
    publishes="decisions_daily_key as key, agent_domain_key, as_of_date as day",
    indexes=[
        {"columns": ["decisions_daily_key"], "unique": true},
        {"columns": ["agent_domain_key", "as_of_date"]},
        {"columns": ["as_of_date"]},
    ],
) }}

{{ dirtied_by([ref("int_decisions__daily")], keys_of_later_days(ref("int_decisions__daily"))) }}

with daily as (
    select * from {{ ref("int_decisions__daily") }}
    where {{ in_dirty("decisions_daily_key") }}
),

policies as (
    select * from {{ ref("int_trust_policies__compiled") }}
    where policy_name = '{{ var("trust_policy") }}'
),

-- What is dirty of an agent is all from some day on; what was before is known.
starts as (
    select
        agent_domain_key,
        ops.trust_state_before(
            '{{ this.schema }}.{{ this.identifier }}', agent_domain_key, min(decided_date)
        ) as state
    from daily
    group by agent_domain_key
)

select
    daily.decisions_daily_key,
    daily.agent_key,
    daily.domain,
    daily.agent_domain_key,
    daily.decided_date as as_of_date,
    ops.trust_fold(
        starts.state,
        policies.policy,
        row(
            daily.decided_date,
            daily.decisions,
            daily.successes,
            daily.rejections,
            daily.critical_failures,
            daily.confidence_total,
            daily.confidences
        )::ops.trust_day,
        daily.outcomes,
        daily.decided_ats
    ) over (partition by daily.agent_domain_key order by daily.decided_date) as state
from daily
inner join starts on daily.agent_domain_key = starts.agent_domain_key
cross join policies
