-- One row per agent_key and domain: the newest row of trust_progression, after what was idle since.
{{ config(
    materialized="incremental",
    key="agent_domain_key",
    indexes=[
        {"columns": ["trust_current_key"], "unique": true},
        {"columns": ["agent_domain_key"], "unique": true},
    ],
) }}

{{ dirtied_by(
    [ref("int_trust__folded"), ref("trust_progression")],
    keys_of_idle_agents(this, ref("int_trust__folded"))
) }}

with folded as not materialized (
    select * from {{ ref("int_trust__folded") }}
),

progression as (
    select * from {{ ref("trust_progression") }}
),

policies as (
    select * from {{ ref("int_trust_policies__compiled") }}
    where policy_name = '{{ var("trust_policy") }}'
),

trust_levels as (
    select
        *,
        array_position('{low,medium,high,critical}', up_to_risk) as risk
    from {{ ref("trust_levels") }}
),

-- No mart reads a clock: today is the newest day with a decision.
newest as (
    select max(as_of_date) as newest_date
    from folded
),

agents as (
    select distinct agent_domain_key
    from folded
    where {{ in_dirty("agent_domain_key") }}
),

last_states as (
    select
        latest.decisions_daily_key,
        latest.as_of_date,
        (latest.state).level as level_then,
        ops.trust_idle(
            latest.state,
            policies.policy,
            (newest.newest_date + time '23:59:59.999999') at time zone 'UTC'
        ) as state,
        policies.policy
    from agents
    cross join newest
    cross join policies
    cross join lateral (
        select
            folded.decisions_daily_key,
            folded.as_of_date,
            folded.state
        from folded
        where folded.agent_domain_key = agents.agent_domain_key
        order by folded.as_of_date desc
        limit 1
    ) as latest
),

-- Above the risk that a level is good for, the highest level that is good for it holds.
allowed as (
    select
        held.level,
        max(lower_levels.level) filter (where lower_levels.risk >= 1) as level_at_low_risk,
        max(lower_levels.level) filter (where lower_levels.risk >= 2) as level_at_medium_risk,
        max(lower_levels.level) filter (where lower_levels.risk >= 3) as level_at_high_risk,
        max(lower_levels.level) filter (where lower_levels.risk >= 4) as level_at_critical_risk
    from trust_levels as held
    inner join trust_levels as lower_levels on held.level >= lower_levels.level
    group by held.level
),

described as (
    select
        last_states.*,
        (last_states.state).level as level,
        coalesce(
            greatest(
                ceil(
                    ((last_states.state).evidence_needed - (last_states.state).evidence)::numeric
                    / (last_states.policy).success_evidence[(last_states.state).level + 1]
                )::bigint,
                (last_states.policy).min_decisions[(last_states.state).level + 1]
                - (last_states.state).level_decisions
            ),
            0
        ) as successes_needed,
        case
            when (last_states.state).level > 0
                then
                    (
                        (last_states.state).last_at
                        + interval '24 hours' * (last_states.policy).idle_days
                    ) at time zone 'UTC'
        end as falls_at
    from last_states
)

select
    {{ surrogate_key(["progression.agent_key", "progression.domain"]) }} as trust_current_key,
    progression.agent_key,
    progression.domain,
    progression.agent_domain_key,
    progression.as_of_date,
    progression.decisions,
    progression.successes,
    progression.success_rate,
    progression.posterior_mean,
    progression.interval_low,
    progression.interval_high,
    described.level,
    allowed.level_at_low_risk,
    allowed.level_at_medium_risk,
    allowed.level_at_high_risk,
    allowed.level_at_critical_risk,
    progression.evidence,
    ((described.state).level_since at time zone 'UTC')::date as level_since,
    case
        when described.level = 4 then null
        when (described.policy).window_days is not null
            then
                format(
                    'level %s needs more than %s of %s or more decisions within %s days approved, '
                    'and a mean confidence of %s',
                    described.level + 1,
                    (described.policy).min_success_rate,
                    (described.policy).window_decisions,
                    (described.policy).window_days,
                    (described.policy).min_confidence
                )
        else
            format(
                'level %s needs %s approvals in a row, each failure between them %s more, not before %s',
                described.level + 1,
                described.successes_needed,
                ceil(
                    -(described.policy).failure_evidence[described.level + 1]::numeric
                    / (described.policy).success_evidence[described.level + 1]
                ),
                ((described.state).promotes_from at time zone 'UTC')::date
            )
    end as next_level_needs,
    case when described.level < 4 then described.successes_needed end as successes_needed,
    described.falls_at::date as falls_on,
    case
        when described.level < described.level_then
            then ((described.state).level_since at time zone 'UTC')::date
    end as fell_on
from described
inner join progression on described.decisions_daily_key = progression.trust_progression_key
inner join allowed on described.level = allowed.level
