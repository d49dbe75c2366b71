drop table observability.usage_logs;
drop table observability.cost_aggregations;
drop table observability.cost_records;
