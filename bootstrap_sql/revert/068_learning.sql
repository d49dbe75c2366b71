drop table ops.pruned_patterns;
drop table ops.learned_counts;
drop table ops.learned_months;
