-- Every raw row carries the transaction that last wrote it: the refresh finds what changed by that
-- number alone, whatever clock the writer had. The column default stamps an insert, these stamp an
-- update. (A transition table on insert would cost a bulk load 30 to 80 %.)

set local role agentbooks_owner;

-- What the lifecycle does with rows is no change of what they say. A setting announces it to the triggers,
-- which anybody could set, and a row that only the owner's functions can write proves it.
create table ops.lifecycle_transactions (
    transaction_id xid8 not null primary key
);

comment on table ops.lifecycle_transactions is
'The transactions in which rows are moved now: they mark no change. Empty in between.';
comment on column ops.lifecycle_transactions.transaction_id is 'The transaction.';

create function ops.is_lifecycle() returns boolean
language plpgsql
security definer
set search_path = pg_catalog, pg_temp
as $function$
begin
    return exists (
        select from ops.lifecycle_transactions as t
        where t.transaction_id = pg_current_xact_id_if_assigned()
    );
end
$function$;

comment on function ops.is_lifecycle() is
'Whether a function of the lifecycle is moving rows in this transaction.';

create function ops.set_lifecycle(is_on boolean) returns void
language plpgsql
set search_path = pg_catalog, pg_temp
as $function$
begin
    if is_on then
        insert into ops.lifecycle_transactions (transaction_id) values (pg_current_xact_id());
    else
        delete from ops.lifecycle_transactions where transaction_id = pg_current_xact_id();
    end if;
    perform set_config('agentbooks.is_lifecycle', case when is_on then 'on' else '' end, true);
end
$function$;

comment on function ops.set_lifecycle(boolean) is
'Called by functions of the lifecycle before and after they write: what they write in between keeps its '
'change_id and marks no change.';

revoke all on function ops.set_lifecycle(boolean) from public;

create function ops.stamp_change() returns trigger
language plpgsql
set search_path = pg_catalog, pg_temp
as $function$
begin
    if current_setting('agentbooks.is_lifecycle', true) = 'on' and ops.is_lifecycle() then
        return new;
    end if;
    new.change_id := pg_current_xact_id()::text::bigint;
    return new;
end
$function$;

comment on function ops.stamp_change() is
'Trigger: before each update, sets change_id to the running transaction.';

create function ops.stamp_change_and_update() returns trigger
language plpgsql
set search_path = pg_catalog, pg_temp
as $function$
begin
    if current_setting('agentbooks.is_lifecycle', true) = 'on' and ops.is_lifecycle() then
        return new;
    end if;
    new.change_id := pg_current_xact_id()::text::bigint;
    new.updated_at := clock_timestamp();
    return new;
end
$function$;

comment on function ops.stamp_change_and_update() is
'Trigger: before each update, sets change_id to the running transaction and updated_at to the time.';


-- An application that was there before its tables were adopted knows no version, and goes on.
create function ops.raise_version() returns trigger
language plpgsql
set search_path = pg_catalog, pg_temp
as $function$
begin
    new.version := old.version + 1;
    return new;
end
$function$;

comment on function ops.raise_version() is
'Trigger, on adopted tables: before an update that leaves version as it is, raises it by one, so that those '
'who go by it notice.';


-- Those find the rows that are there. A row that was deleted, or moved to another day or key, leaves
-- what it was counted under: triggers write that down, once per statement, and not on insert.

create table ops.changes (
    table_name text not null,
    keys jsonb check (jsonb_typeof(keys) = 'object'),
    change_id bigint not null default pg_current_xact_id()::text::bigint,
    is_recount boolean not null default false
);

create index idx_changes_change_id on ops.changes (change_id);

comment on table ops.changes is
'What models have to count again: one row per relation, transaction and set of keys. Triggers write '
'what rows have left, ops.collect_changes where rows have come or changed, and each refreshed '
'model what it replaced. Pruned once every model has seen it.';
comment on column ops.changes.table_name is 'Raw table, seed or model, with its schema.';
comment on column ops.changes.keys is
'Ids of the rows, as in ops.captured_tables, and their UTC day as "day". Null: anything in it may have '
'changed, and all that is computed from it is dirty.';
comment on column ops.changes.change_id is
'Transaction that wrote this row: a model has seen it if its snapshot saw that transaction.';
comment on column ops.changes.is_recount is
'Whether it only asks to count again, for a definition that has changed or because somebody wanted it: a '
'frozen day stands, and nothing has come late for it.';

grant select, insert, delete on ops.changes to agentbooks_refresher;

create table ops.captured_tables (
    table_name text not null primary key,
    keys text not null check (keys <> '')
);

comment on table ops.captured_tables is 'One row per raw table whose changes the refresh follows.';
comment on column ops.captured_tables.table_name is 'Raw table, with its schema.';
comment on column ops.captured_tables.keys is
'Select list over its columns: the ids and, as "day", the UTC day by which models count its rows.';

grant select on ops.captured_tables to agentbooks_refresher;

-- In its owner's name: a cascade runs it as whoever deletes, who need have no right on the table.
create function ops.mark_departed_rows() returns trigger
language plpgsql
security definer
set search_path = pg_catalog, pg_temp
as $function$
declare
    departed_from constant text := coalesce(tg_argv[1], tg_table_schema || '.' || tg_table_name);
    keys constant text := tg_argv[0];
    child record;
begin
    if current_setting('agentbooks.is_lifecycle', true) = 'on' and ops.is_lifecycle() then
        return null;
    end if;
    case tg_op
        when 'DELETE' then
            execute format(
                'insert into ops.changes (table_name, keys) select $1, to_jsonb(o) '
                'from (select distinct %s from old_rows) as o', keys
            ) using departed_from;
            -- What hangs under them is deleted with them, also where it has left the database.
            if exists (select from ops.departed_keys) then
                for child in
                    select
                        ops.relation_name(f.conrelid) as table_name,
                        p.attname as parent_column,
                        f.confdeltype = 'c' and exists (
                            select from ops.table_layouts as l
                            where to_regclass(l.table_name) = f.conrelid and l.distribution_column = c.attname
                        ) as is_key
                    from pg_constraint as f
                    inner join pg_attribute as p on f.confrelid = p.attrelid and f.confkey[1] = p.attnum
                    inner join pg_attribute as c on f.conrelid = c.attrelid and f.conkey[1] = c.attnum
                    where
                        f.contype = 'f' and f.conparentid = 0 and f.confdeltype in ('c', 'n')
                        and f.confrelid = to_regclass(departed_from)
                loop
                    execute format(
                        'insert into ops.changes (table_name, keys) '
                        'select distinct k.table_name, k.followed_by from old_rows as o '
                        'inner join ops.departed_keys as k on k.found_by @> array[o.%I::text] '
                        'where k.table_name = %L', child.parent_column, child.table_name
                    );
                    continue when not child.is_key;
                    execute format(
                        'update ops.departed_keys as k set is_orphaned = true from old_rows as o '
                        'where k.key = o.%I::text and k.table_name = %L', child.parent_column, child.table_name
                    );
                end loop;
            end if;
        when 'UPDATE' then
            -- Where a row of the same keys is left, its own change_id tells of the change.
            execute format(
                'insert into ops.changes (table_name, keys) select $1, to_jsonb(o) '
                'from (select %1$s from old_rows %2$s select %1$s from new_rows) as o', keys,
                -- Nobody looks for changes in an archive.
                case when tg_argv[1] is null then 'except' else 'union' end
            ) using departed_from;
        when 'TRUNCATE' then
            insert into ops.changes (table_name, keys) values (departed_from, null);
    end case;
    return null;
end
$function$;

comment on function ops.mark_departed_rows() is
'Trigger: writes the keys that deleted or updated rows have left into ops.changes. Its arguments are these '
'keys and, on an archive, the name of the raw table.';

revoke all on function ops.mark_departed_rows() from public;

create function ops.capture_changes(captured regclass, keys text) returns void
language plpgsql
set search_path = pg_catalog, pg_temp
as $function$
declare
    captured_name constant text := ops.relation_name(captured);
    event record;
begin
    insert into ops.captured_tables (table_name, keys) values (captured_name, keys);

    for event in
        select *
        from (values
            ('update', 'referencing old table as old_rows new table as new_rows'),
            ('delete', 'referencing old table as old_rows'),
            ('truncate', '')
        ) as events (name, transition_tables)
        cross join (values
            (captured, format('%L', keys)),
            (ops.archive_of(captured), format('%L, %L', keys, captured_name))
        ) as relations (relation, arguments)
        where relation is not null
    loop
        execute format(
            'create trigger %I after %s on %s %s for each statement '
            'execute function ops.mark_departed_rows(%s)',
            split_part(captured_name, '.', 2) || '_departed_by_' || event.name, event.name, event.relation,
            event.transition_tables, event.arguments
        );
    end loop;
end
$function$;

comment on function ops.capture_changes(regclass, text) is
'Has the changes of a table followed, by the keys of this select list: see ops.captured_tables.';

revoke all on function ops.capture_changes(regclass, text) from public;
