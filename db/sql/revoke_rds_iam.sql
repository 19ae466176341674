REVOKE rds_iam FROM {role}
