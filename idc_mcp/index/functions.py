"""Every function of the engine, reviewed: those that only compute, and why the others may not run.

Names are those of DuckDB 1.5 and 2.0 together. A name in neither list is of a newer engine:
a test fails when the installed one has such a function, so that somebody looks at it. Until
then a caller's use of it is refused. What is no function of the engine at all is left to the
engine, whose "Did you mean" is the best hint.
"""

from __future__ import annotations


def _names(*blocks: str) -> frozenset[str]:
    return frozenset(name.lower() for block in blocks for name in block.split())


AGGREGATES = _names(
    """
    any_value approx_count_distinct approx_quantile approx_top_k arbitrary arg_max arg_max_null
    arg_max_nulls_last arg_min arg_min_null arg_min_nulls_last argmax argmin array_agg avg
    bit_and bit_or bit_xor bitstring_agg bool_and bool_or combine combine_aggr corr count
    count_if count_star countif covar_pop covar_samp cume_dist decimal_average dense_rank
    entropy favg fill finalize first first_value fsum group_concat grouping grouping_id
    histogram histogram_exact kahan_sum kurtosis kurtosis_pop lag last last_value lead list
    listagg lttb mad max max_by mean median min min_by mode nth_value ntile percent_rank product
    quantile quantile_cont quantile_disc rank rank_dense regr_avgx regr_avgy regr_count
    regr_intercept regr_r2 regr_slope regr_sxx regr_sxy regr_syy reservoir_quantile row_number
    sem skewness stddev stddev_pop stddev_samp string_agg sum sum_no_overflow sumkahan
    to_aggregate_state var_pop var_samp variance variant_group_object
    """
)
"""Aggregates and window functions."""

TEXT = _names(
    """
    ascii bar base64 bit_length bitstring char_length character_length chr concat concat_ws
    contains damerau_levenshtein decode editdist3 encode ends_with format
    formatReadableDecimalSize formatReadableSize format_bytes from_base64 from_binary from_hex
    hamming hex hive_partition_component icu_sort_key ilike_escape instr jaccard jaro_similarity
    jaro_winkler_similarity lcase left left_grapheme length length_grapheme levenshtein
    like_escape lower lpad ltrim md5 md5_number md5_number_lower md5_number_upper mismatches
    nfc_normalize not_ilike_escape not_like_escape octet_length ord overlay parse_dirname
    parse_dirpath parse_filename parse_formatted_bytes parse_path path_join position prefix
    printf regexp_escape regexp_extract regexp_extract_all regexp_full_match regexp_matches
    regexp_replace regexp_split_to_array regexp_split_to_table repeat replace reverse right
    right_grapheme rpad rtrim sha1 sha256 split split_part starts_with str_split str_split_regex
    string_split string_split_regex string_to_array strip_accents strlen strpos substr substring
    substring_grapheme suffix to_base to_base64 to_binary to_hex translate trim ucase unbin
    unhex unicode upper url_decode url_encode
    """
)
"""Text, patterns, paths as text, encodings."""

NUMBERS = _names(
    """
    abs acos acosh add asin asinh atan atan2 atanh bin binom bit_count bit_position cbrt ceil
    ceiling cos cosh cot decimal_division degrees divide even exp factorial fdiv floor fmod
    gamma gcd geomean geometric_mean get_bit greatest greatest_common_divisor isfinite isinf
    isnan lcm least least_common_multiple lgamma ln log log10 log2 mod multiply nextafter pi pow
    power radians random round round_even roundbankers set_bit sign signbit sin sinh sqrt
    subtract tan tanh trunc wavg weighted_avg xor
    """
)

TIMES = _names(
    """
    age ago century current_date current_localtime current_localtimestamp date_add date_diff
    date_part date_sub date_trunc datediff datepart datesub datetrunc day dayname dayofmonth
    dayofweek dayofyear days_in_month decade epoch epoch_ms epoch_ns epoch_us era
    get_current_time get_current_timestamp hour isodow isoyear julian last_day make_date
    make_time make_timestamp make_timestamp_ms make_timestamp_ns make_timestamptz microsecond
    millennium millisecond minute month monthname nanosecond normalized_interval now quarter
    second strftime strptime time_bucket timezone timezone_hour timezone_minute to_centuries
    to_days to_decades to_hours to_microseconds to_millennia to_milliseconds to_minutes
    to_months to_quarters to_seconds to_timestamp to_weeks to_years today transaction_timestamp
    try_strptime week weekday weekofyear year yearweek
    """
)

NESTED = _names(
    """
    aggregate apply array_aggr array_aggregate array_append array_apply array_cat array_concat
    array_contains array_cosine_distance array_cosine_similarity array_cross_product
    array_distance array_distinct array_dot_product array_extract array_filter array_grade_up
    array_has array_has_all array_has_any array_indexof array_inner_product array_intersect
    array_length array_negative_dot_product array_negative_inner_product array_pop_back
    array_pop_front array_position array_prepend array_push_back array_push_front array_reduce
    array_resize array_reverse array_reverse_sort array_select array_slice array_sort
    array_to_string array_to_string_comma_default array_transform array_unique array_value
    array_where array_zip cardinality element_at enum_code enum_first enum_last enum_range
    enum_range_boundary equi_width_bins filter flatten generate_series generate_subscripts
    grade_up invoke is_histogram_other_bin len list_aggr list_aggregate list_any_value
    list_append list_apply list_approx_count_distinct list_avg list_bit_and list_bit_or
    list_bit_xor list_bool_and list_bool_or list_cat list_concat list_contains
    list_cosine_distance list_cosine_similarity list_count list_distance list_distinct
    list_dot_product list_element list_entropy list_extract list_filter list_first list_grade_up
    list_has list_has_all list_has_any list_histogram list_indexof list_inner_product
    list_intersect list_kurtosis list_kurtosis_pop list_last list_mad list_max list_median
    list_min list_mode list_negative_dot_product list_negative_inner_product list_pack
    list_position list_prepend list_product list_reduce list_resize list_reverse
    list_reverse_sort list_select list_sem list_skewness list_slice list_sort list_stddev_pop
    list_stddev_samp list_string_agg list_sum list_transform list_unique list_value list_var_pop
    list_var_samp list_where list_zip map map_concat map_contains map_contains_entry
    map_contains_value map_entries map_extract map_extract_value map_from_entries map_keys
    map_values range reduce remap row struct_concat struct_contains struct_extract
    struct_extract_at struct_has struct_indexof struct_insert struct_keys struct_pack
    struct_position struct_update struct_values switch union_extract union_tag union_value
    unlist unnest variant_array_length variant_contains variant_exists variant_extract
    variant_extract_string variant_group_array variant_keys variant_type variant_typeof
    vertex_extract
    """
)
"""Lists, arrays, maps, structs, unions, enums, variants."""

JSON = _names(
    """
    array_to_json from_json from_json_strict json json_array json_array_length json_contains
    json_deep_merge json_exists json_extract json_extract_path json_extract_path_text
    json_extract_string json_group_array json_group_object json_group_structure json_insert
    json_keys json_merge_patch json_merge_patch_diff json_normalize json_object json_pretty
    json_quote json_remove json_replace json_set json_strip_nulls json_structure json_transform
    json_transform_strict json_type json_valid json_value row_to_json st_asgeojson
    st_geomfromgeojson to_json
    """
)

GEOMETRY = _names(
    """
    st_asbinary st_asgeojson st_astext st_aswkb st_aswkt st_crs st_geomfromgeojson
    st_geomfromwkb st_intersects_extent st_setcrs
    """
)

OTHER = _names(
    """
    alias assert_true can_cast_implicitly cast_to_type current_query current_role current_schema
    current_user error format_pg_type format_type gen_random_uuid get_type hash if nullif
    pg_size_pretty pg_typeof session_user stats typeof user uuid uuid_extract_timestamp
    uuid_extract_version uuidv4 uuidv7 vector_type version
    """
)
"""Types, choices, identifiers, and what tells no more than the engine's version."""

OPERATORS = _names(
    """
    ! != !__postfix !~~ !~~* % & && * ** + - ->> / // < <-> << <= <=> <@ = > >= >> @ @> ^ ^@ |
    || ~ ~~ ~~* ~~~
    """
)
"""How the engine's tree names operators."""

ALLOWED = (
    AGGREGATES
    | TEXT
    | NUMBERS
    | TIMES
    | NESTED
    | JSON
    | GEOMETRY
    | OTHER
    | OPERATORS
    | {"is distinct from", "is not distinct from"}
)
ALLOWED_PREFIXES = ("icu_collate_", "collate_")
"""One function a language: they make sort keys of text."""

TABLE_FUNCTIONS = _names(
    """
    generate_series icu_calendar_names json_each json_tree pg_timezone_names range repeat
    repeat_row summary test_all_types unnest
    """
)
"""Table functions that only compute."""

HIDDEN_SQL = (
    "it runs SQL that stands in a string, where it cannot be checked",
    "write that statement itself",
)
SETTINGS = (
    "it tells about the machine that this server runs on, or about its settings",
    "call idc_schema for tables and columns; version() gives the engine's version",
)
CATALOGUE = (
    "it tells about the server's own catalogue",
    "call idc_schema, which describes tables, columns and their values",
)
STATE = (
    "it changes something, or waits, where only reading is possible",
    "leave it out: a SELECT over the tables of idc_schema needs none of it",
)
FILES = (
    "it reads files or memory of the machine that this server runs on",
    "use the tables that idc_schema lists; a cohort from a file is made with idc_cohort",
)
INTERNAL = (
    "it is a part of the engine's own machinery, not of its SQL",
    "use the documented function or operator instead",
)
UNREVIEWED = (
    "it is newer than this server's list of functions that only compute",
    "use another function, or report it so that it can be reviewed",
)

_REFUSED: dict[tuple[str, str], frozenset[str]] = {
    HIDDEN_SQL: _names(
        """
        query query_table json_execute_serialized_sql json_serialize_plan json_serialize_sql
        json_deserialize_sql histogram_values
        """
    ),
    SETTINGS: _names(
        """
        current_setting getenv getvariable current_database current_catalog current_schemas
        in_search_path current_connection_id current_query_id current_transaction_id txid_current
        inet_client_addr inet_client_port inet_server_addr inet_server_port get_block_size
        pg_conf_load_time pg_postmaster_start_time parse_duckdb_log_message
        """
    ),
    CATALOGUE: _names("map_to_pg_oid obj_description shobj_description col_description seq_scan"),
    STATE: _names(
        """
        setseed sleep_ms pg_sleep write_log nextval currval setval checkpoint force_checkpoint
        enable_logging disable_logging enable_profiling disable_profiling truncate_duckdb_logs
        create_external_resource deregister_external_resource destroy_external_resource
        register_external_resource register_external_resource_type
        """
    ),
    FILES: _names(
        """
        arrow_scan arrow_scan_dumb glob pandas_scan python_arrow_scan python_map_function
        sniff_csv which_secret
        """
    ),
    INTERNAL: _names(
        """
        __between __cast bitstring_byte_comparable constant_or_null create_sort_key index_key
        json_copy_strftime_if_date json_copy_strftime_if_timestamp make_type remap_struct
        replace_type test_vector_types timetz_byte_comparable unpivot_list
        variant_bytes_to_variant variant_comparator variant_normalize variant_to_parquet_variant
        """
    ),
}
_REFUSED_PREFIXES = {
    "read_": FILES,
    "parquet_": FILES,
    "duckdb_": CATALOGUE,
    "pragma_": CATALOGUE,
    "pg_": CATALOGUE,
    "has_": CATALOGUE,
    "__internal": INTERNAL,
}


def allowed(name: str) -> bool:
    """Whether a scalar function, aggregate or macro only computes."""
    return name in ALLOWED or name.startswith(ALLOWED_PREFIXES)


def refusal(name: str, *, as_table: bool = False) -> tuple[str, str] | None:
    """Why a reviewed function may not run and what to do instead; None where it is not listed."""
    if as_table and name == "histogram":  # the aggregate may; the macro takes a table's name
        return HIDDEN_SQL
    for reason, names in _REFUSED.items():
        if name in names:
            return reason
    if name in ALLOWED | TABLE_FUNCTIONS:
        return None
    return next(
        (reason for prefix, reason in _REFUSED_PREFIXES.items() if name.startswith(prefix)), None
    )
