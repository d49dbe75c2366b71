-- Moves between a raw table and its archive. A month moves as a partition, by the catalog alone; of a table in
-- one piece rows move, in batches. Either way a row is in one of the two, keeps its change_id, and is no
-- change: what was not counted before is marked as it goes, as nobody looks for changes in an archive.

set local role agentbooks_owner;

create function ops.take_lifecycle_lock() returns void
language sql
volatile
set search_path = pg_catalog, pg_temp
begin atomic
    select pg_advisory_xact_lock(hashtextextended('ops.lifecycle', 0));
end;

comment on function ops.take_lifecycle_lock() is
'Waits for the refreshes that run, and keeps others waiting to the end of the transaction. A refresh takes the '
'same advisory lock, hashtextextended(''ops.lifecycle'', 0), shared.';

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
'Condition for the rows that ops.collect_changes has not seen, as SQL; null before its first call, which marks '
'all there is.';

create function ops.move_month(hot regclass, month date, is_back boolean) returns bigint
language plpgsql
set search_path = pg_catalog, pg_temp
set timezone = 'UTC'
set lock_timeout = '60ms'
as $function$
declare
    attempts constant int := 40;
    archive constant regclass := ops.archive_of(hot);
    hot_schema constant text := (select c.relnamespace::regnamespace from pg_class as c where c.oid = hot);
    hot_name constant text := format('%s.%I', hot_schema, ops.month_partition_name(hot, month));
    kept_name constant text := format('archive.%I', ops.month_partition_name(archive, month));
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
    if month is distinct from date_trunc('month', month)::date or month >= date_trunc('month', now())::date then
        raise exception 'archive_month: % of % is not the first day of a month that is over', month, hot
            using errcode = 'invalid_parameter_value';
    end if;

    perform ops.take_lifecycle_lock();
    hot_part := to_regclass(hot_name);
    kept_part := to_regclass(kept_name);
    if (case when is_back then kept_part else hot_part end) is null then
        return null;
    end if;

    -- Whoever waits for a lock keeps all behind it waiting: so not for long, but again and again.
    for attempt in 1..attempts loop
        begin
            execute format('lock table only %s in access exclusive mode', hot);
            execute format('lock table only %s in access exclusive mode', archive);
            for parted in
                select r.relation from unnest(array[hot_part, kept_part, default_partition]) as r (relation)
                where r.relation is not null
                union all
                select distinct k.confrelid::regclass
                from pg_constraint as k
                where k.conrelid = hot and k.contype = 'f'
            loop
                execute format('lock table only %s in access exclusive mode', parted.relation);
            end loop;
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
'Moves a month of a partitioned table into its archive by detach and attach; returns about how many rows it has '
'now, null if there was nothing to move. Rows that came later for an archived month join it.';

create function ops.unarchive_month(hot regclass, month date) returns bigint
language sql
volatile
security definer
set search_path = pg_catalog, pg_temp
as $function$ select ops.move_month(hot, month, true) $function$;

comment on function ops.unarchive_month(regclass, date) is
'Moves an archived month back; returns about how many rows it has, null if it is not in the archive. Rows that '
'it refers to, such as the traces of spans, must be back before.';

revoke all on function ops.move_month(regclass, date, boolean) from public;
revoke all on function ops.archive_month(regclass, date) from public;
revoke all on function ops.unarchive_month(regclass, date) from public;
grant execute on function ops.archive_month(regclass, date) to agentbooks_retention;
grant execute on function ops.unarchive_month(regclass, date) to agentbooks_retention;
