drop table ops.forecasts;
