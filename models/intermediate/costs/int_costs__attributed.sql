-- One row per run, UTC hour, payer, model, cost basis and price band, with the dimensions of the run.
{%- set bands = [
    "price_known_from", "input_tokens_from", "input_tokens_to", "time_from_utc", "time_to_utc",
] %}
{%- set costs = [
    "input_cost_usd", "cached_input_cost_usd", "cache_write_cost_usd", "output_cost_usd",
    "reasoning_cost_usd", "request_cost_usd", "computed_cost_usd",
] %}
with runs as not materialized (
    select * from {{ ref("agent_runs") }}
),

activities as (
    select * from {{ ref("int_runs__daily_activity") }}
),

models as (
    select * from {{ ref("int_models__matched") }}
),

-- Runs that their source recorded only in total count on the day they started.
totals as not materialized (
    select
        runs.*,
        models.provider
    from runs
    left join models
        on
            runs.model_recorded = models.model_recorded
            and coalesce(runs.run_date, '-infinity') = coalesce(models.usage_date, '-infinity')
    where runs.llm_calls is null
)

select
    activities.daily_activity_key as costs_attributed_key,
    activities.activity_date as usage_date,
    activities.activity_hour as usage_hour,
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
    activities.cost_basis,
    {%- for column in bands %}
    activities.{{ column }},
    {%- endfor %}
    activities.llm_calls,
    activities.input_tokens,
    activities.fresh_input_tokens,
    activities.cached_input_tokens,
    activities.cache_write_tokens,
    activities.output_tokens,
    activities.reasoning_tokens,
    activities.unsplit_tokens,
    activities.reported_cost_usd,
    {%- for column in costs %}
    activities.{{ column }},
    {%- endfor %}
    activities.cost_usd,
    activities.calls_reported,
    activities.calls_computed,
    activities.calls_unpriced
from activities
inner join runs
    on activities.run_id = runs.run_id and activities.source_system = runs.source_system
where activities.payer is not null
union all
select
    'agent ' || agent_runs_key as costs_attributed_key,
    run_date as usage_date,
    date_trunc('hour', started_at, 'UTC') as usage_hour,
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
    case when agent_cost_usd is null then 'unavailable' else 'reported' end as cost_basis,
    {%- for column in bands %}
    null as {{ column }},
    {%- endfor %}
    0::bigint as llm_calls,
    input_tokens::numeric as input_tokens,
    null as fresh_input_tokens,
    cached_input_tokens::numeric as cached_input_tokens,
    null as cache_write_tokens,
    output_tokens::numeric as output_tokens,
    null as reasoning_tokens,
    unsplit_tokens::numeric as unsplit_tokens,
    agent_cost_usd as reported_cost_usd,
    {%- for column in costs %}
    null as {{ column }},
    {%- endfor %}
    agent_cost_usd as cost_usd,
    0::bigint as calls_reported,
    0::bigint as calls_computed,
    0::bigint as calls_unpriced
from totals
where num_nonnulls(agent_cost_usd, input_tokens, output_tokens, unsplit_tokens) > 0
union all
select
    'counterpart ' || agent_runs_key as costs_attributed_key,
    run_date as usage_date,
    date_trunc('hour', started_at, 'UTC') as usage_hour,
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
    'reported' as cost_basis,
    {%- for column in bands %}
    null as {{ column }},
    {%- endfor %}
    0::bigint as llm_calls,
    null as input_tokens,
    null as fresh_input_tokens,
    null as cached_input_tokens,
    null as cache_write_tokens,
    null as output_tokens,
    null as reasoning_tokens,
    null as unsplit_tokens,
    counterpart_cost_usd as reported_cost_usd,
    {%- for column in costs %}
    null as {{ column }},
    {%- endfor %}
    counterpart_cost_usd as cost_usd,
    0::bigint as calls_reported,
    0::bigint as calls_computed,
    0::bigint as calls_unpriced
from totals
where counterpart_cost_usd is not null
