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
    select * from {{ ref("stg_agentic__agent_decisions") }}
),

sessions as (
    select * from {{ ref("stg_agentic__agent_sessions") }}
)

select
    {{ surrogate_key([
        "decisions.session_id",
        "decisions.decision_id",
        "extract(epoch from decisions.decided_at)",
    ]) }} as decision_key,
    decisions.decision_id,
    case when sessions.loaded_run_id is null then 'agentic' else 'observability' end
        as source_system,
    sessions.run_id,
    decisions.loaded_run_id is not null as is_evaluation,
    decisions.decision_type,
    decisions.confidence_score,
    decisions.outcome,
    decisions.decided_at,
    (decisions.decided_at at time zone 'UTC')::date as decided_date
from decisions
inner join sessions on decisions.session_id = sessions.session_id
where {{ in_dirty("decisions.decided_at") }}
