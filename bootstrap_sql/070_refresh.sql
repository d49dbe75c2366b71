-- The refresh: what has changed since a model last looked, and the replacement of exactly that. It
-- goes by transaction snapshots and by no clock: a transaction that was open while a model was
-- refreshed is unseen by it, whatever times its rows carry, and counts the next time.

set local role agentbooks_owner;

create schema sealed;
comment on schema sealed is
'Rows of the marts'' periods as they were sealed, a table per mart. Rows are added and never altered.';
grant usage, create on schema sealed to agentbooks_refresher;
grant usage on schema sealed to agentbooks_retention;

create table ops.collections (
    is_only_row boolean not null primary key default true check (is_only_row),
    seen pg_snapshot not null,
    server text not null,
    next_transaction bigint
);

comment on table ops.collections is 'One row: how far ops.collect_changes has looked.';
comment on column ops.collections.is_only_row is 'Always true: it keeps the table at one row.';
comment on column ops.collections.seen is 'Raw rows of transactions that this snapshot saw are collected.';
comment on column ops.collections.server is
'ops.server_identity at that time: on another server the numbers of transactions mean nothing.';
comment on column ops.collections.next_transaction is
'The transaction that follows the run which wrote this row, if no other was at work: until it begins, '
'nothing can have changed.';

create table ops.content_hashes (
    table_name text not null primary key,
    content_hash numeric not null
);

comment on table ops.content_hashes is
'One row per small table that is followed by its whole content: seeds, which dbt loads anew each time.';
comment on column ops.content_hashes.table_name is 'Table, with its schema.';
comment on column ops.content_hashes.content_hash is 'Sum over the hashes of its rows.';

create table ops.refreshes (
    target text not null primary key,
    relation oid not null,
    grain text not null check (grain in ('period', 'key', 'all')),
    grain_column text check ((grain_column is null) = (grain = 'all')),
    inputs text[] not null,
    dirty_sql text not null,
    model_hash text not null,
    seen pg_snapshot not null,
    refreshed_at timestamptz not null default clock_timestamp()
);

comment on table ops.refreshes is
'One row per refreshed table: what it has seen. A developer''s table is another target than production''s.';
comment on column ops.refreshes.target is 'Table, with its schema.';
comment on column ops.refreshes.relation is
'Its oid then: a table that was dropped and made again has seen nothing.';
comment on column ops.refreshes.grain is
'Whether periods or keys of it are replaced, or all of it is computed and compared.';
comment on column ops.refreshes.grain_column is
'Its column with the period, a UTC day, or the key; null where all is computed.';
comment on column ops.refreshes.inputs is
'All that it is computed from: raw tables, seeds, other tables, and the views between.';
comment on column ops.refreshes.dirty_sql is
'How changes of them lead to its days or keys: what a row leads to is also what stands on it.';
comment on column ops.refreshes.model_hash is
'Hash of the model''s SQL: another SQL dirties all that is open.';
comment on column ops.refreshes.seen is 'Changes of transactions that this snapshot saw are counted.';
comment on column ops.refreshes.refreshed_at is
'When that was noted: not again while nothing at all has changed.';

create table ops.refreshed_periods (
    target text not null,
    period date not null,
    state text not null default 'open' check (state in ('open', 'sealed', 'frozen')),
    rows_before bigint not null check (rows_before >= 0),
    rows_after bigint not null check (rows_after >= 0),
    seen pg_snapshot not null,
    model_hash text not null,
    refreshed_at timestamptz not null default clock_timestamp(),
    primary key (target, period)
);

comment on table ops.refreshed_periods is
'The ledger: one row per table refreshed by period and UTC day. Written in the transaction that '
'replaces the day''s rows.';
comment on column ops.refreshed_periods.target is 'Table, with its schema.';
comment on column ops.refreshed_periods.period is
'UTC day; 0001-01-01 stands for rows without one.';
comment on column ops.refreshed_periods.state is
'open; sealed: its rows are copied to schema sealed, and a change opens it again; frozen: its raw rows '
'are gone, and the sealed rows stand whatever changes.';
comment on column ops.refreshed_periods.rows_before is 'Rows that the last refresh found of that day.';
comment on column ops.refreshed_periods.rows_after is 'Rows that it left.';
comment on column ops.refreshed_periods.seen is 'Snapshot of the last refresh.';
comment on column ops.refreshed_periods.model_hash is 'Hash of the SQL that computed the rows.';
comment on column ops.refreshed_periods.refreshed_at is 'When that was.';

grant select, insert, update on ops.collections, ops.content_hashes to agentbooks_refresher;
grant select, insert, update, delete on ops.refreshes, ops.refreshed_periods to agentbooks_refresher;
grant select on ops.refreshes, ops.refreshed_periods to agentbooks_retention;

create table ops.seals (
    seal_number bigint not null generated always as identity primary key,
    target text not null,
    period date not null,
    sealed_rows bigint not null check (sealed_rows >= 0),
    checksum numeric not null,
    model_hash text not null,
    column_names text[] not null,
    sealed_at timestamptz not null default clock_timestamp(),
    unique (target, period, seal_number)
);

comment on table ops.seals is
'One row per sealing of a day of a mart; the last one of a day holds. Rows are added and never altered.';
comment on column ops.seals.seal_number is 'The sealed rows carry it.';
comment on column ops.seals.target is 'Table, with its schema.';
comment on column ops.seals.period is 'UTC day; 0001-01-01 stands for rows without one.';
comment on column ops.seals.sealed_rows is 'How many rows the day had.';
comment on column ops.seals.checksum is 'Sum over the hashes of the day''s rows.';
comment on column ops.seals.model_hash is 'Hash of the SQL that computed them.';
comment on column ops.seals.column_names is 'Columns that the mart had.';
comment on column ops.seals.sealed_at is 'When.';

grant select, insert on ops.seals to agentbooks_refresher;
grant select on ops.seals to agentbooks_retention;

create table ops.built_views (
    view text not null primary key,
    relation oid not null,
    sql_hash text not null
);

comment on table ops.built_views is
'One row per view that dbt has built: left alone until its SQL or description is another.';
comment on column ops.built_views.view is 'View, with its schema.';
comment on column ops.built_views.relation is 'Its oid then: a view that was dropped has to be built.';
comment on column ops.built_views.sql_hash is 'Hash of its SQL and its description.';

grant select, insert, update on ops.built_views to agentbooks_refresher;

create function ops.server_identity() returns text
language sql
stable
set search_path = pg_catalog, pg_temp
return (
    select c.system_identifier || '/' || d.oid
    from pg_control_system() as c
    cross join pg_database as d
    where d.datname = current_database()
);

comment on function ops.server_identity() is
'Server and database: another after dump and restore or pg_upgrade, the same after a failover.';

create function ops.unseen_transactions(seen pg_snapshot, column_name text) returns text
language sql
immutable
set search_path = pg_catalog, pg_temp
return (
    select case
        when count(*) = 0 then format('%I >= %s', column_name, pg_snapshot_xmax(seen))
        else format(
            '(%1$I >= %2$s or %1$I = any(%3$L))',
            column_name, pg_snapshot_xmax(seen), array_agg(x)::text
        )
    end
    from pg_snapshot_xip(seen) as x
);

comment on function ops.unseen_transactions(pg_snapshot, text) is
'Condition on a column of transaction numbers, as SQL: those that were not over in a snapshot. Written '
'with its end and its open ones, so that an idle writer keeps nothing between dirty.';

-- No constraint says anything about change_id, so that none need be looked at.
create function ops.collect_changes() returns bigint
language plpgsql
set search_path = pg_catalog, pg_temp
set constraint_exclusion = off
as $function$
declare
    server_now constant text := ops.server_identity();
    last_collection ops.collections;
    seen_now pg_snapshot;
    captured record;
    is_unseen text;
    is_changed boolean;
    found_rows bigint;
    changes bigint := 0;
begin
    perform pg_advisory_xact_lock_shared(hashtextextended('ops.lifecycle', 0));
    perform pg_advisory_xact_lock(hashtextextended('ops.collect_changes', 0));
    select * into last_collection from ops.collections;
    seen_now := pg_current_snapshot();

    -- What no table reads need not be looked through: one that begins to is computed as a whole.
    for captured in
        select c.*
        from ops.captured_tables as c
        where c.table_name in (
            select unnest(r.inputs) from ops.refreshes as r where to_regclass(r.target) = r.relation
        )
        order by c.table_name
    loop
        if last_collection.server is distinct from server_now then
            perform ops.refuse_archived_rows(captured.table_name::regclass);
            insert into ops.changes (table_name, keys) values (captured.table_name, null);
            found_rows := 1;
        else
            -- Not beyond what this server has numbered: restored rows carry another one's numbers.
            is_unseen := format(
                '%s and change_id < %s',
                ops.unseen_transactions(last_collection.seen, 'change_id'),
                pg_snapshot_xmax(pg_current_snapshot())
            );
            -- Asked first, as that is planned in half the time and most tables have not changed.
            execute format('select exists (select from %s where %s)', captured.table_name::regclass, is_unseen)
            into is_changed;
            continue when not is_changed;
            perform ops.refuse_archived_rows(captured.table_name::regclass);
            execute format(
                'insert into ops.changes (table_name, keys) '
                'select %L, to_jsonb(k) from (select distinct %s from %s where %s) as k',
                captured.table_name, captured.keys, captured.table_name::regclass, is_unseen
            );
            get diagnostics found_rows = row_count;
        end if;
        changes := changes + found_rows;
    end loop;

    insert into ops.collections (seen, server) values (seen_now, server_now)
    on conflict (is_only_row) do update set seen = excluded.seen, server = excluded.server;

    -- What every table that is still there has seen. A table without an entry starts with all.
    delete from ops.changes as c
    where c.change_id < (
        select min(pg_snapshot_xmin(r.seen)::text::bigint)
        from ops.refreshes as r
        where to_regclass(r.target) = r.relation
    );
    return changes;
end
$function$;

comment on function ops.collect_changes() is
'Writes the keys of raw rows that were inserted or updated since the last call into ops.changes; '
'returns how many. The first call, or the first on another server, marks every table as a whole.';

create function ops.note_content(noted regclass) returns boolean
language plpgsql
set search_path = pg_catalog, pg_temp
as $function$
declare
    name constant text := (
        select n.nspname || '.' || c.relname
        from pg_class as c
        join pg_namespace as n on n.oid = c.relnamespace
        where c.oid = noted
    );
    found_hash numeric;
    known_hash numeric;
begin
    execute format('select coalesce(sum(hash_record_extended(t, 0)), 0) from %s as t', noted)
    into found_hash;
    select h.content_hash into known_hash from ops.content_hashes as h where h.table_name = name;

    if found_hash is not distinct from known_hash then
        return false;
    end if;

    insert into ops.changes (table_name, keys) values (name, null);
    insert into ops.content_hashes (table_name, content_hash) values (name, found_hash)
    on conflict (table_name) do update set content_hash = excluded.content_hash;
    return true;
end
$function$;

comment on function ops.note_content(regclass) is
'Compares a small table with its content at the last call; marks it as changed, and returns true, '
'where it differs.';

create function ops.start_run(seeds regclass[]) returns boolean
language plpgsql
set search_path = pg_catalog, pg_temp
as $function$
declare
    last_collection ops.collections;
    seen_now pg_snapshot;
    noted regclass;
begin
    perform ops.advance_as_of((now() at time zone 'UTC')::date);
    perform pg_advisory_xact_lock_shared(hashtextextended('ops.lifecycle', 0));
    perform pg_advisory_xact_lock(hashtextextended('ops.collect_changes', 0));
    select * into last_collection from ops.collections;
    seen_now := pg_current_snapshot();
    -- To look through every partition takes longer than all that is to be done when nothing is. What this
    -- transaction has written, a new day at least, no other number tells.
    if last_collection.server = ops.server_identity()
        and pg_current_xact_id_if_assigned() is null
        and pg_snapshot_xmin(seen_now) = pg_snapshot_xmax(seen_now)
        and pg_snapshot_xmax(seen_now)::text::bigint = last_collection.next_transaction then
        return false;
    end if;

    perform ops.collect_changes();
    foreach noted in array array['ops.as_of', 'ops.budgets', 'ops.pseudonym_salt']::regclass[] || seeds loop
        perform ops.note_content(noted);
    end loop;
    update ops.collections as c
    set next_transaction = case
        when pg_snapshot_xmin(seen_now) = pg_current_xact_id() and pg_snapshot_xmax(seen_now) = pg_current_xact_id()
            then pg_current_xact_id()::text::bigint + 1
    end;
    return true;
end
$function$;

comment on function ops.start_run(regclass[]) is
'What comes before the first model: the day, changes of raw rows, and what small tables hold by now. Returns '
'false where nobody has written anything, in no database of the server, since the last run looked.';

create function ops.note_view(view text, sql_hash text) returns void
language sql
set search_path = pg_catalog, pg_temp
begin atomic
    insert into ops.built_views as b (view, relation, sql_hash)
    values (note_view.view, to_regclass(note_view.view)::oid, note_view.sql_hash)
    on conflict (view) do update set relation = excluded.relation, sql_hash = excluded.sql_hash;
    insert into ops.changes (table_name, keys, is_recount) values (note_view.view, null, true);
end;

comment on function ops.note_view(text, text) is
'Keeps that a view was built anew, and marks it: all that stands on it is dirty.';

create function ops.unseen_changes(refreshed text, inputs text[])
returns table (table_name text, keys jsonb, is_recount boolean)
language plpgsql
stable
set search_path = pg_catalog, pg_temp
as $function$
declare
    last_seen pg_snapshot;
begin
    select r.seen into last_seen from ops.refreshes as r where r.target = refreshed;
    -- Asked first, as that is planned once in a session; for the newest, which is read off the index.
    if last_seen is not null and (
        select max(c.change_id) from ops.changes as c
        where c.change_id >= pg_snapshot_xmin(last_seen)::text::bigint
    ) is null then
        return;
    end if;
    return query execute format(
        'select c.table_name, c.keys, c.is_recount from ops.changes as c where c.table_name = any($1) and %s',
        case when last_seen is null then 'true' else ops.unseen_transactions(last_seen, 'change_id') end
    ) using inputs;
end
$function$;

comment on function ops.unseen_changes(text, text[]) is
'Changes of a model''s inputs that its table has not seen.';

create function ops.relation_name(relation regclass) returns text
language sql
stable
set search_path = pg_catalog, pg_temp
return (
    select n.nspname || '.' || c.relname
    from pg_class as c
    inner join pg_namespace as n on c.relnamespace = n.oid
    where c.oid = relation
);

comment on function ops.relation_name(regclass) is
'Schema and name of a relation, whatever the search path.';

create function ops.archive_name(hot regclass) returns text
language sql
stable
set search_path = pg_catalog, pg_temp
return (
    select coalesce(s.system, c.relnamespace::regnamespace::text) || '__' || c.relname
    from pg_class as c
    left join ops.raw_schemas as s on s.schema_name = c.relnamespace::regnamespace::text
    where c.oid = hot
);

comment on function ops.archive_name(regclass) is
'What a raw table is called in the schemas archive and history, such as observability__spans.';

create function ops.in_periods(column_sql text, days date[], is_date boolean) returns text
language sql
immutable
set search_path = pg_catalog, pg_temp
return (
    select coalesce('(' || string_agg(
        case
            when r.first_day = '0001-01-01' then format('%s is null', column_sql)
            when is_date then format('%s between %L and %L', column_sql, r.first_day, r.last_day)
            else format(
                '%1$s >= timestamptz %2$L and %1$s < timestamptz %3$L',
                column_sql, r.first_day || ' 00:00+00', (r.last_day + 1) || ' 00:00+00'
            )
        end,
        ' or ' order by r.first_day
    ) || ')', 'false')
    from (
        -- Days in a row make one range.
        select
            min(i.day) as first_day,
            max(i.day) as last_day
        from (
            select
                d.day,
                case
                    when d.day > '0001-01-01'
                        then d.day - (row_number() over (order by d.day))::int
                end as island
            from (select distinct unnest(days) as day) as d
        ) as i
        group by i.island
    ) as r
);

comment on function ops.in_periods(text, date[], boolean) is
'Condition on a date, or on the time itself, as SQL: it lies on one of these UTC days. Literal ranges '
'of the bare column, by which partitions are pruned; 0001-01-01 stands for null.';

create function ops.of_periods(model_sql text, periods date[]) returns text
language plpgsql
immutable
set search_path = pg_catalog, pg_temp
as $function$
declare
    place record;
begin
    for place in
        values
        ('', periods),
        (' days', periods),
        (' months', array(
            select generate_series(p.first_day, p.first_day + interval '1 month - 1 day', '1 day')::date
            from unnest(periods::timestamp[]) as p (first_day)
        ))
    loop
        model_sql := regexp_replace(
            model_sql, format('/\* dirty%s: (.*?) \*/ true', place.column1),
            ops.in_periods('(\1)', place.column2, place.column1 <> ''), 'g'
        );
    end loop;
    return model_sql;
end
$function$;

comment on function ops.of_periods(text, date[]) is
'A model''s query, of these periods alone: the macros in_dirty, in_dirty_days and in_dirty_months have left '
'the places for the conditions.';

create function ops.sealed_table(target text) returns text
language sql
immutable
set search_path = pg_catalog, pg_temp
return format(
    'sealed.%I',
    case split_part(target, '.', 1)
        when 'marts' then split_part(target, '.', 2)
        else replace(target, '.', '__')
    end
);

comment on function ops.sealed_table(text) is
'Where a mart''s sealed rows are: sealed.<mart>, for a developer''s tables with their schema in the name.';

create function ops.rows_checksum(rows_sql text, out counted bigint, out checksum numeric)
language plpgsql
stable
set search_path = pg_catalog, pg_temp
as $function$
begin
    execute format(
        'select count(*), coalesce(sum(hash_record_extended(r, 0)), 0) from (%s) as r', rows_sql
    ) into counted, checksum;
end
$function$;

comment on function ops.rows_checksum(text) is
'Number of a query''s rows, and the sum over their hashes, which does not depend on their order.';

create function ops.seal_periods(sealed regclass, days date[]) returns void
language plpgsql
set search_path = pg_catalog, pg_temp
as $function$
declare
    target_name constant text := ops.relation_name(sealed);
    copy_name constant text := ops.sealed_table(target_name);
    refreshed ops.refreshes;
    refused record;
    names text[];
    column_names text;
    missing_columns text;
    checks_sql text;
    differing date;
begin
    perform pg_advisory_xact_lock(hashtextextended('ops.refresh ' || target_name, 0));
    select * into refreshed from ops.refreshes as r where r.target = target_name;
    select d.day, p.state into refused
    from unnest(days) as d (day)
    left join ops.refreshed_periods as p on p.target = target_name and p.period = d.day
    where p.state is null or p.state = 'frozen'
    limit 1;
    if found then
        raise exception 'seal_period: % of % is %, only a day that was refreshed can be sealed',
            refused.day, target_name, coalesce(refused.state, 'not in the ledger')
            using errcode = 'object_not_in_prerequisite_state';
    end if;

    execute format(
        'create table if not exists %s (seal_number bigint not null)', copy_name
    );
    select
        array_agg(a.attname::text order by a.attnum),
        string_agg(quote_ident(a.attname), ', ' order by a.attnum),
        string_agg(
            format('add column %I %s', a.attname, format_type(a.atttypid, a.atttypmod)), ', '
            order by a.attnum
        ) filter (where c.attname is null)
    into names, column_names, missing_columns
    from pg_attribute as a
    left join pg_attribute as c
        on c.attrelid = copy_name::regclass and c.attname = a.attname and not c.attisdropped
    where a.attrelid = sealed and a.attnum > 0 and not a.attisdropped;
    if missing_columns is not null then
        execute format('alter table %s %s', copy_name, missing_columns);
    end if;

    checks_sql := format(
        'select coalesce(r.%1$I, ''0001-01-01'') as period, count(*) as counted, '
        'sum(hash_record_extended(r, 0)) as checksum from (select %2$s from %%s where %%s) as r group by 1',
        refreshed.grain_column, column_names
    );
    execute format(
        'with checks as (%s), '
        'numbered as (insert into ops.seals (target, period, sealed_rows, checksum, model_hash, column_names) '
        'select p.target, p.period, coalesce(c.counted, 0), coalesce(c.checksum, 0), p.model_hash, $3 '
        'from ops.refreshed_periods as p left join checks as c using (period) '
        'where p.target = $1 and p.period = any($2) returning period, seal_number) '
        'insert into %s (seal_number, %s) select n.seal_number, %s from %s as r '
        'inner join numbered as n on n.period = coalesce(r.%I, ''0001-01-01'') where %s',
        format(checks_sql, sealed, ops.in_periods(quote_ident(refreshed.grain_column), days, true)),
        copy_name, column_names,
        (select string_agg(format('r.%I', n), ', ' order by o) from unnest(names) with ordinality as u (n, o)),
        sealed, refreshed.grain_column, ops.in_periods(format('r.%I', refreshed.grain_column), days, true)
    ) using target_name, days, names;
    execute format(
        'with last_seals as (select distinct on (s.period) s.* from ops.seals as s '
        'where s.target = $1 and s.period = any($2) order by s.period, s.seal_number desc), '
        'copies as (%s) '
        'select s.period from last_seals as s left join copies as c using (period) '
        'where (s.sealed_rows, s.checksum) is distinct from (coalesce(c.counted, 0), coalesce(c.checksum, 0)) limit 1',
        format(checks_sql, copy_name, 'seal_number in (select l.seal_number from last_seals as l)')
    ) into differing using target_name, days;
    if differing is not null then
        raise exception 'seal_period: the copy of % of % differs from the mart', differing, target_name
            using errcode = 'data_corrupted';
    end if;

    update ops.refreshed_periods as p set state = 'sealed'
    where p.target = target_name and p.period = any(days);
end
$function$;

comment on function ops.seal_periods(regclass, date[]) is
'Copies days of a mart to its table in schema sealed and compares the copy. A change of a day opens it '
'again.';

create function ops.seal_period(sealed regclass, sealed_period date) returns bigint
language plpgsql
set search_path = pg_catalog, pg_temp
as $function$
begin
    perform ops.seal_periods(sealed, array[sealed_period]);
    return (
        select max(s.seal_number)
        from ops.seals as s
        where s.target = ops.relation_name(sealed) and s.period = sealed_period
    );
end
$function$;

comment on function ops.seal_period(regclass, date) is
'Seals one day of a mart; returns the seal''s number.';

create function ops.freeze_period(frozen regclass, frozen_period date) returns void
language plpgsql
set search_path = pg_catalog, pg_temp
as $function$
declare
    target_name constant text := ops.relation_name(frozen);
    refreshed ops.refreshes;
    seal ops.seals;
    held record;
begin
    perform pg_advisory_xact_lock(hashtextextended('ops.refresh ' || target_name, 0));
    select * into refreshed from ops.refreshes as r where r.target = target_name;
    select * into seal from ops.seals as s
    where s.target = target_name and s.period = frozen_period
    order by s.seal_number desc
    limit 1;

    perform from ops.refreshed_periods as p
    where p.target = target_name and p.period = frozen_period and p.state = 'sealed';
    if not found then
        raise exception 'freeze_period: % of % is not sealed; seal it first', frozen_period, target_name
            using errcode = 'object_not_in_prerequisite_state';
    end if;

    held := ops.rows_checksum(format(
        'select %s from %s where %s',
        (
            select string_agg(quote_ident(a.attname), ', ' order by a.attnum)
            from pg_attribute as a
            where a.attrelid = frozen and a.attnum > 0 and not a.attisdropped
        ),
        frozen,
        ops.in_periods(quote_ident(refreshed.grain_column), array[frozen_period], true)
    ));
    if (held.counted, held.checksum) is distinct from (seal.sealed_rows, seal.checksum) then
        raise exception 'freeze_period: % of % is not what was sealed; seal it again',
            frozen_period, target_name
            using errcode = 'object_not_in_prerequisite_state';
    end if;

    update ops.refreshed_periods as p set state = 'frozen'
    where p.target = target_name and p.period = frozen_period;
end
$function$;

comment on function ops.freeze_period(regclass, date) is
'Says that the raw rows of a sealed day are about to go: from now on its rows stand as they were sealed. '
'Refuses a day that is not sealed, or is no longer what was sealed.';

create function ops.thaw_period(thawed regclass, thawed_period date) returns void
language plpgsql
set search_path = pg_catalog, pg_temp
as $function$
declare
    target_name constant text := ops.relation_name(thawed);
begin
    update ops.refreshed_periods as p set state = 'open'
    where p.target = target_name and p.period = thawed_period and p.state = 'frozen';
    if not found then
        raise exception 'thaw_period: % of % is not frozen', thawed_period, target_name
            using errcode = 'object_not_in_prerequisite_state';
    end if;
    with counted as (
        delete from ops.late_rows as l
        where l.target = target_name and l.period = thawed_period
        returning l.table_name, l.day
    )

    insert into ops.changes (table_name, keys)
    select 'thawed ' || target_name, jsonb_build_object('day', d.day)
    from (
        select thawed_period as day
        union
        select c.day from counted as c
        where c.table_name = target_name
    ) as d;
end
$function$;

comment on function ops.thaw_period(regclass, date) is
'Says that the raw rows of a frozen day are back: the next refresh computes it from them again.';

create function ops.restore_frozen_periods(restored regclass) returns bigint
language plpgsql
set search_path = pg_catalog, pg_temp
as $function$
declare
    target_name constant text := ops.relation_name(restored);
    copy regclass;
    column_names text;
    restored_rows bigint := 0;
begin
    perform from ops.refreshed_periods as p where p.target = target_name and p.state = 'frozen';
    if not found then
        return 0;
    end if;

    -- A column that is younger than the seal stays null.
    copy := to_regclass(ops.sealed_table(target_name));
    if copy is null then
        return 0;
    end if;
    select string_agg(quote_ident(a.attname), ', ' order by a.attnum)
    into column_names
    from pg_attribute as a
    inner join pg_attribute as c on c.attrelid = copy and c.attname = a.attname
    where a.attrelid = restored and a.attnum > 0 and not a.attisdropped and not c.attisdropped;
    execute format(
        'insert into %1$s (%2$s) select %2$s from %3$s where seal_number in ('
        'select max(s.seal_number) from ops.seals as s '
        'inner join ops.refreshed_periods as p using (target, period) '
        'where s.target = %4$L and p.state = ''frozen'' group by s.period)',
        restored, column_names, copy, target_name
    );
    get diagnostics restored_rows = row_count;
    return restored_rows;
end
$function$;

comment on function ops.restore_frozen_periods(regclass) is
'Puts the sealed rows of all frozen days into a mart that was dropped and made anew.';

create function ops.refresh(
    refreshed regclass,
    model_sql text,
    grain text,
    grain_column text,
    dirty_sql text,
    inputs text[],
    published_keys text,
    is_full boolean default false
)
returns table (refreshed_what text, rows_deleted bigint, rows_inserted bigint)
language plpgsql
set search_path = pg_catalog, pg_temp
set jit = off
as $function$
declare
    target_name constant text := ops.relation_name(refreshed);
    sql_hash constant text := md5(model_sql);
    thawed constant text := 'thawed ' || target_name;
    marker constant text := '/\* dirty: (.*?) \*/ true';
    last_refresh ops.refreshes;
    seen_now pg_snapshot;
    column_names text[];
    is_whole boolean;
    is_recount boolean := true;
    something_has_left boolean;
    in_dirty text := 'true';
    publish_dirty text;
    dirty text[] := '{}';
    late text[] := '{}';
    found_rows bigint;
    frozen date[] := '{}';
    can_move boolean := false;
    in_target text;
begin
    -- No row leaves or comes back meanwhile: what moves rows takes this lock alone.
    perform pg_advisory_xact_lock_shared(hashtextextended('ops.lifecycle', 0));
    -- A second run waits here, and then sees what the first has left to do.
    perform pg_advisory_xact_lock(hashtextextended('ops.refresh ' || target_name, 0));
    select * into last_refresh from ops.refreshes as r where r.target = target_name;
    seen_now := pg_current_snapshot();
    rows_deleted := 0;
    rows_inserted := 0;
    is_whole := is_full
        or last_refresh.relation is distinct from refreshed::oid
        or last_refresh.model_hash is distinct from sql_hash;

    if not is_whole and not exists (select from ops.unseen_changes(target_name, inputs || thawed)) then
        refreshed_what := 'nothing';
        -- Noted anew only if that lets go of changes of others, which are kept until every table has seen them.
        if last_refresh.inputs <> inputs or last_refresh.dirty_sql <> dirty_sql or (
            select max(c.change_id) from ops.changes as c
            where
                c.change_id >= pg_snapshot_xmin(last_refresh.seen)::text::bigint
                and c.change_id < pg_snapshot_xmin(seen_now)::text::bigint
        ) is not null then
            update ops.refreshes as r
            set seen = seen_now, inputs = refresh.inputs, dirty_sql = refresh.dirty_sql, refreshed_at = default
            where r.target = target_name;
        end if;
        return next;
        return;
    end if;

    something_has_left := exists (select from ops.frozen_for);
    select array_agg(quote_ident(a.attname) order by a.attnum) into column_names
    from pg_attribute as a
    where a.attrelid = refreshed and a.attnum > 0 and not a.attisdropped;
    -- The offset keeps conditions on the result out of the model: the day of a time, pushed down to the
    -- raw rows beside the range of the time itself, would have the planner expect a row or two.
    model_sql := format(
        'select %s from (%s) as m offset 0', array_to_string(column_names, ', '), model_sql
    );

    if grain = 'period' then
        perform ops.freeze_what_has_left(refreshed, grain_column, inputs, dirty_sql, sql_hash);
        select coalesce(array_agg(p.period), '{}') into frozen
        from ops.refreshed_periods as p
        where p.target = target_name and p.state = 'frozen';
        -- A row whose key says its day stays there; of others the key is unique over all days.
        can_move := frozen <> '{}' and exists (
            select from pg_index as i
            where i.indrelid = refreshed and i.indisunique and i.indnkeyatts = 1 and i.indkey[0] = 1
        );
    end if;

    if grain = 'all' then
        dirty := '{all}';
        is_whole := last_refresh.relation is distinct from refreshed::oid;
    elsif not is_whole or something_has_left and last_refresh.target is not null then
        execute format(
            'with unseen as materialized (select * from ops.unseen_changes(%L, %L)), '
            'changes as (select * from unseen where keys is not null) '
            'select coalesce(array_agg(distinct d.dirty), %L) from ('
            'select coalesce(s.dirty::text, %L) as dirty from (%s) as s (dirty) '
            'union all select keys ->> ''day'' from changes where table_name = %L '
            'union all select case when is_recount then ''-infinity'' else ''infinity'' end '
            'from unseen where keys is null) as d',
            target_name, inputs || thawed, '{}',
            case grain when 'period' then '0001-01-01' else '' end,
            dirty_sql, thawed
        ) into dirty;
        -- A change that does not say what it concerns.
        is_whole := is_whole or dirty && '{infinity,-infinity}';
        is_recount := 'infinity' <> all(dirty);
        dirty := array_remove(dirty, '-infinity');
        if frozen <> '{}' then
            select
                coalesce(array_agg(d.day) filter (where d.day = any(frozen::text[])), '{}'),
                coalesce(array_agg(d.day) filter (where d.day <> all(frozen::text[])), '{}')
            into late, dirty
            from unnest(dirty) as d (day);
            perform ops.note_late_rows(
                target_name, inputs, dirty_sql,
                case when is_recount then late::date[] else frozen end
            );
        end if;
    end if;

    if grain = 'period' then
        in_dirty := ops.in_periods(quote_ident(grain_column), dirty::date[], true);
    elsif grain = 'key' then
        in_dirty := format('%I = any(%L)', grain_column, dirty);
    end if;

    if is_whole then
        refreshed_what := 'all';
        in_target := case
            when frozen = '{}' then 'true'
            else 'not ' || ops.in_periods(quote_ident(grain_column), frozen, true)
        end;
        -- The models on it list what has come late for their frozen days, which the change of all does not say.
        if something_has_left and is_recount and dirty <> '{}' then
            publish_dirty := format(
                'insert into ops.changes (table_name, keys) select %L, to_jsonb(k) '
                'from (select distinct %s from %s where %s) as k',
                target_name, published_keys, refreshed, in_dirty
            );
            execute publish_dirty;
        end if;
        execute format('delete from %s where %s', refreshed, in_target);
        get diagnostics rows_deleted = row_count;
        if last_refresh.relation is distinct from refreshed::oid then
            rows_inserted := ops.restore_frozen_periods(refreshed);
        end if;
        model_sql := regexp_replace(model_sql, marker, 'true', 'g');
        execute case
            when frozen = '{}' then format('insert into %s %s', refreshed, model_sql)
            else format(
                'with computed as materialized (select * from (%s) as m where %s), '
                'left_out as (%s) insert into %s select c.* from computed as c '
                'where not exists (select from %4$s as t where t.%5$s = c.%5$s)',
                model_sql, in_target, ops.note_moved_rows(refreshed, grain_column, column_names[1], 'computed'),
                refreshed, column_names[1]
            )
        end;
        get diagnostics found_rows = row_count;
        rows_inserted := rows_inserted + found_rows;
        if publish_dirty is not null then
            execute publish_dirty;
        end if;
        insert into ops.changes (table_name, keys, is_recount) values (target_name, null, is_recount);
        -- The models on it are next, before autovacuum gets here.
        execute format('analyze %s', refreshed);
    elsif dirty <> '{}' then
        refreshed_what := format('%s %s', cardinality(dirty), grain);
        in_target := in_dirty;
        if grain = 'period' then
            model_sql := ops.of_periods(model_sql, dirty::date[]);
        elsif grain = 'key' then
            model_sql := regexp_replace(model_sql, marker, format('(\1) = any(%L)', dirty), 'g');
        end if;

        -- Only rows that differ are written: readers of the table, its indexes and the models on it
        -- are left in peace by what comes out the same.
        execute 'drop table if exists pg_temp.changed_rows';
        execute format(
            'create temp table changed_rows on commit drop as '
            'select %1$s, sum(copies) as copies from ('
            'select *, 1 as copies from (%2$s) as m where %3$s '
            'union all select %1$s, -1 from %4$s where %3$s) as r group by %1$s having sum(copies) <> 0',
            array_to_string(column_names, ', '), model_sql, in_target, refreshed
        );
        execute format(
            'insert into ops.changes (table_name, keys) '
            'select %L, to_jsonb(k) from (select distinct %s from changed_rows) as k',
            target_name, published_keys
        );
        execute format(
            'delete from %1$s where %2$s and %3$s in (select c.%3$s from changed_rows as c where c.copies < 0)',
            refreshed, in_target, column_names[1]
        );
        get diagnostics rows_deleted = row_count;
        -- As often as the model has it, though a second time breaks the key: no error of a model goes unseen.
        execute format(
            'insert into %1$s select %2$s from changed_rows as c cross join generate_series(1, c.copies)'
            || case when can_move then ' where not exists (select from %1$s as t where t.%3$s = c.%3$s)' else '' end,
            refreshed, array_to_string(column_names, ', '), column_names[1]
        );
        get diagnostics rows_inserted = row_count;
        -- Of a day that is new the planner knows nothing, and would expect one row of it in the models that are
        -- next. Of this column a small sample will do (see the materialization).
        if grain = 'period' and rows_inserted > 0 and exists (
            select from unnest(dirty::date[]) as d (period)
            where not exists (
                select from ops.refreshed_periods as p where p.target = target_name and p.period = d.period
            )
        ) then
            execute format('analyze %s (%I)', refreshed, grain_column);
        end if;
        if can_move then
            execute ops.note_moved_rows(
                refreshed, grain_column, column_names[1],
                '(select * from pg_temp.changed_rows where copies > 0)'
            );
        end if;
    else
        refreshed_what := 'nothing';
    end if;

    if grain = 'period' and refreshed_what <> 'nothing' then
        execute format(
            'with counted as ('
            'select coalesce(%1$I, ''0001-01-01'') as period, count(*) as rows from %2$s where %3$s group by 1) '
            'insert into ops.refreshed_periods as p '
            '(target, period, rows_before, rows_after, seen, model_hash) '
            'select $1, period, 0, coalesce(c.rows, 0), $2, $3 '
            'from (select unnest($4) as period union '
            'select o.period from ops.refreshed_periods as o '
            'where $5 and o.target = $1 and o.state <> ''frozen'' '
            'union select period from counted) as d '
            'left join counted as c using (period) '
            'on conflict (target, period) do update set state = ''open'', '
            'rows_before = p.rows_after, rows_after = excluded.rows_after, seen = excluded.seen, '
            'model_hash = excluded.model_hash, refreshed_at = excluded.refreshed_at',
            grain_column, refreshed, in_target
        ) using target_name, seen_now, sql_hash, case when is_whole then '{}' else dirty::date[] end, is_whole;
    end if;

    insert into ops.refreshes (target, relation, grain, grain_column, inputs, dirty_sql, model_hash, seen)
    values (target_name, refreshed, grain, grain_column, inputs, dirty_sql, sql_hash, seen_now)
    on conflict (target) do update
    set relation = excluded.relation, grain = excluded.grain, grain_column = excluded.grain_column,
        inputs = excluded.inputs, dirty_sql = excluded.dirty_sql, model_hash = excluded.model_hash, seen = excluded.seen,
        refreshed_at = excluded.refreshed_at;

    return next;
end
$function$;

comment on function ops.refresh(regclass, text, text, text, text, text[], text, boolean) is
'Brings a table up to date with its model: replaces the periods or keys that are dirty, or all of it '
'on the first call, after a change of the SQL or of a whole input, and when is_full. In model_sql '
'each `/* dirty: column */ true` becomes the condition for what is computed anew; dirty_sql reads '
'`changes` (table_name, keys) and returns days or keys; published_keys is a select list over the '
'table for models that read it. The table''s first column is its key.';

revoke all on function ops.collect_changes() from public;
revoke all on function ops.start_run(regclass[]) from public;
revoke all on function ops.note_content(regclass) from public;
revoke all on function ops.note_view(text, text) from public;
revoke all on function ops.unseen_changes(text, text[]) from public;
revoke all on function ops.seal_periods(regclass, date[]) from public;
revoke all on function ops.seal_period(regclass, date) from public;
revoke all on function ops.freeze_period(regclass, date) from public;
revoke all on function ops.thaw_period(regclass, date) from public;
revoke all on function ops.restore_frozen_periods(regclass) from public;
revoke all on function ops.refresh(regclass, text, text, text, text, text[], text, boolean) from public;
grant execute on function ops.collect_changes() to agentbooks_refresher;
grant execute on function ops.start_run(regclass[]) to agentbooks_refresher;
grant execute on function ops.note_content(regclass) to agentbooks_refresher;
grant execute on function ops.note_view(text, text) to agentbooks_refresher;
grant execute on function ops.unseen_changes(text, text[]) to agentbooks_refresher;
grant execute on function ops.seal_periods(regclass, date[]) to agentbooks_refresher;
grant execute on function ops.seal_period(regclass, date) to agentbooks_refresher;
grant execute on function ops.freeze_period(regclass, date) to agentbooks_refresher;
grant execute on function ops.thaw_period(regclass, date) to agentbooks_refresher;
grant execute on function ops.restore_frozen_periods(regclass) to agentbooks_refresher;
grant execute on function ops.refresh(regclass, text, text, text, text, text[], text, boolean)
to agentbooks_refresher;
