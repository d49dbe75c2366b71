delete from ops.captured_tables
where table_name = 'ops.forecasts';
drop table ops.forecasts;
