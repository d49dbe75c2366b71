-- Percentiles cannot be added up, the counts of values by their size can. A sketch is those counts: a
-- jsonb object of bucket and number of values, the buckets 2 % wide, so that a percentile read from any
-- sum of sketches is at most 1 % off. Plain jsonb, so that sealed sketches outlive these functions.
-- The schema is open to readers of the marts and holds no rows.

set local role agentbooks_owner;

create schema sketches;
comment on schema sketches is
'Functions over sketches: distributions that can be added up, with percentiles at most 1 % off.';
grant usage on schema sketches to agentbooks_refresher, bi_reader;

-- By products and roundings alone, which are the same on every machine and version; logarithms and powers
-- are not, and a value at the edge of a bucket would change its place.
create function sketches.bounds() returns double precision[]
language plpgsql
immutable
parallel safe
as $function$
declare
    bound numeric := 0.000000000001;
    bounds double precision[];
begin
    for bucket in 1..3140 loop
        bounds[bucket] := bound;
        bound := round(bound * 1.02, 30);
    end loop;
    return bounds;
end
$function$;

comment on function sketches.bounds() is
'Lower bounds of buckets 1 to 3140: from 1e-12 up to 1e15, each 2 % above the one before.';

-- Not in SQL, and with no search path of its own: it runs once per value, and so the bounds are computed
-- once per session.
create function sketches.bucket(value numeric) returns int
language plpgsql
immutable
strict
parallel safe
as $function$
begin
    return case when value < 0 then -1 else 1 end * width_bucket(
        least(greatest(abs(value), 1e-13), 1e15)::double precision, sketches.bounds()
    );
end
$function$;

comment on function sketches.bucket(numeric) is
'Bucket of a value; 0 for zero and what is nearer to it than 1e-12, below 0 for values below. Values '
'beyond 1e15 count as that.';

create function sketches.bucket_value(bucket int) returns numeric
language plpgsql
immutable
strict
parallel safe
as $function$
begin
    return case
        when bucket = 0 then 0
        else sign(bucket)::int * (sketches.bounds())[abs(bucket)]::numeric * 1.0099
    end;
end
$function$;

comment on function sketches.bucket_value(int) is
'What stands for the values of a bucket: at most 1 % from each of them.';

create function sketches.sketch_of(observed numeric[]) returns jsonb
language sql
immutable
parallel safe
return (
    select coalesce(jsonb_object_agg(c.bucket, c.observations), '{}')
    from (
        select
            sketches.bucket(o.value) as bucket,
            count(*) as observations
        from unnest(observed) as o (value)
        where o.value is not null
        group by sketches.bucket(o.value)
    ) as c
);

comment on function sketches.sketch_of(numeric[]) is
'Sketch of some values; nulls are left out.';

create aggregate sketches.sketch(value numeric) (
    sfunc = array_append,
    stype = numeric[],
    combinefunc = array_cat,
    finalfunc = sketches.sketch_of,
    parallel = safe
);

comment on aggregate sketches.sketch(numeric) is
'Sketch of a column; nulls are left out. Holds the values while it runs: for very many, group by '
'sketches.bucket first.';

create function sketches.merged(parts jsonb[]) returns jsonb
language sql
immutable
parallel safe
return (
    select coalesce(jsonb_object_agg(c.bucket, c.observations), '{}')
    from (
        select
            b.key as bucket,
            sum(b.value::bigint) as observations
        from unnest(parts) as p (sketch)
        cross join jsonb_each_text(p.sketch) as b
        group by b.key
    ) as c
);

comment on function sketches.merged(jsonb[]) is
'Sum of some sketches: the sketch of all their values.';

create aggregate sketches.merge(sketch jsonb) (
    sfunc = array_append,
    stype = jsonb[],
    combinefunc = array_cat,
    finalfunc = sketches.merged,
    parallel = safe
);

comment on aggregate sketches.merge(jsonb) is
'Sum of a column of sketches, in any order: the sketch of all their values.';

create function sketches.observations(sketch jsonb) returns bigint
language sql
immutable
strict
parallel safe
return (
    select coalesce(sum(b.value::bigint), 0)::bigint
    from jsonb_each_text(sketch) as b
);

comment on function sketches.observations(jsonb) is 'Number of values in a sketch.';

create function sketches.percentile(sketch jsonb, fraction numeric) returns numeric
language plpgsql
immutable
strict
parallel safe
as $function$
begin
    if fraction not between 0 and 1 then
        raise exception 'percentile: % is not between 0 and 1; write 0.95 for the 95th', fraction
            using errcode = 'numeric_value_out_of_range';
    end if;
    return (
        select sketches.bucket_value(r.bucket)
        from (
            select
                b.key::int as bucket,
                sum(b.value::bigint) over (order by b.key::int) as values_up_to,
                sum(b.value::bigint) over () as all_values
            from jsonb_each_text(sketch) as b
        ) as r
        where r.values_up_to >= r.all_values * fraction
        order by r.bucket
        limit 1
    );
end
$function$;

comment on function sketches.percentile(jsonb, numeric) is
'Percentile of a sketch by nearest rank, the fraction from 0 to 1: at most 1 % from the smallest value that '
'this share of the values does not exceed. Null for an empty sketch.';
