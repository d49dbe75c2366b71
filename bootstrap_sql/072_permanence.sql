-- How raw rows leave the database while no number in a mart changes. First every day that is computed
-- from a month of a table is frozen, in each model that reads the table. Then the month goes, if nothing
-- speaks against it. What comes late for a frozen day stays raw, is listed, and is counted once all that
-- the day was computed from is back.

set local role agentbooks_owner;

create table ops.departures (
    table_name text not null,
    month date not null check (extract(day from month) = 1),
    seen pg_snapshot not null,
    readers text[] not null default '{}',
    frozen_at timestamptz not null default clock_timestamp(),
    removed_at timestamptz,
    primary key (table_name, month)
);

comment on table ops.departures is
'One row per month of a raw table that stands frozen in all that reads it: about to leave, or gone.';
comment on column ops.departures.table_name is 'Raw table, with its schema.';
comment on column ops.departures.month is 'First UTC day of the month.';
comment on column ops.departures.seen is
'The month''s rows of transactions that this snapshot saw are counted.';
comment on column ops.departures.readers is 'Models in which its days are frozen, if they have any.';
comment on column ops.departures.frozen_at is 'When its days were frozen.';
comment on column ops.departures.removed_at is 'When its rows left; null as long as they are here.';

create table ops.frozen_for (
    target text not null,
    period date not null,
    table_name text not null,
    month date not null,
    primary key (target, period, table_name, month),
    foreign key (table_name, month) references ops.departures on delete cascade
);

create index idx_frozen_for_departure on ops.frozen_for (table_name, month);

comment on table ops.frozen_for is
'One row per frozen day of a model and month of a raw table that it was computed from. A day can be '
'computed again once none of these months is away.';
comment on column ops.frozen_for.target is 'Table of the model, with its schema.';
comment on column ops.frozen_for.period is 'UTC day; 0001-01-01 stands for rows without one.';
comment on column ops.frozen_for.table_name is 'Raw table, with its schema.';
comment on column ops.frozen_for.month is 'First UTC day of the month.';

create table ops.departed_keys (
    table_name text not null,
    month date not null check (extract(day from month) = 1),
    key text not null,
    day date not null,
    followed_by jsonb not null check (jsonb_typeof(followed_by) = 'object'),
    found_by text[] not null,
    is_orphaned boolean not null default false,
    tenant_id text not null,
    primary key (table_name, key, day, followed_by, month, tenant_id)
);

-- A deleted trace or session, whatever has left of it.
create index idx_departed_keys_key on ops.departed_keys (key);
-- An agent, a user, the root of a tree.
create index idx_departed_keys_found_by on ops.departed_keys using gin (found_by);

comment on table ops.departed_keys is
'What is left of rows that have gone: one row per UTC day and trace, session or pattern, and whatever else '
'their changes are followed by. A change that leads to days through such rows finds them here, and a '
'person''s data is found where it went.';
comment on column ops.departed_keys.table_name is 'Raw table, with its schema.';
comment on column ops.departed_keys.month is 'First UTC day of the month with which they left.';
comment on column ops.departed_keys.key is
'What the rows hang under: the column by which ops.table_layouts would spread the table, or its key.';
comment on column ops.departed_keys.day is 'UTC day by which models count the rows.';
comment on column ops.departed_keys.followed_by is 'What their changes are followed by, as in ops.changes.';
comment on column ops.departed_keys.found_by is
'All ids in followed_by, those of the users, sessions and traces that the rows name and whatever else ties '
'them to a person by ops.personal_data; and what they lead to, as `kind = key`. Of what was purged the key '
'alone.';
comment on column ops.departed_keys.is_orphaned is
'Whether what they hang under was deleted since, and with it they: they do not come back.';
comment on column ops.departed_keys.tenant_id is 'Whose rows they are: two tenants may know the same id.';

create table ops.late_rows (
    table_name text not null,
    row jsonb,
    day date,
    target text not null,
    period date not null,
    change_id bigint not null default pg_current_xact_id()::text::bigint,
    arrived_at timestamptz not null default clock_timestamp(),
    unique nulls not distinct (target, period, table_name, row)
);

create index idx_late_rows_table_day on ops.late_rows (table_name, day);

comment on table ops.late_rows is
'One row per change, and frozen day of a model that it would alter: it came late, and is counted once the '
'day is computed again. The row itself is where it was written; a deleted one is not.';
comment on column ops.late_rows.table_name is
'Table that changed, with its schema: a raw table, a seed, or another model.';
comment on column ops.late_rows.row is
'What its changes are followed by, as in ops.changes; null where anything in it may have changed.';
comment on column ops.late_rows.day is 'UTC day of the changed row, if it has one.';
comment on column ops.late_rows.target is 'Model that has not counted it.';
comment on column ops.late_rows.period is 'Its frozen day; 0001-01-01 stands for rows without one.';
comment on column ops.late_rows.change_id is 'Transaction that listed it.';
comment on column ops.late_rows.arrived_at is 'When that was.';

create table ops.legal_holds (
    hold_id bigint not null generated always as identity primary key,
    subject_id text,
    session_id text,
    trace_id text,
    table_name text,
    first_day date,
    last_day date,
    reason text not null check (reason <> ''),
    placed_by text not null default session_user,
    placed_at timestamptz not null default clock_timestamp(),
    released_at timestamptz,
    constraint legal_holds_hold_something check (
        num_nonnulls(subject_id, session_id, trace_id, first_day) > 0
    ),
    constraint legal_holds_period check (
        (first_day is null) = (last_day is null) and first_day <= last_day
    )
);

comment on table ops.legal_holds is
'One row per reason to keep rows whatever policies say: those of a subject, a session or a trace, or of a '
'period; where several are given, those that all of them name.';
comment on column ops.legal_holds.hold_id is 'The hold.';
comment on column ops.legal_holds.subject_id is 'A user''s id, in whichever table.';
comment on column ops.legal_holds.session_id is 'A session.';
comment on column ops.legal_holds.trace_id is 'A trace.';
comment on column ops.legal_holds.table_name is 'The one table it holds, with its schema; null: all.';
comment on column ops.legal_holds.first_day is 'First UTC day; null: any.';
comment on column ops.legal_holds.last_day is 'Last UTC day.';
comment on column ops.legal_holds.reason is 'Why, such as the number of a case.';
comment on column ops.legal_holds.placed_by is 'Role that logged in to place it.';
comment on column ops.legal_holds.placed_at is 'When.';
comment on column ops.legal_holds.released_at is 'When it ended; null as long as it holds.';

create table ops.archive_files (
    table_name text not null,
    month date not null check (extract(day from month) = 1),
    url text not null primary key,
    rows bigint not null check (rows >= 0),
    bytes bigint not null check (bytes >= 0),
    sha256 text not null check (sha256 ~ '^[0-9a-f]{64}$'),
    checksums jsonb not null check (jsonb_typeof(checksums) = 'object'),
    schema jsonb not null,
    code_version text not null,
    state text not null check (state in ('written', 'verified', 'purged'))
);

create index idx_archive_files_month on ops.archive_files (table_name, month);

comment on table ops.archive_files is
'One row per file with rows of a month of a raw table. A month that has left lies in its verified files.';
comment on column ops.archive_files.table_name is 'Raw table, with its schema.';
comment on column ops.archive_files.month is 'First UTC day of the month.';
comment on column ops.archive_files.url is 'Where it is.';
comment on column ops.archive_files.rows is 'How many rows it has.';
comment on column ops.archive_files.bytes is 'Its size.';
comment on column ops.archive_files.sha256 is 'Checksum of its bytes: another one, and it is not read.';
comment on column ops.archive_files.checksums is
'By column: the sum over its values'' checksums, as ops.column_checksums gives it.';
comment on column ops.archive_files.schema is 'By column: its type in the table.';
comment on column ops.archive_files.code_version is 'Version of agentbooks that wrote it.';
comment on column ops.archive_files.state is
'written; verified: read back, and found equal to the rows of the table; purged: about to be deleted.';

create table ops.month_clocks (
    table_name text not null primary key,
    clock text not null
);

comment on table ops.month_clocks is
'One row per raw table in one piece whose rows leave by months. Once in its archive a row keeps its time, '
'which before may be missing or move.';
comment on column ops.month_clocks.table_name is 'Raw table, with its schema.';
comment on column ops.month_clocks.clock is 'Column whose UTC month says with which month a row leaves.';

create table ops.purges (
    table_name text not null,
    month date not null check (extract(day from month) = 1),
    rows bigint not null check (rows >= 0),
    bytes bigint not null check (bytes >= 0),
    files jsonb not null check (jsonb_typeof(files) = 'array'),
    policy text not null check (policy <> ''),
    purged_by text not null default session_user,
    purged_at timestamptz not null default clock_timestamp(),
    primary key (table_name, month)
);

comment on table ops.purges is
'Receipts: one row per month of a raw table whose files were deleted as its policy asks. It stays frozen, '
'and does not come back.';
comment on column ops.purges.table_name is 'Raw table, with its schema.';
comment on column ops.purges.month is 'First UTC day of the month.';
comment on column ops.purges.rows is 'How many rows its files had.';
comment on column ops.purges.bytes is 'Their size.';
comment on column ops.purges.files is 'Their rows in ops.archive_files: where each was, and its checksums.';
comment on column ops.purges.policy is 'The policy, in words.';
comment on column ops.purges.purged_by is 'Role that logged in to do it.';
comment on column ops.purges.purged_at is
'When it was decided; the files were deleted at once, or on the next try.';

grant select on ops.month_clocks, ops.purges to agentbooks_refresher, agentbooks_retention;
grant select, insert on ops.frozen_for to agentbooks_refresher;
grant select, insert, delete on ops.late_rows to agentbooks_refresher;
grant select, insert, update on ops.departures to agentbooks_refresher;
grant select on ops.departed_keys to agentbooks_refresher;
grant select on ops.departures, ops.frozen_for, ops.departed_keys, ops.late_rows, ops.legal_holds
to agentbooks_retention;
grant select, insert, update, delete on ops.archive_files to agentbooks_retention;


-- Where a month's rows are

create function ops.month_clock(monthly regclass) returns text
language sql
stable
set search_path = pg_catalog, pg_temp
return (
    select quote_ident(a.attname)
    from pg_attribute as a
    left join pg_partitioned_table as p on a.attrelid = p.partrelid and p.partstrat = 'r'
    left join ops.month_clocks as c on ops.relation_name(a.attrelid) = c.table_name
    where a.attrelid = monthly and a.attnum > 0 and (a.attnum = p.partattrs[0] or a.attname = c.clock)
);

comment on function ops.month_clock(regclass) is
'Column whose UTC month says with which month a row leaves; null for a table that is not kept by months.';

create function ops.row_clock(clocked regclass) returns text
language sql
stable
set search_path = pg_catalog, pg_temp
return coalesce(
    ops.month_clock(clocked),
    (
        -- By what a refresh counts its rows, else when they were written.
        select quote_ident(a.attname)
        from pg_attribute as a
        left join ops.captured_tables as c on c.table_name = ops.relation_name(clocked)
        where a.attrelid = clocked and a.atttypid = 'timestamptz'::regtype and not a.attisdropped
            and (c.keys ~ ('\m' || a.attname || ' at time zone') or a.attname = 'created_at')
        order by coalesce(c.keys ~ ('\m' || a.attname || ' at time zone'), false) desc, a.attnum
        limit 1
    )
);

comment on function ops.row_clock(regclass) is 'Column that says of which day a row is; null if none does.';

create function ops.month_rows(monthly regclass, month date) returns text
language plpgsql
stable
set search_path = pg_catalog, pg_temp
as $function$
declare
    archive constant regclass := to_regclass(
        format('archive.%I', ops.archive_name(monthly))
    );
    clock constant text := ops.month_clock(monthly);
    column_names text;
begin
    if clock is null then
        raise exception 'month_rows: % is not kept by months', monthly
            using errcode = 'wrong_object_type';
    end if;
    select string_agg(quote_ident(a.attname), ', ' order by a.attnum) into column_names
    from pg_attribute as a
    where a.attrelid = monthly and a.attnum > 0 and not a.attisdropped;
    return (
        select string_agg(
            format(
                'select %s from %s where %s >= %L and %3$s < %5$L', column_names, r.relation, clock,
                date_trunc('month', month::timestamp) at time zone 'UTC',
                (date_trunc('month', month::timestamp) + interval '1 month') at time zone 'UTC'
            ),
            ' union all '
        )
        from unnest(array[monthly, archive]) as r (relation)
        where r.relation is not null
    );
end
$function$;

comment on function ops.month_rows(regclass, date) is
'Query of all rows of a month of a table, wherever in the database they are.';

create function ops.month_partitions(monthly regclass, month date) returns setof regclass
language sql
stable
set search_path = pg_catalog, pg_temp
set timezone = 'UTC'
begin atomic
    select i.inhrelid::regclass
    from pg_inherits as i
    inner join pg_class as c on i.inhrelid = c.oid
    where
        i.inhparent in (
            monthly, to_regclass(format('archive.%I', ops.archive_name(monthly)))
        )
        and pg_get_expr(c.relpartbound, c.oid) = (
            select format(
                'FOR VALUES FROM (%L) TO (%L)',
                date_trunc('month', month_partitions.month::timestamp) at time zone 'UTC',
                (date_trunc('month', month_partitions.month::timestamp) + interval '1 month')
                at time zone 'UTC'
            )
        );
end;

comment on function ops.month_partitions(regclass, date) is
'The partitions that hold a month of a table, in the table or its archive.';

create function ops.column_checksums(monthly regclass, rows_sql text, shape regclass default null)
returns jsonb
language plpgsql
stable
set search_path = pg_catalog, pg_temp
set timezone = 'UTC'
set datestyle = 'ISO'
set intervalstyle = 'postgres'
set bytea_output = 'hex'
set extra_float_digits = 1
as $function$
declare
    checksums jsonb;
begin
    -- A value is weighed with the key of its row, as a sum alone would not tell if it has another's place. The
    -- key once per row: what is offset is not written out for each column.
    execute format(
        'select to_jsonb(s) from (select %s from ('
        'select q.*, hashtextextended(concat_ws(''/'', %s), 0) as key_of_row from (%s) as q offset 0) as r) as s',
        (
            select string_agg(
                format('coalesce(sum(hashtextextended(r.%1$I::text, r.key_of_row)), 0) as %1$I', a.attname),
                ', ' order by a.attnum
            )
            from pg_attribute as a
            where a.attrelid = coalesce(shape, monthly) and a.attnum > 0 and not a.attisdropped
        ),
        (
            select string_agg(format('q.%I', a.attname), ', ' order by a.attnum)
            from pg_index as i
            inner join pg_attribute as a on i.indrelid = a.attrelid and a.attnum = any(i.indkey)
            where i.indrelid = monthly and i.indisprimary
        ),
        rows_sql
    ) into checksums;
    return checksums;
end
$function$;

comment on function ops.column_checksums(regclass, text, regclass) is
'By column of a table, or of another shape of it, over rows: the sum of hashtextextended over its values '
'as text, seeded by the row''s key, nulls as 0. What it gives depends neither on the order of rows nor on '
'settings.';

create function ops.file_columns(monthly regclass, types jsonb) returns text
language plpgsql
stable
set search_path = pg_catalog, pg_temp
as $function$
declare
    odd_type text;
begin
    -- The name becomes SQL of the owner, and a type of somebody else may run theirs.
    select t.value into odd_type
    from jsonb_each_text(types) as t
    where not exists (
        select
        from pg_type as k
        inner join pg_roles as r on k.typowner = r.oid
        where
            k.oid = to_regtype(t.value)
            and (
                r.rolsuper or r.rolname = 'agentbooks_owner'
                or exists (select from pg_attribute as a where a.attrelid = monthly and a.atttypid = k.oid)
            )
    );
    if found then
        raise exception 'file_columns: a file of % has a column of type %, which is not here (any more)', monthly, odd_type
            using errcode = 'object_not_in_prerequisite_state';
    end if;
    return (select string_agg(format('%I %s', t.key, t.value), ', ') from jsonb_each_text(types) as t);
end
$function$;

comment on function ops.file_columns(regclass, jsonb) is
'Columns of a table for the rows of a file, in the types in which they were written: what the raw table has '
'become since neither refuses them nor writes them otherwise.';

create function ops.need_file_columns(monthly regclass, month date) returns void
language plpgsql
stable
set search_path = pg_catalog, pg_temp
as $function$
declare
    lost record;
begin
    -- Only nulls sum up to 0.
    select t.key as name, t.value as type into lost
    from ops.archive_files as f
    cross join jsonb_each_text(f.schema) as t
    where
        f.table_name = ops.relation_name(monthly)
        and f.month = date_trunc('month', need_file_columns.month::timestamp)::date
        and f.state = 'verified'
        and (f.checksums ->> t.key)::numeric <> 0
        and not exists (
            select from pg_attribute as a where a.attrelid = monthly and a.attname = t.key and not a.attisdropped
        )
    order by t.key
    limit 1;
    if found then
        raise exception
            'need_file_columns: % of % has values of %, which the table has no more; give it the column again '
            '(alter table % add column % %; select ops.sync_archives()), and move its values once they are back',
            to_char(month, 'YYYY-MM'), monthly, lost.name, monthly, quote_ident(lost.name), lost.type
            using errcode = 'object_not_in_prerequisite_state';
    end if;
end
$function$;

comment on function ops.need_file_columns(regclass, date) is
'Raises where the files of a month have values of a column that their table has lost, as by another name: '
'they would be lost with it.';


-- Freezing. In the name of whoever refreshes: what leads from rows to days is SQL of the models.

create function ops.keys_of_month(monthly regclass, month date) returns text
language sql
stable
set search_path = pg_catalog, pg_temp
return (
    select format(
        'select %1$L as table_name, to_jsonb(k) as keys from (select distinct %2$s from (%3$s) as r) as k '
        'union select %1$L, jsonb_build_object(''day'', d::date) '
        'from generate_series(%4$L::timestamp, %5$L::timestamp, interval ''1 day'') as d',
        c.table_name, c.keys, ops.month_rows(monthly, month),
        date_trunc('month', month::timestamp),
        date_trunc('month', month::timestamp) + interval '1 month - 1 day'
    )
    from ops.captured_tables as c
    where c.table_name = ops.relation_name(monthly)
);

comment on function ops.keys_of_month(regclass, date) is
'Query of what would be dirty without a month of a table: its rows'' keys as in ops.changes, and all '
'its days.';

create function ops.days_led_to(keys_sql text, dirty_sql text) returns date[]
language plpgsql
set search_path = pg_catalog, pg_temp
as $function$
declare
    days date[];
begin
    execute format(
        'with changes as materialized (%s) '
        'select coalesce(array_agg(distinct coalesce(d.dirty, ''0001-01-01'')), ''{}'') '
        'from (%s) as d (dirty) where d.dirty is distinct from ''infinity''',
        keys_sql, dirty_sql
    ) into days;
    return days;
end
$function$;

comment on function ops.days_led_to(text, text) is
'The days of a model that changes of these keys would dirty.';

create function ops.readers(read text) returns table (target text, grain text, is_developers boolean)
language sql
stable
set search_path = pg_catalog, pg_temp
begin atomic
    select
        r.target,
        r.grain,
        split_part(r.target, '.', 1) not in ('intermediate', 'marts')
    from ops.refreshes as r
    inner join pg_class as c on r.relation = c.oid
    inner join pg_namespace as n on c.relnamespace = n.oid
    where read = any(r.inputs) and n.nspname || '.' || c.relname = r.target
    order by r.target;
end;

comment on function ops.readers(text) is
'The refreshed tables that are computed from a raw table, not only through other refreshed tables. A '
'developer''s own freeze what has left when they are refreshed, and hold up nothing.';

create function ops.freeze_periods(frozen regclass, days date[]) returns bigint
language plpgsql
set search_path = pg_catalog, pg_temp
as $function$
declare
    target_name constant text := ops.relation_name(frozen);
    opened date[];
    before date;
    frozen_days bigint;
begin
    insert into ops.refreshed_periods (target, period, rows_before, rows_after, seen, model_hash)
    select target_name, d.day, 0, 0, r.seen, r.model_hash
    from unnest(days) as d (day)
    cross join ops.refreshes as r
    where r.target = target_name
    on conflict do nothing;

    select coalesce(array_agg(p.period), '{}') into opened
    from ops.refreshed_periods as p
    where p.target = target_name and p.period = any(days) and p.state = 'open';
    if opened <> '{}' then
        perform ops.seal_periods(frozen, opened);
        update ops.refreshed_periods as p set state = 'frozen'
        where p.target = target_name and p.period = any(opened);
    end if;
    frozen_days := cardinality(opened);
    -- What was sealed before may have been altered since.
    for before in
        select p.period
        from ops.refreshed_periods as p
        where p.target = target_name and p.period = any(days) and p.state = 'sealed'
    loop
        perform ops.freeze_period(frozen, before);
        frozen_days := frozen_days + 1;
    end loop;
    return frozen_days;
end
$function$;

comment on function ops.freeze_periods(regclass, date[]) is
'Seals and freezes these days of a model where they are not frozen; returns how many.';

create function ops.freeze_month(monthly regclass, month date) returns bigint
language plpgsql
set search_path = pg_catalog, pg_temp
as $function$
declare
    monthly_name constant text := ops.relation_name(monthly);
    first_day constant date := date_trunc('month', month::timestamp)::date;
    this_month constant date := (select date_trunc('month', a.as_of_date::timestamp)::date from ops.as_of as a);
    keys_sql text;
    reader record;
    reader_days date[];
    waiting_days date[];
    frozen_days bigint := 0;
    doubtful text;
begin
    perform pg_advisory_xact_lock(hashtextextended('ops.lifecycle', 0));
    if first_day >= this_month then
        raise exception 'freeze_month: % of % is not over', to_char(first_day, 'YYYY-MM'), monthly_name
            using errcode = 'object_not_in_prerequisite_state';
    end if;
    keys_sql := ops.keys_of_month(monthly, first_day);
    if keys_sql is null then
        raise exception 'freeze_month: % is no raw table whose changes are followed', monthly_name
            using errcode = 'wrong_object_type';
    end if;
    -- Only what is the table of its last refresh is seen to read the month, and would be frozen.
    select min(r.target) into doubtful
    from ops.refreshes as r
    where
        split_part(r.target, '.', 1) in ('intermediate', 'marts')
        and (
            to_regclass(r.target) <> r.relation
            or exists (select from ops.collections as c where c.server <> ops.server_identity())
        );
    if doubtful is not null then
        raise exception 'freeze_month: % is not known to be up to date, as in a copy of a database; run dbt first', doubtful
            using errcode = 'object_not_in_prerequisite_state', constraint = 'unsealed_mart';
    end if;
    insert into ops.departures (table_name, month, seen)
    values (monthly_name, first_day, pg_current_snapshot())
    on conflict do nothing;
    if not found then
        return 0;
    end if;

    perform ops.collect_changes();
    execute 'drop table if exists pg_temp.departing_keys';
    execute format('create temp table departing_keys on commit drop as %s', keys_sql);

    for reader in
        select b.grain, r.*
        from ops.readers(monthly_name) as b
        inner join ops.refreshes as r using (target)
        where not b.is_developers
    loop
        if reader.grain <> 'period' then
            raise exception 'freeze_month: % reads % and is not refreshed by day, so that nothing can stay of it',
                reader.target, monthly_name
                using errcode = 'object_not_in_prerequisite_state';
        end if;
        reader_days := ops.days_led_to('select * from pg_temp.departing_keys', reader.dirty_sql);
        if exists (select from unnest(reader_days) as d (day) where d.day >= this_month) then
            raise exception 'freeze_month: % of % would freeze % of %, which is not over',
                to_char(first_day, 'YYYY-MM'), monthly_name,
                (select max(d.day) from unnest(reader_days) as d (day)), reader.target
                using errcode = 'object_not_in_prerequisite_state';
        end if;
        waiting_days := ops.days_led_to(
            format('select * from ops.unseen_changes(%L, %L)', reader.target, reader.inputs), reader.dirty_sql
        );
        if waiting_days && reader_days or exists (
            select from ops.unseen_changes(reader.target, reader.inputs) as c where c.keys is null
        ) then
            raise exception 'freeze_month: changes wait to be counted in %; run dbt first', reader.target
                using errcode = 'object_not_in_prerequisite_state', constraint = 'unsealed_mart';
        end if;
        frozen_days := frozen_days + ops.freeze_periods(reader.relation::regclass, reader_days);
        insert into ops.frozen_for (target, period, table_name, month)
        select reader.target, d.day, monthly_name, first_day
        from unnest(reader_days) as d (day);
        update ops.departures as d set readers = readers || reader.target
        where d.table_name = monthly_name and d.month = first_day;
    end loop;
    -- The order of decisions goes with them; what it led to is kept.
    if monthly_name = 'agentic.agent_decisions' and to_regclass('intermediate.int_trust__folded') is not null then
        perform ops.checkpoint_trust('intermediate.int_trust__folded', first_day + n)
        from generate_series(0, (first_day + interval '1 month')::date - first_day - 1) as n;
    end if;
    return frozen_days;
end
$function$;

comment on function ops.freeze_month(regclass, date) is
'Freezes all days that are computed from a month of a raw table, in each model that reads it; returns how '
'many. From then on changes of them wait in ops.late_rows. Refuses a month whose days are not over, or '
'have changes that are not counted yet.';

create function ops.freeze_what_has_left(
    refreshed regclass, grain_column text, inputs text[], dirty_sql text, sql_hash text
) returns void
language plpgsql
set search_path = pg_catalog, pg_temp
as $function$
declare
    target_name constant text := ops.relation_name(refreshed);
    is_built boolean;
    departed record;
    led_to date[];
begin
    for departed in
        select d.*
        from ops.departures as d
        where
            d.removed_at is not null
            and d.table_name = any(inputs)
            and target_name <> all(d.readers)
    loop
        led_to := ops.days_led_to(
            format(
                'select %1$L as table_name, jsonb_build_object(''day'', d::date) as keys '
                'from generate_series(%2$L::timestamp, %3$L::timestamp, interval ''1 day'') as d '
                'union all select k.table_name, k.followed_by from ops.departed_keys as k '
                'where k.table_name = %1$L and k.month = %2$L',
                departed.table_name, departed.month, (departed.month + interval '1 month - 1 day')::date
            ),
            dirty_sql
        );
        select r.relation = refreshed::oid into is_built from ops.refreshes as r where r.target = target_name;
        if is_built then
            perform ops.freeze_periods(refreshed, led_to);
        else
            insert into ops.refreshed_periods (target, period, state, rows_before, rows_after, seen, model_hash)
            select target_name, d.day, 'frozen', 0, 0, pg_current_snapshot(), sql_hash
            from unnest(led_to) as d (day)
            on conflict (target, period) do update set state = 'frozen';
        end if;
        insert into ops.frozen_for (target, period, table_name, month)
        select target_name, d.day, departed.table_name, departed.month
        from unnest(led_to) as d (day);
        update ops.departures as d set readers = readers || target_name
        where d.table_name = departed.table_name and d.month = departed.month;
    end loop;
end
$function$;

comment on function ops.freeze_what_has_left(regclass, text, text[], text, text) is
'Freezes, in a model that is new or reads another table than before, the days of months that have left: what '
'remains of them is not the whole. Called by ops.refresh.';

create function ops.note_late_rows(refreshed text, inputs text[], dirty_sql text, late date[]) returns void
language plpgsql
set search_path = pg_catalog, pg_temp
as $function$
begin
    if late = '{}' then
        return;
    end if;
    execute format(
        'insert into ops.late_rows (table_name, row, day, target, period) '
        'select c.table_name, c.keys, (c.keys ->> ''day'')::date, $1, d.dirty '
        'from ops.unseen_changes($1, $2) as c '
        'cross join lateral ('
        'with changes as (select c.table_name, c.keys) '
        'select coalesce(s.dirty, ''0001-01-01'') as dirty from (%s) as s (dirty) where c.keys is not null) as d '
        'where d.dirty = any($3) '
        'union all select distinct c.table_name, null::jsonb, null::date, $1, d.day '
        'from ops.unseen_changes($1, $2) as c cross join unnest($3) as d (day) '
        'where c.keys is null and not c.is_recount '
        'on conflict do nothing',
        dirty_sql
    ) using refreshed, inputs, late;
end
$function$;

comment on function ops.note_late_rows(text, text[], text, date[]) is
'Lists the changes that a model has not seen and that lead to these frozen days of it. A recount is '
'none: a frozen day stands as it was computed then. Called by ops.refresh.';


create view ops.incomplete_marts with (security_invoker = true) as
select
    p.target,
    a.missing_columns,
    count(*) as frozen_days,
    min(p.period) as first_day,
    max(p.period) as last_day
from ops.refreshed_periods as p
left join lateral (
    select s.column_names
    from ops.seals as s
    where s.target = p.target and s.period = p.period
    order by s.seal_number desc
    limit 1
) as s on true
left join lateral (
    select array_agg(m.attname::text order by m.attnum) as missing_columns
    from ops.refreshes as r
    inner join pg_attribute as m on r.relation = m.attrelid and m.attnum > 0 and not m.attisdropped
    where r.target = p.target and m.attname <> all(s.column_names)
) as a on true
where p.state = 'frozen' and (s.column_names is null or a.missing_columns is not null)
group by p.target, a.missing_columns;

comment on view ops.incomplete_marts is
'What marts lack of days whose raw rows had left before the mart, or a column of it, was made. From the day '
'after last_day on it is complete; a restore completes it before.';
comment on column ops.incomplete_marts.target is 'Table, with its schema.';
comment on column ops.incomplete_marts.missing_columns is
'Columns that are null there; null where there are no rows at all.';
comment on column ops.incomplete_marts.frozen_days is 'How many days.';
comment on column ops.incomplete_marts.first_day is 'First of them.';
comment on column ops.incomplete_marts.last_day is 'Last of them.';

grant select on ops.incomplete_marts to agentbooks_refresher, agentbooks_retention;


create table ops.departed_audit_links (
    session_id uuid not null,
    sequence bigint not null,
    previous_hash bytea not null,
    row_hash bytea not null,
    day date not null,
    primary key (session_id, sequence)
);

comment on table ops.departed_audit_links is
'One row per audit entry that has left: what the chain of its session needs to be followed across the gap.';
comment on column ops.departed_audit_links.session_id is 'Session of the chain.';
comment on column ops.departed_audit_links.sequence is 'Place in the chain.';
comment on column ops.departed_audit_links.previous_hash is 'Hash of the entry before.';
comment on column ops.departed_audit_links.row_hash is 'Hash of the entry.';
comment on column ops.departed_audit_links.day is 'UTC day of the entry.';

grant select on ops.departed_audit_links to agentbooks_refresher, agentbooks_retention, service_role;


create function ops.note_moved_rows(refreshed regclass, grain_column text, key_column text, computed text)
returns text
language sql
stable
set search_path = pg_catalog, pg_temp
return format(
    'insert into ops.late_rows (table_name, row, day, target, period) '
    'select distinct %1$L, jsonb_build_object(''day'', m.day), m.day, %1$L, m.frozen_day from ('
    'select coalesce(c.%2$I, ''0001-01-01'') as day, coalesce(t.%2$I, ''0001-01-01'') as frozen_day '
    'from %3$s as c inner join %4$s as t on c.%5$s = t.%5$s where c.%2$I is distinct from t.%2$I) as m '
    'inner join ops.refreshed_periods as p '
    'on p.target = %1$L and p.period = m.frozen_day and p.state = ''frozen'' '
    'on conflict do nothing',
    ops.relation_name(refreshed), grain_column, computed, refreshed, key_column
);

comment on function ops.note_moved_rows(regclass, text, text, text) is
'Statement that lists rows which have moved from a frozen day to an open one: they stand where they were '
'frozen, and the open day is computed again once that is. Run by ops.refresh.';


-- The gate

create function ops.hold_condition(held regclass, hold ops.legal_holds) returns text
language plpgsql
stable
security definer
set search_path = pg_catalog, pg_temp
as $function$
declare
    conditions text[];
begin
    select array_agg('(' || coalesce(ops.held_by(held, 'r', n.kinds, n.ids), 'false') || ')') into conditions
    from ops.held_ids(hold) as n;
    if hold.first_day is not null then
        conditions := conditions || coalesce(
            format(
                'r.%1$s >= %2$L and r.%1$s < %3$L', ops.row_clock(held),
                hold.first_day::timestamp at time zone 'UTC',
                (hold.last_day + 1)::timestamp at time zone 'UTC'
            ),
            'true'
        );
    end if;
    return array_to_string(conditions, ' and ');
end
$function$;

comment on function ops.hold_condition(regclass, ops.legal_holds) is
'Condition on rows r of a raw table that a hold covers, as SQL: see ops.held_by. Rows without a time are '
'covered by any period.';

create function ops.free_condition(hot regclass) returns text
language sql
stable
set search_path = pg_catalog, pg_temp
return coalesce(
    (
        select string_agg(
            format('(select %s from (select h.*) as r) is not true', ops.hold_condition(hot, l)), ' and '
        )
        from ops.legal_holds as l
        where
            l.released_at is null
            and coalesce(l.table_name, ops.relation_name(hot)) = ops.relation_name(hot)
    ),
    'true'
);

comment on function ops.free_condition(regclass) is
'Condition on rows h of a raw table, as SQL: no legal hold in force covers them. True where none is.';

create function ops.holds_on(held regclass, rows_sql text) returns table (hold_id bigint, held_rows bigint)
language plpgsql
stable
set search_path = pg_catalog, pg_temp
as $function$
declare
    hold ops.legal_holds;
begin
    for hold in
        select h.*
        from ops.legal_holds as h
        where h.released_at is null and coalesce(h.table_name, ops.relation_name(held)) = ops.relation_name(held)
        order by h.hold_id
    loop
        execute format(
            'select count(*) from (%s) as r where %s', rows_sql, ops.hold_condition(held, hold)
        ) into held_rows;
        hold_id := hold.hold_id;
        if held_rows > 0 then
            return next;
        end if;
    end loop;
end
$function$;

comment on function ops.holds_on(regclass, text) is
'One row per legal hold in force that covers some of a table''s rows, and how many of them.';

create function ops.departure_refusals(monthly regclass, month date) returns table (kind text, reason text)
language plpgsql
security definer
set search_path = pg_catalog, pg_temp
as $function$
declare
    monthly_name constant text := ops.relation_name(monthly);
    first_day constant date := date_trunc('month', month::timestamp)::date;
    last_day constant date := (date_trunc('month', month::timestamp) + interval '1 month - 1 day')::date;
    month_text constant text := to_char(first_day, 'YYYY-MM') || ' of ' || monthly_name;
    rows_sql text;
    departure ops.departures;
    present_rows bigint;
    late_rows bigint;
    staying regclass;
    staying_rows bigint;
    copy record;
begin
    if month is null or ops.month_clock(monthly) is null
        or not exists (select from ops.captured_tables as c where c.table_name = monthly_name) then
        raise exception 'departure_refusals: % is no raw table that is kept by months',
            coalesce(monthly_name, 'null')
            using errcode = 'wrong_object_type';
    end if;
    rows_sql := ops.month_rows(monthly, first_day);
    select * into departure from ops.departures as d where d.table_name = monthly_name and d.month = first_day;

    if departure.removed_at is not null then
        kind := 'has_left';
        reason := format('%s left on %s', month_text, (departure.removed_at at time zone 'UTC')::date);
        return next;
        return;
    end if;

    return query
    select 'not_over', format('%s is not over', month_text)
    from ops.as_of as a
    where a.as_of_date <= last_day
    union all
    select 'no_partition', format('%s has no partition; ops.maintain_partitions makes one for rows that wait', month_text)
    from pg_partitioned_table as p
    where p.partrelid = monthly and not exists (select from ops.month_partitions(monthly, first_day));

    -- Of a table in one piece only what is archived leaves: the rest is at work, or others lean on it. Of one in
    -- months, what has come since its partition was archived has to join that first.
    select case when p.partrelid is null then monthly else nullif(p.partdefid, 0)::regclass end into staying
    from pg_class as c
    left join pg_partitioned_table as p on c.oid = p.partrelid
    where c.oid = monthly;
    if staying is not null then
        execute format(
            'select count(*) from %s where %s >= %L and %2$s < %4$L', staying, ops.month_clock(monthly),
            first_day::timestamp at time zone 'UTC', (last_day + 1)::timestamp at time zone 'UTC'
        ) into staying_rows;
        if staying_rows > 0 then
            kind := case when staying = monthly then 'still_active' else 'no_partition' end;
            reason := format(
                case
                    when staying = monthly then '%s has %s rows that are not archived'
                    else '%s has %s rows that wait for a partition; ops.maintain_partitions makes it'
                end,
                month_text, staying_rows
            );
            return next;
        end if;
    end if;

    if departure.table_name is null then
        return query
        select 'not_frozen', format('%s is not frozen%s: run ops.freeze_month', month_text, ' in ' || string_agg(b.target, ', '))
        from ops.readers(monthly_name) as b
        where not b.is_developers;
    else
        return query
        select 'younger_mart', format(
            '%s is not frozen in %s, which is younger: thaw it, run dbt, and freeze it again', month_text, b.target
        )
        from ops.readers(monthly_name) as b
        where not b.is_developers and b.target <> all(departure.readers);

        execute format(
            'select count(*) from (%s) as r where %s and r.change_id < %s', rows_sql,
            ops.unseen_transactions(departure.seen, 'change_id'), pg_snapshot_xmax(pg_current_snapshot())
        ) into late_rows;
        select late_rows + count(distinct l.row) into late_rows
        from ops.late_rows as l
        where l.table_name = monthly_name and l.day between first_day and last_day;
        if late_rows > 0 then
            kind := 'late_rows';
            reason := format(
                '%s: changes came since it was frozen (%s): thaw it, run dbt, and freeze it again',
                month_text, late_rows
            );
            return next;
        end if;
    end if;

    execute format('select count(*) from (%s) as r', rows_sql) into present_rows;
    select
        coalesce(sum(f.rows), 0) as rows,
        coalesce((
            select jsonb_object_agg(c.key, c.checksum)
            from (
                select e.key, sum(e.value::numeric) as checksum
                from ops.archive_files as g
                cross join lateral jsonb_each_text(g.checksums) as e
                where g.table_name = monthly_name and g.month = first_day and g.state = 'verified'
                group by e.key
            ) as c
        ), '{}') as checksums
    into copy
    from ops.archive_files as f
    where f.table_name = monthly_name and f.month = first_day and f.state = 'verified';
    if copy.rows <> present_rows then
        kind := 'no_verified_copy';
        reason := format('%s has %s rows, its verified copy %s', month_text, present_rows, copy.rows);
        return next;
    elsif present_rows > 0 and copy.checksums <> ops.column_checksums(monthly, rows_sql) then
        kind := 'no_verified_copy';
        reason := format('%s is not what its verified copy says', month_text);
        return next;
    end if;

    return query
    select 'legal_hold', format('%s: legal hold %s covers %s rows', month_text, h.hold_id, h.held_rows)
    from ops.holds_on(monthly, rows_sql) as h;
end
$function$;

comment on function ops.departure_refusals(regclass, date) is
'One row per reason why a month of a raw table may not leave the database; none if it may.';

create function ops.departing_keys(monthly regclass, month date) returns text
language plpgsql
stable
set search_path = pg_catalog, pg_temp
as $function$
declare
    monthly_name constant text := ops.relation_name(monthly);
    key_column text;
    found_by text;
begin
    select coalesce(
        (select l.distribution_column from ops.table_layouts as l where l.table_name = monthly_name),
        (
            select a.attname
            from pg_index as i
            inner join pg_attribute as a on i.indrelid = a.attrelid and i.indkey[0] = a.attnum
            where i.indrelid = monthly and i.indisprimary
        )
    ) into key_column;
    select
        concat_ws(
            ' || ',
            format('array[%s]::text[]', string_agg(distinct i.id, ', ' order by i.id) filter (where not i.is_list)),
            string_agg(distinct i.id || '::text[]', ' || ' order by i.id || '::text[]') filter (where i.is_list)
        )
    into found_by
    from (
        select format('r.%I::text', a.attname) as id, false as is_list
        from pg_attribute as a
        where
            a.attrelid = monthly
            and a.attname in (
                'user_id', 'sender_user_id', 'sender_agent_id', 'session_id', 'trace_id', 'correlation_id',
                'root_id'
            )
        union all
        select
            format(
                case when u.tie like '%[] = %' then '%s' else '(%s)::text' end,
                ops.of_row('r', split_part(u.tie, ' = ', 1))
            ),
            u.tie like '%[] = %'
        from ops.personal_data as d
        cross join unnest(d.ties) as u (tie)
        where d.table_name = monthly_name
        union all
        -- Followed where rows of others that leave are told by them.
        select format('%L || (%s)', k.kind || ' = ', ops.of_row('r', k.expression)), false
        from ops.personal_data as d
        cross join unnest(d.finds) as f (found)
        cross join lateral (
            select split_part(f.found, ' = ', 1) as kind, substring(f.found from ' = (.*)') as expression
        ) as k
        where d.table_name = monthly_name and exists (
            select
            from ops.personal_data as o
            cross join unnest(o.ties) as u (tie)
            where u.tie like '% = ' || k.kind and ops.month_clock(to_regclass(o.table_name)) is not null
        )
    ) as i;
    return format(
        'select %1$L as table_name, %2$L::date as month, d.key, (d.keys ->> ''day'')::date as day, d.keys as followed_by, '
        'array_agg(distinct i.id) as found_by, d.tenant_id '
        'from (select distinct r.%3$I::text as key, r.tenant_id, jsonb_build_object(%3$L, r.%3$I) || c.keys as keys, '
        '%4$s as ids from (%5$s) as r '
        'cross join lateral (select to_jsonb(k) as keys from (select %6$s) as k) as c) as d '
        'cross join lateral (select e.value from jsonb_each_text(d.keys - ''day'') as e '
        'union select u.value from unnest(d.ids) as u (value)) as i (id) '
        'where i.id is not null group by d.key, d.keys, d.tenant_id',
        monthly_name, date_trunc('month', month::timestamp)::date, key_column, found_by,
        ops.month_rows(monthly, month),
        (select c.keys from ops.captured_tables as c where c.table_name = monthly_name)
    );
end
$function$;

comment on function ops.departing_keys(regclass, date) is
'Query of the rows of ops.departed_keys for a month of a table.';

create function ops.remove_month(monthly regclass, month date) returns bigint
language plpgsql
security definer
set search_path = pg_catalog, pg_temp
as $function$
declare
    monthly_name constant text := ops.relation_name(monthly);
    first_day constant date := date_trunc('month', month::timestamp)::date;
    -- Of a table in one piece.
    archive constant regclass := (
        select to_regclass(format('archive.%I', ops.archive_name(monthly)))
        where not exists (select from pg_partitioned_table as p where p.partrelid = monthly)
    );
    refusals text;
    kinds text[];
    part regclass;
    removed_rows bigint;
begin
    perform pg_advisory_xact_lock(hashtextextended('ops.lifecycle', 0));
    -- Nobody writes to the month while it is weighed; the rest of the table is left alone.
    for part in
        select p from ops.month_partitions(monthly, first_day) as p
        union all
        select archive where archive is not null
    loop
        execute format('lock table only %s in share row exclusive mode', part);
    end loop;
    select string_agg(r.reason, '; '), array_agg(r.kind) into refusals, kinds
    from ops.departure_refusals(monthly, first_day) as r;
    if refusals is not null then
        raise exception 'remove_month: %', refusals
            using errcode = 'object_not_in_prerequisite_state', constraint = kinds[1];
    end if;

    execute format(
        'insert into ops.departed_keys (table_name, month, key, day, followed_by, found_by, tenant_id) %s '
        'on conflict do nothing',
        ops.departing_keys(monthly, first_day)
    );
    execute format('select count(*) from (%s) as r', ops.month_rows(monthly, first_day)) into removed_rows;
    if monthly_name = 'agentic.agent_audit_log' then
        execute format(
            'insert into ops.departed_audit_links (session_id, sequence, previous_hash, row_hash, day) '
            'select r.session_id, r.sequence, r.previous_hash, r.row_hash, (r.timestamp at time zone ''UTC'')::date '
            'from (%s) as r', ops.month_rows(monthly, first_day)
        );
    end if;
    for part in select p from ops.month_partitions(monthly, first_day) as p loop
        execute format('drop table %s', part);
    end loop;
    if archive is not null then
        perform ops.set_lifecycle(true);
        execute format(
            'delete from %s where %s >= %L and %2$s < %4$L', archive, ops.month_clock(monthly),
            first_day::timestamp at time zone 'UTC', (first_day + interval '1 month')::timestamp at time zone 'UTC'
        );
        perform ops.set_lifecycle(false);
    end if;
    update ops.departures as d set removed_at = clock_timestamp()
    where d.table_name = monthly_name and d.month = first_day;
    return removed_rows;
end
$function$;

comment on function ops.remove_month(regclass, date) is
'Drops a month of a raw table, from the table and its archive, if ops.departure_refusals has nothing against '
'it; returns how many rows went. Their verified files are then all there is of them.';


-- The end: what its policy does not keep for ever

create function ops.holds_on_departed(departed text, month date) returns setof bigint
language plpgsql
stable
security definer
set search_path = pg_catalog, pg_temp
as $function$
declare
    hold ops.legal_holds;
    condition text;
    is_held boolean;
begin
    for hold in
        select h.*
        from ops.legal_holds as h
        where
            h.released_at is null
            and coalesce(h.table_name, departed) = departed
            and (
                h.first_day is null
                or h.first_day < holds_on_departed.month + interval '1 month'
                and h.last_day >= holds_on_departed.month
            )
        order by h.hold_id
    loop
        select
            string_agg(
                format('k.found_by && %L::text[]', ops.departed_ids(departed::regclass, n.kinds, n.ids)), ' and '
            )
        into condition
        from ops.held_ids(hold) as n;
        -- A hold on days holds months whatever is in them.
        execute format(
            'select $3 or exists (select from ops.departed_keys as k '
            'where k.table_name = $1 and k.month = $2 and %s)',
            coalesce(condition, 'true')
        ) into is_held using departed, month, condition is null;
        if is_held then
            return next hold.hold_id;
        end if;
    end loop;
end
$function$;

comment on function ops.holds_on_departed(text, date) is
'The legal holds in force that cover rows of a month which has left, as far as ops.departed_keys tells.';

create function ops.least_cold_time() returns interval
language sql
immutable
parallel safe
set search_path = pg_catalog, pg_temp
return interval '7 days';

comment on function ops.least_cold_time() is
'How long files of a month stay after its rows left, whatever policies say: time to see a mistake.';

create function ops.purge_month(monthly regclass, month date, policy text) returns bigint
language plpgsql
security definer
set search_path = pg_catalog, pg_temp
as $function$
declare
    monthly_name constant text := ops.relation_name(monthly);
    first_day constant date := date_trunc('month', month::timestamp)::date;
    month_text constant text := to_char(first_day, 'YYYY-MM') || ' of ' || monthly_name;
    kept_until timestamptz;
    holds text;
    purged_rows bigint;
begin
    perform pg_advisory_xact_lock(hashtextextended('ops.lifecycle', 0));
    select d.removed_at + ops.least_cold_time() into kept_until
    from ops.departures as d
    where d.table_name = monthly_name and d.month = first_day;
    if kept_until is null then
        raise exception 'purge_month: % has not left the database', month_text
            using errcode = 'object_not_in_prerequisite_state';
    end if;
    if kept_until > clock_timestamp() then
        raise exception 'purge_month: % has just left; its files stay until %', month_text,
            to_char(kept_until at time zone 'UTC', 'YYYY-MM-DD HH24:MI "UTC"')
            using errcode = 'object_not_in_prerequisite_state';
    end if;
    select string_agg(format('legal hold %s', h), ', ') into holds
    from ops.holds_on_departed(monthly_name, first_day) as h;
    if holds is not null then
        raise exception 'purge_month: % is kept by %', month_text, holds
            using errcode = 'object_not_in_prerequisite_state';
    end if;

    insert into ops.purges (table_name, month, rows, bytes, files, policy)
    select
        monthly_name, first_day, coalesce(sum(f.rows), 0), coalesce(sum(f.bytes), 0),
        coalesce(jsonb_agg(to_jsonb(f) - 'schema' order by f.url), '[]'), purge_month.policy
    from ops.archive_files as f
    where f.table_name = monthly_name and f.month = first_day
    on conflict do nothing;
    update ops.archive_files as f set state = 'purged'
    where f.table_name = monthly_name and f.month = first_day;
    -- That a trace was here must be known as long as rows may hang under it; whose it was not.
    with named as (
        delete from ops.departed_keys as k
        where k.table_name = monthly_name and k.month = first_day
        returning k.*
    )

    insert into ops.departed_keys (table_name, month, key, day, followed_by, found_by, is_orphaned, tenant_id)
    select
        n.table_name, n.month, n.key, n.day, n.followed_by - 'user_id', array[n.key], bool_or(n.is_orphaned),
        n.tenant_id
    from named as n
    group by n.table_name, n.month, n.key, n.day, n.followed_by - 'user_id', n.tenant_id;
    select p.rows into purged_rows from ops.purges as p
    where p.table_name = monthly_name and p.month = first_day;
    return purged_rows;
end
$function$;

comment on function ops.purge_month(regclass, date, text) is
'Writes the receipt for the files of a month that left some time ago, unless a legal hold covers it; returns '
'how many rows they have. From then on they may be deleted, and nothing restores the month.';


-- The way back

create function ops.thaw_month(monthly regclass, month date) returns bigint
language plpgsql
security definer
set search_path = pg_catalog, pg_temp
as $function$
declare
    monthly_name constant text := ops.relation_name(monthly);
    first_day constant date := date_trunc('month', month::timestamp)::date;
    removed_at timestamptz;
    thawed_days bigint;
begin
    perform pg_advisory_xact_lock(hashtextextended('ops.lifecycle', 0));
    select d.removed_at into removed_at
    from ops.departures as d
    where d.table_name = monthly_name and d.month = first_day;
    if not found or removed_at is not null then
        raise exception 'thaw_month: % of % %', to_char(first_day, 'YYYY-MM'), monthly_name,
            case when removed_at is null then 'is not frozen' else 'has left; restore it' end
            using errcode = 'object_not_in_prerequisite_state';
    end if;

    -- A day stays frozen as long as any other month that it was computed from is away.
    with no_longer as (
        delete from ops.frozen_for as f
        where f.table_name = monthly_name and f.month = first_day
        returning f.target, f.period
    ),

    thawed as (
        update ops.refreshed_periods as p set state = 'open'
        from no_longer as n
        where
            p.target = n.target and p.period = n.period and p.state = 'frozen'
            and not exists (
                select from ops.frozen_for as f
                where
                    f.target = n.target and f.period = n.period
                    and (f.table_name, f.month) is distinct from (monthly_name, first_day)
            )
        returning p.target, p.period
    ),

    counted as (
        delete from ops.late_rows as l
        using thawed as t
        where l.target = t.target and l.period = t.period
        returning l.target, l.table_name, l.day
    ),

    marked as (
        insert into ops.changes (table_name, keys)
        select 'thawed ' || d.target, jsonb_build_object('day', d.day)
        from (
            select t.target, t.period as day
            from thawed as t
            union
            select c.target, c.day
            from counted as c
            where c.table_name = c.target
        ) as d
    )

    select count(*) into thawed_days from thawed;
    if monthly_name = 'agentic.agent_decisions' then
        delete from ops.trust_checkpoints as c where c.as_of_date >= first_day;
    end if;
    delete from ops.departures as d where d.table_name = monthly_name and d.month = first_day;
    return thawed_days;
end
$function$;

comment on function ops.thaw_month(regclass, date) is
'Says that a month which was frozen stays, or is back: the next refresh computes the days again that depend '
'on no other month that has left, and counts what came late. Returns how many days of models.';

create function ops.staged_name(monthly regclass, month date) returns text
language sql
stable
set search_path = pg_catalog, pg_temp
return format(
    '%I.%I',
    split_part(ops.relation_name(monthly), '.', 1),
    'restored_' || ops.month_partition_name(monthly, date_trunc('month', month::timestamp)::date)
);

comment on function ops.staged_name(regclass, date) is
'Name of the table that takes the rows of a month which is to come back.';

create function ops.stage_month(monthly regclass, month date) returns text
language plpgsql
security definer
set search_path = pg_catalog, pg_temp
as $function$
declare
    first_day constant date := date_trunc('month', month::timestamp)::date;
    staged constant text := ops.staged_name(monthly, month);
    types jsonb;
begin
    perform from ops.departures as d
    where d.table_name = ops.relation_name(monthly) and d.month = first_day and d.removed_at is not null;
    if not found then
        raise exception 'stage_month: % of % has not left', to_char(first_day, 'YYYY-MM'), monthly
            using errcode = 'object_not_in_prerequisite_state';
    end if;
    if exists (
        select from ops.purges as p where p.table_name = ops.relation_name(monthly) and p.month = first_day
    ) then
        raise exception 'stage_month: % of % was purged, as its policy asks; its receipt is in ops.purges',
            to_char(first_day, 'YYYY-MM'), monthly
            using errcode = 'object_not_in_prerequisite_state';
    end if;
    perform ops.need_file_columns(monthly, first_day);
    select jsonb_object_agg(t.key, t.value) into types
    from ops.archive_files as f
    cross join jsonb_each(f.schema) as t
    where f.table_name = ops.relation_name(monthly) and f.month = first_day and f.state = 'verified';
    if types is null then
        raise exception 'stage_month: ops.archive_files has no verified file of % of %',
            to_char(first_day, 'YYYY-MM'), monthly
            using errcode = 'object_not_in_prerequisite_state';
    end if;
    execute format('drop table if exists %s', staged);
    -- What the table asks of its rows waits for its partition; what a crash empties is refused.
    execute format('create unlogged table %s (%s)', staged, ops.file_columns(monthly, types));
    execute format('grant select, insert on %s to agentbooks_retention', staged);
    return staged;
end
$function$;

comment on function ops.stage_month(regclass, date) is
'Makes an empty table for the rows of a month that is to come back, and returns its name: copy them there, '
'then call ops.restore_month.';

create function ops.restore_month(monthly regclass, month date) returns bigint
language plpgsql
security definer
set search_path = pg_catalog, pg_temp
set timezone = 'UTC'
as $function$
declare
    monthly_name constant text := ops.relation_name(monthly);
    first_day constant date := date_trunc('month', month::timestamp)::date;
    month_text constant text := to_char(first_day, 'YYYY-MM') || ' of ' || monthly_name;
    staged constant regclass := to_regclass(ops.staged_name(monthly, month));
    column_names text;
    key_names text;
    assignments text;
    is_same_key text;
    refused_sql text;
    is_monthly boolean;
    is_taken boolean;
    staged_rows bigint;
    orphaned_rows bigint;
    restored_rows bigint;
    archive constant regclass := to_regclass(format('archive.%I', ops.archive_name(monthly)));
    parent_table regclass := monthly;
    parent_archive regclass;
    has_archived_parents boolean;
    part regclass;
    parent record;
    changed record;
begin
    perform pg_advisory_xact_lock(hashtextextended('ops.lifecycle', 0));
    if staged is null then
        raise exception 'restore_month: no rows of % are there to be restored; copy them to what ops.stage_month makes',
            month_text
            using errcode = 'object_not_in_prerequisite_state';
    end if;
    execute format('select count(*) from %s', staged) into staged_rows;
    if not exists (
        select
        from (
            select coalesce(sum(f.rows), 0) as rows
            from ops.archive_files as f
            where f.table_name = monthly_name and f.month = first_day and f.state = 'verified'
        ) as f
        where f.rows = staged_rows
    ) or exists (
        select
        from jsonb_each_text(ops.column_checksums(monthly, format('select * from %s', staged), staged)) as found
        full join (
            select c.key, sum(c.value::numeric) as checksum
            from ops.archive_files as f
            cross join jsonb_each_text(f.checksums) as c
            where f.table_name = monthly_name and f.month = first_day and f.state = 'verified'
            group by c.key
        ) as expected on found.key = expected.key
        where coalesce(expected.checksum, 0) <> coalesce(found.value::numeric, 0)
    ) then
        raise exception 'restore_month: the rows of % are not those that were archived', month_text
            using errcode = 'data_corrupted';
    end if;

    -- They are what was archived: now they become what the table has become since.
    for changed in
        select
            coalesce(h.attname, s.attname) as name,
            h.attname is null as is_gone,
            s.attname is null as is_new,
            format_type(h.atttypid, h.atttypmod) as type,
            h.attgenerated <> '' as is_generated,
            h.attnotnull as is_required,
            pg_get_expr(d.adbin, d.adrelid) as expression
        from (
            select * from pg_attribute as a where a.attrelid = monthly and a.attnum > 0 and not a.attisdropped
        ) as h
        full join (
            select * from pg_attribute as a where a.attrelid = staged and a.attnum > 0 and not a.attisdropped
        ) as s on h.attname = s.attname
        left join pg_attrdef as d on h.attrelid = d.adrelid and h.attnum = d.adnum
        where
            h.attname is null or s.attname is null
            or format_type(h.atttypid, h.atttypmod) <> format_type(s.atttypid, s.atttypmod)
        order by h.attgenerated <> '', h.attnum
    loop
        if changed.is_new and changed.is_required and changed.expression is null then
            raise exception 'restore_month: the rows of % are older than column %, which must not be null; give it a default',
                month_text, changed.name
                using errcode = 'object_not_in_prerequisite_state';
        end if;
        execute format(
            case
                when changed.is_gone then 'alter table %s drop column %I'
                when not changed.is_new then 'alter table %s alter column %I type %s using %2$I::%3$s'
                when changed.is_generated then 'alter table %s add column %I %s generated always as (%s) stored'
                when changed.expression is not null then 'alter table %s add column %I %s default %s'
                else 'alter table %s add column %I %s'
            end,
            staged, changed.name, changed.type, changed.expression
        );
    end loop;

    if monthly_name = 'raaf.raaf_tracing_spans' then
        perform raaf.name_agents(staged);
    end if;

    -- What a deletion would have taken along, had it been here, goes; a parent that has left comes first.
    for parent in
        select
            f.confrelid::regclass as name,
            f.confdeltype,
            c.attname as child_column,
            p.attname as parent_column
        from pg_constraint as f
        inner join pg_attribute as c on f.conrelid = c.attrelid and f.conkey[1] = c.attnum
        inner join pg_attribute as p on f.confrelid = p.attrelid and f.confkey[1] = p.attnum
        where
            f.conrelid = monthly and f.contype = 'f' and cardinality(f.conkey) = 1 and f.confdeltype in ('c', 'n')
    loop
        execute format(
            'select count(*) from %s as s inner join ops.departed_keys as k '
            'on k.table_name = %L and k.key = s.%I::text',
            staged, ops.relation_name(parent.name), parent.child_column
        ) into orphaned_rows;
        if orphaned_rows > 0 then
            raise exception 'restore_month: % hangs under rows of % that have left; restore those first',
                month_text, parent.name
                using errcode = 'object_not_in_prerequisite_state';
        end if;
        execute format(
            'delete from %s as s using ops.departed_keys as k where k.is_orphaned '
            'and k.table_name = %L and k.month = %L and k.key = s.%I::text',
            staged, monthly_name, first_day,
            coalesce(
                (select l.distribution_column from ops.table_layouts as l where l.table_name = monthly_name),
                parent.child_column
            )
        );
        parent_archive := to_regclass(
            format('archive.%I', ops.archive_name(parent.name))
        );
        execute format(
            case parent.confdeltype when 'c' then 'delete from %1$s as s' else 'update %1$s as s set %2$I = null' end
            || ' where s.%2$I is not null and not exists (select from %3$s as p where p.%4$I = s.%2$I)'
            || case
                when parent_archive is not null
                    then ' and not exists (select from %5$s as p where p.%4$I = s.%2$I)'
                else ''
            end,
            staged, parent.child_column, parent.name, parent.parent_column, parent_archive
        );
        if parent_archive is not null then
            execute format(
                'select exists (select from %s as s inner join %s as p on s.%I = p.%I)',
                staged, parent_archive, parent.child_column, parent.parent_column
            ) into has_archived_parents;
            if has_archived_parents then
                parent_table := archive;
            end if;
        end if;
    end loop;

    select
        string_agg(quote_ident(a.attname), ', ' order by a.attnum) filter (where a.attgenerated = ''),
        string_agg(quote_ident(a.attname), ', ' order by a.attnum) filter (where a.attnum = any(i.indkey)),
        string_agg(format('%1$I = s.%1$I', a.attname), ', ') filter (
            where a.attgenerated = '' and a.attnum <> all(i.indkey)
        ),
        string_agg(format('r.%1$I = s.%1$I', a.attname), ' and ') filter (where a.attnum = any(i.indkey))
    into column_names, key_names, assignments, is_same_key
    from pg_attribute as a
    inner join pg_index as i on a.attrelid = i.indrelid and i.indisprimary
    where a.attrelid = monthly and a.attnum > 0 and not a.attisdropped;

    -- They join what has come meanwhile, in a partition that has no triggers as long as it is detached. Beside
    -- parents that are archived they are archived themselves: their keys allow nothing else.
    is_monthly := exists (select from pg_partitioned_table as p where p.partrelid = monthly);
    if is_monthly then
        perform ops.create_month_partitions(parent_table, first_day, first_day);
        part := to_regclass(format(
            '%I.%I', split_part(ops.relation_name(parent_table), '.', 1),
            ops.month_partition_name(parent_table, first_day)
        ));
        execute format('alter table %s detach partition %s', parent_table, part);
        -- As a month that was archived has kept them: without, it could not go back from there.
        for parent in
            select c.conname as name, pg_get_constraintdef(c.oid) as definition
            from pg_constraint as c
            where c.conrelid = monthly and c.contype = 'c'
                and not exists (select from pg_constraint as k where k.conrelid = part and k.conname = c.conname)
        loop
            execute format('alter table %s add constraint %I %s', part, parent.name, parent.definition);
        end loop;
    else
        part := archive;
        perform ops.set_lifecycle(true);
    end if;
    -- Where its key was taken, a later one would have been refused, and is now.
    refused_sql := 'insert into ops.rejected_records '
        '(record_sha256, source_file, source_line, reason, record_head, record_bytes) '
        'select sha256(d.record), %4$L, 1, ''a row of this key was archived before it came'', '
        'substring(d.record for 65536), octet_length(d.record) from doubled as d on conflict do nothing';
    execute format(
        'with doubled as ('
        'delete from %1$s as r where (%2$s) in (select %2$s from %3$s) '
        'returning convert_to(to_jsonb(r)::text, ''UTF8'') as record) ' || refused_sql,
        part, key_names, staged, 'restored ' || monthly_name
    );
    if not is_monthly then
        -- Others may lean on the later one: it becomes the one that was archived.
        execute format('select exists (select from %s where (%s) in (select %2$s from %3$s))', monthly, key_names, staged)
        into is_taken;
        if is_taken then
            execute format(
                'insert into ops.changes (table_name, keys) select %L, to_jsonb(k) '
                'from (select distinct %s from %s as r where (%s) in (select %4$s from %5$s)) as k',
                monthly_name, (select c.keys from ops.captured_tables as c where c.table_name = monthly_name),
                monthly, key_names, staged
            );
            execute format(
                'with doubled as (select convert_to(to_jsonb(r)::text, ''UTF8'') as record from %1$s as r '
                'where (%2$s) in (select %2$s from %3$s)) ' || refused_sql,
                monthly, key_names, staged, 'restored ' || monthly_name
            );
            execute format('alter table %s disable trigger user', monthly);
            execute format(
                'update %s as r set %s from %s as s where %s', monthly, assignments, staged, is_same_key
            );
            execute format('alter table %s enable trigger user', monthly);
        end if;
    end if;
    execute format(
        'insert into %1$s (%2$s) overriding system value select %2$s from %3$s as s%4$s', part, column_names, staged,
        case when not is_monthly then format(' where not exists (select from %s as r where %s)', monthly, is_same_key) end
    );
    if not is_monthly then
        perform ops.set_lifecycle(false);
    end if;

    -- A refresh of what they lead to finds them by their keys; they themselves are no change.
    execute format(
        'insert into ops.changes (table_name, keys) '
        'select %1$L, to_jsonb(k) from (select distinct %2$s from %3$s) as k '
        'union select k.table_name, k.followed_by from ops.departed_keys as k '
        'where k.table_name = %1$L and k.month = %4$L',
        monthly_name, (select c.keys from ops.captured_tables as c where c.table_name = monthly_name), staged,
        first_day
    );
    if is_monthly then
        execute format(
            'alter table %s attach partition %s for values from (%L) to (%L)',
            parent_table, part, first_day::timestamptz, (first_day + interval '1 month')::timestamptz
        );
    end if;
    execute format('select count(*) from (%s) as r', ops.month_rows(monthly, first_day)) into restored_rows;
    execute format('drop table %s', staged);

    delete from ops.departed_keys as k where k.table_name = monthly_name and k.month = first_day;
    if monthly_name = 'agentic.agent_audit_log' then
        delete from ops.departed_audit_links as l
        where l.day between first_day and (first_day + interval '1 month - 1 day')::date;
    end if;
    update ops.departures as d set removed_at = null
    where d.table_name = monthly_name and d.month = first_day;
    perform ops.thaw_month(monthly, first_day);
    return restored_rows;
end
$function$;

comment on function ops.restore_month(regclass, date) is
'Brings a month back from the rows that were copied to what ops.stage_month made, if they are those that '
'were archived, together with what came since; returns how many rows the month has. The next refresh counts '
'what had waited for it.';

revoke all on function ops.month_clock(regclass) from public;
revoke all on function ops.month_rows(regclass, date) from public;
revoke all on function ops.month_partitions(regclass, date) from public;
revoke all on function ops.column_checksums(regclass, text, regclass) from public;
revoke all on function ops.file_columns(regclass, jsonb) from public;
revoke all on function ops.need_file_columns(regclass, date) from public;
revoke all on function ops.keys_of_month(regclass, date) from public;
revoke all on function ops.days_led_to(text, text) from public;
revoke all on function ops.readers(text) from public;
revoke all on function ops.freeze_periods(regclass, date[]) from public;
revoke all on function ops.freeze_month(regclass, date) from public;
revoke all on function ops.freeze_what_has_left(regclass, text, text[], text, text) from public;
revoke all on function ops.note_moved_rows(regclass, text, text, text) from public;
revoke all on function ops.note_late_rows(text, text[], text, date[]) from public;
revoke all on function ops.row_clock(regclass) from public;
revoke all on function ops.hold_condition(regclass, ops.legal_holds) from public;
revoke all on function ops.free_condition(regclass) from public;
revoke all on function ops.holds_on(regclass, text) from public;
revoke all on function ops.departure_refusals(regclass, date) from public;
revoke all on function ops.departing_keys(regclass, date) from public;
revoke all on function ops.remove_month(regclass, date) from public;
revoke all on function ops.holds_on_departed(text, date) from public;
revoke all on function ops.least_cold_time() from public;
revoke all on function ops.purge_month(regclass, date, text) from public;
revoke all on function ops.thaw_month(regclass, date) from public;
revoke all on function ops.staged_name(regclass, date) from public;
revoke all on function ops.stage_month(regclass, date) from public;
revoke all on function ops.restore_month(regclass, date) from public;
grant execute on function ops.month_clock(regclass) to agentbooks_refresher, agentbooks_retention;
grant execute on function ops.month_rows(regclass, date) to agentbooks_refresher, agentbooks_retention;
grant execute on function ops.month_partitions(regclass, date) to agentbooks_refresher, agentbooks_retention;
grant execute on function ops.column_checksums(regclass, text, regclass) to agentbooks_retention;
grant execute on function ops.file_columns(regclass, jsonb) to agentbooks_retention;
grant execute on function ops.need_file_columns(regclass, date) to agentbooks_retention;
grant execute on function ops.keys_of_month(regclass, date) to agentbooks_refresher;
grant execute on function ops.days_led_to(text, text) to agentbooks_refresher;
grant execute on function ops.readers(text) to agentbooks_refresher;
grant execute on function ops.freeze_periods(regclass, date[]) to agentbooks_refresher;
grant execute on function ops.freeze_month(regclass, date) to agentbooks_refresher;
grant execute on function ops.freeze_what_has_left(regclass, text, text[], text, text)
to agentbooks_refresher;
grant execute on function ops.note_moved_rows(regclass, text, text, text) to agentbooks_refresher;
grant execute on function ops.note_late_rows(text, text[], text, date[]) to agentbooks_refresher;
grant execute on function ops.row_clock(regclass) to agentbooks_retention;
grant execute on function ops.hold_condition(regclass, ops.legal_holds) to agentbooks_retention;
grant execute on function ops.free_condition(regclass) to agentbooks_retention;
grant execute on function ops.holds_on(regclass, text) to agentbooks_retention;
grant execute on function ops.departure_refusals(regclass, date)
to agentbooks_refresher, agentbooks_retention;
grant execute on function ops.remove_month(regclass, date) to agentbooks_retention;
grant execute on function ops.holds_on_departed(text, date) to agentbooks_retention;
grant execute on function ops.least_cold_time() to agentbooks_retention;
grant execute on function ops.purge_month(regclass, date, text) to agentbooks_retention;
grant execute on function ops.thaw_month(regclass, date) to agentbooks_retention;
grant execute on function ops.stage_month(regclass, date) to agentbooks_retention;
grant execute on function ops.restore_month(regclass, date) to agentbooks_retention;
