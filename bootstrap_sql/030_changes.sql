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
-- what it was counted under: these write that down. Once per statement, and not on insert.

create table ops.departed_rows (
    table_name text not null,
    keys jsonb check (jsonb_typeof(keys) = 'object'),
    change_id bigint not null default pg_current_xact_id()::text::bigint
);

create index idx_departed_rows_change_id on ops.departed_rows (change_id);

comment on table ops.departed_rows is
'One row per table, transaction and set of keys that rows were deleted from, or updated away from. '
'Each refresh dirties what they were counted under.';
comment on column ops.departed_rows.table_name is 'Raw table, with its schema.';
comment on column ops.departed_rows.keys is
'What ops.capture_departures was told to keep of the rows as they were: ids, and their UTC day as '
'"day". Null: the table was truncated, and all that was computed from it is dirty.';
comment on column ops.departed_rows.change_id is 'Transaction in which they left.';

grant select, delete on ops.departed_rows to agentbooks_refresher;

-- In its owner's name: a cascade runs it as whoever deletes, who need have no right on the table.
create function ops.mark_departed_rows() returns trigger
language plpgsql
security definer
set search_path = pg_catalog, pg_temp
as $function$
declare
    departed_from constant text := tg_table_schema || '.' || tg_table_name;
    keys constant text := tg_argv[0];
begin
    case tg_op
        when 'DELETE' then
            execute format(
                'insert into ops.departed_rows (table_name, keys) '
                'select distinct $1, to_jsonb(o) from (select %s from old_rows) as o', keys
            ) using departed_from;
        when 'UPDATE' then
            -- Where a row of the same keys is left, its own change_id tells of the change.
            execute format(
                'insert into ops.departed_rows (table_name, keys) select $1, to_jsonb(o) '
                'from (select %1$s from old_rows except select %1$s from new_rows) as o', keys
            ) using departed_from;
        when 'TRUNCATE' then
            insert into ops.departed_rows (table_name, keys) values (departed_from, null);
    end case;
    return null;
end
$function$;

comment on function ops.mark_departed_rows() is
'Trigger: writes the keys that deleted or updated rows have left into ops.departed_rows.';

revoke all on function ops.mark_departed_rows() from public;

create function ops.capture_departures(captured regclass, keys text) returns void
language plpgsql
set search_path = pg_catalog, pg_temp
as $function$
declare
    table_name constant text := (select c.relname from pg_class as c where c.oid = captured);
    event record;
begin
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

comment on function ops.capture_departures(regclass, text) is
'Has ops.departed_rows filled for a table. keys is a select list over its columns: the ids and, as '
'"day", the UTC day by which models count its rows.';

revoke all on function ops.capture_departures(regclass, text) from public;
