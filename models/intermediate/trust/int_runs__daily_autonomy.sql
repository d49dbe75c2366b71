-- One row per run and UTC day: what its agent decided, asked, did and answered.
{{ config(
    materialized="incremental",
    period="activity_date",
    publishes="source_system, run_id, activity_date as day",
    indexes=[
        {"columns": ["activity_date", "daily_autonomy_key"], "unique": true},
        {"columns": ["run_id", "source_system"]},
    ],
) }}

{{ dirtied_by_calls(this) }}
{{ dirtied_by(["agentic.agent_sessions"], days_of_audited_actions()) }}

with decisions as (
    select * from {{ ref("int_decisions__recorded") }}
    where not is_evaluation and {{ in_dirty_days("decided_date") }}
),

audited_actions as (
    select * from {{ ref("stg_agentic__agent_audit_log") }}
    where {{ in_dirty("acted_at") }}
),

sessions as (
    select * from {{ ref("stg_agentic__agent_sessions") }}
),

tool_calls as (
    select * from {{ ref("int_tool_calls__unioned") }}
    where {{ in_dirty("called_at") }}
),

messages as (
    select
        *,
        (sent_at at time zone 'UTC')::date as sent_date
    from {{ ref("int_messages__unioned") }}
    where {{ in_dirty("sent_at") }}
),

-- Within the day, as what is left out must not depend on which days are dirty.
numbered as (
    select
        *,
        count(*) filter (where role = 'user') over (
            partition by source_system, run_id, sent_date
            order by sent_at, role = 'assistant', message_id
        ) as turn_number
    from messages
),

turns as (
    select
        source_system,
        run_id,
        sent_date,
        (
            1000 * extract(
                epoch from max(sent_at) filter (where role = 'assistant')
                - min(sent_at) filter (where role = 'user')
            )
        )::numeric as turn_ms
    from numbered
    where turn_number > 0
    group by source_system, run_id, sent_date, turn_number
),

activities as (
    select
        source_system,
        run_id,
        decided_date as activity_date,
        count(*) as decisions,
        count(*) filter (where feedback is null) as unreviewed_decisions,
        count(*) filter (where outcome = 0) as corrections,
        null::bigint as clarifications,
        null::bigint as rated_actions,
        null::bigint as irreversible_actions,
        null::numeric[] as turns_ms
    from decisions
    group by source_system, run_id, decided_date
    union all
    select
        case when sessions.loaded_run_id is null then 'agentic' else 'observability' end
            as source_system,
        sessions.run_id,
        (audited_actions.acted_at at time zone 'UTC')::date as activity_date,
        null as decisions,
        null as unreviewed_decisions,
        null as corrections,
        null as clarifications,
        count(audited_actions.is_reversible) as rated_actions,
        count(*) filter (where not audited_actions.is_reversible) as irreversible_actions,
        null as turns_ms
    from audited_actions
    inner join sessions on audited_actions.session_id = sessions.session_id
    group by sessions.loaded_run_id is null, sessions.run_id, activity_date
    union all
    select
        source_system,
        run_id,
        (called_at at time zone 'UTC')::date as activity_date,
        null as decisions,
        null as unreviewed_decisions,
        null as corrections,
        count(*) as clarifications,
        null as rated_actions,
        null as irreversible_actions,
        null as turns_ms
    from tool_calls
    where
        not is_call_missing
        and tool_name ~* '^ask[_-]?(user|human|person|customer|question|for)|clarif'
    group by source_system, run_id, activity_date
    union all
    select
        source_system,
        run_id,
        sent_date as activity_date,
        null as decisions,
        null as unreviewed_decisions,
        null as corrections,
        null as clarifications,
        null as rated_actions,
        null as irreversible_actions,
        array_agg(turn_ms order by turn_ms) as turns_ms
    from turns
    where turn_ms > 0
    group by source_system, run_id, sent_date
)

select
    {{ surrogate_key(["source_system", "run_id", "activity_date - date '2000-01-01'"]) }}
        as daily_autonomy_key,
    source_system,
    run_id,
    activity_date,
    coalesce(sum(decisions), 0)::bigint as decisions,
    coalesce(sum(unreviewed_decisions), 0)::bigint as unreviewed_decisions,
    coalesce(sum(corrections), 0)::bigint as corrections,
    coalesce(sum(clarifications), 0)::bigint as clarifications,
    coalesce(sum(rated_actions), 0)::bigint as rated_actions,
    coalesce(sum(irreversible_actions), 0)::bigint as irreversible_actions,
    -- At most one part has any.
    max(turns_ms) as turns_ms
from activities
group by source_system, run_id, activity_date
