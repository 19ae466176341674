-- RDS checks tokens of IAM, and no password, for whoever is a member of this role of its own.
GRANT rds_iam TO {role}
