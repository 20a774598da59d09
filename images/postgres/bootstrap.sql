-- Run at every start over the socket, before the network is opened: it makes what is missing and sets the role's
-- password to the mounted one, so a rotated Secret takes effect with the next start.
\set ON_ERROR_STOP on
SET log_min_error_statement = panic;  -- a failing statement below would put the password into the log
\set password `cat "$SECRETS/password"`
SELECT 'CREATE ROLE mlflow LOGIN' WHERE NOT EXISTS (SELECT FROM pg_roles WHERE rolname = 'mlflow') \gexec
ALTER ROLE mlflow PASSWORD :'password';
SELECT format('CREATE DATABASE %I OWNER mlflow', name)
    FROM unnest(ARRAY['mlflow', 'mlflow_auth']) AS name
    WHERE NOT EXISTS (SELECT FROM pg_database WHERE datname = name) \gexec
