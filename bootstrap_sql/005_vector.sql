-- requires: vector
-- Similarity search over patterns, knowledge and memories. On PostgreSQL 15 all else works without.

create extension if not exists vector with schema public;
