-- One row per usage_date, source_system, tenant, workflow, domain, agent, user, model and payer.
with runs as (
    select * from {{ ref("int_runs__unioned") }}
),

calls as (
    select * from {{ ref("int_llm_calls__priced") }}
),

totals as (
    select * from {{ ref("int_runs__recorded_in_total") }}
),

models as (
    select * from {{ ref("int_models__matched") }}
),

pseudonym_salt as (
    select * from {{ source("ops", "pseudonym_salt") }}
),

usages as (
    select
        (called_at at time zone 'UTC')::date as usage_date,
        source_system,
        run_id,
        payer,
        model_recorded,
        1 as llm_calls,
        input_tokens,
        cached_input_tokens,
        output_tokens,
        unsplit_tokens,
        reported_cost_usd,
        computed_cost_usd,
        cost_usd
    from calls
    union all
    select
        (runs.started_at at time zone 'UTC')::date as usage_date,
        totals.source_system,
        totals.run_id,
        totals.payer,
        totals.model_recorded,
        0 as llm_calls,
        totals.input_tokens,
        totals.cached_input_tokens,
        totals.output_tokens,
        totals.unsplit_tokens,
        totals.reported_cost_usd,
        null as computed_cost_usd,
        totals.reported_cost_usd as cost_usd
    from totals
    inner join runs on totals.source_system = runs.source_system and totals.run_id = runs.run_id
),

daily as (
    select
        usages.usage_date,
        usages.source_system,
        runs.tenant_key,
        runs.workflow,
        runs.domain,
        runs.agent_key,
        runs.user_id,
        models.provider,
        models.model,
        usages.model_recorded,
        usages.payer,
        count(distinct usages.run_id) as runs,
        sum(usages.llm_calls) as llm_calls,
        sum(usages.input_tokens)::bigint as input_tokens,
        sum(usages.cached_input_tokens)::bigint as cached_input_tokens,
        sum(usages.output_tokens)::bigint as output_tokens,
        sum(usages.unsplit_tokens)::bigint as unsplit_tokens,
        sum(usages.reported_cost_usd) as reported_cost_usd,
        sum(usages.computed_cost_usd) as computed_cost_usd,
        sum(usages.cost_usd) as cost_usd,
        sum(usages.llm_calls) filter (where usages.reported_cost_usd is not null) as calls_reported,
        sum(usages.llm_calls) filter (
            where usages.reported_cost_usd is null and usages.cost_usd is not null
        ) as calls_computed,
        sum(usages.llm_calls) filter (where usages.cost_usd is null) as calls_unpriced
    from usages
    inner join runs on usages.source_system = runs.source_system and usages.run_id = runs.run_id
    left join models on usages.model_recorded = models.model_recorded
    group by
        usages.usage_date,
        usages.source_system,
        runs.tenant_key,
        runs.workflow,
        runs.domain,
        runs.agent_key,
        runs.user_id,
        models.provider,
        models.model,
        usages.model_recorded,
        usages.payer
)

select
    {{ surrogate_key([
        "daily.usage_date - date '2000-01-01'",
        "daily.source_system",
        "daily.tenant_key",
        "daily.workflow",
        "daily.domain",
        "daily.agent_key",
        "daily.user_id",
        "daily.model_recorded",
        "daily.payer",
        "pseudonym_salt.salt",
    ]) }} as cost_daily_key,
    daily.usage_date,
    daily.source_system,
    daily.tenant_key,
    daily.workflow,
    daily.domain,
    daily.agent_key,
    {{ pseudonym("daily.user_id") }} as user_key,
    daily.provider,
    daily.model,
    daily.model_recorded,
    daily.payer,
    daily.runs,
    daily.llm_calls,
    daily.input_tokens,
    daily.cached_input_tokens,
    daily.output_tokens,
    daily.unsplit_tokens,
    daily.reported_cost_usd,
    daily.computed_cost_usd,
    daily.cost_usd,
    coalesce(daily.calls_reported, 0) as calls_reported,
    coalesce(daily.calls_computed, 0) as calls_computed,
    coalesce(daily.calls_unpriced, 0) as calls_unpriced
from daily
cross join pseudonym_salt
