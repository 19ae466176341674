SELECT create_distributed_table(format('%%I.activities', %(schema)s::text)::regclass, 'uuid')
