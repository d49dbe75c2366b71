-- One row per usage_date, source_system, tenant, workflow and span_type.
{{ config(
    materialized="incremental",
    period="usage_date",
    indexes=[{"columns": ["usage_date", "span_costs_key"], "unique": true}],
) }}

{{ dirtied_by(["observability.traces"], days_of_trace_spans()) }}
{{ dirtied_by(["raaf.raaf_tracing_traces", "raaf.raaf_tracing_spans"], days_of_raaf_spans()) }}
{{ dirtied_by(
    ["agentic.conversation_history", "chat.chat_messages_v2"], "select null::date where false"
) }}
{{ dirtied_by([ref("int_prices__combined")], days_of_prices(ref("int_models__matched"))) }}
{{ dirtied_by([ref("int_prices__editions")], "select null::date where false") }}

with spans as (
    select * from {{ ref("stg_observability__spans") }}
    where {{ in_dirty("started_at") }}
),

traces as (
    select * from {{ ref("stg_observability__traces") }}
),

raaf_spans as (
    select * from {{ ref("stg_raaf__spans") }}
    where {{ in_dirty("started_at") }}
),

raaf_traces as (
    select * from {{ ref("stg_raaf__traces") }}
),

calls as (
    select * from {{ ref("int_llm_calls__priced") }}
    where {{ in_dirty("called_at") }}
),

all_spans as (
    select
        'observability' as source_system,
        spans.span_id::text as span_id,
        traces.tenant_key,
        traces.workflow,
        spans.span_type,
        spans.started_at,
        case when spans.span_type <> 'llm' then spans.reported_cost_usd end as other_cost_usd
    from spans
    inner join traces on spans.trace_id = traces.trace_id
    union all
    select
        'raaf' as source_system,
        raaf_spans.span_id,
        raaf_traces.tenant_key,
        raaf_traces.workflow,
        raaf_spans.kind as span_type,
        raaf_spans.started_at,
        raaf_spans.fee_usd as other_cost_usd
    from raaf_spans
    inner join raaf_traces on raaf_spans.trace_id = raaf_traces.trace_id
),

costed as (
    select
        (all_spans.started_at at time zone 'UTC')::date as usage_date,
        all_spans.source_system,
        all_spans.tenant_key,
        all_spans.workflow,
        all_spans.span_type,
        count(*) as spans,
        count(calls.llm_call_id) filter (where calls.cost_usd is null) as calls_unpriced,
        count(*) filter (where num_nonnulls(calls.cost_usd, all_spans.other_cost_usd) > 0) as priced_spans,
        sum(calls.cost_usd) as call_cost_usd,
        sum(all_spans.other_cost_usd) as other_cost_usd
    from all_spans
    left join calls
        on
            all_spans.source_system = calls.source_system
            and all_spans.span_id = calls.llm_call_id
            and all_spans.started_at = calls.called_at
    group by
        usage_date,
        all_spans.source_system,
        all_spans.tenant_key,
        all_spans.workflow,
        all_spans.span_type
),

totalled as (
    select
        *,
        case
            when num_nonnulls(call_cost_usd, other_cost_usd) > 0
                then coalesce(call_cost_usd, 0) + coalesce(other_cost_usd, 0)
        end as cost_usd
    from costed
)

select
    {{ surrogate_key([
        "usage_date - date '2000-01-01'",
        "source_system",
        "tenant_key",
        "workflow",
        "span_type",
    ]) }} as span_costs_key,
    usage_date,
    source_system,
    tenant_key,
    workflow,
    span_type,
    spans,
    priced_spans,
    calls_unpriced,
    call_cost_usd,
    cost_usd,
    {{ ratio("cost_usd", "priced_spans") }} as mean_cost_usd,
    {{ ratio(
        "cost_usd", "sum(cost_usd) over (partition by usage_date, source_system, tenant_key, workflow)"
    ) }} as share
from totalled
