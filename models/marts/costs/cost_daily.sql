-- One row per usage_date, source_system, tenant, workflow, domain, agent, user, model and payer.
{{ config(
    materialized="incremental",
    period="usage_date",
    indexes=[{"columns": ["cost_daily_key"], "unique": true}, {"columns": ["usage_date"]}],
) }}

{{ dirtied_by([ref("agent_runs")], days_of_run_activity(ref("int_runs__daily_activity"))) }}

with runs as not materialized (
    select * from {{ ref("agent_runs") }}
),

activities as (
    select * from {{ ref("int_runs__daily_activity") }}
    where {{ in_dirty_days("activity_date") }}
),

usages as (
    select
        activities.activity_date as usage_date,
        runs.source_system,
        runs.tenant_key,
        runs.workflow,
        runs.domain,
        runs.agent_key,
        runs.user_key,
        activities.provider,
        activities.model,
        activities.model_recorded,
        activities.payer,
        runs.run_id,
        activities.llm_calls,
        activities.input_tokens,
        activities.cached_input_tokens,
        activities.output_tokens,
        activities.unsplit_tokens,
        activities.reported_cost_usd,
        activities.computed_cost_usd,
        activities.cost_usd,
        activities.calls_reported,
        activities.calls_computed,
        activities.calls_unpriced
    from activities
    inner join runs
        on activities.run_id = runs.run_id and activities.source_system = runs.source_system
    where activities.payer is not null
),

-- Runs that their source recorded only in total count on the day they started.
totals as (
    select
        runs.*,
        models.provider
    from runs
    left join {{ ref("int_models__matched") }} as models
        on
            runs.model_recorded = models.model_recorded
            and coalesce(runs.run_date, '-infinity') = coalesce(models.usage_date, '-infinity')
    where runs.llm_calls is null and {{ in_dirty_days("runs.run_date") }}
),

all_usages as (
    select * from usages
    union all
    select
        run_date as usage_date,
        source_system,
        tenant_key,
        workflow,
        domain,
        agent_key,
        user_key,
        provider,
        model,
        model_recorded,
        'agent' as payer,
        run_id,
        0 as llm_calls,
        input_tokens,
        cached_input_tokens,
        output_tokens,
        unsplit_tokens,
        agent_cost_usd as reported_cost_usd,
        null as computed_cost_usd,
        agent_cost_usd as cost_usd,
        0 as calls_reported,
        0 as calls_computed,
        0 as calls_unpriced
    from totals
    where num_nonnulls(agent_cost_usd, input_tokens, output_tokens, unsplit_tokens) > 0
    union all
    select
        run_date as usage_date,
        source_system,
        tenant_key,
        workflow,
        domain,
        agent_key,
        user_key,
        null as provider,
        null as model,
        null as model_recorded,
        'counterpart' as payer,
        run_id,
        0 as llm_calls,
        null as input_tokens,
        null as cached_input_tokens,
        null as output_tokens,
        null as unsplit_tokens,
        counterpart_cost_usd as reported_cost_usd,
        null as computed_cost_usd,
        counterpart_cost_usd as cost_usd,
        0 as calls_reported,
        0 as calls_computed,
        0 as calls_unpriced
    from totals
    where counterpart_cost_usd is not null
),

daily as (
    select
        usage_date,
        source_system,
        tenant_key,
        workflow,
        domain,
        agent_key,
        user_key,
        provider,
        model,
        model_recorded,
        payer,
        count(distinct run_id) as runs,
        sum(llm_calls)::bigint as llm_calls,
        sum(input_tokens)::bigint as input_tokens,
        sum(cached_input_tokens)::bigint as cached_input_tokens,
        sum(output_tokens)::bigint as output_tokens,
        sum(unsplit_tokens)::bigint as unsplit_tokens,
        sum(reported_cost_usd) as reported_cost_usd,
        sum(computed_cost_usd) as computed_cost_usd,
        sum(cost_usd) as cost_usd,
        sum(calls_reported)::bigint as calls_reported,
        sum(calls_computed)::bigint as calls_computed,
        sum(calls_unpriced)::bigint as calls_unpriced
    from all_usages
    group by
        usage_date,
        source_system,
        tenant_key,
        workflow,
        domain,
        agent_key,
        user_key,
        provider,
        model,
        model_recorded,
        payer
)

select
    {{ surrogate_key([
        "daily.usage_date - date '2000-01-01'",
        "daily.source_system",
        "daily.tenant_key",
        "daily.workflow",
        "daily.domain",
        "daily.agent_key",
        "daily.user_key",
        "daily.model_recorded",
        "daily.payer",
    ]) }} as cost_daily_key,
    daily.usage_date,
    daily.source_system,
    daily.tenant_key,
    daily.workflow,
    daily.domain,
    daily.agent_key,
    daily.user_key,
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
    daily.calls_reported,
    daily.calls_computed,
    daily.calls_unpriced
from daily
