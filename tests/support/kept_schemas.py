"""Migrated PostgreSQL schemas that one test leaves to the next, without the rows.

To drop the tables of a service and to make them again takes the server 0.1 s of CPU time; to delete their few
rows takes a tenth of that. `migrated.upgrade` labels the schema that it makes with a fingerprint. When a test
returns its database, a schema whose tables are still those of the label is emptied and renamed, so that the
database looks empty. The next `migrated.upgrade` of the same service renames it back. Every other schema is
dropped.
"""

from __future__ import annotations

from typing import Any, Final

PREFIX: Final = "kept migrated "

# The system's own numbers of tables, columns, constraints, indexes and defaults, with what DDL may change.
_FINGERPRINT: Final = """
    (SELECT md5(string_agg(item, ';' ORDER BY item)) FROM (
        SELECT concat_ws(' ', 'n', nspacl, nspowner) AS item FROM pg_namespace WHERE nspname = 'public'
        UNION ALL
        SELECT concat_ws(' ', 'r', oid, relname, relkind, relacl, reloptions, relpersistence)
        FROM pg_class WHERE relnamespace = 'public'::regnamespace
        UNION ALL
        SELECT concat_ws(' ', 'a', attrelid, attnum, attname, atttypid, attnotnull, attisdropped, attidentity)
        FROM pg_attribute JOIN pg_class ON pg_class.oid = attrelid
        WHERE relnamespace = 'public'::regnamespace AND relkind <> 'i'
        UNION ALL
        SELECT concat_ws(' ', 'c', oid, conname) FROM pg_constraint
        WHERE connamespace = 'public'::regnamespace
        UNION ALL
        SELECT concat_ws(' ', 'd', pg_attrdef.oid) FROM pg_attrdef JOIN pg_class ON pg_class.oid = adrelid
        WHERE relnamespace = 'public'::regnamespace
        UNION ALL
        SELECT concat_ws(' ', 't', pg_trigger.oid, tgenabled)
        FROM pg_trigger JOIN pg_class ON pg_class.oid = tgrelid
        WHERE relnamespace = 'public'::regnamespace
        UNION ALL
        SELECT concat_ws(' ', 'p', oid) FROM pg_proc WHERE pronamespace = 'public'::regnamespace
    ) AS everything)
"""
# A large table is cheaper to drop, and one that was analysed would keep its statistics.
_AS_NEW: Final = """
    NOT EXISTS (SELECT FROM pg_class WHERE relnamespace = 'public'::regnamespace AND relkind = 'r'
                AND pg_relation_size(oid) > 65536)
    AND NOT EXISTS (SELECT FROM pg_statistic JOIN pg_class ON pg_class.oid = starelid
                    WHERE relnamespace = 'public'::regnamespace)
"""
# Executed by the owner of the server while nobody else is connected to the database.
EMPTY: Final = f"""
    SET session_replication_role = replica;
    SET client_min_messages = warning;
    DO $$ DECLARE label text; name text; BEGIN
        label := obj_description(to_regnamespace('public'), 'pg_namespace');
        IF label LIKE '{PREFIX}%' AND split_part(label, '#', 2) = {_FINGERPRINT} AND {_AS_NEW} THEN
            FOR name IN SELECT relname FROM pg_class
                WHERE relnamespace = 'public'::regnamespace AND relkind = 'r' AND pg_relation_size(oid) > 0
            LOOP EXECUTE format('DELETE FROM public.%I', name); END LOOP;
            FOR name IN SELECT relname FROM pg_sequence JOIN pg_class ON pg_class.oid = seqrelid
                WHERE relnamespace = 'public'::regnamespace AND pg_sequence_last_value(seqrelid) IS NOT NULL
            LOOP EXECUTE format('ALTER SEQUENCE public.%I RESTART', name); END LOOP;
            EXECUTE format('DROP SCHEMA IF EXISTS %I CASCADE', split_part(label, '#', 1));
            EXECUTE format('ALTER SCHEMA public RENAME TO %I', split_part(label, '#', 1));
        END IF;
        FOR name IN SELECT nspname FROM pg_namespace
            WHERE nspname !~ '^pg_|^information_schema$' AND nspname NOT LIKE '{PREFIX}%'
        LOOP EXECUTE format('DROP SCHEMA %I CASCADE', name); END LOOP;
        EXECUTE format('ALTER DATABASE %I RESET ALL', current_database());
    END $$;
    CREATE SCHEMA public;
"""  # noqa: S608 - our own texts


def label(cursor: Any, package: str) -> None:
    """Mark the schema that was just migrated, whose tables have only the rows of its migration."""
    cursor.execute(f"SELECT {_FINGERPRINT}")
    (fingerprint,) = cursor.fetchone()
    cursor.execute(f"COMMENT ON SCHEMA public IS '{PREFIX}{package}#{fingerprint}'")


def take_back(cursor: Any, package: str) -> bool:
    """Replace the empty schema by one put aside, whose tables have no rows; return whether there was one."""
    name = f"{PREFIX}{package}"
    cursor.execute("SELECT FROM pg_namespace WHERE nspname = %s", (name,))
    if cursor.fetchone() is None:
        return False
    cursor.execute(f'DROP SCHEMA public; ALTER SCHEMA "{name}" RENAME TO public')
    return True
