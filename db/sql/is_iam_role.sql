-- Whoever is a member of RDS' own role logs in by IAM alone (Amazon RDS User Guide, "Database authentication");
-- elsewhere there is no such role.
SELECT EXISTS (
    SELECT
    FROM pg_catalog.pg_auth_members AS members
    INNER JOIN pg_catalog.pg_roles AS groups ON groups.oid = members.roleid
    INNER JOIN pg_catalog.pg_roles AS roles ON roles.oid = members.member
    WHERE groups.rolname = 'rds_iam' AND roles.rolname = %(role)s
)
