-- One row per run and UTC day on which it called a model or a tool, or wrote a message.
with runs as (
    select * from {{ ref("agent_runs") }}
),

activities as (
    select distinct
        source_system,
        run_id,
        activity_date
    from {{ ref("int_runs__daily_activity") }}
)

select
    activities.activity_date,
    runs.source_system,
    runs.run_id,
    runs.tenant_key,
    runs.workflow,
    runs.domain,
    runs.agent_key,
    runs.agent_name
from activities
inner join runs
    on activities.run_id = runs.run_id and activities.source_system = runs.source_system
