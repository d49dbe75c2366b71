-- One row per audited action of critical risk that failed, in a session.
{{ config(
    materialized="incremental",
    period="acted_date",
    publishes="source_system, run_id, acted_date as day",
    indexes=[
        {"columns": ["critical_failure_key"], "unique": true},
        {"columns": ["acted_date"]},
        {"columns": ["run_id", "source_system"]},
    ],
) }}

{{ dirtied_by(["agentic.agent_sessions"], days_counted(this, "acted_date", "session_id")) }}
{{ dirtied_by(["agentic.agent_sessions"], days_of_audited_actions()) }}

with audited_actions as (
    select * from {{ ref("stg_agentic__agent_audit_log") }}
    where {{ in_dirty("acted_at") }}
),

sessions as (
    select * from {{ ref("stg_agentic__agent_sessions") }}
)

select
    {{ surrogate_key([
        "sessions.session_id",
        "audited_actions.audit_id",
        "extract(epoch from audited_actions.acted_at)",
    ]) }} as critical_failure_key,
    case when sessions.loaded_run_id is null then 'agentic' else 'observability' end
        as source_system,
    sessions.run_id,
    audited_actions.acted_at,
    (audited_actions.acted_at at time zone 'UTC')::date as acted_date
from audited_actions
inner join sessions on audited_actions.session_id = sessions.session_id
where audited_actions.risk_level = 'critical' and audited_actions.action_status = 'failed'
