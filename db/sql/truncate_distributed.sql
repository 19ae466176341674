-- What was copied to the nodes is still on the coordinator's disk, where nobody would see it, or erase it.
SELECT truncate_local_data_after_distributing_table(format('%%I.%%I', %(schema)s::text, %(name)s::text)::regclass)
