-- One row per usage_date, source_system, model and explanation of how reported and computed costs differ.
{{ config(
    materialized="incremental",
    period="usage_date",
    indexes=[{"columns": ["usage_date", "cost_reconciliation_key"], "unique": true}],
) }}

with activities as (
    select * from {{ ref("int_runs__daily_activity") }}
    where calls_reported > 0 and {{ in_dirty_days("activity_date") }}
),

compared as (
    select
        activity_date as usage_date,
        source_system,
        provider,
        model,
        model_recorded,
        difference,
        sum(llm_calls)::bigint as llm_calls,
        sum(reported_cost_usd) as reported_cost_usd,
        sum(computed_cost_usd) as computed_cost_usd
    from activities
    group by activity_date, source_system, provider, model, model_recorded, difference
),

-- One call in some ten has by chance a whole number of tokens too few: it explains only what it explains
-- for nearly all.
weighed as (
    select
        *,
        case
            when difference not in ('cached tokens not recorded', 'output tokens not recorded')
                then difference
            when
                llm_calls >= 0.9 * sum(llm_calls) filter (
                    where
                    difference in (
                        'cached tokens not recorded', 'output tokens not recorded', 'unexplained'
                    )
                ) over (partition by usage_date, source_system, model_recorded)
                then difference
            else 'unexplained'
        end as explanation
    from compared
),

reconciled as (
    select
        usage_date,
        source_system,
        provider,
        model,
        model_recorded,
        explanation,
        sum(llm_calls)::bigint as llm_calls,
        sum(reported_cost_usd) as reported_cost_usd,
        sum(computed_cost_usd) as computed_cost_usd
    from weighed
    group by usage_date, source_system, provider, model, model_recorded, explanation
)

select
    {{ surrogate_key([
        "usage_date - date '2000-01-01'", "source_system", "model_recorded", "explanation"
    ]) }} as cost_reconciliation_key,
    usage_date,
    source_system,
    provider,
    model,
    model_recorded,
    explanation,
    llm_calls,
    reported_cost_usd,
    computed_cost_usd,
    reported_cost_usd - computed_cost_usd as difference_usd
from reconciled
