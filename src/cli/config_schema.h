/* The schema and the defaults of the configuration: data only, for config.c. */
#pragma once

#include <cyaml/cyaml.h>
#include <stdbool.h>

struct config_default {
    size_t offset;
    const char *text; /* what `vigia config show` prints; NULL ends the table */
    double number;
    bool is_text, is_double;
};

extern const cyaml_schema_field_t config_fields[];
extern const cyaml_schema_value_t config_schema_top;
extern const struct config_default config_defaults[];
