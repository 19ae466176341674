SELECT has_schema_privilege(%(role)s, %(schema)s, 'CREATE')
