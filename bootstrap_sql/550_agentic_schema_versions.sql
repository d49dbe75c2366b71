-- The source system's own record of its schema changes: written once, never changed.

set local role agentbooks_owner;

create table agentic.schema_versions (
    version_id uuid not null default gen_random_uuid() primary key,
    version_number varchar(50) not null unique check (version_number <> ''),
    description text,
    applied_at timestamptz not null default now(),
    applied_by varchar(100) default session_user,
    execution_time_ms integer check (execution_time_ms >= 0),
    tenant_id text not null default ops.caller_tenant_id(),
    change_id bigint not null default pg_current_xact_id()::text::bigint
);

alter table agentic.schema_versions enable row level security;

-- Not for application users: it belongs to no tenant's data.
grant select, insert on agentic.schema_versions to agentbooks_loader, service_role;
grant select on agentic.schema_versions to agentbooks_refresher, agentbooks_retention;

comment on table agentic.schema_versions is 'One row per version of this schema. Insert only.';
comment on column agentic.schema_versions.version_id is 'Key of the row.';
comment on column agentic.schema_versions.version_number is
'Version as text, such as 1.0.0; does not sort as text.';
comment on column agentic.schema_versions.description is 'What changed; null when not described.';
comment on column agentic.schema_versions.applied_at is 'When the change was made.';
comment on column agentic.schema_versions.applied_by is
'Database login that made it; null when not recorded.';
comment on column agentic.schema_versions.execution_time_ms is 'How long it took; null when not measured.';
comment on column agentic.schema_versions.tenant_id is 'Tenant of the session that made the change.';
comment on column agentic.schema_versions.change_id is 'Transaction that last wrote the row.';

insert into agentic.schema_versions (version_number, description)
values ('1.0.0', 'First version: agents, sessions, decisions, trust, messages, knowledge, audit.');
