-- One row per UTC day and model name that some source recorded on it.
{{ config(
    materialized="incremental",
    period="usage_date",
    indexes=[{"columns": ["usage_date", "model_recorded"], "unique": true}],
) }}

{{ dirtied_by(["agentic.agents"], days_of_agentic_sessions()) }}
{{ dirtied_by(["raaf.raaf_tracing_spans"], days_of_raaf_traces()) }}
{{ dirtied_by(
    [
        "chat.agents",
        "traceability.agent_routing_decisions",
        "traceability.execution_traces",
    ],
    "select null::date where false"
) }}

with calls as (
    select * from {{ ref("int_llm_calls__unioned") }}
),

runs as (
    select * from {{ ref("int_runs__unioned") }}
),

recorded_names as (
    select
        model_recorded,
        (called_at at time zone 'UTC')::date as usage_date
    from calls
    where model_recorded is not null and {{ in_dirty("called_at") }}
    union
    select
        model_recorded,
        (started_at at time zone 'UTC')::date as usage_date
    from runs
    where model_recorded is not null and {{ in_dirty("started_at") }}
)

select
    {{ surrogate_key(["usage_date - date '2000-01-01'", "model_recorded"]) }} as models_recorded_key,
    usage_date,
    model_recorded
from recorded_names
