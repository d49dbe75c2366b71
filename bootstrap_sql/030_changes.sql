-- Every raw row carries the transaction that last wrote it: the refresh finds what changed by that
-- number alone, whatever clock the writer had. The column default stamps an insert, these stamp an
-- update. (A transition table on insert would cost a bulk load 30 to 80 %.)

set local role agentbooks_owner;

create function ops.stamp_change() returns trigger
language plpgsql
set search_path = pg_catalog, pg_temp
as $function$
begin
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
    new.change_id := pg_current_xact_id()::text::bigint;
    new.updated_at := clock_timestamp();
    return new;
end
$function$;

comment on function ops.stamp_change_and_update() is
'Trigger: before each update, sets change_id to the running transaction and updated_at to the time.';


-- Those find the rows that are there. A row that was deleted, or moved to another day or key, leaves
-- what it was counted under: triggers write that down, once per statement, and not on insert.

create table ops.changes (
    table_name text not null,
    keys jsonb check (jsonb_typeof(keys) = 'object'),
    change_id bigint not null default pg_current_xact_id()::text::bigint
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
    departed_from constant text := tg_table_schema || '.' || tg_table_name;
    keys constant text := tg_argv[0];
    child record;
begin
    case tg_op
        when 'DELETE' then
            execute format(
                'insert into ops.changes (table_name, keys) select $1, to_jsonb(o) '
                'from (select distinct %s from old_rows) as o', keys
            ) using departed_from;
            -- What hangs under them is deleted with them, also where it has left the database.
            if exists (select from ops.departed_keys) then
                for child in
                    select l.table_name, p.attname as parent_column
                    from pg_constraint as f
                    inner join pg_attribute as p on f.confrelid = p.attrelid and f.confkey[1] = p.attnum
                    inner join pg_attribute as c on f.conrelid = c.attrelid and f.conkey[1] = c.attnum
                    inner join ops.table_layouts as l
                        on to_regclass(l.table_name) = f.conrelid and l.distribution_column = c.attname
                    where f.contype = 'f' and f.confdeltype = 'c' and f.confrelid = tg_relid
                loop
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
                'from (select %1$s from old_rows except select %1$s from new_rows) as o', keys
            ) using departed_from;
        when 'TRUNCATE' then
            insert into ops.changes (table_name, keys) values (departed_from, null);
    end case;
    return null;
end
$function$;

comment on function ops.mark_departed_rows() is
'Trigger: writes the keys that deleted or updated rows have left into ops.changes.';

revoke all on function ops.mark_departed_rows() from public;

create function ops.capture_changes(captured regclass, keys text) returns void
language plpgsql
set search_path = pg_catalog, pg_temp
as $function$
declare
    table_schema text;
    table_name text;
    event record;
begin
    select n.nspname, c.relname
    into table_schema, table_name
    from pg_class as c
    join pg_namespace as n on n.oid = c.relnamespace
    where c.oid = captured;

    insert into ops.captured_tables (table_name, keys) values (table_schema || '.' || table_name, keys);

    for event in
        select *
        from (values
            ('update', 'referencing old table as old_rows new table as new_rows'),
            ('delete', 'referencing old table as old_rows'),
            ('truncate', '')
        ) as events (name, transition_tables)
    loop
        execute format(
            'create trigger %I after %s on %s %s for each statement '
            'execute function ops.mark_departed_rows(%L)',
            table_name || '_departed_by_' || event.name, event.name, captured,
            event.transition_tables, keys
        );
    end loop;
end
$function$;

comment on function ops.capture_changes(regclass, text) is
'Has the changes of a table followed, by the keys of this select list: see ops.captured_tables.';

revoke all on function ops.capture_changes(regclass, text) from public;
