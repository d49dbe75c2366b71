-- One row per attempt to run a span again.
select
    id as replay_id,
    original_span_id,
    replayed_span_id,
    tenant_id as tenant_key,
    {{ conform_status("status") }} as status,
    status as status_recorded,
    created_at as requested_at
from {{ source("raaf", "raaf_tracing_span_replays") }}
