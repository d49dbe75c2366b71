-- The roles stay: they belong to the whole server, where other databases may use them.

drop table ops.schema_objects;
drop view ops.schema_versions;
drop table ops.schema_changes;
drop function ops.in_raw_schemas(text);
drop table ops.adopted_objects;
drop table ops.raw_schemas;
drop schema ops;

do $roles$
begin
    execute format('revoke create on database %I from agentbooks_owner', current_database());
    execute format('revoke create on database %I from agentbooks_refresher', current_database());
end
$roles$;
