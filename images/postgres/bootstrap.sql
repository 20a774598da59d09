-- Run at every start over the socket, before the network is opened, and by `mlp database-password rotate`: it makes what
-- is missing and sets each role's password to the mounted one.
\set ON_ERROR_STOP on
-- A statement below that fails, or one that a busy disk makes slow, would put the password into the log.
SET log_min_error_statement = panic;
SET log_min_duration_statement = -1;
\set password `cat "$SECRETS/password"`
\set training_password `cat "$TRAINING_SECRETS/password"`
SELECT 'CREATE ROLE mlflow LOGIN' WHERE NOT EXISTS (SELECT FROM pg_roles WHERE rolname = 'mlflow') \gexec
ALTER ROLE mlflow PASSWORD :'password';
SELECT format('CREATE DATABASE %I OWNER mlflow', name)
    FROM unnest(ARRAY['mlflow', 'mlflow_auth']) AS name
    WHERE NOT EXISTS (SELECT FROM pg_database WHERE datname = name) \gexec
-- Searches in the cluster: a role that owns one database and, by pg_hba.conf, can open no other.
SELECT 'CREATE ROLE training LOGIN NOSUPERUSER NOCREATEDB NOCREATEROLE CONNECTION LIMIT 40'
    WHERE NOT EXISTS (SELECT FROM pg_roles WHERE rolname = 'training') \gexec
ALTER ROLE training PASSWORD :'training_password';
SELECT 'CREATE DATABASE training OWNER training'
    WHERE NOT EXISTS (SELECT FROM pg_database WHERE datname = 'training') \gexec
