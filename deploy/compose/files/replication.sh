#!/bin/sh
# At the first start of the primary: let a standby copy it. A commit waits for the standby, so that
# a failover loses nothing (docs/operations.md). Logs are kept for a standby that was away for long.
set -eu
echo "host replication waitline all scram-sha-256" >> "$PGDATA/pg_hba.conf"
cat >> "$PGDATA/postgresql.conf" <<END
synchronous_standby_names = 'standby'
wal_keep_size = 1GB
END
