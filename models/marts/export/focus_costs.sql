-- One row per row of cost_daily whose cost is known, in the columns of FOCUS 1.4.
{{ config(materialized="view") }}

with cost_daily as (
    select * from {{ ref("cost_daily") }}
),

charges as (
    select
        *,
        usage_date::timestamp at time zone 'UTC' as charge_start,
        (usage_date + 1)::timestamp at time zone 'UTC' as charge_end,
        date_trunc('month', usage_date::timestamp) at time zone 'UTC' as month_start,
        (date_trunc('month', usage_date::timestamp) + interval '1 month') at time zone 'UTC' as month_end,
        -- Who told of the charge stands in for a seller whom the price book does not know.
        coalesce(provider, source_system) as seller,
        coalesce(provider || '/' || model, model_recorded, 'agent-run') as sku,
        case
            when num_nonnulls(input_tokens, output_tokens, unsplit_tokens) > 0
                then
                    coalesce(input_tokens, 0)
                    + coalesce(output_tokens, 0)
                    + coalesce(unsplit_tokens, 0)
        end as tokens
    from cost_daily
    where cost_usd is not null
),

measured as (
    select
        *,
        coalesce(tokens, runs)::numeric as quantity,
        case when tokens is not null then 'Tokens' else 'Runs' end as unit
    from charges
)

select
    cost_usd as "BilledCost",
    tenant_key as "BillingAccountId",
    null::text as "BillingAccountName",
    'USD' as "BillingCurrency",
    month_end as "BillingPeriodEnd",
    month_start as "BillingPeriodStart",
    'Usage' as "ChargeCategory",
    null::text as "ChargeClass",
    format(
        '%s %s of %s by %s', quantity, lower(unit), sku, coalesce(workflow, source_system)
    ) as "ChargeDescription",
    'Usage-Based' as "ChargeFrequency",
    charge_end as "ChargePeriodEnd",
    charge_start as "ChargePeriodStart",
    quantity as "ConsumedQuantity",
    unit as "ConsumedUnit",
    cost_usd as "ContractedCost",
    cost_usd as "EffectiveCost",
    seller as "HostProviderName",
    '{{ var("invoice_issuer", "agentbooks") | replace("'", "''") }}' as "InvoiceIssuerName",
    cost_usd as "ListCost",
    quantity as "PricingQuantity",
    unit as "PricingUnit",
    'AI and Machine Learning' as "ServiceCategory",
    'Model Inference' as "ServiceName",
    seller as "ServiceProviderName",
    'Generative AI' as "ServiceSubcategory",
    sku as "SkuId",
    case when sku = 'agent-run' then 'Agent Runs' else 'Model Usage' end as "SkuMeter",
    null::jsonb as "SkuPriceDetails",
    sku as "SkuPriceId",
    cost_daily_key as "x_ChargeId",
    source_system as "x_SourceSystemName",
    workflow as "x_WorkflowName",
    domain as "x_DomainName",
    agent_key as "x_AgentId",
    user_key as "x_UserId",
    model_recorded as "x_RecordedModelName",
    payer as "x_Payer",
    reported_cost_usd as "x_ReportedCost",
    computed_cost_usd as "x_ComputedCost",
    calls_unpriced as "x_UnpricedCalls"
from measured
