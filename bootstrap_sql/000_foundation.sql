-- Who may do what, and what was applied. One role per duty, so that a stolen job password opens one
-- door only. Roles belong to the whole server: another database of it may have created them before.
-- Run as a superuser, or as a role with CREATEROLE and BYPASSRLS.

do $roles$
declare
    duty record;
begin
    for duty in
        select *
        from (values
            ('agentbooks_owner', false, 'agentbooks: owns the raw schemas and ops, nobody logs in as it'),
            ('agentbooks_loader', true, 'agentbooks: writes raw rows in bulk, for every tenant'),
            ('agentbooks_refresher', true, 'agentbooks: runs dbt, reads every raw row, writes the marts'),
            ('agentbooks_retention', true, 'agentbooks: moves and removes old rows through functions of ops'),
            ('bi_reader', false, 'agentbooks: reads schema marts and nothing else'),
            ('service_role', true, 'application server: reads and writes for every user'),
            ('authenticated', false, 'application user: reads and writes own rows'),
            ('anon', false, 'caller without a login: reaches nothing')
        ) as duties (name, bypasses_policies, purpose)
    loop
        begin
            execute format(
                'create role %I nologin %s',
                duty.name,
                case when duty.bypasses_policies then 'bypassrls' else 'nobypassrls' end
            );
            execute format('comment on role %I is %L', duty.name, duty.purpose);
        exception
            when duplicate_object or unique_violation then
                null;
        end;
    end loop;

    -- Everything below is made in the owner's name, so whoever applies it must be able to take it.
    begin
        set local role agentbooks_owner;
        reset role;
    exception
        when insufficient_privilege then
            execute format('grant agentbooks_owner to %I', current_user);
    end;

    execute format('grant create on database %I to agentbooks_owner', current_database());
    execute format('grant create on database %I to agentbooks_refresher', current_database());
end
$roles$;

create schema ops authorization agentbooks_owner;
comment on schema ops is
'The project''s own state: applied changes, load registry, rejected records, partitions, ledgers.';

set local role agentbooks_owner;

create table ops.schema_versions (
    version text not null primary key,
    checksum text not null check (checksum ~ '^[0-9a-f]{64}$'),
    applied_at timestamptz not null default now(),
    applied_by text not null default session_user,
    execution_time_ms numeric not null check (execution_time_ms >= 0)
);

comment on table ops.schema_versions is
'One row per applied file of bootstrap_sql. Kept by `agentbooks bootstrap`.';
comment on column ops.schema_versions.version is 'Name of the file without its ending.';
comment on column ops.schema_versions.checksum is
'SHA-256 of the file as applied: an applied file that has changed since is an error.';
comment on column ops.schema_versions.applied_at is 'When its transaction began.';
comment on column ops.schema_versions.applied_by is 'Role that logged in to apply it.';
comment on column ops.schema_versions.execution_time_ms is 'How long it took, its checks included.';

grant usage on schema ops to
    agentbooks_loader, agentbooks_refresher, agentbooks_retention, service_role, authenticated, anon;
grant select on ops.schema_versions to
    agentbooks_loader, agentbooks_refresher, agentbooks_retention;
