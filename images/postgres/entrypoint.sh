#!/bin/bash
# Starts Postgres on the volume under $PGDATA, which may be empty, complete, or left behind by a start that was killed.
#
# A cluster is made in "$PGDATA.new" and renamed when it is complete, so $PGDATA either does not exist or is whole.
# Secrets come as files; none of them reaches an argument list or the environment.
set -euo pipefail

CONFIG=${CONFIG:-/etc/database}
export SECRETS=${SECRETS:-/run/secrets/postgres}
export TRAINING_SECRETS=${TRAINING_SECRETS:-/run/secrets/training}
volume=$(dirname "$PGDATA")
fresh=$PGDATA.new

fail() {
    echo "postgres: $1" >&2
    exit 1
}

[[ -s $SECRETS/password ]] || fail "$SECRETS/password is missing or empty. Fix: mount the Secret postgres-auth there"
[[ -s $TRAINING_SECRETS/password ]] || fail "$TRAINING_SECRETS/password is missing or empty. Fix: mount the Secret training-auth there"
[[ -w $volume ]] || fail "$volume is not writable by uid $(id -u). Fix: give the volume fsGroup 10001"

# Postgres inherits this lock. While we hold it no other container runs on the volume, hence a pid file in it is stale:
# pids of a dead container mean nothing here, yet Postgres would take an unrelated process for its predecessor.
exec 9>"$volume/.lock"
flock --nonblock 9 || fail "another container holds $volume. Fix: wait for it to end, or delete its pod"

if [[ ! -d $PGDATA ]]; then
    rm -rf "$fresh"
    initdb --pgdata="$fresh" --username=postgres --auth-local=peer --auth-host=reject \
        --encoding=UTF8 --locale=C.UTF-8 --data-checksums --no-instructions
    sync --file-system "$volume"
    mv --no-target-directory "$fresh" "$PGDATA"
fi
# A volume that is mounted with fsGroup may have been opened to the group, which Postgres refuses.
chmod 0700 "$PGDATA"
rm -f "$PGDATA/postmaster.pid"

trap 'pg_ctl --pgdata="$PGDATA" --mode=fast --silent stop || true; exit 143' INT TERM
# Crash recovery after a kill may take its time: the startup probe decides how long, not this wait.
pg_ctl --pgdata="$PGDATA" --silent --wait --timeout=3600 start \
    --options="-c config_file=$CONFIG/postgresql.conf -c listen_addresses=''" &
wait $!
psql --no-psqlrc --quiet --username=postgres --dbname=postgres --file="$CONFIG/bootstrap.sql" >/dev/null &
wait $!
pg_ctl --pgdata="$PGDATA" --mode=fast --silent --wait stop
trap - INT TERM

exec postgres -D "$PGDATA" -c config_file="$CONFIG/postgresql.conf"
