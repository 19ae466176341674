"""An application that was in the database first: its tables have the names of ours."""

OWN_SCHEMA = "Sign-ups"  # a name that has to be quoted
"""Where ours are, beside it."""

TABLES = """
CREATE TABLE users (id bigint PRIMARY KEY, email text);
INSERT INTO users VALUES (1, 'somebody@example.com');
CREATE VIEW activities AS SELECT id, 'signed in' AS what FROM users;
CREATE TABLE worker_pause (minutes integer);
CREATE TABLE alembic_version (version_num text);
INSERT INTO alembic_version VALUES ('0001');
CREATE FUNCTION handle_key(handle text) RETURNS text LANGUAGE sql AS 'SELECT handle';
CREATE FUNCTION set_updated_at() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NULL; END';
"""
"""In `public`. The migrations are of Alembic too, and their numbers are those of ours."""
