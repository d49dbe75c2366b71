-- One row per model name that some source recorded and the price book does not know.
{{ config(
    materialized="incremental",
    indexes=[{"columns": ["models_unmatched_key"], "unique": true}],
) }}

with costs as (
    select * from {{ ref("cost_daily") }}
    where model is null and model_recorded is not null
),

unmatched as (
    select
        model_recorded,
        array_agg(distinct source_system order by source_system) as source_systems,
        min(usage_date) as first_usage_date,
        max(usage_date) as last_usage_date,
        sum(llm_calls)::bigint as llm_calls,
        sum(coalesce(input_tokens, 0) + coalesce(output_tokens, 0) + coalesce(unsplit_tokens, 0))::bigint
            as tokens,
        sum(reported_cost_usd) as reported_cost_usd,
        sum(calls_unpriced)::bigint as calls_unpriced
    from costs
    group by model_recorded
)

select
    {{ surrogate_key(["model_recorded"]) }} as models_unmatched_key,
    model_recorded,
    source_systems,
    first_usage_date,
    last_usage_date,
    llm_calls,
    tokens,
    reported_cost_usd,
    calls_unpriced
from unmatched
