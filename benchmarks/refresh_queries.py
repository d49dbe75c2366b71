"""What `benchmarks.refresh` compares the refresh and its marts with."""

from __future__ import annotations

from dataclasses import dataclass

# A day of cost_daily as somebody would write it who knows that all calls are spans of loaded runs: one pass
# over the raw spans, summed by trace first, so that each trace is read and looked up once.
COSTS_BY_HAND = """
delete from bench.cost_daily where usage_date = %(day)s;

with calls as materialized (
    select
        spans.trace_id,
        nullif(spans.model, '') as model_recorded,
        coalesce(spans.metadata ->> 'payer', 'agent') as payer,
        models.provider,
        models.model,
        count(*) as llm_calls,
        sum((spans.tokens ->> 'input_tokens')::numeric) as input_tokens,
        sum((spans.tokens ->> 'cached_input_tokens')::numeric) as cached_input_tokens,
        sum((spans.tokens ->> 'cache_write_tokens')::numeric) as cache_write_tokens,
        sum((spans.tokens ->> 'output_tokens')::numeric) as output_tokens,
        sum((spans.tokens ->> 'reasoning_tokens')::numeric) as reasoning_tokens,
        sum(spans.cost) as reported_cost_usd,
        sum(components.input_cost_usd) as input_cost_usd,
        sum(components.cached_input_cost_usd) as cached_input_cost_usd,
        sum(components.cache_write_cost_usd) as cache_write_cost_usd,
        sum(components.output_cost_usd) as output_cost_usd,
        sum(components.reasoning_cost_usd) as reasoning_cost_usd,
        sum(components.request_cost_usd) as request_cost_usd,
        sum(computed.cost_usd) as computed_cost_usd,
        sum(coalesce(spans.cost, computed.cost_usd)) as cost_usd,
        count(spans.cost) as calls_reported,
        count(*) filter (where spans.cost is null and computed.cost_usd is not null) as calls_computed,
        count(*) filter (where coalesce(spans.cost, computed.cost_usd) is null) as calls_unpriced
    from observability.spans
    left join intermediate.int_models__matched as models
        on models.usage_date = %(day)s and spans.model = models.model_recorded
    left join intermediate.int_prices__combined as prices
        on
            models.provider = prices.provider
            and models.model = prices.model
            and prices.known_from = '-infinity'
            and %(day)s >= prices.valid_from
            and %(day)s < prices.valid_to
            and (spans.started_at at time zone 'UTC')::time >= prices.time_from_utc
            and (spans.started_at at time zone 'UTC')::time < prices.time_to_utc
            and coalesce((spans.tokens ->> 'input_tokens')::bigint, 0) >= prices.input_tokens_from
            and coalesce((spans.tokens ->> 'input_tokens')::bigint, 0) < prices.input_tokens_to
    cross join lateral (
        select
            greatest(
                (spans.tokens ->> 'input_tokens')::numeric
                - coalesce((spans.tokens ->> 'cached_input_tokens')::numeric, 0)
                - coalesce((spans.tokens ->> 'cache_write_tokens')::numeric, 0),
                0
            ) * prices.input_price * 0.000001 as input_cost_usd,
            coalesce((spans.tokens ->> 'cached_input_tokens')::numeric, 0)
            * prices.cached_input_price * 0.000001 as cached_input_cost_usd,
            coalesce((spans.tokens ->> 'cache_write_tokens')::numeric, 0)
            * prices.cache_write_price * 0.000001 as cache_write_cost_usd,
            (
                (spans.tokens ->> 'output_tokens')::numeric
                - coalesce((spans.tokens ->> 'reasoning_tokens')::numeric, 0)
            ) * prices.output_price * 0.000001 as output_cost_usd,
            coalesce((spans.tokens ->> 'reasoning_tokens')::numeric, 0)
            * prices.reasoning_price * 0.000001 as reasoning_cost_usd,
            prices.request_price * 0.000001 as request_cost_usd
    ) as components
    cross join lateral (
        select
            components.input_cost_usd
            + components.cached_input_cost_usd
            + components.cache_write_cost_usd
            + components.output_cost_usd
            + components.reasoning_cost_usd
            + components.request_cost_usd as cost_usd
    ) as computed
    where
        spans.started_at >= %(day)s::timestamp at time zone 'UTC'
        and spans.started_at < (%(day)s + 1)::timestamp at time zone 'UTC'
        and spans.span_type = 'llm'
    group by spans.trace_id, spans.model, spans.metadata ->> 'payer', models.provider, models.model
),

runs as (
    select
        traces.tenant_id as tenant_key,
        traces.workflow_id as workflow,
        traces.metadata ->> 'domain' as domain,
        traces.metadata -> 'agent' as agent,
        traces.metadata ->> 'user_id' as user_id,
        calls.*
    from calls
    inner join observability.traces on calls.trace_id = traces.trace_id
),

daily as (
    select
        tenant_key,
        workflow,
        domain,
        agent,
        user_id,
        provider,
        model,
        model_recorded,
        payer,
        count(distinct trace_id) as runs,
        sum(llm_calls)::bigint as llm_calls,
        sum(input_tokens)::bigint as input_tokens,
        sum(cached_input_tokens)::bigint as cached_input_tokens,
        sum(cache_write_tokens)::bigint as cache_write_tokens,
        sum(output_tokens)::bigint as output_tokens,
        sum(reasoning_tokens)::bigint as reasoning_tokens,
        null::bigint as unsplit_tokens,
        sum(reported_cost_usd) as reported_cost_usd,
        sum(input_cost_usd) as input_cost_usd,
        sum(cached_input_cost_usd) as cached_input_cost_usd,
        sum(cache_write_cost_usd) as cache_write_cost_usd,
        sum(output_cost_usd) as output_cost_usd,
        sum(reasoning_cost_usd) as reasoning_cost_usd,
        sum(request_cost_usd) as request_cost_usd,
        sum(computed_cost_usd) as computed_cost_usd,
        sum(cost_usd) as cost_usd,
        sum(calls_reported)::bigint as calls_reported,
        sum(calls_computed)::bigint as calls_computed,
        sum(calls_unpriced)::bigint as calls_unpriced
    from runs
    group by tenant_key, workflow, domain, agent, user_id, provider, model, model_recorded, payer
),

keyed as (
    select
        daily.*,
        md5(row(
            'observability', agent ->> 'name', agent ->> 'version', agent ->> 'model'
        )::text) as agent_key,
        case
            when user_id is not null
                then encode(sha256(convert_to(salts.salt || ':' || user_id, 'UTF8')), 'hex')
        end as user_key
    from daily
    cross join ops.pseudonym_salt as salts
)

insert into bench.cost_daily
select
    md5(row(
        %(day)s - date '2000-01-01', 'observability', tenant_key, workflow, domain, agent_key, user_key,
        model_recorded, payer
    )::text),
    %(day)s,
    'observability',
    tenant_key,
    workflow,
    domain,
    agent_key,
    user_key,
    provider,
    model,
    model_recorded,
    payer,
    runs,
    llm_calls,
    input_tokens,
    cached_input_tokens,
    cache_write_tokens,
    output_tokens,
    reasoning_tokens,
    unsplit_tokens,
    reported_cost_usd,
    input_cost_usd,
    cached_input_cost_usd,
    cache_write_cost_usd,
    output_cost_usd,
    reasoning_cost_usd,
    request_cost_usd,
    computed_cost_usd,
    cost_usd,
    calls_reported,
    calls_computed,
    calls_unpriced
from keyed
"""


@dataclass(frozen=True)
class Dashboard:
    """One question, to the marts, to the raw spans, and to DuckDB with the calls as Parquet."""

    name: str
    days: int
    of_marts: str
    of_raw: str
    of_parquet: str


DASHBOARDS = (
    Dashboard(
        "cost by model, 30 days",
        30,
        """
        select scope_key, sum(cost_usd)
        from marts.cost_by_scope_daily
        where usage_date > %(day)s and scope_kind = 'model'
        group by scope_key
        """,
        """
        select coalesce(model, model_recorded) as model, sum(cost_usd)
        from intermediate.int_llm_calls__priced
        where called_at >= (%(day)s + 1)::timestamp at time zone 'UTC'
        group by 1
        """,
        "select model, sum(cost) from calls where day > $day group by model",
    ),
    Dashboard(
        "p95 by day, 90 days",
        90,
        """
        select usage_date, p95
        from marts.latency_daily
        where usage_date > %(day)s and measure = 'llm_call_ms' and payer = 'agent'
        order by usage_date
        """,
        """
        select
            (started_at at time zone 'UTC')::date as day,
            percentile_disc(0.95) within group (order by duration_ms)
        from observability.spans
        where
            started_at >= (%(day)s + 1)::timestamp at time zone 'UTC'
            and span_type = 'llm'
            and metadata ->> 'payer' = 'agent'
        group by day
        order by day
        """,
        """
        select day, quantile_disc(duration_ms, 0.95) from calls
        where day > $day and payer = 'agent' group by day order by day
        """,
    ),
)

# What DuckDB reads: the columns of its questions, their JSON resolved.
CALLS = """
select
    (started_at at time zone 'UTC')::date as day,
    model,
    metadata ->> 'payer' as payer,
    cost,
    duration_ms
from observability.spans
where span_type = 'llm'
"""
