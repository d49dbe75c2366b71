-- Raises where a column or the first version is missing.

select
    version_id, version_number, description, applied_at, applied_by, execution_time_ms, tenant_id,
    change_id
from agentic.schema_versions
where false;

select 1 / (count(*) = 1)::int as has_first_version
from agentic.schema_versions
where version_number = '1.0.0';
