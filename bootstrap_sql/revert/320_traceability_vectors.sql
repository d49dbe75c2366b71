drop function traceability.find_similar_patterns(public.vector, double precision, int);
alter table traceability.agent_routing_decisions drop column query_embedding;
alter table traceability.success_patterns drop column prompt_embedding;
