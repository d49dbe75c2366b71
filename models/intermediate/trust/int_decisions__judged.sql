-- One row per decision that a person or an evaluator judged.
with decisions as (
    select * from {{ ref("stg_agentic__agent_decisions") }}
),

sessions as (
    select * from {{ ref("stg_agentic__agent_sessions") }}
),

runs as (
    select * from {{ ref("int_runs__unioned") }}
)

select
    decisions.decision_id,
    runs.source_system,
    runs.run_id,
    runs.tenant_key,
    runs.agent_key,
    runs.agent_name,
    runs.agent_version,
    runs.model_recorded,
    runs.domain,
    decisions.decision_type,
    decisions.confidence_score,
    decisions.outcome,
    decisions.decided_at
from decisions
inner join sessions on decisions.session_id = sessions.session_id
inner join runs
    on
        sessions.run_id = runs.run_id
        and runs.source_system
        = case when sessions.loaded_run_id is null then 'agentic' else 'observability' end
where decisions.outcome is not null
