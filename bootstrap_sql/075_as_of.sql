-- Marts read no clock: a refresh would not give what a rebuild gives a second later. What depends on today,
-- such as the price in force, reads the day that stands here.

set local role agentbooks_owner;

create table ops.as_of (
    is_only_row boolean not null primary key default true check (is_only_row),
    as_of_date date not null
);

comment on table ops.as_of is
'One row: the UTC day that the marts take for today. Each run of dbt advances it.';
comment on column ops.as_of.is_only_row is 'Always true: it keeps the table at one row.';
comment on column ops.as_of.as_of_date is 'It never goes back.';

insert into ops.as_of (as_of_date) values ((now() at time zone 'UTC')::date);

create function ops.advance_as_of(today date) returns void
language sql
set search_path = pg_catalog, pg_temp
begin atomic
    update ops.as_of set as_of_date = today
    where as_of_date < today;
end;

comment on function ops.advance_as_of(date) is 'Says that a day has come.';

grant select, update on ops.as_of to agentbooks_refresher;
revoke all on function ops.advance_as_of(date) from public;
grant execute on function ops.advance_as_of(date) to agentbooks_refresher;
