-- One row per source_system, tenant, step and error_type: how often it was of late, and what came of it.
{{ config(
    materialized="incremental",
    indexes=[{"columns": ["error_analysis_key"], "unique": true}],
) }}

with errors_daily as (
    select * from {{ ref("errors_daily") }}
),

runs_daily as (
    select * from {{ ref("int_runs__costed_daily") }}
),

error_patterns as (
    select * from {{ ref("stg_traceability__error_patterns") }}
),

as_of as (
    select max(run_date) as as_of_date
    from runs_daily
),

exposures as (
    select
        runs_daily.source_system,
        runs_daily.tenant_key,
        sum(runs_daily.runs) filter (where runs_daily.run_date > as_of.as_of_date - 7) as runs_7d,
        sum(runs_daily.runs) filter (
            where
            runs_daily.run_date > as_of.as_of_date - 35
            and runs_daily.run_date <= as_of.as_of_date - 7
        ) as runs_28d_before
    from runs_daily
    cross join as_of
    group by runs_daily.source_system, runs_daily.tenant_key
),

known as (
    select
        tenant_key,
        error_type,
        mode() within group (order by error_category) as error_category,
        min(array_position(array['critical', 'high', 'medium', 'low'], severity)) as severity,
        {{ ratio(
            "sum(resolution_success_rate * error_count)",
            "sum(error_count) filter (where resolution_success_rate is not null)",
        ) }} as recorded_resolution_rate
    from error_patterns
    group by tenant_key, error_type
),

counted as (
    select
        errors_daily.source_system,
        errors_daily.tenant_key,
        errors_daily.step,
        errors_daily.error_type,
        sum(errors_daily.errors)::bigint as errors,
        coalesce(
            sum(errors_daily.errors) filter (
                where errors_daily.usage_date > as_of.as_of_date - 7
            ), 0
        )::bigint as errors_7d,
        coalesce(
            sum(errors_daily.errors) filter (
                where
                errors_daily.usage_date > as_of.as_of_date - 35
                and errors_daily.usage_date <= as_of.as_of_date - 7
            ), 0
        )::bigint as errors_28d_before,
        sum(errors_daily.judged_runs)::bigint as judged_runs,
        sum(errors_daily.recovered_runs)::bigint as recovered_runs,
        count(distinct errors_daily.agent_key) as agents,
        string_agg(distinct errors_daily.agent_name, ', ' order by errors_daily.agent_name)
            as agent_names,
        min(errors_daily.usage_date) as first_seen_date,
        max(errors_daily.usage_date) as last_seen_date
    from errors_daily
    cross join as_of
    group by
        errors_daily.source_system,
        errors_daily.tenant_key,
        errors_daily.step,
        errors_daily.error_type
),

-- Of all errors of 35 days the last 7 have their share of the runs, were nothing new.
exposed as (
    select
        counted.*,
        as_of.as_of_date,
        coalesce(exposures.runs_7d, 0)::bigint as runs_7d,
        coalesce(exposures.runs_28d_before, 0)::bigint as runs_28d_before,
        (counted.errors_7d + counted.errors_28d_before)::numeric as errors_35d,
        {{ ratio(
            "coalesce(exposures.runs_7d, 0)",
            "coalesce(exposures.runs_7d, 0) + coalesce(exposures.runs_28d_before, 0)",
        ) }} as share_7d
    from counted
    cross join as_of
    left join exposures
        on
            counted.source_system = exposures.source_system
            and counted.tenant_key = exposures.tenant_key
),

scored as (
    select
        *,
        {{ ratio(
            "errors_7d - errors_35d * share_7d", "sqrt(errors_35d * share_7d * (1 - share_7d))"
        ) }} as change_score
    from exposed
)

select
    {{ surrogate_key([
        "scored.source_system", "scored.tenant_key", "scored.step", "scored.error_type"
    ]) }} as error_analysis_key,
    scored.source_system,
    scored.tenant_key,
    scored.step,
    scored.error_type,
    known.error_category,
    (array['critical', 'high', 'medium', 'low'])[known.severity] as severity,
    scored.errors,
    scored.as_of_date,
    scored.errors_7d,
    scored.runs_7d,
    scored.errors_28d_before,
    scored.runs_28d_before,
    scored.change_score,
    case
        when scored.first_seen_date > scored.as_of_date - 7 then 'new'
        when scored.errors_35d = 0 then 'fixed'
        when scored.errors_7d = 0
            then case when scored.change_score <= -1.645 then 'fixed' else 'quiet' end
        when scored.change_score >= 1.96 then 'rising'
        when scored.change_score <= -1.96 then 'falling'
        else 'steady'
    end as trend,
    scored.first_seen_date,
    scored.last_seen_date,
    scored.agents,
    scored.agent_names,
    scored.judged_runs,
    scored.recovered_runs,
    {{ ratio("scored.recovered_runs::numeric", "scored.judged_runs") }} as recovery_rate,
    {{ wilson_bound("scored.recovered_runs", "scored.judged_runs", "low") }} as recovery_low,
    {{ wilson_bound("scored.recovered_runs", "scored.judged_runs", "high") }} as recovery_high,
    known.recorded_resolution_rate
from scored
left join known
    on
        scored.source_system = 'traceability'
        and scored.tenant_key = known.tenant_key
        and scored.error_type = known.error_type
