"""The allow-list for SQL: one SELECT without locks, side effects or functions that are not on the list."""

from __future__ import annotations

from functools import lru_cache

from verifier.stores.errors import Forbidden

# Functions beyond the SQL standard that profiles and stores may call. All of them only read.
ALLOWED_FUNCTIONS = frozenset(
    """
    age array_agg chr current_setting array_length array_to_string btrim clock_timestamp col_description concat_ws convert_from convert_to current_database
    current_schema decode digest encode extract format_type has_any_column_privilege has_column_privilege
    has_database_privilege has_function_privilege has_schema_privilege has_sequence_privilege has_table_privilege inet_server_addr isfinite json_array_elements
    json_array_elements_text json_build_array json_build_object json_each json_each_text json_extract_path
    json_extract_path_text json_typeof jsonb_array_elements jsonb_array_elements_text jsonb_array_length jsonb_build_object jsonb_each
    jsonb_each_text jsonb_extract_path jsonb_extract_path_text jsonb_object_keys jsonb_typeof make_interval md5
    obj_description overlay pg_current_snapshot pg_get_constraintdef pg_get_expr pg_get_functiondef pg_get_viewdef pg_has_role
    pg_is_in_recovery pg_last_wal_receive_lsn pg_last_wal_replay_lsn pg_last_xact_replay_timestamp pg_partition_tree pg_postmaster_start_time pg_relation_filenode pg_relation_is_updatable pg_relation_size string_agg pg_snapshot_xmax
    pg_snapshot_xmin pg_stat_get_tuples_deleted pg_stat_get_tuples_inserted pg_stat_get_tuples_updated
    quote_ident regexp_match regexp_matches row_to_json sha256 statement_timestamp
    string_to_array to_json to_jsonb to_regclass to_timestamp translate version
    """.split()
)


@lru_cache(maxsize=1024)
def require_read_only_sql(sql: str) -> str:
    """Return `sql` if it can only read. Raises Forbidden otherwise, with what was refused.

    The statement is parsed, so comments, quoting and common table expressions do not hide anything. Independently, the
    transaction is READ ONLY.
    """
    import sqlglot  # takes 0.2 s, which `verifier --help` should not pay
    from sqlglot import exp

    try:
        trees = [tree for tree in sqlglot.parse(sql, dialect="postgres") if tree is not None]
    except sqlglot.errors.SqlglotError as error:
        raise Forbidden(
            f"refused a statement that cannot be parsed as SQL ({str(error).splitlines()[0]}): {sql}"
        ) from None
    if len(trees) != 1:
        raise Forbidden(f"refused {len(trees)} statements in one; a profile's select is exactly one SELECT")
    tree = trees[0]
    if not isinstance(tree, exp.Select | exp.SetOperation):
        raise Forbidden(f"refused a {type(tree).__name__.upper()} statement; only SELECT is allowed")
    for node in tree.walk():
        if isinstance(
            node, exp.DML | exp.DDL | exp.Into | exp.Lock | exp.Command | exp.NextValueFor
        ) and not isinstance(node, exp.Select | exp.SetOperation | exp.Subquery):
            raise Forbidden(f"refused {type(node).__name__.upper()} inside a SELECT; only reading is allowed")
        if isinstance(node, exp.Anonymous) and node.name.lower() not in ALLOWED_FUNCTIONS:
            raise Forbidden(
                f"refused the function {node.name}(): it is not on the list of functions known to read only"
            )
        if (
            isinstance(node, exp.Dot)
            and isinstance(node.expression, exp.Func)
            and node.this.name.lower() != "pg_catalog"
        ):
            raise Forbidden(
                f"refused a function of schema {node.this.name}: it is not on the list of functions known to read only"
            )
    return sql
