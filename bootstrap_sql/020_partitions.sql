-- Tables that grow for ever are partitioned by month of their event time, so that a month can leave
-- by a detach instead of a million deletes. Partitions inherit neither policies nor grants: they get
-- row level security switched on and nothing else, and nobody has rights on one.

set local role agentbooks_owner;

create function ops.month_partition_name(parent regclass, month_start date) returns text
language sql
stable
set search_path = pg_catalog, pg_temp
return (
    select c.relname || '_' || to_char(month_start, '"y"YYYY"m"MM')
    from pg_class as c
    where c.oid = parent
);

comment on function ops.month_partition_name(regclass, date) is
'Name of the partition that holds a month, such as spans_y2026m02; month_start is its first day.';

create function ops.create_month_partitions(parent regclass, first_day date, last_day date)
returns int
language plpgsql
security definer
set search_path = pg_catalog, pg_temp
set timezone = 'UTC'
set client_min_messages = warning
as $function$
declare
    parent_schema text;
    time_column text;
    column_names text;
    default_partition regclass;
    month_start date;
    partition_name text;
    created int := 0;
begin
    if first_day is null or last_day is null or first_day > last_day
        or first_day < date '2000-01-01' or last_day >= date '2100-01-01' then
        raise exception 'create_month_partitions: % to % is not a period between 2000 and 2099',
            first_day, last_day
            using errcode = 'invalid_parameter_value';
    end if;

    select n.nspname, a.attname, nullif(p.partdefid, 0)::regclass
    into parent_schema, time_column, default_partition
    from pg_partitioned_table as p
    join pg_class as c on c.oid = p.partrelid
    join pg_namespace as n on n.oid = c.relnamespace
    join pg_attribute as a on a.attrelid = c.oid and a.attnum = p.partattrs[0]
    where p.partrelid = parent and p.partstrat = 'r' and c.relowner = current_user::regrole;

    -- What was taken over in one piece stays so.
    if time_column is null and exists (
        select from ops.adopted_objects as a where a.name = ops.relation_name(parent)
    ) then
        return 0;
    end if;
    if time_column is null then
        raise exception 'create_month_partitions: % is not a table of agentbooks partitioned by time', parent
            using errcode = 'wrong_object_type';
    end if;

    select string_agg(quote_ident(a.attname), ', ' order by a.attnum)
    into column_names
    from pg_attribute as a
    where a.attrelid = parent and a.attnum > 0 and not a.attisdropped and a.attgenerated = '';

    for month_start in
        select m::date
        from generate_series(
            date_trunc('month', first_day::timestamp), last_day::timestamp, interval '1 month'
        ) as m
    loop
        partition_name := ops.month_partition_name(parent, month_start);
        continue when to_regclass(format('%I.%I', parent_schema, partition_name)) is not null;

        -- Two callers may want the same month: the second one waits here, then finds it made.
        perform pg_advisory_xact_lock(hashtextextended('ops.create_month_partitions', parent::oid::bigint));
        continue when to_regclass(format('%I.%I', parent_schema, partition_name)) is not null;

        execute format(
            'create table %I.%I (like %s including all)', parent_schema, partition_name, parent
        );
        execute format('alter table %I.%I enable row level security', parent_schema, partition_name);
        -- What its bounds say, and what is left of them while it is moved: PostgreSQL need not look
        -- through its rows then.
        execute format(
            'alter table %I.%I add constraint in_month check (%3$I >= %4$L and %3$I < %5$L)',
            parent_schema, partition_name, time_column,
            month_start::timestamptz, (month_start + interval '1 month')::timestamptz
        );

        -- Rows of this month that came before their partition wait in the default partition, and
        -- PostgreSQL refuses the new partition as long as they are there.
        if default_partition is not null then
            execute format(
                'with moved as (delete from %1$s where %2$I >= %3$L and %2$I < %4$L returning %5$s) '
                'insert into %6$I.%7$I (%5$s) select %5$s from moved',
                default_partition, time_column,
                month_start::timestamptz, (month_start + interval '1 month')::timestamptz,
                column_names, parent_schema, partition_name
            );
        end if;

        execute format(
            'alter table %s attach partition %I.%I for values from (%L) to (%L)',
            parent, parent_schema, partition_name,
            month_start::timestamptz, (month_start + interval '1 month')::timestamptz
        );
        created := created + 1;
    end loop;

    return created;
end
$function$;

comment on function ops.create_month_partitions(regclass, date, date) is
'Makes the monthly partitions of a table for all UTC months from first_day to last_day, moving rows '
'that wait in its default partition; returns how many it made. Safe to call again and concurrently.';

revoke all on function ops.create_month_partitions(regclass, date, date) from public;
grant execute on function ops.create_month_partitions(regclass, date, date) to
    agentbooks_loader, agentbooks_retention, service_role;


-- Rows of a month without a partition are not refused, they wait in the default partition. There they
-- are found as well, but cannot leave as a month; whoever watches this sees clocks that are wrong.
create function ops.rows_in_default_partitions()
returns table (table_name text, waiting_rows bigint, first_at timestamptz, last_at timestamptz)
language plpgsql
stable
security definer
set search_path = pg_catalog, pg_temp
as $function$
declare
    partitioned record;
begin
    for partitioned in
        select
            p.partrelid::regclass as parent,
            p.partdefid::regclass as default_partition,
            a.attname as time_column
        from pg_partitioned_table as p
        join pg_class as c on c.oid = p.partrelid
        join pg_attribute as a on a.attrelid = p.partrelid and a.attnum = p.partattrs[0]
        where p.partstrat = 'r' and p.partdefid <> 0 and c.relowner = current_user::regrole
        order by p.partrelid::regclass::text
    loop
        return query execute format(
            'select %L, count(*), min(%2$I), max(%2$I) from %3$s',
            partitioned.parent, partitioned.time_column, partitioned.default_partition
        );
    end loop;
end
$function$;

comment on function ops.rows_in_default_partitions() is
'One row per partitioned table: how many rows wait in its default partition, and their first and '
'last event time. ops.maintain_partitions moves them.';

create function ops.maintain_partitions(months_ahead int default 3)
returns table (table_name text, partitions_made int, rows_moved bigint)
language plpgsql
security definer
set search_path = pg_catalog, pg_temp
set timezone = 'UTC'
as $function$
declare
    this_month constant date := date_trunc('month', now())::date;
    waiting record;
    month_start date;
begin
    if months_ahead is null or months_ahead not between 0 and 120 then
        raise exception 'maintain_partitions: months_ahead is %, it must be from 0 to 120',
            coalesce(months_ahead::text, 'null')
            using errcode = 'invalid_parameter_value';
    end if;

    for waiting in select * from ops.rows_in_default_partitions() loop
        table_name := waiting.table_name;
        rows_moved := waiting.waiting_rows;
        partitions_made := ops.create_month_partitions(
            waiting.table_name::regclass,
            this_month,
            (this_month + make_interval(months => months_ahead))::date
        );

        -- Only months that rows wait for: one of 2004 must not make 200 partitions.
        if waiting.waiting_rows > 0 then
            for month_start in execute format(
                'select distinct date_trunc(''month'', %I)::date from %s',
                (
                    select a.attname
                    from pg_partitioned_table as p
                    join pg_attribute as a
                        on a.attrelid = p.partrelid and a.attnum = p.partattrs[0]
                    where p.partrelid = waiting.table_name::regclass
                ),
                (
                    select p.partdefid::regclass
                    from pg_partitioned_table as p
                    where p.partrelid = waiting.table_name::regclass
                )
            )
            loop
                partitions_made := partitions_made + ops.create_month_partitions(
                    waiting.table_name::regclass, month_start, month_start
                );
            end loop;
        end if;

        return next;
    end loop;
end
$function$;

comment on function ops.maintain_partitions(int) is
'Makes the partitions of this month and of months_ahead more for every partitioned table, and those '
'of the rows that wait in default partitions, which move there. One row per table. Call it daily, '
'each time in a transaction of its own: while rows move, writers of those months wait.';

revoke all on function ops.rows_in_default_partitions() from public;
revoke all on function ops.maintain_partitions(int) from public;
grant execute on function ops.rows_in_default_partitions() to
    agentbooks_loader, agentbooks_refresher, agentbooks_retention;
grant execute on function ops.maintain_partitions(int) to
    agentbooks_loader, agentbooks_retention, service_role;
