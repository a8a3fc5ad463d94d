#!/bin/sh
# Run by the image of PostgreSQL when its volume is empty. `prepare` has written the statements.
set -eu
psql --quiet --set ON_ERROR_STOP=1 --username postgres --dbname postgres --file /run/secrets/roles.sql
