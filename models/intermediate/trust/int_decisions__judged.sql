-- One row per decision that a person or an evaluator judged.
with decisions as (
    select * from {{ ref("int_decisions__recorded") }}
),

runs as (
    select * from {{ ref("agent_runs") }}
)

select
    decisions.decision_key,
    decisions.decision_id,
    runs.source_system,
    runs.run_id,
    runs.tenant_key,
    runs.agent_key,
    runs.agent_name,
    runs.agent_version,
    runs.model_recorded,
    runs.domain,
    runs.agent_domain_key,
    decisions.decision_type,
    decisions.confidence_score,
    decisions.outcome,
    decisions.decided_at,
    decisions.decided_date
from decisions
inner join runs
    on decisions.source_system = runs.source_system and decisions.run_id = runs.run_id
where decisions.outcome is not null
