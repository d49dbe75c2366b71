-- Moves between a raw table and its archive. A month moves as a partition, by the catalog alone; of a
-- table in one piece rows move, in batches. Either way a row is in one of the two, keeps its
-- change_id, and is no change: what was not counted before is marked as it goes, as nobody looks for
-- changes in an archive.

set local role agentbooks_owner;

create function ops.take_lifecycle_lock() returns void
language sql
volatile
set search_path = pg_catalog, pg_temp
begin atomic
    select pg_advisory_xact_lock(hashtextextended('ops.lifecycle', 0));
end;

comment on function ops.take_lifecycle_lock() is
'Waits for the refreshes that run, and keeps others waiting to the end of the transaction. A refresh takes '
'the same advisory lock, hashtextextended(''ops.lifecycle'', 0), shared.';

revoke all on function ops.take_lifecycle_lock() from public;

create function ops.columns_of(relation regclass) returns text
language sql
stable
set search_path = pg_catalog, pg_temp
return (
    select string_agg(quote_ident(a.attname), ', ' order by a.attnum)
    from pg_attribute as a
    where a.attrelid = relation and a.attnum > 0 and not a.attisdropped and a.attgenerated = ''
);

comment on function ops.columns_of(regclass) is 'Columns that a row is written with, as a list in SQL.';

create function ops.unseen_rows() returns text
language sql
stable
set search_path = pg_catalog, pg_temp
return (
    select format(
        '%s and change_id < %s',
        ops.unseen_transactions(c.seen, 'change_id'), pg_snapshot_xmax(pg_current_snapshot())
    )
    from ops.collections as c
);

comment on function ops.unseen_rows() is
'Condition for the rows that ops.collect_changes has not seen, as SQL; null before its first call, which '
'marks all there is.';

-- What others lean on stays until they have gone: a key would take them along, or empty their column.
create function ops.nothing_leans_on(hot regclass) returns text
language sql
stable
set search_path = pg_catalog, pg_temp
return (
    select
        coalesce(string_agg(
            format('(select true from %s as child where %s limit 1) is null', l.child, l.joined),
            ' and ' order by l.child
        ), 'true')
    from (
        select
            k.conrelid::regclass::text as child,
            string_agg(format('child.%I = h.%I', c.attname, p.attname), ' and ' order by n.place) as joined
        from pg_constraint as k
        cross join unnest(k.conkey, k.confkey) with ordinality as n (child_column, parent_column, place)
        join pg_attribute as c on c.attrelid = k.conrelid and c.attnum = n.child_column
        join pg_attribute as p on p.attrelid = k.confrelid and p.attnum = n.parent_column
        where k.confrelid = hot and k.contype = 'f' and k.conparentid = 0
        group by k.oid, k.conrelid
    ) as l
);

comment on function ops.nothing_leans_on(regclass) is
'Condition on rows h of a table, as SQL: no row of another table has a key to them.';

create function ops.refuse_archived_rows(hot regclass, is_any boolean default false) returns bigint
language plpgsql
security definer
set search_path = pg_catalog, pg_temp
set timezone = 'UTC'
as $function$
declare
    archive constant regclass := ops.archive_of(hot);
    hot_name constant text := ops.relation_name(hot);
    is_unseen constant text := coalesce((
        select ops.unseen_rows() from ops.collections as c where not is_any and c.server = ops.server_identity()
    ), 'true');
    keys constant text := (select c.keys from ops.captured_tables as c where c.table_name = hot_name);
    is_same text;
    assignments text;
    part regclass;
    is_there_any boolean;
    places tid[];
    gone bigint;
    refused bigint := 0;
begin
    if archive is null then
        return 0;
    end if;
    select
        string_agg(format('h.%1$I = a.%1$I', c.attname), ' and ') filter (where c.attnum = any(i.indkey)),
        string_agg(format('%1$I = a.%1$I', c.attname), ', ') filter (
            where c.attgenerated = '' and c.attnum <> all(i.indkey)
        )
    into is_same, assignments
    from pg_attribute as c
    join pg_index as i on c.attrelid = i.indrelid and i.indisprimary
    where c.attrelid = hot and c.attnum > 0 and not c.attisdropped;

    -- A key of a table in months has its month: only what came for an archived one need be looked at.
    for part in
        select hot
        where not exists (select from pg_partitioned_table as p where p.partrelid = hot)
        union all
        select nullif(p.partdefid, 0)::regclass from pg_partitioned_table as p where p.partrelid = hot
        union all
        select c.oid::regclass
        from pg_inherits as i
        join pg_class as c on i.inhrelid = c.oid
        where i.inhparent = hot and exists (
            select from pg_inherits as k
            join pg_class as o on k.inhrelid = o.oid
            where k.inhparent = archive
                and pg_get_expr(o.relpartbound, o.oid) = pg_get_expr(c.relpartbound, c.oid)
        )
    loop
        continue when part is null;
        -- Asked first, as nearly always there is none, and the months of the archive take long to plan.
        execute format('select exists (select from %s where %s)', part, is_unseen) into is_there_any;
        continue when not is_there_any;
        execute format(
            'select array(select h.ctid from %s as h where %s and exists (select from %s as a where %s) for update)',
            part, is_unseen, archive, is_same
        ) into places;
        continue when places = '{}';
        refused := refused + cardinality(places);

        execute format(
            'insert into ops.rejected_records '
            '(record_sha256, source_file, source_line, reason, record_head, record_bytes) '
            'select sha256(d.record), %L, 1, ''a row of this key was archived before it came'', '
            'substring(d.record for 65536), octet_length(d.record) '
            'from (select convert_to(to_jsonb(h)::text, ''UTF8'') as record from %s as h where h.ctid = any($1)) as d '
            'on conflict do nothing', 'written to ' || hot_name, part
        ) using places;
        -- A refresh that ran as it came may have counted it.
        if keys is not null then
            execute format(
                'insert into ops.changes (table_name, keys) '
                'select %L, to_jsonb(k) from (select distinct %s from %s as h where h.ctid = any($1)) as k',
                hot_name, keys, part
            ) using places;
        end if;
        perform ops.set_lifecycle(true);
        execute format('delete from %s as h where h.ctid = any($1) and %s', part, ops.nothing_leans_on(hot))
        using places;
        get diagnostics gone = row_count;
        -- Others may lean on the later one: it becomes the one that was archived.
        if gone < cardinality(places) then
            execute format('alter table %s disable trigger user', part);
            execute format(
                'with back as (delete from %1$s as a using %2$s as h where h.ctid = any($1) and %3$s returning a.*) '
                'update %2$s as h set %4$s from back as a where %3$s',
                archive, part, is_same, assignments
            ) using places;
            execute format('alter table %s enable trigger user', part);
        end if;
        perform ops.set_lifecycle(false);
    end loop;
    return refused;
end
$function$;

comment on function ops.refuse_archived_rows(regclass, boolean) is
'Takes rows out of a raw table that came although a row of their key was archived: ops.rejected_records '
'keeps them, the archived row stands. Looks at what ops.collect_changes has not seen, or at any; returns '
'how many.';

revoke all on function ops.refuse_archived_rows(regclass, boolean) from public;
grant execute on function ops.refuse_archived_rows(regclass, boolean) to agentbooks_refresher;

create function ops.move_month(hot regclass, month date, is_back boolean) returns bigint
language plpgsql
set search_path = pg_catalog, pg_temp
set timezone = 'UTC'
as $function$
declare
    attempts constant int := 40;
    patience constant int := 60; -- ms
    callers_patience constant text := current_setting('lock_timeout');
    given_up_at timestamptz;
    archive constant regclass := ops.archive_of(hot);
    hot_schema constant text := (select c.relnamespace::regnamespace from pg_class as c where c.oid = hot);
    hot_name constant text := hot_schema || '.' || quote_ident(ops.month_partition_name(hot, month));
    kept_name constant text := 'archive.' || quote_ident(ops.month_partition_name(archive, month));
    bounds constant text := format(
        'from (%L) to (%L)', month::timestamptz, (month + interval '1 month')::timestamptz
    );
    default_partition regclass;
    hot_part regclass;
    kept_part regclass;
    parted record;
    column_names text;
    keys text;
    moved bigint;
begin
    select nullif(p.partdefid, 0) into default_partition
    from pg_partitioned_table as p
    where p.partrelid = hot;
    if archive is null or not found then
        raise exception 'archive_month: % has no months to archive; only partitioned tables of ops.archives do',
            hot
            using errcode = 'wrong_object_type';
    end if;
    if (month = date_trunc('month', month)::date and month < date_trunc('month', now())::date) is not true then
        raise exception 'archive_month: % of % is not the first day of a month that is over', month, hot
            using errcode = 'invalid_parameter_value';
    end if;

    perform ops.take_lifecycle_lock();
    hot_part := to_regclass(hot_name);
    kept_part := to_regclass(kept_name);
    if (case when is_back then kept_part else hot_part end) is null then
        return null;
    end if;

    -- Whoever waits for a lock keeps all behind it waiting, and those who want one that it has: so not for long,
    -- but again and again.
    for attempt in 1..attempts loop
        begin
            given_up_at := clock_timestamp() + patience * interval '1 ms';
            for parted in
                select r.relation
                from unnest(array[hot, archive, hot_part, kept_part, default_partition]) as r (relation)
                where r.relation is not null
                union all
                select distinct k.confrelid::regclass
                from pg_constraint as k
                where k.conrelid = hot and k.contype = 'f'
            loop
                perform set_config(
                    'lock_timeout',
                    greatest(ceil(1000 * extract(epoch from given_up_at - clock_timestamp())), 1)::text, true
                );
                execute format('lock table only %s in access exclusive mode', parted.relation);
            end loop;
            perform set_config('lock_timeout', patience::text, true);
            exit;
        exception
            when lock_not_available or deadlock_detected then
                if attempt = attempts then
                    raise exception 'archive_month: % of % is in use; try again later', month, hot
                        using errcode = 'lock_not_available';
                end if;
        end;
        perform pg_sleep(0.05 + random() * 0.1);
    end loop;

    if kept_part is not null then
        perform ops.refuse_archived_rows(hot, true);
    end if;
    select c.keys into keys from ops.captured_tables as c where c.table_name = ops.relation_name(hot);
    if not is_back and keys is not null and ops.unseen_rows() is not null then
        execute format(
            'insert into ops.changes (table_name, keys) '
            'select %L, to_jsonb(k) from (select distinct %s from %s where %s) as k',
            ops.relation_name(hot), keys, hot_part, ops.unseen_rows()
        );
    end if;

    perform ops.set_lifecycle(true);
    column_names := ops.columns_of(hot);
    if hot_part is not null then
        execute format('alter table %s detach partition %s', hot, hot_part);
        for parted in
            select k.conname as foreign_key
            from pg_constraint as k
            where k.conrelid = hot_part and k.contype = 'f' and ops.archive_of(k.confrelid) is not null
        loop
            execute format('alter table %s drop constraint %I', hot_part, parted.foreign_key);
        end loop;
    end if;
    if kept_part is not null and hot_part is not null then
        -- Rows that came for a month after it was archived.
        execute format('insert into %s (%s) select %2$s from %s', kept_part, column_names, hot_part);
        execute format('drop table %s', hot_part);
        hot_part := null;
    end if;

    if is_back then
        execute format('alter table %s detach partition %s', archive, kept_part);
        -- Of the table, since the month left it.
        for parted in
            select k.conname as name, pg_get_constraintdef(k.oid) as definition
            from pg_constraint as k
            where k.conrelid = hot and k.contype = 'c'
                and not exists (
                    select from pg_constraint as o where o.conrelid = kept_part and o.conname = k.conname
                )
        loop
            execute format('alter table %s add constraint %I %s', kept_part, parted.name, parted.definition);
        end loop;
        execute format('alter table %s set schema %s', kept_part, hot_schema);
        execute format('alter table %s rename to %I', kept_part, ops.month_partition_name(hot, month));
        if default_partition is not null then
            execute format(
                'with moved as (delete from %1$s where %2$s returning *) '
                'insert into %3$s (%4$s) select %4$s from moved',
                default_partition,
                (
                    select format('%1$I >= %2$L and %1$I < %3$L', a.attname, month::timestamptz,
                        (month + interval '1 month')::timestamptz)
                    from pg_partitioned_table as p
                    join pg_attribute as a on a.attrelid = hot and a.attnum = p.partattrs[0]
                    where p.partrelid = hot
                ),
                kept_part, column_names
            );
        end if;
        execute format('alter table %s attach partition %s for values %s', hot, kept_part, bounds);
    elsif kept_part is null then
        execute format('alter table %s set schema archive', hot_part);
        execute format('alter table %s rename to %I', hot_part, ops.month_partition_name(archive, month));
        execute format('alter table %s attach partition %s for values %s', archive, hot_part, bounds);
    end if;
    perform ops.set_lifecycle(false);
    perform set_config('lock_timeout', callers_patience, true);

    select greatest(c.reltuples, 0)::bigint into moved from pg_class as c where c.oid = coalesce(hot_part, kept_part);
    return moved;
exception
    when unique_violation then
        raise exception 'archive_month: % of % has a row that is archived already: %; delete one of the two',
            month, hot, sqlerrm
            using errcode = 'unique_violation';
    when foreign_key_violation then
        raise exception 'unarchive_month: % of % belongs to rows that are archived themselves (%); bring those '
            'back first', month, hot, sqlerrm
            using errcode = 'foreign_key_violation';
    when check_violation then
        raise exception 'unarchive_month: % of % has rows that a later check refuses: %', month, hot, sqlerrm
            using errcode = 'check_violation';
end
$function$;

comment on function ops.move_month(regclass, date, boolean) is
'Moves a month between a partitioned table and its archive; see ops.archive_month and ops.unarchive_month.';

create function ops.archive_month(hot regclass, month date) returns bigint
language sql
volatile
security definer
set search_path = pg_catalog, pg_temp
as $function$ select ops.move_month(hot, month, false) $function$;

comment on function ops.archive_month(regclass, date) is
'Moves a month of a partitioned table into its archive by detach and attach; returns about how many rows it '
'has now, null if there was nothing to move. Rows that came later for an archived month join it.';

create function ops.unarchive_month(hot regclass, month date) returns bigint
language sql
volatile
security definer
set search_path = pg_catalog, pg_temp
as $function$ select ops.move_month(hot, month, true) $function$;

comment on function ops.unarchive_month(regclass, date) is
'Moves an archived month back; returns about how many rows it has, null if it is not in the archive. Rows '
'that it refers to, such as the traces of spans, must be back before.';

revoke all on function ops.move_month(regclass, date, boolean) from public;
revoke all on function ops.archive_month(regclass, date) from public;
revoke all on function ops.unarchive_month(regclass, date) from public;
grant execute on function ops.archive_month(regclass, date) to agentbooks_retention;
grant execute on function ops.unarchive_month(regclass, date) to agentbooks_retention;

-- Which rows are due is said by names and values alone, never by SQL: it comes from a table that
-- people fill.
create function ops.is_due(hot regclass, due jsonb) returns text
language plpgsql
stable
set search_path = pg_catalog, pg_temp
as $function$
declare
    named text;
    is_due text;
begin
    for named in
        select due ->> k from unnest(array['clock', 'state_column', 'together_by']) as k where due ? k
        union all
        select 'tenant_id' where due ? 'tenants' or due ? 'other_tenants'
    loop
        perform from pg_attribute as a where a.attrelid = hot and a.attname = named and a.attnum > 0;
        if not found then
            raise exception 'is_due: % has no column %', hot, named using errcode = 'undefined_column';
        end if;
    end loop;
    if due ->> 'clock' is null or due ->> 'before' is null then
        raise exception 'is_due: a clock and a moment are needed for %', hot
            using errcode = 'invalid_parameter_value';
    end if;

    is_due := format('%I < %L', due ->> 'clock', (due ->> 'before')::timestamptz);
    if due ? 'from' then
        is_due := is_due || format(' and %I >= %L', due ->> 'clock', (due ->> 'from')::timestamptz);
    end if;
    if due ? 'other_states' then
        is_due := is_due || format(
            ' and (%I = any(%L)) is not true', due ->> 'state_column',
            array(select jsonb_array_elements_text(due -> 'other_states'))::text
        );
    elsif due ? 'state_column' then
        is_due := is_due || format(
            ' and %I = any(%L)', due ->> 'state_column',
            array(select jsonb_array_elements_text(due -> 'states'))::text
        );
    end if;
    if due ? 'tenants' then
        is_due := is_due || format(
            ' and tenant_id = any(%L)', array(select jsonb_array_elements_text(due -> 'tenants'))::text
        );
    end if;
    if due ? 'other_tenants' then
        is_due := is_due || format(
            ' and tenant_id <> all(%L)', array(select jsonb_array_elements_text(due -> 'other_tenants'))::text
        );
    end if;
    return is_due;
end
$function$;

comment on function ops.is_due(regclass, jsonb) is
'Condition on rows of a table, as SQL. due has clock (a column) and before (a moment) and may '
'have from (a moment), state_column '
'and states or other_states, tenants or other_tenants, and together_by (for ops.due_rows).';

create function ops.due_rows(hot regclass, due jsonb) returns text
language plpgsql
stable
set search_path = pg_catalog, pg_temp
as $function$
declare
    is_due constant text := ops.is_due(hot, due);
    conditions text[] := array[is_due];
begin
    -- Looked up row by row: a batch is small, what it is compared with is not. A tree goes whole or stays.
    if due ? 'together_by' then
        conditions := conditions || format(
            '(select true from %1$s as kin where kin.%2$I = h.%2$I and (%3$s) is not true limit 1) is null',
            hot, due ->> 'together_by', is_due
        );
    end if;

    return array_to_string(conditions || ops.nothing_leans_on(hot), ' and ');
end
$function$;

comment on function ops.due_rows(regclass, jsonb) is
'Condition on rows h of a table, as SQL: they are due, all rows with the same value of '
'together_by as well, and '
'nothing leans on them.';

create function ops.move_rows(hot regclass, due jsonb, batch int, is_back boolean) returns bigint
language plpgsql
set search_path = pg_catalog, pg_temp
set timezone = 'UTC'
as $function$
declare
    archive constant regclass := ops.archive_of(hot);
    called constant text := case when is_back then 'unarchive_rows' else 'archive_rows' end;
    unseen constant text := case when not is_back then ops.unseen_rows() end;
    source regclass := hot;
    destination regclass := archive;
    keys text;
    places tid[];
    moved bigint;
begin
    if archive is null or exists (select from pg_partitioned_table as p where p.partrelid = hot) then
        raise exception '%: % has no archive that rows move to and from; tables in one piece of ops.archives do',
            called, hot
            using errcode = 'wrong_object_type';
    end if;
    if batch is null or batch not between 1 and 100000 then
        raise exception '%: batch is %, it must be from 1 to 100000', called, coalesce(batch::text, 'null')
            using errcode = 'invalid_parameter_value';
    end if;
    if is_back then
        source := archive;
        destination := hot;
    end if;

    perform ops.take_lifecycle_lock();
    select c.keys into keys from ops.captured_tables as c where c.table_name = ops.relation_name(hot);
    for attempt in 1..2 loop
        begin
            perform ops.set_lifecycle(true);
            -- In no order: for the oldest, each batch would look at all that are due.
            execute format(
                'select array(select h.ctid from %s as h where %s limit %s for update skip locked)',
                source, ops.due_rows(source, due), batch
            ) into places;
            -- Asked again: a row that came to lean on one of them before it was locked would go with it by its key.
            execute format(
                'with moved as (delete from %1$s as h where h.ctid = any($1) and %2$s returning h.*), '
                'kept as (insert into %3$s (%4$s) overriding system value select %4$s from moved), '
                'marked as (insert into ops.changes (table_name, keys) '
                'select %5$L, to_jsonb(k) from (select distinct %6$s from moved where %7$s) as k) '
                'select count(*) from moved',
                source, ops.due_rows(source, due), destination, ops.columns_of(hot),
                ops.relation_name(hot), coalesce(keys, 'null as day'),
                case when keys is null or unseen is null then 'false' else unseen end
            ) into moved using places;
            perform ops.set_lifecycle(false);
            return moved;
        exception
            when unique_violation then
                if attempt = 2 then
                    raise exception '%: a row of % is in the archive and in the table: %; delete one of the two',
                        called, hot, sqlerrm
                        using errcode = 'unique_violation';
                end if;
                perform ops.refuse_archived_rows(hot, true);
        end;
    end loop;
end
$function$;

comment on function ops.move_rows(regclass, jsonb, int, boolean) is
'Moves rows between a table in one piece and its archive; see ops.archive_rows and ops.unarchive_rows.';

create function ops.archive_rows(hot regclass, due jsonb, batch int default 5000) returns bigint
language sql
volatile
security definer
set search_path = pg_catalog, pg_temp
as $function$ select ops.move_rows(hot, due, batch, false) $function$;

comment on function ops.archive_rows(regclass, jsonb, int) is
'Moves up to batch due rows of a table in one piece into its archive; returns how many. Call it until '
'it returns 0, each time in a transaction of its own. See ops.is_due.';

create function ops.unarchive_rows(hot regclass, due jsonb, batch int default 5000) returns bigint
language sql
volatile
security definer
set search_path = pg_catalog, pg_temp
as $function$ select ops.move_rows(hot, due, batch, true) $function$;

comment on function ops.unarchive_rows(regclass, jsonb, int) is
'Moves up to batch archived rows back into their table; returns how many. See ops.archive_rows.';

revoke all on function ops.move_rows(regclass, jsonb, int, boolean) from public;
revoke all on function ops.archive_rows(regclass, jsonb, int) from public;
revoke all on function ops.unarchive_rows(regclass, jsonb, int) from public;
grant execute on function ops.archive_rows(regclass, jsonb, int) to agentbooks_retention;
grant execute on function ops.unarchive_rows(regclass, jsonb, int) to agentbooks_retention;
