-- Raises undefined_object where a role is missing.

select
    'agentbooks_owner'::regrole,
    'agentbooks_loader'::regrole,
    'agentbooks_refresher'::regrole,
    'agentbooks_retention'::regrole,
    'bi_reader'::regrole,
    'service_role'::regrole,
    'authenticated'::regrole,
    'anon'::regrole;

select version, checksum, applied_at, applied_by, execution_time_ms
from ops.schema_versions
where false;

select change_number, version, action, checksum, changed_at, changed_by, execution_time_ms
from ops.schema_changes
where false;

select kind, name, definition, version, server_major
from ops.schema_objects
where false;

select system, schema_name
from ops.raw_schemas
where false;

select name, kind, original, goal, is_done, place
from ops.adopted_objects
where false;

select 'ops.in_raw_schemas(text)'::regprocedure;

select 1 / has_schema_privilege('agentbooks_loader', 'ops', 'usage')::int;
