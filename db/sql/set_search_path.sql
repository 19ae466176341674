-- For this transaction alone: what a revision names without a schema is in ours.
SELECT set_config('search_path', %(search_path)s, true)
