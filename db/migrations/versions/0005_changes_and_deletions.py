"""attributes, changes and deletions of users"""

from db.migrations import run_sql

revision = "0005"
down_revision = "0004"


def upgrade() -> None:
    run_sql("0005_changes_and_deletions.sql")
