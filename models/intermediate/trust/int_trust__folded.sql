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

all_days as (
    select * from {{ ref("int_decisions__daily") }}
),

firsts as (
    select
        agent_domain_key,
        min(decided_date) as decided_date
    from daily
    group by agent_domain_key
),

-- What is dirty of an agent is all from some day on. What was before is known; its last day is looked up
-- among the decisions, as this table may still have a day that is gone there.
starts as (
    select
        firsts.agent_domain_key,
        ops.trust_state_of(
            '{{ this.schema }}.{{ this.identifier }}', last_known.decisions_daily_key
        ) as state
    from firsts
    left join lateral (
        select all_days.decisions_daily_key
        from all_days
        where
            all_days.agent_domain_key = firsts.agent_domain_key
            and all_days.decided_date < firsts.decided_date
        order by all_days.decided_date desc
        limit 1
    ) as last_known on true
)

select
    daily.decisions_daily_key,
    daily.agent_key,
    daily.domain,
    daily.agent_domain_key,
    daily.decided_date as as_of_date,
    ops.trust_fold(
        -- Where the order of a frozen day is gone, what it led to.
        case
            when daily.outcomes is null
                then
                    ops.trust_checkpoint(
                        '{{ this.schema }}.{{ this.identifier }}', daily.decisions_daily_key
                    )
            else starts.state
        end,
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
