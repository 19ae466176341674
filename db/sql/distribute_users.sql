SELECT create_reference_table(format('%%I.users', %(schema)s::text)::regclass)
