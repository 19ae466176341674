"""users by e-mail address"""

from db.migrations import run_sql

revision = "0002"
down_revision = "0001"


def upgrade() -> None:
    run_sql("0002_users_by_email.sql")
