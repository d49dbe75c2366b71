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
