-- One row per measurement of a session.
with trust_metrics as (
    select * from {{ source("agentic", "trust_metrics") }}
),

renamed as (
    select
        metric_id,
        session_id,
        tenant_id as tenant_key,
        metric_type,
        metric_value / case metric_type when 'complexity' then 10 else 100 end as metric_value,
        metric_value as metric_value_recorded,
        recorded_at as measured_at
    from trust_metrics
)

select * from renamed
