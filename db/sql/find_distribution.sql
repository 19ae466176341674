-- Citus documentation, "Citus Tables and Views".
SELECT
    (SELECT count(*) FROM pg_dist_node WHERE isactive AND noderole = 'primary' AND shouldhaveshards) AS nodes,
    current_setting('citus.shard_count')::integer AS shards,
    pg_size_pretty(pg_total_relation_size(format('%%I.users', %(schema)s::text)::regclass)) AS users,
    pg_size_pretty(pg_total_relation_size(format('%%I.activities', %(schema)s::text)::regclass)) AS activities,
    EXISTS (
        SELECT FROM citus_tables
        WHERE table_name = format('%%I.users', %(schema)s::text)::regclass AND citus_table_type = 'reference'
    ) AS has_users,
    EXISTS (
        SELECT FROM citus_tables
        WHERE
            table_name = format('%%I.activities', %(schema)s::text)::regclass
            AND citus_table_type = 'distributed'
            AND distribution_column = 'uuid'
    ) AS has_activities
