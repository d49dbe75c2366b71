-- Rows that are no longer at work leave their table, not the database: each table that grows with time
-- has a warm archive of the same columns, to which no application writes. What reads a table for its
-- history reads the view of it in schema history, so that a move changes nothing there.

set local role agentbooks_owner;

create schema archive;
comment on schema archive is
'Rows that retention has taken out of the raw tables and that are still here: a table for each, named '
'<schema>__<table>. Written by functions of ops alone.';

create schema history;
comment on schema history is
'A raw table and its archive as one: views named <schema>__<table>, of tables without an '
'archive too. What dbt '
'reads.';

grant usage on schema archive, history to
    agentbooks_loader, agentbooks_refresher, agentbooks_retention, service_role, authenticated;

create function ops.archive_of(hot regclass) returns regclass
language sql
stable
set search_path = pg_catalog, pg_temp
return to_regclass(format('archive.%I', ops.archive_name(hot)));

comment on function ops.archive_of(regclass) is 'Archive of a raw table; null if it has none.';

create view ops.archives with (security_invoker = true) as
select
    c.oid::regclass as archive,
    to_regclass(format('%I.%I', s.schema_name, substring(c.relname from '__(.*)'))) as hot
from pg_class as c
inner join ops.raw_schemas as s on s.system = split_part(c.relname, '__', 1)
where
    c.relnamespace = 'archive'::regnamespace
    and c.relkind in ('r', 'p')
    and not c.relispartition;

comment on view ops.archives is 'One row per archive, with the raw table that it is of.';
comment on column ops.archives.archive is 'The archive.';
comment on column ops.archives.hot is 'The raw table, to which applications write.';
grant select on ops.archives to agentbooks_refresher, agentbooks_retention;

-- A table that stays in one piece has an archive in one piece: rows are looked up there by their key.
-- Checks and defaults were of use when the rows were written.
create function ops.create_archive(hot regclass) returns void
language plpgsql
set search_path = pg_catalog, pg_temp
set client_min_messages = warning
as $function$
declare
    archive_name constant text := format('archive.%I', ops.archive_name(hot));
    wide_index regclass;
begin
    execute format(
        'create table %s (like %s including all '
        'excluding constraints excluding defaults excluding identity) %s',
        archive_name, hot,
        'partition by ' || (select pg_get_partkeydef(p.partrelid) from pg_partitioned_table as p where p.partrelid = hot)
    );
    execute format('alter table %s enable row level security', archive_name);
    execute format(
        'comment on table %s is %L', archive_name,
        format('Archived rows of %s, in the same columns.', ops.relation_name(hot))
    );

    -- What applications search by: where rows come one by one, they would cost more than the move.
    if not exists (select from pg_partitioned_table as p where p.partrelid = hot) then
        for wide_index in
            select i.indexrelid
            from pg_index as i
            join pg_class as c on i.indexrelid = c.oid
            join pg_am as a on c.relam = a.oid
            where i.indrelid = archive_name::regclass and a.amname not in ('btree', 'brin')
                and not i.indisexclusion
        loop
            execute format('drop index %s', wide_index);
        end loop;
    end if;
end
$function$;

comment on function ops.create_archive(regclass) is
'Makes the archive of a raw table. ops.sync_archives gives it rights, policies, keys and its view.';

-- What is as it should be is left alone: a right that is given again locks the archive all the same.
create function ops.sync_archive_rights() returns void
language plpgsql
security definer
set search_path = pg_catalog, pg_temp
as $function$
declare
    part record;
    policy_sql text;
begin
    -- Reading is as in the raw table; writing is nobody's.
    for part in
        with places as (
            select c.oid as hot, p.place
            from pg_class as c
            join pg_namespace as n on c.relnamespace = n.oid
            cross join unnest(
                array[ops.archive_of(c.oid), to_regclass(format('history.%I', ops.archive_name(c.oid)))]
            ) as p (place)
            where n.nspname in (select s.schema_name from ops.raw_schemas as s)
                and c.relowner = 'agentbooks_owner'::regrole and c.relkind in ('r', 'p') and not c.relispartition
                and p.place is not null
        ),

        wanted as (
            select distinct p.place, r.grantee
            from places as p
            join pg_class as c on p.hot = c.oid
            cross join aclexplode(c.relacl) as r
            where r.privilege_type = 'SELECT' and r.grantee <> c.relowner
        ),

        granted as (
            select p.place, r.grantee, bool_and(r.privilege_type = 'SELECT') as is_reader
            from places as p
            join pg_class as c on p.place = c.oid
            cross join aclexplode(c.relacl) as r
            where r.grantee <> c.relowner
            group by p.place, r.grantee
        )

        select
            place,
            coalesce((select quote_ident(o.rolname) from pg_roles as o where o.oid = grantee), 'public') as grantee,
            g.is_reader is not null as is_granted,
            w.grantee is not null as is_wanted
        from wanted as w
        full join granted as g using (place, grantee)
        where w.grantee is null or g.is_reader is not true
    loop
        if part.is_granted then
            execute format('revoke all on %s from %s', part.place, part.grantee);
        end if;
        if part.is_wanted then
            execute format('grant select on %s to %s', part.place, part.grantee);
        end if;
    end loop;

    for part in
        select a.archive, k.polname
        from ops.archives as a
        join pg_policy as k on a.archive = k.polrelid
        where not exists (
            select from pg_policy as h
            where h.polrelid = a.hot and h.polname = k.polname and h.polcmd in ('r', '*')
        )
    loop
        execute format('drop policy %I on %s', part.polname, part.archive);
    end loop;

    -- A policy that looks at another table must find there what has been archived as well.
    for part in
        select
            h.*,
            a.archive,
            c.relname as hot_name,
            ops.archive_name(a.hot) as name,
            pg_get_expr(k.polqual, k.polrelid) as kept_sql,
            k.polpermissive = h.polpermissive and k.polroles = h.polroles as is_for_the_same
        from ops.archives as a
        join pg_class as c on a.hot = c.oid
        join pg_policy as h on a.hot = h.polrelid and h.polcmd in ('r', '*')
        left join pg_policy as k on a.archive = k.polrelid and h.polname = k.polname
    loop
        policy_sql := replace(pg_get_expr(part.polqual, part.polrelid), part.hot_name || '.', part.name || '.');
        select coalesce(
            string_agg(replace(policy_sql, ' ' || o.hot || ' ', format(' history.%I ', ops.archive_name(o.hot))), ''),
            policy_sql
        )
        into policy_sql
        from (
            select p.hot from ops.archives as p where policy_sql like '% ' || p.hot || ' %' limit 1
        ) as o;
        continue when part.is_for_the_same and part.kept_sql = policy_sql;
        execute format('drop policy if exists %I on %s', part.polname, part.archive);
        execute format(
            'create policy %I on %s as %s for select to %s using (%s)', part.polname, part.archive,
            case when part.polpermissive then 'permissive' else 'restrictive' end,
            (
                select coalesce(string_agg(quote_ident(r.rolname), ', ' order by array_position(part.polroles, r.oid)), 'public')
                from pg_roles as r
                where r.oid = any(part.polroles)
            ),
            policy_sql
        );
    end loop;
end
$function$;

comment on function ops.sync_archive_rights() is
'Lets archives and the views of history be read by those who may read the raw table, by its policies, and by '
'nobody else. Called by ops.sync_archives, by each bootstrap and by each run of retention.';

create function ops.sync_archives() returns void
language plpgsql
security definer
set search_path = pg_catalog, pg_temp
set client_min_messages = warning
as $function$
declare
    paired record;
    part record;
    column_names text;
begin
    for paired in
        select p.*, ops.archive_name(p.hot) as name from ops.archives as p order by p.hot::text
    loop
        for part in
            select
                h.attname as name,
                format_type(h.atttypid, h.atttypmod) as type,
                format_type(k.atttypid, k.atttypmod) as kept_type,
                h.attgenerated <> '' as is_generated,
                h.attnotnull as is_required,
                pg_get_expr(d.adbin, d.adrelid) as expression,
                h.attname is null as is_gone,
                k.attname as kept_name
            from (
                select * from pg_attribute as a
                where a.attrelid = paired.hot and a.attnum > 0 and not a.attisdropped
            ) as h
            full join (
                select * from pg_attribute as a
                where a.attrelid = paired.archive and a.attnum > 0 and not a.attisdropped
            ) as k on h.attname = k.attname
            left join pg_attrdef as d on h.attrelid = d.adrelid and h.attnum = d.adnum
            order by h.attnum
        loop
            if part.is_gone or part.kept_type <> part.type then
                raise exception 'sync_archives: column % of % is another in %; alter the archive as well',
                    coalesce(part.name, part.kept_name), paired.hot, paired.archive
                    using errcode = 'datatype_mismatch';
            end if;
            if part.kept_name is null then
                -- With its default, as what the rows of the hot table have got; without it later.
                execute format(
                    'alter table %s add column %I %s %s %s', paired.archive, part.name, part.type,
                    case
                        when part.is_generated then format('generated always as (%s) stored', part.expression)
                        when part.expression is not null then 'default ' || part.expression
                    end,
                    case when part.is_required then 'not null' end
                );
                if not part.is_generated then
                    execute format('alter table %s alter column %I drop default', paired.archive, part.name);
                end if;
            end if;
        end loop;
        for part in
            select a.attname as name, col_description(paired.hot, a.attnum) as words
            from pg_attribute as a
            where a.attrelid = paired.hot and a.attnum > 0 and not a.attisdropped
        loop
            execute format('comment on column %s.%I is %L', paired.archive, part.name, part.words);
        end loop;

        -- What has come to be searched by is searched by in the archive. A check binds rows when they are
        -- written: it is asked of archived ones once they come back.
        for part in
            select w.words
            from pg_index as i
            join pg_class as c on i.indexrelid = c.oid
            join pg_am as a on c.relam = a.oid
            join pg_class as h on i.indrelid = h.oid
            cross join lateral (
                select regexp_replace(pg_get_indexdef(i.indexrelid), '^.*? USING ', '') as words
            ) as w
            where i.indrelid = paired.hot and not i.indisexclusion
                and (h.relkind = 'p' or a.amname in ('btree', 'brin'))
                and not exists (
                    select from pg_index as k
                    where k.indrelid = paired.archive
                        and regexp_replace(pg_get_indexdef(k.indexrelid), '^.*? USING ', '') = w.words
                )
            order by c.relname
        loop
            execute format('create index on %s using %s', paired.archive, part.words);
        end loop;
    end loop;

    for paired in
        select
            c.oid::regclass as hot,
            ops.relation_name(c.oid) as hot_name,
            ops.archive_of(c.oid) as archive,
            ops.archive_name(c.oid) as name
        from pg_class as c
        join pg_namespace as n on c.relnamespace = n.oid
        where n.nspname in (select s.schema_name from ops.raw_schemas as s)
            and c.relowner = 'agentbooks_owner'::regrole and c.relkind in ('r', 'p') and not c.relispartition
    loop
        select string_agg(quote_ident(a.attname), ', ' order by a.attnum) into column_names
        from pg_attribute as a
        where a.attrelid = coalesce(paired.archive, paired.hot) and a.attnum > 0 and not a.attisdropped;
        execute format(
            'create or replace view history.%I with (security_invoker = true) as select %s from %s',
            paired.name, column_names, paired.hot
        ) || case
            when paired.archive is null then ''
            else format(' union all select %s from %s', column_names, paired.archive)
        end;
        execute format(
            'comment on view history.%I is %L', paired.name,
            format('Rows of %s, with those in its archive, if it has one.', paired.hot_name)
        );
        for part in
            select a.attname as name, col_description(paired.hot, a.attnum) as words
            from pg_attribute as a
            where a.attrelid = paired.hot and a.attnum > 0 and not a.attisdropped
        loop
            execute format('comment on column history.%I.%I is %L', paired.name, part.name, part.words);
        end loop;
    end loop;

    for paired in select * from ops.archives loop
        -- A key to a table whose rows are archived themselves would take the archive with them.
        for part in
            select k.conname as name, pg_get_constraintdef(k.oid) as definition
            from pg_constraint as k
            where k.conrelid = paired.hot and k.contype = 'f' and k.conparentid = 0
                and ops.archive_of(k.confrelid) is null
                and not exists (
                    select from pg_constraint as a
                    where a.conrelid = paired.archive and a.conname = k.conname
                )
        loop
            execute format('alter table %s add constraint %I %s', paired.archive, part.name, part.definition);
        end loop;
    end loop;

    perform ops.sync_archive_rights();
end
$function$;

comment on function ops.sync_archives() is
'Gives each archive what its raw table has got since: columns, indexes, comments, keys, policies and '
'rights to read; these it takes back as well. The bootstrap calls it after each of its files.';

revoke all on function ops.create_archive(regclass) from public;
revoke all on function ops.sync_archives() from public;
revoke all on function ops.sync_archive_rights() from public;
grant execute on function ops.sync_archive_rights() to agentbooks_retention;

select ops.create_archive(t.hot::regclass)
from (values
    ('raaf.raaf_tracing_traces'),
    ('raaf.raaf_tracing_spans'),
    ('observability.traces'),
    ('observability.spans'),
    ('observability.cost_records'),
    ('observability.usage_logs'),
    ('traceability.execution_traces'),
    ('traceability.agent_routing_decisions'),
    ('traceability.hook_executions'),
    ('traceability.endpoint_calls'),
    ('traceability.pattern_usage_log'),
    ('chat.conversation_sessions'),
    ('chat.chat_messages'),
    ('chat.chat_messages_v2'),
    ('chat.message_versions'),
    ('chat.agent_memories'),
    ('chat.memory_consolidations'),
    ('chat.agent_states'),
    ('chat.state_checkpoints'),
    ('chat.state_transitions'),
    ('chat.context_snapshots'),
    ('agentic.agent_sessions'),
    ('agentic.agent_decisions'),
    ('agentic.conversation_history'),
    ('agentic.trust_metrics')
) as t (hot);

-- By what the rows of a table in one piece leave: as seed retention_policies says it of the longest term.
insert into ops.month_clocks (table_name, clock)
values
    ('raaf.raaf_tracing_traces', 'created_at'),
    ('observability.traces', 'started_at'),
    ('observability.cost_records', 'created_at'),
    ('observability.usage_logs', 'created_at'),
    ('traceability.execution_traces', 'started_at'),
    ('traceability.agent_routing_decisions', 'created_at'),
    ('chat.conversation_sessions', 'last_active'),
    ('chat.chat_messages', 'created_at'),
    ('chat.message_versions', 'created_at'),
    ('chat.agent_memories', 'expires_at'),
    ('chat.memory_consolidations', 'created_at'),
    ('chat.agent_states', 'valid_until'),
    ('chat.state_checkpoints', 'created_at'),
    ('chat.state_transitions', 'created_at'),
    ('chat.context_snapshots', 'created_at'),
    ('agentic.agent_sessions', 'started_at'),
    ('agentic.trust_metrics', 'recorded_at');

-- Rows come to an archive in about the order of their time.
do $block$
declare
    clocked record;
begin
    for clocked in
        select ops.archive_of(c.table_name::regclass) as archive, c.clock
        from ops.month_clocks as c
    loop
        execute format('create index on %s using brin (%I)', clocked.archive, clocked.clock);
    end loop;
end
$block$;

select ops.sync_archives();
