-- One row per use of a pattern in a run.
with pattern_uses as (
    select * from {{ ref("stg_traceability__pattern_usage_log") }}
),

runs as (
    select * from {{ ref("int_runs__unioned") }}
)

select
    pattern_uses.pattern_use_id,
    pattern_uses.pattern_id,
    pattern_uses.run_id,
    runs.source_system,
    runs.agent_key,
    runs.domain,
    pattern_uses.used_at,
    coalesce(pattern_uses.is_success, runs.is_success) as is_success
from pattern_uses
left join runs
    on
        pattern_uses.run_id = runs.run_id
        and runs.source_system
        = case when pattern_uses.trace_id is null then 'observability' else 'traceability' end
