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

-- The bootstrap hands the names over: all files after this one are rendered with them.
create table ops.raw_schemas (
    system text not null primary key,
    schema_name text not null unique
);

insert into ops.raw_schemas (system, schema_name)
select
    s.system,
    coalesce(nullif(current_setting('agentbooks.raw_schemas', true), '')::jsonb ->> s.system, s.system)
from unnest(array['raaf', 'observability', 'traceability', 'chat', 'agentic']) as s (system);

comment on table ops.raw_schemas is 'One row per source system: where its raw tables are.';
comment on column ops.raw_schemas.system is
'The system, as texts of the project, archive and history name it.';
comment on column ops.raw_schemas.schema_name is
'Schema of its raw tables; another than the system''s name by `agentbooks bootstrap --schema`.';

create table ops.adopted_objects (
    name text not null primary key,
    kind text not null check (kind in ('table', 'routine', 'schema')),
    original jsonb not null,
    goal jsonb not null,
    is_done boolean not null default false,
    place integer not null generated always as identity
);

comment on table ops.adopted_objects is
'One row per object that was there before the bootstrap and was taken over, by '
'`agentbooks bootstrap --adopt`.';
comment on column ops.adopted_objects.name is 'With its schema; functions with their arguments.';
comment on column ops.adopted_objects.kind is 'Table, routine (a function or a view) or schema.';
comment on column ops.adopted_objects.original is
'What the catalog said of it before; what a revert makes of it again.';
comment on column ops.adopted_objects.goal is 'What the catalog shall say of it.';
comment on column ops.adopted_objects.is_done is 'Whether it does.';
comment on column ops.adopted_objects.place is 'Their order.';

create function ops.in_raw_schemas(logical text) returns text
language plpgsql
stable
set search_path = pg_catalog, pg_temp
as $function$
declare
    renamed record;
begin
    for renamed in select * from ops.raw_schemas as s where s.schema_name <> s.system loop
        logical := regexp_replace(
            logical, format('(?<![\w.$])%s(?="?\.["\w])', renamed.system), renamed.schema_name, 'g'
        );
    end loop;
    return logical;
end
$function$;

comment on function ops.in_raw_schemas(text) is
'A text that names raw tables by their systems, with the schemas that they are in.';

create table ops.schema_changes (
    change_number bigint not null generated always as identity primary key,
    version text not null,
    action text not null check (action in ('applied', 'reverted')),
    checksum text not null check (checksum ~ '^[0-9a-f]{64}$'),
    changed_at timestamptz not null default now(),
    changed_by text not null default session_user,
    execution_time_ms numeric not null check (execution_time_ms >= 0)
);

comment on table ops.schema_changes is
'The audit of the schemas: one row per file of bootstrap_sql that was applied or reverted. Kept by '
'`agentbooks bootstrap`; nobody else may write it.';
comment on column ops.schema_changes.change_number is 'Their order.';
comment on column ops.schema_changes.version is 'Name of the file without its ending.';
comment on column ops.schema_changes.action is 'Whether it was applied or reverted.';
comment on column ops.schema_changes.checksum is
'SHA-256 of the file as applied: an applied file that has changed since is an error.';
comment on column ops.schema_changes.changed_at is 'When its transaction began.';
comment on column ops.schema_changes.changed_by is 'Role that logged in to do it.';
comment on column ops.schema_changes.execution_time_ms is 'How long it took, its checks included.';

create view ops.schema_versions with (security_invoker = true) as
select
    latest.version,
    latest.checksum,
    latest.changed_at as applied_at,
    latest.changed_by as applied_by,
    latest.execution_time_ms
from (
    select distinct on (c.version) c.*
    from ops.schema_changes as c
    order by c.version asc, c.change_number desc
) as latest
where latest.action = 'applied';

comment on view ops.schema_versions is 'One row per file of bootstrap_sql that is applied now.';
comment on column ops.schema_versions.version is 'Name of the file without its ending.';
comment on column ops.schema_versions.checksum is 'SHA-256 of the file as applied.';
comment on column ops.schema_versions.applied_at is 'When its transaction began.';
comment on column ops.schema_versions.applied_by is 'Role that logged in to apply it.';
comment on column ops.schema_versions.execution_time_ms is 'How long it took, its checks included.';

create table ops.schema_objects (
    kind text not null,
    name text not null,
    definition text not null,
    version text not null,
    server_major int not null,
    primary key (kind, name)
);

comment on table ops.schema_objects is
'One row per table, column, index, view, function, policy, trigger and constraint that bootstrap_sql '
'has made: what `agentbooks bootstrap --verify` compares the database with. Without partitions.';
comment on column ops.schema_objects.kind is 'Such as table or policy.';
comment on column ops.schema_objects.name is
'With schema and, of a part of a table, the table; functions with their arguments.';
comment on column ops.schema_objects.definition is
'All of it that bootstrap_sql decides: types, rights and comments included.';
comment on column ops.schema_objects.version is 'File that made it; a later one may have altered it.';
comment on column ops.schema_objects.server_major is
'PostgreSQL version that spelt the definition; another spells it otherwise.';

grant usage on schema ops to
    agentbooks_loader, agentbooks_refresher, agentbooks_retention, service_role, authenticated;
grant select on ops.raw_schemas to
    agentbooks_loader, agentbooks_refresher, agentbooks_retention, service_role, authenticated;
grant select on ops.schema_changes, ops.schema_versions, ops.schema_objects to
    agentbooks_loader, agentbooks_refresher, agentbooks_retention;
