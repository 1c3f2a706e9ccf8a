/* vigia config check|show|schema */
#include <cyaml/cyaml.h>
#include <jansson.h>
#include <stdio.h>
#include <string.h>

#include "cli/command.h"
#include "cli/config.h"
#include "cli/config_schema.h"

struct options {
    struct command_common common;
    const char *action;
};

static error_t parse(int key, char *arg, struct argp_state *state)
{
    struct options *o = state->input;
    switch (key) {
    case ARGP_KEY_INIT:
        state->child_inputs[0] = &o->common;
        return 0;
    case ARGP_KEY_ARG:
        if (state->arg_num == 0)
            o->action = arg;
        else if (state->arg_num == 1)
            o->common.config = arg;
        else
            argp_error(state, "too many arguments");
        return 0;
    case ARGP_KEY_END:
        if (!o->action)
            argp_error(state, "say what to do: check, show or schema");
        return 0;
    }
    return ARGP_ERR_UNKNOWN;
}

static const struct argp argp = {
    NULL,
    parse,
    "check|show|schema [FILE]",
    "Check or show the configuration."
    "\v"
    "  check   exit 0 if the file is right; else says file, line and what is allowed, exit 2\n"
    "  show    the values in force: file, environment (VIGIA_SERVER_PORT=...), defaults\n"
    "  schema  every key with its type, as a JSON schema for editors\n\n"
    "Example: vigia config check /etc/vigia/vigia.yaml",
    command_common_child,
    NULL,
    NULL};

static void print(const struct buf *b)
{
    fwrite(b->data, 1, b->size, stdout);
    if (b->size && b->data[b->size - 1] != '\n')
        putchar('\n');
}

static json_t *value_json(const cyaml_schema_value_t *v, const char *at, uint64_t n);

static json_t *mapping_json(const cyaml_schema_field_t *fields, const char *base)
{
    json_t *object = json_object();
    for (const cyaml_schema_field_t *f = fields; f->key; f++) {
        uint64_t n = 0;
        if (f->value.type == CYAML_SEQUENCE)
            memcpy(&n, base + f->count_offset, f->count_size); /* little endian, as eBPF here */
        json_t *value = value_json(&f->value, base + f->data_offset, n);
        if (value)
            json_object_set_new(object, f->key, value);
    }
    return object;
}

/* n: items of a sequence. NULL: not given. */
static json_t *value_json(const cyaml_schema_value_t *v, const char *at, uint64_t n)
{
    switch (v->type) {
    case CYAML_MAPPING:
        return mapping_json(v->mapping.fields, at);
    case CYAML_SEQUENCE: {
        const cyaml_schema_value_t *item = v->sequence.entry;
        bool pointer = item->flags & CYAML_FLAG_POINTER;
        json_t *array = json_array();
        for (uint64_t i = 0; i < n; i++)
            json_array_append_new(
                array,
                value_json(item,
                           *(char *const *)at + i * (pointer ? sizeof(char *) : item->data_size),
                           0));
        return array;
    }
    case CYAML_UINT:
        return json_integer(*(const uint32_t *)at);
    case CYAML_FLOAT:
        return json_real(*(const double *)at);
    case CYAML_ENUM:
        for (uint32_t i = 0; i < v->enumeration.count; i++)
            if (v->enumeration.strings[i].val == *(const int *)at)
                return json_string(v->enumeration.strings[i].str);
        return NULL;
    default:
        return *(char *const *)at ? json_string(*(char *const *)at) : NULL;
    }
}

static int show_json(const struct config *c)
{
    json_auto_t *o = mapping_json(config_schema_top.mapping.fields, (const char *)c);
    int r = json_dumpf(o, stdout, JSON_INDENT(1));
    puts("");
    return r < 0 ? EXIT_FAILED : EXIT_OK;
}

static int run(int argc, char **argv)
{
    struct options o = {0};
    argp_parse(&argp, argc, argv, 0, NULL, &o);
    CLEANUP(buf_done) struct buf text;
    buf_init(&text, 1 << 20);
    if (strcmp(o.action, "schema") == 0) {
        if (config_schema(&text) < 0)
            return EXIT_FAILED;
        print(&text);
        return EXIT_OK;
    }
    CLEANUP(config_freep) struct config *c = NULL;
    if (config_load(o.common.config, o.common.data, &c) < 0)
        return EXIT_FAILED;
    if (strcmp(o.action, "check") == 0) {
        config_warn_environment();
        puts(o.common.json ? "{\"valid\": true}" : "The configuration is right.");
        return EXIT_OK;
    }
    if (strcmp(o.action, "show") == 0 && o.common.json)
        return show_json(c);
    if (strcmp(o.action, "show") == 0) {
        if (config_write(c, &text) < 0)
            return EXIT_FAILED;
        print(&text);
        return EXIT_OK;
    }
    fprintf(stderr, "vigia config: there is no action '%s': check, show or schema\n", o.action);
    return EXIT_FAILED;
}

const struct command command_config = {
    .name = "config", .group = "care", .summary = "Check or show the configuration", .run = run};
