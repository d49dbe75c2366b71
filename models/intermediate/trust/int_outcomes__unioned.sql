-- One row per decision, and per run that an evaluator judged without a decision that says so.
with decisions as not materialized (
    select * from {{ ref("int_decisions__recorded") }}
),

runs as not materialized (
    select * from {{ ref("agent_runs") }}
)

select
    decisions.decision_key as outcome_key,
    runs.source_system,
    runs.run_id,
    runs.tenant_key,
    runs.agent_key,
    runs.domain,
    runs.agent_domain_key,
    decisions.decision_type,
    decisions.risk_level,
    decisions.confidence_score,
    decisions.feedback,
    decisions.outcome,
    decisions.decided_at,
    decisions.decided_date
from decisions
inner join runs
    on decisions.source_system = runs.source_system and decisions.run_id = runs.run_id
union all
select
    runs.agent_runs_key as outcome_key,
    runs.source_system,
    runs.run_id,
    runs.tenant_key,
    runs.agent_key,
    runs.domain,
    runs.agent_domain_key,
    'run' as decision_type,
    'unknown' as risk_level,
    null as confidence_score,
    case when runs.is_success then 'approved' else 'rejected' end as feedback,
    case when runs.is_success then 1 else 0 end as outcome,
    runs.started_at as decided_at,
    runs.run_date as decided_date
from runs
where
    runs.is_success is not null
    and not exists (
        select from decisions
        where
            decisions.is_evaluation
            and decisions.source_system = runs.source_system
            and decisions.run_id = runs.run_id
    )
