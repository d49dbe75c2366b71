-- A table in one piece that has grown too large becomes partitioned by month, beside its writers. Its
-- rows are copied to a partitioned table of the same name in schema growing; triggers write down the keys of
-- what changes meanwhile, and these rows are copied again. In the end the two change places in one short
-- transaction. The old one stays in schema outgrown, and is kept up to date the same way, until the table
-- is told to stay as it is: so there is a way back.

set local role agentbooks_owner;

create schema growing;
comment on schema growing is
'Tables on their way to partitions: copies, and the keys that have changed. Empty in between.';
create schema outgrown;
comment on schema outgrown is
'What tables were before they became partitioned, until `agentbooks partition --finish` drops it.';

create table ops.growths (
    relation_name text not null primary key,
    table_name text not null,
    time_column text not null,
    key_columns text[] not null,
    state text not null check (
        state in ('months', 'copying', 'indexing', 'keys', 'analyzing', 'ready', 'switched', 'ended')
    ),
    file_node oid not null,
    blocks bigint not null,
    reached bigint not null default 0,
    rows_copied bigint not null default 0,
    clock text,
    leaves regclass[],
    started_at timestamptz not null default now(),
    switched_at timestamptz
);

comment on table ops.growths is
'One row per raw table or archive that is becoming partitioned. Empty in between.';
comment on column ops.growths.relation_name is 'Raw table or archive, with its schema.';
comment on column ops.growths.table_name is 'Raw table that both belong to.';
comment on column ops.growths.time_column is 'By whose UTC month it will be partitioned.';
comment on column ops.growths.key_columns is 'Its primary key then.';
comment on column ops.growths.state is
'The step that comes next; switched: the old rows are still kept; ended: what is left is dropped.';
comment on column ops.growths.file_node is
'File that the blocks are of: a table that is rewritten is read anew.';
comment on column ops.growths.blocks is 'Blocks to be read; what comes later is written down by triggers.';
comment on column ops.growths.reached is 'Blocks that have been read.';
comment on column ops.growths.rows_copied is 'Rows that these gave.';
comment on column ops.growths.clock is
'Its row of ops.month_clocks while it was in one piece; null if it had none.';
comment on column ops.growths.leaves is 'Its partitions when it switched; null before.';
comment on column ops.growths.started_at is 'When the first step was done.';
comment on column ops.growths.switched_at is
'When readers and writers came to the partitioned table; null before.';

grant select on ops.growths to agentbooks_refresher, agentbooks_retention;
insert into ops.personal_data (table_name, fate) values ('ops.growths', 'keep');
insert into ops.table_layouts (table_name, layout) values ('ops.growths', 'local');

create function ops.growing_name(relation_name text, area text default 'growing', what text default '')
returns text
language sql
immutable
set search_path = pg_catalog, pg_temp
return format('%I.%I', area, split_part(relation_name, '.', 2) || what);

comment on function ops.growing_name(text, text, text) is
'What a relation, or something beside it, is called in the schema growing, or in outgrown.';

create function ops.growth_key(grown regclass, time_column text) returns text[]
language sql
stable
set search_path = pg_catalog, pg_temp
return (
    -- Where a cluster would spread the table by begins its key.
    select array_agg(k.name order by k.place)
    from (
        select named.name, min(named.place) as place
        from (
            select l.distribution_column as name, 0 as place
            from ops.table_layouts as l
            where to_regclass(l.table_name) = grown
            union all
            select a.attname::text, n.place
            from pg_index as i
            cross join unnest(i.indkey::int2[]) with ordinality as n (attnum, place)
            join pg_attribute as a on a.attrelid = i.indrelid and a.attnum = n.attnum
            where i.indrelid = grown and i.indisprimary
            union all
            select time_column, 1000
        ) as named
        where named.name is not null
        group by named.name
    ) as k
);

comment on function ops.growth_key(regclass, text) is
'Primary key of a table once it is partitioned by a column: its own, and that column.';

create function ops.growth_obstacles(grown regclass, time_column text) returns setof text
language plpgsql
stable
set search_path = pg_catalog, pg_temp
as $function$
declare
    named constant text := ops.relation_name(grown);
    timed record;
begin
    if not exists (select from pg_class as c where c.oid = grown and c.relkind = 'r' and not c.relispartition) then
        return next 'it is not a table in one piece';
        return;
    end if;
    if (select c.relowner::regrole::text from pg_class as c where c.oid = grown) <> 'agentbooks_owner' then
        return next 'it does not belong to agentbooks_owner; run `agentbooks bootstrap`';
    end if;
    select a.attnotnull, format_type(a.atttypid, null) as type into timed
    from pg_attribute as a where a.attrelid = grown and a.attname = time_column and a.attnum > 0;
    if time_column is null then
        return next 'nothing says by which time its rows are counted; name the column by --by';
    elsif timed.type is null then
        return next format('it has no column %s', time_column);
    elsif timed.type not like 'timestamp%' then
        return next format('column %s is %s, no time', time_column, timed.type);
    elsif not timed.attnotnull then
        return next format('column %s may be null: such a row has no month; set it not null', time_column);
    end if;
    if not exists (select from pg_index as i where i.indrelid = grown and i.indisprimary) then
        return next 'it has no primary key to know its rows by';
    end if;

    return query
    select format('key %s of %s leads to it, which none may to a partitioned table', k.conname, k.conrelid::regclass)
    from pg_constraint as k
    where k.confrelid = grown and k.contype = 'f' and k.conrelid <> grown and k.conparentid = 0
    union all
    select format('constraint %s is not validated', k.conname)
    from pg_constraint as k
    where k.conrelid = grown and not k.convalidated
    union all
    select format('index %s makes rows unique without %s: drop it, a data test must take its place',
        i.indexrelid::regclass, time_column)
    from pg_index as i
    where i.indrelid = grown and (i.indisunique and not i.indisprimary or i.indisexclusion)
        and not exists (
            select from pg_attribute as a
            where a.attrelid = grown and a.attname = time_column and a.attnum = any(i.indkey)
                and i.indexprs is null
        )
    union all
    select format('column %s is an identity', a.attname)
    from pg_attribute as a
    where a.attrelid = grown and a.attidentity <> ''
    union all
    select format('%s depends on it', pg_describe_object(d.classid, d.objid, d.objsubid))
    from pg_depend as d
    left join pg_rewrite as r on d.classid = 'pg_rewrite'::regclass and d.objid = r.oid
    left join pg_class as v on r.ev_class = v.oid
    left join pg_policy as p on d.classid = 'pg_policy'::regclass and d.objid = p.oid
    where d.deptype = 'n' and (
        d.refclassid = 'pg_class'::regclass and d.refobjid = grown and (
            v.relkind = 'm' or p.polrelid <> grown
        )
        or d.refclassid = 'pg_type'::regclass
        and d.refobjid in (select c.reltype from pg_class as c where c.oid = grown)
    )
    union all
    select format(
        '%s depends on it and belongs to %s, not to agentbooks_owner', pg_describe_object(d.classid, d.objid, 0),
        coalesce(v.relowner, f.proowner)::regrole
    )
    from pg_depend as d
    left join pg_rewrite as r on d.classid = 'pg_rewrite'::regclass and d.objid = r.oid
    left join pg_class as v on r.ev_class = v.oid
    left join pg_proc as f on d.classid = 'pg_proc'::regclass and d.objid = f.oid
    where d.refclassid = 'pg_class'::regclass and d.refobjid = grown
        and not pg_has_role('agentbooks_owner', coalesce(v.relowner, f.proowner), 'usage')
    group by 1
    union all
    select format('it is in publication %s', p.pubname)
    from pg_publication_rel as r join pg_publication as p on r.prpubid = p.oid
    where r.prrelid = grown
    union all
    select 'it inherits, or others inherit from it'
    from pg_inherits as i
    where grown in (i.inhparent, i.inhrelid)
    union all
    select format('trigger %s cannot stand on a partitioned table', t.tgname)
    from pg_trigger as t
    where t.tgrelid = grown and not t.tgisinternal
        and (t.tgconstraint <> 0 or t.tgtype & 1 = 1 and num_nonnulls(t.tgoldtable, t.tgnewtable) > 0)
    union all
    select 'its replica identity is an index'
    from pg_class as c
    where c.oid = grown and c.relreplident = 'i'
    union all
    select 'an erasure is running, which would not look for rows in the old table'
    where exists (select from ops.erasures as e where e.state = 'running')
    union all
    select format('%s is on its way already', g.relation_name)
    from ops.growths as g
    where split_part(g.relation_name, '.', 2) = split_part(named, '.', 2)
    union all
    select format('%s holds rows by the month of %s', named, c.clock)
    from ops.month_clocks as c
    where c.table_name = named and c.clock <> time_column;
end
$function$;

comment on function ops.growth_obstacles(regclass, text) is
'Why a table cannot become partitioned by the month of a column: a sentence each.';

create function ops.growth_time(grown regclass) returns text
language sql
stable
set search_path = pg_catalog, pg_temp
return coalesce(
    (
        select c.clock
        from ops.month_clocks as c
        where c.table_name = ops.relation_name(grown)
    ),
    (
        select substring(c.keys from '\(([a-z_]+) at time zone ''UTC''\)::date as day')
        from ops.captured_tables as c
        where c.table_name = ops.relation_name(grown)
    )
);

comment on function ops.growth_time(regclass) is
'Column by whose month a table leaves, else by whose day models count its rows; null if neither is one.';


-- The steps

create function ops.log_growth(relation_name text, key_columns text[]) returns void
language plpgsql
set search_path = pg_catalog, pg_temp
as $function$
declare
    log_name constant text := ops.growing_name(relation_name, 'growing', '__log');
    keys constant text := (select string_agg(quote_ident(k), ', ') from unnest(key_columns) as k);
    event record;
begin
    -- One for each table, as its statements are planned once in a session.
    execute format(
        $create$
        create or replace function %1$s() returns trigger
        language plpgsql
        security definer
        set search_path = pg_catalog, pg_temp
        as $trigger$
        begin
            case tg_op
                when 'INSERT' then insert into %2$s (%3$s) select %3$s from new_rows;
                when 'DELETE' then insert into %2$s (%3$s) select %3$s from old_rows;
                when 'UPDATE' then
                    insert into %2$s (%3$s) select %3$s from old_rows union select %3$s from new_rows;
                else insert into %2$s default values;
            end case;
            return null;
        end
        $trigger$
        $create$, ops.growing_name(relation_name, 'growing', '__noted'), log_name, keys
    );
    execute format('revoke all on function %s() from public', ops.growing_name(relation_name, 'growing', '__noted'));
    for event in
        select *
        from (values
            ('insert', 'referencing new table as new_rows'),
            ('update', 'referencing old table as old_rows new table as new_rows'),
            ('delete', 'referencing old table as old_rows'),
            ('truncate', '')
        ) as events (name, transition_tables)
    loop
        execute format(
            'create trigger %I after %s on %s %s for each statement execute function %s()',
            'growth_noted_by_' || event.name, event.name, relation_name::regclass, event.transition_tables,
            ops.growing_name(relation_name, 'growing', '__noted')
        );
    end loop;
end
$function$;

comment on function ops.log_growth(text, text[]) is
'Has the keys of all rows written down that are changed in a relation from now on.';

create function ops.unlog_growth(relation_name text) returns void
language plpgsql
set search_path = pg_catalog, pg_temp
set client_min_messages = warning
as $function$
declare
    event text;
begin
    foreach event in array array['insert', 'update', 'delete', 'truncate'] loop
        execute format('drop trigger if exists %I on %s', 'growth_noted_by_' || event, relation_name::regclass);
    end loop;
end
$function$;

comment on function ops.unlog_growth(text) is 'Ends what ops.log_growth began.';

create function ops.start_growth(grown regclass, time_column text) returns void
language plpgsql
security definer
set search_path = pg_catalog, pg_temp
set lock_timeout = '100ms'
set client_min_messages = warning
as $function$
declare
    named constant text := ops.relation_name(grown);
    obstacle text;
    relation regclass;
    relation_name text;
    coming text;
    keys text[];
begin
    if exists (select from ops.growths as g where g.table_name = named) then
        return;
    end if;
    for obstacle in select o from ops.growth_obstacles(grown, time_column) as o limit 1 loop
        raise exception '% cannot become partitioned: %', named, obstacle
            using errcode = 'object_not_in_prerequisite_state';
    end loop;

    foreach relation in array array_remove(array[ops.archive_of(grown), grown], null) loop
        relation_name := ops.relation_name(relation);
        coming := ops.growing_name(relation_name);
        keys := ops.growth_key(grown, time_column);
        execute format(
            'create table %s (like %s including all excluding indexes) partition by range (%I)',
            coming, relation, time_column
        );
        execute format(
            'alter table %s add constraint %I primary key (%s)', coming,
            (select c.conname from pg_constraint as c where c.conrelid = relation and c.contype = 'p'),
            (select string_agg(quote_ident(k), ', ') from unnest(keys) as k)
        );
        -- A month that moves to the archive is attached there, which one that waits for rows would hinder.
        if relation = grown then
            execute format(
                'create table %s partition of %s default',
                ops.growing_name(relation_name, 'growing', '_default'), coming
            );
            execute format(
                'alter table %s enable row level security', ops.growing_name(relation_name, 'growing', '_default')
            );
        end if;
        execute format(
            'create table %s as select %s from %s with no data',
            ops.growing_name(relation_name, 'growing', '__log'),
            (select string_agg(quote_ident(k), ', ') from unnest(keys) as k), relation
        );
        execute format(
            'alter table %s add column entry bigint generated always as identity primary key',
            ops.growing_name(relation_name, 'growing', '__log')
        );
        -- Waits for whoever writes now; whoever writes later is noted.
        perform ops.log_growth(relation_name, keys);
        insert into ops.growths (relation_name, table_name, time_column, key_columns, state, file_node, blocks)
        values (
            relation_name, named, time_column, keys, 'months', pg_relation_filenode(relation),
            pg_relation_size(relation) / current_setting('block_size')::int
        );
    end loop;
end
$function$;

comment on function ops.start_growth(regclass, text) is
'Makes the partitioned table, still empty, and has changes noted from now on. What cannot be is told first.';

create function ops.apply_growth(growth ops.growths, batch int default 2000) returns bigint
language plpgsql
set search_path = pg_catalog, pg_temp
set timezone = 'UTC'
as $function$
declare
    log_name constant text := ops.growing_name(growth.relation_name, 'growing', '__log');
    live constant regclass := growth.relation_name::regclass;
    other constant regclass := ops.growing_name(
        growth.relation_name, case growth.state when 'switched' then 'outgrown' else 'growing' end
    )::regclass;
    same_key constant text := (
        select string_agg(format('%%1$s.%1$I = %%2$s.%1$I', k), ' and ') from unnest(growth.key_columns) as k
    );
    others_key constant text[] := array(
        select a.attname::text
        from pg_index as i
        join pg_attribute as a on a.attrelid = i.indrelid and a.attnum = any(i.indkey)
        where i.indrelid = other and i.indisprimary
    );
    emptied bigint;
    month date;
    applied bigint;
begin
    execute format('select max(entry) from %s where %I is null', log_name, growth.key_columns[1]) into emptied;
    if emptied is not null then
        execute format('truncate %s', other);
        execute format('delete from %s where entry <= %s', log_name, emptied);
    end if;
    if growth.state <> 'switched' then
        for month in execute format(
            'select distinct date_trunc(''month'', %1$I)::date from (select * from %2$s order by entry limit %3$s) as l '
            'where %1$I >= ''2000-01-01'' and %1$I < ''2100-01-01''', growth.time_column, log_name, batch
        ) loop
            perform ops.create_month_partitions(other, month, month);
        end loop;
    end if;
    execute format(
        'with taken as (delete from %1$s where entry in (select entry from %1$s order by entry limit %2$s) '
        'returning *), '
        'keys as materialized (select distinct %3$s from taken), '
        'present as materialized (select h.* from keys as k join %4$s as h on %5$s), '
        'gone as (delete from %6$s as t using keys as k where %7$s '
        'and not exists (select from present as h where %8$s)), '
        'kept as (insert into %6$s (%9$s) overriding system value select %9$s from present '
        'on conflict (%10$s) do update set %11$s) '
        'select count(*) from taken',
        log_name, batch,
        (select string_agg(quote_ident(k), ', ') from unnest(growth.key_columns) as k),
        live, format(same_key, 'k', 'h'), other, format(same_key, 'k', 't'),
        (select string_agg(format('h.%1$I = t.%1$I', k), ' and ') from unnest(others_key) as k),
        ops.columns_of(live),
        (select string_agg(quote_ident(k), ', ') from unnest(others_key) as k),
        (
            select string_agg(format('%1$I = excluded.%1$I', a.attname), ', ')
            from pg_attribute as a
            where a.attrelid = live and a.attnum > 0 and not a.attisdropped and a.attgenerated = ''
                and a.attname <> all(others_key)
        )
    ) into applied;
    return applied;
end
$function$;

comment on function ops.apply_growth(ops.growths, int) is
'Brings up to batch changed rows up to date in the other table of a relation that is becoming partitioned.';

create function ops.grow(grown regclass, batch int default 2000) returns bigint
language plpgsql
security definer
set search_path = pg_catalog, pg_temp
set timezone = 'UTC'
set lock_timeout = '100ms'
set client_min_messages = warning
as $function$
declare
    growth ops.growths;
    live regclass;
    coming regclass;
    month date;
    part record;
    copied bigint;
    upto bigint;
begin
    select * into growth
    from ops.growths as g
    where g.table_name = ops.relation_name(grown) and g.state not in ('ready', 'switched', 'ended')
    order by g.relation_name
    limit 1
    for update;
    if not found then
        copied := 0;
        for growth in
            select * from ops.growths as g
            where g.table_name = ops.relation_name(grown) and g.state <> 'ended'
            for update
        loop
            copied := copied + ops.apply_growth(growth);
        end loop;
        return copied;
    end if;
    live := growth.relation_name::regclass;
    coming := ops.growing_name(growth.relation_name)::regclass;

    case growth.state
        when 'months' then
            for month in execute format(
                'select distinct date_trunc(''month'', %1$I)::date from %2$s '
                'where %1$I >= ''2000-01-01'' and %1$I < ''2100-01-01''', growth.time_column, live
            ) loop
                perform ops.create_month_partitions(coming, month, month);
            end loop;
            if live = grown then
                perform ops.create_month_partitions(
                    coming, now()::date, (now() + interval '3 months')::date
                );
            end if;
            growth.state := 'copying';

        when 'copying' then
            if growth.file_node <> pg_relation_filenode(live) then
                growth.file_node := pg_relation_filenode(live);
                growth.blocks := pg_relation_size(live) / current_setting('block_size')::int;
                growth.reached := 0;
            end if;
            upto := growth.reached + batch;
            execute format(
                'insert into %1$s (%2$s) overriding system value select %2$s from only %3$s '
                'where ctid >= ''(%4$s,0)'' and ctid < ''(%5$s,0)'' on conflict do nothing',
                coming, ops.columns_of(live), live, growth.reached, upto
            );
            get diagnostics copied = row_count;
            growth.reached := upto;
            growth.rows_copied := growth.rows_copied + copied;
            if upto >= growth.blocks then
                growth.state := 'indexing';
            end if;

        when 'indexing' then
            -- What is looked up by the old key alone is looked up by an index of its own.
            select
                c.relname as name,
                k.conname as constraint_name,
                case
                    when k.contype is distinct from 'p' then regexp_replace(
                        pg_get_indexdef(i.indexrelid), ' ON (ONLY )?[^ ]+ USING', format(' ON %s USING', coming)
                    )
                    else format(
                        'create index %I on %s (%s)', 'idx_' || c.relname, coming,
                        regexp_replace(pg_get_constraintdef(k.oid), '.*\((.*)\).*', '\1')
                    )
                end as words
            into part
            from pg_index as i
            join pg_class as c on i.indexrelid = c.oid
            left join pg_constraint as k on k.conindid = i.indexrelid and k.conrelid = live and k.contype in ('p', 'u')
            where i.indrelid = live
                and (
                    k.contype is distinct from 'p'
                    or growth.key_columns[1:i.indnkeyatts] <> array(
                        select a.attname::text
                        from unnest(i.indkey::int2[]) with ordinality as n (attnum, place)
                        join pg_attribute as a on a.attrelid = live and a.attnum = n.attnum
                        order by n.place
                    )
                    and not exists (
                        select from pg_index as o
                        where o.indrelid = live and not o.indisprimary and o.indpred is null and o.indkey[0] = i.indkey[0]
                    )
                )
                and not exists (
                    select from pg_index as n
                    join pg_class as m on n.indexrelid = m.oid
                    where n.indrelid = coming
                        and m.relname = case k.contype when 'p' then 'idx_' else '' end || c.relname
                )
            order by i.indexrelid
            limit 1;
            if not found then
                growth.state := 'keys';
            elsif part.words like 'CREATE UNIQUE%' and part.constraint_name is not null then
                execute format(
                    'alter table %s add constraint %I %s', coming, part.constraint_name,
                    (
                        select pg_get_constraintdef(k.oid) from pg_constraint as k
                        where k.conrelid = live and k.conname = part.constraint_name
                    )
                );
            else
                execute part.words;
            end if;

        when 'keys' then
            -- Month by month, as looking all rows up at once would keep the other table's writers waiting.
            select
                t.relation,
                k.conname as name,
                pg_get_constraintdef(k.oid) as words,
                t.relation = coming as is_last,
                h.oid is not null as is_there
            into part
            from pg_constraint as k
            cross join (
                select coming as relation, 1 as place
                union all
                select i.inhrelid::regclass, 0 from pg_inherits as i where i.inhparent = coming
            ) as t
            left join pg_constraint as h on h.conrelid = t.relation and h.conname = k.conname
            where k.conrelid = live and k.contype = 'f' and k.confrelid <> live
                and (h.oid is null or not h.convalidated)
            order by k.conname, t.place, t.relation::oid
            limit 1;
            if not found then
                growth.state := 'analyzing';
            elsif part.is_there then
                execute format('alter table %s validate constraint %I', part.relation, part.name);
            else
                execute format(
                    'alter table %s add constraint %I %s%s', part.relation, part.name, part.words,
                    case when not part.is_last then ' not valid' end
                );
            end if;

        when 'analyzing' then
            execute format('analyze %s', coming);
            growth.state := 'ready';
    end case;

    update ops.growths as g
    set state = growth.state, file_node = growth.file_node, blocks = growth.blocks,
        reached = growth.reached, rows_copied = growth.rows_copied
    where g.relation_name = growth.relation_name;
    return null;
end
$function$;

comment on function ops.grow(regclass, int) is
'Does the next step of a table that is becoming partitioned, of up to batch blocks; null: '
'there are more. Else how many changed rows it has brought up to date: where these are few, the table may '
'switch. Each time in a transaction of its own.';


-- The two change places

create function ops.swap_growth(growth ops.growths, is_back boolean) returns void
language plpgsql
set search_path = pg_catalog, pg_temp
set client_min_messages = warning
as $function$
declare
    away_area constant text := case when is_back then 'growing' else 'outgrown' end;
    other_area constant text := case when is_back then 'outgrown' else 'growing' end;
    named constant text := growth.relation_name;
    live_schema constant text := quote_ident(split_part(named, '.', 1));
    live constant regclass := named::regclass;
    other constant regclass := ops.growing_name(named, other_area)::regclass;
    words text[] := '{}';
    sequences text[] := '{}';
    part record;
    word text;
begin
    -- What is said of the table is read before it has another name, and said again of what then has its name.
    for part in
        select distinct on (c.oid)
            format(
                'create or replace view %s %s as %s', c.oid::regclass,
                'with (' || array_to_string(c.reloptions, ', ') || ')', pg_get_viewdef(c.oid)
            ) as words
        from pg_depend as d
        join pg_rewrite as r on d.classid = 'pg_rewrite'::regclass and d.objid = r.oid
        join pg_class as c on r.ev_class = c.oid
        where d.refclassid = 'pg_class'::regclass and d.refobjid = live and c.relkind = 'v'
    loop
        words := words || part.words;
    end loop;
    for part in
        select distinct p.oid, pg_get_functiondef(p.oid) as words
        from pg_depend as d
        join pg_proc as p on d.classid = 'pg_proc'::regclass and d.objid = p.oid
        where d.refclassid = 'pg_class'::regclass and d.refobjid = live and d.deptype = 'n'
    loop
        words := words || part.words;
    end loop;
    for part in
        select s.oid::regclass as sequence, a.attname
        from pg_depend as d
        join pg_class as s on d.objid = s.oid and s.relkind = 'S'
        join pg_attribute as a on a.attrelid = live and a.attnum = d.refobjsubid
        where d.classid = 'pg_class'::regclass and d.refclassid = 'pg_class'::regclass
            and d.refobjid = live and d.deptype = 'a'
    loop
        execute format('alter sequence %s owned by none', part.sequence);
        words := words || format('alter sequence %s owned by %s.%I', part.sequence, named, part.attname);
    end loop;

    if is_back then
        words := words || format('alter table %s enable trigger user', named);
    else
        words := words || array(
            select w.words
            from (
                select 1 as place, format(
                    'grant %s on %s to %s%s', r.privilege_type, named,
                    case r.grantee when 0 then 'public' else r.grantee::regrole::text end,
                    case when r.is_grantable then ' with grant option' end
                ) as words
                from pg_class as c cross join aclexplode(c.relacl) as r
                where c.oid = live and r.grantee <> c.relowner
                union all
                select 1, format(
                    'grant %s (%I) on %s to %s', r.privilege_type, a.attname, named,
                    case r.grantee when 0 then 'public' else r.grantee::regrole::text end
                )
                from pg_attribute as a cross join aclexplode(a.attacl) as r
                where a.attrelid = live and not a.attisdropped
                union all
                select 2, format(
                    'create policy %I on %s as %s for %s to %s %s %s', p.polname, named,
                    case when p.polpermissive then 'permissive' else 'restrictive' end,
                    case p.polcmd when 'r' then 'select' when 'a' then 'insert' when 'w' then 'update'
                        when 'd' then 'delete' else 'all' end,
                    (
                        select string_agg(coalesce(quote_ident(o.rolname), 'public'), ', ')
                        from unnest(p.polroles) as r (oid) left join pg_roles as o using (oid)
                    ),
                    'using (' || pg_get_expr(p.polqual, p.polrelid) || ')',
                    'with check (' || pg_get_expr(p.polwithcheck, p.polrelid) || ')'
                )
                from pg_policy as p where p.polrelid = live
                union all
                select 2, format('alter table %s %s row level security', named, o.option)
                from pg_class as c
                cross join lateral (
                    select 'enable' as option where c.relrowsecurity union all select 'force' where c.relforcerowsecurity
                ) as o
                where c.oid = live
                union all
                select 2, format('alter table %s replica identity %s', named, case c.relreplident when 'f' then 'full' else 'nothing' end)
                from pg_class as c where c.oid = live and c.relreplident in ('f', 'n')
                union all
                select 2, format('comment on table %s is %L', named, obj_description(live, 'pg_class'))
                union all
                select 3, pg_get_triggerdef(t.oid)
                from pg_trigger as t
                where t.tgrelid = live and not t.tgisinternal and t.tgname not like 'growth\_noted\_by\_%'
                union all
                select 4, format('alter table %s disable trigger %I', named, t.tgname)
                from pg_trigger as t
                where t.tgrelid = live and not t.tgisinternal and t.tgenabled = 'D'
            ) as w
            order by w.place
        );
    end if;

    -- What a key then does to the old rows is none of anybody's changes.
    if not is_back then
        execute format('alter table %s disable trigger user', live);
    end if;
    execute format('alter table %s set schema %s', live, away_area);
    execute format('alter table %s set schema %s', other, live_schema);
    for part in select i.inhrelid::regclass as leaf from pg_inherits as i where i.inhparent = other loop
        execute format('alter table %s set schema %s', part.leaf, live_schema);
    end loop;
    foreach word in array words loop
        execute word;
    end loop;
end
$function$;

comment on function ops.swap_growth(ops.growths, boolean) is
'Puts the other table of a relation in its place, with all that stands on it and leads to it: is_back is '
'whether that is the old one.';

create function ops.lock_growth(growth ops.growths) returns void
language plpgsql
set search_path = pg_catalog, pg_temp
as $function$
begin
    -- A refresh that has looked at one of the two must not look at the other.
    if not pg_try_advisory_xact_lock(hashtextextended('ops.lifecycle', 0)) then
        raise exception '% cannot switch while a refresh runs', growth.table_name using errcode = 'lock_not_available';
    end if;
    execute format('lock table only %s in access exclusive mode', growth.relation_name::regclass);
    while ops.apply_growth(growth) > 0 loop
    end loop;
end
$function$;

comment on function ops.lock_growth(ops.growths) is
'Keeps all others from a relation, and brings its other table up to date.';

create function ops.switch_growth(grown regclass) returns void
language plpgsql
security definer
set search_path = pg_catalog, pg_temp
set lock_timeout = '60ms'
as $function$
declare
    named constant text := ops.relation_name(grown);
    growth ops.growths;
begin
    for growth in
        select * from ops.growths as g where g.table_name = named order by g.relation_name for update
    loop
        if growth.state <> 'ready' then
            raise exception '% is not ready to switch: % is at step %', named, growth.relation_name, growth.state
                using errcode = 'object_not_in_prerequisite_state';
        end if;
        if ops.columns_of(growth.relation_name::regclass)
            <> ops.columns_of(ops.growing_name(growth.relation_name)::regclass) then
            raise exception '% has got other columns since; give it up (--back) and start again', growth.relation_name
                using errcode = 'object_not_in_prerequisite_state';
        end if;
        perform ops.lock_growth(growth);
        perform ops.unlog_growth(growth.relation_name);
        perform ops.swap_growth(growth, false);
        perform ops.log_growth(growth.relation_name, growth.key_columns);
        update ops.growths as g
        set state = 'switched', switched_at = now(),
            leaves = array(
                select i.inhrelid::regclass from pg_inherits as i
                where i.inhparent = growth.relation_name::regclass
            ),
            clock = (select c.clock from ops.month_clocks as c where c.table_name = growth.relation_name)
        where g.relation_name = growth.relation_name;
    end loop;
    delete from ops.month_clocks as c where c.table_name = named;
end
$function$;

comment on function ops.switch_growth(regclass) is
'Puts a partitioned table, and its archive, in the place of those in one piece. Whoever waits meanwhile '
'goes on with the new one.';

create function ops.undo_growth(grown regclass) returns void
language plpgsql
security definer
set search_path = pg_catalog, pg_temp
set lock_timeout = '60ms'
set client_min_messages = warning
as $function$
declare
    named constant text := ops.relation_name(grown);
    growth ops.growths;
begin
    for growth in
        select * from ops.growths as g
        where g.table_name = named and g.state <> 'ended'
        order by g.relation_name
        for update
    loop
        if growth.state = 'switched' then
            if exists (
                select from unnest(growth.leaves) as l (leaf)
                where not exists (
                    select from pg_inherits as i
                    where i.inhrelid = l.leaf and i.inhparent = growth.relation_name::regclass
                )
            ) then
                raise exception 'months of % have moved since it is partitioned: it stays so', growth.relation_name
                    using errcode = 'object_not_in_prerequisite_state';
            end if;
            perform ops.lock_growth(growth);
            perform ops.swap_growth(growth, true);
            if growth.clock is not null then
                insert into ops.month_clocks (table_name, clock) values (growth.relation_name, growth.clock);
            end if;
        else
            perform ops.unlog_growth(growth.relation_name);
        end if;
        update ops.growths as g set state = 'ended' where g.relation_name = growth.relation_name;
    end loop;
end
$function$;

comment on function ops.undo_growth(regclass) is
'Leaves a table in one piece, or makes it so again, with all that was written since; then call '
'ops.drop_growth.';

create function ops.finish_growth(grown regclass) returns void
language plpgsql
security definer
set search_path = pg_catalog, pg_temp
set lock_timeout = '60ms'
set client_min_messages = warning
as $function$
declare
    growth ops.growths;
begin
    for growth in
        select * from ops.growths as g
        where g.table_name = ops.relation_name(grown) and g.state = 'switched'
        order by g.relation_name for update
    loop
        perform ops.unlog_growth(growth.relation_name);
        update ops.growths as g set state = 'ended' where g.relation_name = growth.relation_name;
    end loop;
end
$function$;

comment on function ops.finish_growth(regclass) is
'Lets a table that has become partitioned stay as it is; then call ops.drop_growth.';

create function ops.drop_growth(grown regclass) returns void
language plpgsql
security definer
set search_path = pg_catalog, pg_temp
set lock_timeout = '60ms'
set client_min_messages = warning
as $function$
declare
    growth ops.growths;
    area text;
begin
    for growth in
        select * from ops.growths as g
        where g.table_name = ops.relation_name(grown) and g.state = 'ended'
        order by g.relation_name for update
    loop
        foreach area in array array['growing', 'outgrown'] loop
            execute format('drop table if exists %s', ops.growing_name(growth.relation_name, area));
        end loop;
        execute format('drop table %s', ops.growing_name(growth.relation_name, 'growing', '__log'));
        execute format('drop function %s()', ops.growing_name(growth.relation_name, 'growing', '__noted'));
        delete from ops.growths as g where g.relation_name = growth.relation_name;
    end loop;
end
$function$;

comment on function ops.drop_growth(regclass) is
'Drops what is left of a table that became partitioned, or did not: nobody uses it any more.';

revoke all on function ops.growing_name(text, text, text) from public;
revoke all on function ops.growth_key(regclass, text) from public;
revoke all on function ops.growth_obstacles(regclass, text) from public;
revoke all on function ops.growth_time(regclass) from public;
revoke all on function ops.log_growth(text, text[]) from public;
revoke all on function ops.unlog_growth(text) from public;
revoke all on function ops.start_growth(regclass, text) from public;
revoke all on function ops.apply_growth(ops.growths, int) from public;
revoke all on function ops.grow(regclass, int) from public;
revoke all on function ops.swap_growth(ops.growths, boolean) from public;
revoke all on function ops.lock_growth(ops.growths) from public;
revoke all on function ops.switch_growth(regclass) from public;
revoke all on function ops.undo_growth(regclass) from public;
revoke all on function ops.finish_growth(regclass) from public;
revoke all on function ops.drop_growth(regclass) from public;
