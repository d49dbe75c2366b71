-- One row per decision of a run, judged or not.
{{ config(
    materialized="incremental",
    period="decided_date",
    publishes="source_system, run_id, decided_date as day",
    indexes=[
        {"columns": ["decision_key"], "unique": true},
        {"columns": ["decided_date"]},
        {"columns": ["run_id", "source_system"]},
    ],
) }}

{{ dirtied_by(["agentic.agent_sessions"], days_counted(this, "decided_date", "session_id")) }}

with decisions as (
    select
        *,
        {{ surrogate_key(["session_id", "decision_id", "extract(epoch from decided_at)"]) }}
            as decision_key
    from {{ ref("stg_agentic__agent_decisions") }}
    where {{ in_dirty("decided_at") }}
),

audited_actions as (
    select * from {{ ref("stg_agentic__agent_audit_log") }}
    where {{ in_dirty("acted_at") }}
),

sessions as (
    select * from {{ ref("stg_agentic__agent_sessions") }}
),

-- No key leads from one to the other: the nearest action of that type on the day, in the session.
risks as (
    select distinct on (decisions.decision_key)
        decisions.decision_key,
        audited_actions.risk_level
    from decisions
    inner join audited_actions
        on
            decisions.session_id = audited_actions.session_id
            and decisions.decision_type = audited_actions.action_type
            and (decisions.decided_at at time zone 'UTC')::date
            = (audited_actions.acted_at at time zone 'UTC')::date
    where audited_actions.risk_level is not null
    order by
        decisions.decision_key asc,
        abs(extract(epoch from audited_actions.acted_at - decisions.decided_at)) asc,
        audited_actions.acted_at asc,
        audited_actions.audit_id asc
)

select
    decisions.decision_key,
    decisions.decision_id,
    case when sessions.loaded_run_id is null then 'agentic' else 'observability' end
        as source_system,
    sessions.run_id,
    decisions.loaded_run_id is not null as is_evaluation,
    decisions.decision_type,
    coalesce(risks.risk_level, 'unknown') as risk_level,
    decisions.confidence_score,
    decisions.feedback,
    decisions.outcome,
    decisions.decided_at,
    (decisions.decided_at at time zone 'UTC')::date as decided_date
from decisions
inner join sessions on decisions.session_id = sessions.session_id
left join risks on decisions.decision_key = risks.decision_key
