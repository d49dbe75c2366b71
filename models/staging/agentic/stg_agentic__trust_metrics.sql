-- One row per measurement of a session.
select
    metric_id,
    session_id,
    tenant_id as tenant_key,
    metric_type,
    metric_value::numeric / case metric_type when 'complexity' then 10 else 100 end as metric_value,
    metric_value::numeric as metric_value_recorded,
    recorded_at as measured_at
from {{ source("agentic", "trust_metrics") }}
