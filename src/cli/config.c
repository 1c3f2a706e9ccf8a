#include "cli/config.h"

#include <cyaml/cyaml.h>
#include <errno.h>
#include <limits.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <yaml.h>

#include "base/log.h"
#include "cli/config_schema.h"
#include "detect/detector.h"
#include "detect/profile.h"
#include "soc/http.h"
#include "soc/sink.h"

#define CONFIG_SIZE_MAX (1u << 20)

/* What libcyaml logs about an error: the message, then the path from the innermost field outwards.
 */
struct complaint {
    char message[512];
    char fields[8][64]; /* innermost first; "" for a mapping itself */
    int n_fields, line;
};

static void complaint_log(cyaml_log_t level, void *ctx, const char *fmt, va_list args)
{
    struct complaint *c = ctx;
    char text[512], field[64] = "";
    int line = 0;
    vsnprintf(text, sizeof(text), fmt, args);
    text[strcspn(text, "\n")] = 0;
    if (level < CYAML_LOG_ERROR || strstr(text, "Backtrace"))
        return;
    bool is_field = sscanf(text, " in mapping field '%63[^']' (line: %d", field, &line) >= 1;
    if (is_field || sscanf(text, " in mapping (line: %d", &line) == 1 ||
        sscanf(text, " in sequence entry %*s (line: %d", &line) == 1) {
        if (!c->line)
            c->line = line;
        if (c->n_fields < 8)
            snprintf(c->fields[c->n_fields++], sizeof(c->fields[0]), "%s", field);
    } else if (!c->message[0]) {
        const char *colon = strncmp(text, "Load: ", 6) == 0 ? text + 6 : text;
        snprintf(c->message, sizeof(c->message), "%s", colon);
        sscanf(text, "%*[^(](line: %d", &c->line);
        char *type = strstr(c->message, "Invalid uint64_t value"); /* C's names help nobody */
        if (type)
            memmove(type + 8, type + 17, strlen(type + 17) + 1);
    }
}

static const cyaml_schema_value_t *value_element(const cyaml_schema_value_t *v)
{
    return v->type == CYAML_SEQUENCE ? v->sequence.entry : v;
}

static const cyaml_schema_value_t *schema_follow(const struct complaint *c, int *ret_depth)
{
    const cyaml_schema_value_t *v = &config_schema_top;
    int depth = 0;
    for (int i = c->n_fields - 1; i >= 0; i--) {
        const cyaml_schema_value_t *at = value_element(v);
        if (!c->fields[i][0] || at->type != CYAML_MAPPING)
            continue;
        for (const cyaml_schema_field_t *f = at->mapping.fields; f->key; f++) {
            if (strcmp(f->key, c->fields[i]) == 0) {
                v = &f->value;
                depth++;
                break;
            }
        }
    }
    *ret_depth = depth;
    return v;
}

static void value_allowed(const cyaml_schema_value_t *v, struct buf *ret)
{
    v = value_element(v);
    const char *comma = "";
    switch (v->type) {
    case CYAML_MAPPING:
        buf_printf(ret, "allowed keys: ");
        for (const cyaml_schema_field_t *f = v->mapping.fields; f->key; f++, comma = ", ")
            buf_printf(ret, "%s%s", comma, f->key);
        break;
    case CYAML_ENUM:
        buf_printf(ret, "allowed: ");
        for (uint32_t i = 0; i < v->enumeration.count; i++, comma = ", ")
            buf_printf(ret, "%s%s", comma, v->enumeration.strings[i].str);
        break;
    case CYAML_UINT:
        buf_printf(ret, "allowed: a whole number, 0 for the default");
        break;
    case CYAML_FLOAT:
        buf_printf(ret, "allowed: a number");
        break;
    default:
        buf_printf(ret, "allowed: text of up to %u bytes", v->string.max);
    }
}

static void complaint_report(const struct complaint *c, const char *path, cyaml_err_t err)
{
    struct buf allowed;
    int depth;
    buf_init(&allowed, 4096);
    value_allowed(schema_follow(c, &depth), &allowed);
    buf_u8(&allowed, 0);
    const char *message = c->message[0] ? c->message : cyaml_strerror(err);
    if (strncmp(message, "libyaml: ", 9) == 0)
        log_error("%s:%d: this is not YAML, here or on a line below: %s (a value without its key, "
                  "a tab, a bracket or quote that does not end?)",
                  path, c->line ? c->line : 1, message + 9);
    else if (c->line)
        log_error("%s:%d: %s (%s)", path, c->line, message, (char *)allowed.data);
    else
        log_error("%s: %s (%s)", path, message, (char *)allowed.data);
    buf_done(&allowed);
}

/* libcyaml names the line where the mapping begins: the key itself stands on or after it. */
static void complaint_find_key(struct complaint *c, const char *text)
{
    char key[128];
    if (sscanf(c->message, "Unexpected key: %127s", key) != 1)
        return;
    int line = 1;
    for (const char *p = text; p; line++) {
        size_t indent = strspn(p, " -{'\"");
        if (line >= c->line && strncmp(p + indent, key, strlen(key)) == 0 &&
            strchr(": '\"", p[indent + strlen(key)])) {
            c->line = line;
            return;
        }
        p = strchr(p, '\n');
        p = p ? p + 1 : NULL;
    }
}

static cyaml_config_t cyaml_setup(struct complaint *c)
{
    return (cyaml_config_t){
        .log_fn = complaint_log, .log_ctx = c, .mem_fn = cyaml_mem, .log_level = CYAML_LOG_ERROR};
}

static int load_text(const char *text, size_t size, const char *path, struct config **ret)
{
    struct complaint complaint = {0};
    cyaml_config_t setup = cyaml_setup(&complaint);
    cyaml_data_t *data = NULL;
    cyaml_err_t err =
        cyaml_load_data((const uint8_t *)text, size, &setup, &config_schema_top, &data, NULL);
    if (err != CYAML_OK) {
        complaint_find_key(&complaint, text);
        complaint_report(&complaint, path, err);
        return -EINVAL;
    }
    *ret = (struct config *)data;
    if (!*ret) { /* an empty document */
        *ret = calloc(1, sizeof(**ret));
        return *ret ? 0 : -ENOMEM;
    }
    return 0;
}

static int read_file(const char *path, struct buf *ret)
{
    CLEANUP(fclosep) FILE *f = fopen(path, "re");
    if (!f)
        return -errno;
    while (!feof(f) && !ferror(f) && ret->error == 0) {
        if (buf_reserve(ret, 4096) == 0)
            ret->size += fread(ret->data + ret->size, 1, 4096, f);
    }
    return ferror(f) ? -EIO : ret->error;
}

/* The environment: VIGIA_ and the path of the key in capitals, for every scalar that stands
 * directly under the top or one mapping below it. */
static int set_scalar(const cyaml_schema_field_t *f, char *base, const char *name, const char *text)
{
    char *at = base + f->data_offset;
    char *end = NULL;
    errno = 0;
    switch (f->value.type) {
    case CYAML_STRING: {
        char *copy = strdup(text);
        if (!copy)
            return -ENOMEM;
        free(*(char **)at);
        *(char **)at = copy;
        return 0;
    }
    case CYAML_UINT: {
        unsigned long v = strtoul(text, &end, 10);
        if (errno || end == text || *end || v > UINT32_MAX || *text == '-')
            break;
        *(uint32_t *)at = (uint32_t)v;
        return 0;
    }
    case CYAML_FLOAT: {
        double v = strtod(text, &end);
        if (errno || end == text || *end)
            break;
        *(double *)at = v;
        return 0;
    }
    case CYAML_ENUM:
        for (uint32_t i = 0; i < f->value.enumeration.count; i++) {
            if (strcmp(f->value.enumeration.strings[i].str, text) == 0) {
                *(int *)at = (int)f->value.enumeration.strings[i].val;
                return 0;
            }
        }
        break;
    default:
        break;
    }
    struct buf allowed;
    buf_init(&allowed, 4096);
    value_allowed(&f->value, &allowed);
    buf_u8(&allowed, 0);
    log_error("environment: %s=%s: invalid value (%s)", name, text, (char *)allowed.data);
    buf_done(&allowed);
    return -EINVAL;
}

#define VARIABLE_MAX 128

static void variable_name(const char *prefix, const char *key, char ret[VARIABLE_MAX])
{
    snprintf(ret, VARIABLE_MAX, "%s_%s", prefix, key);
    for (char *p = ret; *p; p++)
        *p = *p >= 'a' && *p <= 'z' ? (char)(*p - 32) : *p;
}

/* How many values it set, or -errno. */
static int apply_environment(const cyaml_schema_field_t *fields, const char *prefix, char *base)
{
    int n = 0;
    for (const cyaml_schema_field_t *f = fields; f->key; f++) {
        char name[VARIABLE_MAX];
        variable_name(prefix, f->key, name);
        int r = 0;
        const char *text = getenv(name);
        if (f->value.type == CYAML_MAPPING) {
            r = apply_environment(f->value.mapping.fields, name, base + f->data_offset);
            n += r > 0 ? r : 0;
        } else if (text && f->value.type != CYAML_SEQUENCE) {
            r = set_scalar(f, base, name, text);
            n++;
        }
        if (r < 0)
            return r;
    }
    return n;
}

static bool is_variable(const cyaml_schema_field_t *fields, const char *prefix, const char *text)
{
    for (const cyaml_schema_field_t *f = fields; f->key; f++) {
        char name[VARIABLE_MAX];
        variable_name(prefix, f->key, name);
        size_t n = strlen(name);
        if (f->value.type == CYAML_MAPPING
                ? is_variable(f->value.mapping.fields, name, text)
                : f->value.type != CYAML_SEQUENCE && !strncmp(text, name, n) && text[n] == '=')
            return true;
    }
    return false;
}

void config_warn_environment(void)
{
    for (char **e = environ; *e; e++)
        if (!strncmp(*e, "VIGIA_", 6) && !is_variable(config_fields, "VIGIA", *e))
            log_warn("environment: %.*s names no key of the configuration and changes nothing",
                     (int)strcspn(*e, "="), *e);
}

static int apply_defaults(const struct config_default *d, struct config *c)
{
    for (; d->text; d++) {
        char *at = (char *)c + d->offset;
        if (d->is_text) {
            if (!*(char **)at && !(*(char **)at = strdup(d->text)))
                return -ENOMEM;
        } else if (d->is_double) {
            if (*(double *)at == 0)
                *(double *)at = d->number;
        } else if (*(uint32_t *)at == 0) {
            *(uint32_t *)at = (uint32_t)d->number;
        }
    }
    return 0;
}

/* Where the values come from. */
struct source {
    const char *file; /* NULL: there is none */
    const struct buf *text;
    bool environment;
};

static yaml_node_t *value_of(yaml_document_t *d, const yaml_node_t *mapping, const char *key,
                             size_t *ret_line)
{
    if (!mapping || mapping->type != YAML_MAPPING_NODE)
        return NULL;
    for (yaml_node_pair_t *p = mapping->data.mapping.pairs.start;
         p < mapping->data.mapping.pairs.top; p++) {
        const yaml_node_t *name = yaml_document_get_node(d, p->key);
        if (name->type != YAML_SCALAR_NODE || strcmp((char *)name->data.scalar.value, key) != 0)
            continue;
        *ret_line = name->start_mark.line + 1;
        return yaml_document_get_node(d, p->value);
    }
    return NULL;
}

/* The line of that value in the file, else of its section, else 0. */
static size_t line_of(const struct source *s, const char *section, const char *key)
{
    yaml_parser_t parser;
    yaml_document_t document;
    size_t line = 0;
    if (!s->file || !yaml_parser_initialize(&parser))
        return 0;
    yaml_parser_set_input_string(&parser, s->text->data, s->text->size - 1);
    if (yaml_parser_load(&parser, &document)) {
        yaml_node_t *root = yaml_document_get_root_node(&document);
        value_of(&document, value_of(&document, root, section, &line), key, &line);
        yaml_document_delete(&document);
    }
    yaml_parser_delete(&parser);
    return line;
}

/* What libcyaml does not find: names the file, the line and the value. */
__attribute__((format(printf, 4, 5))) static int refuse(const struct source *s, const char *section,
                                                        const char *key, const char *fmt, ...)
{
    char why[512], line[24] = "";
    va_list args;
    va_start(args, fmt);
    vsnprintf(why, sizeof(why), fmt, args);
    va_end(args);
    size_t at = line_of(s, section, key);
    if (at)
        snprintf(line, sizeof(line), ":%zu", at);
    log_error("%s%s%s%s: %s: %s%s%s", s->file ? s->file : "", line,
              s->file && s->environment ? " and " : "", s->environment ? "environment" : "",
              section, key, *key ? ": " : "", why);
    return -EINVAL;
}

/* The list gets the NULL at its end that profiles go by. */
static int detectors_end(struct config *c, const struct source *source)
{
    uint32_t n = c->detection.n_detectors;
    if (n == 0)
        return 0;
    if (n > PROFILE_DETECTORS_MAX)
        return refuse(source, "detection", "detectors", "at most %d", PROFILE_DETECTORS_MAX);
    for (uint32_t i = 0; i < n; i++) {
        const char *name = c->detection.detectors[i];
        if (detector_find(name))
            continue;
        CLEANUP(buf_done) struct buf allowed;
        buf_init(&allowed, 1024);
        for (const struct detector *const *d = detector_table; *d; d++)
            buf_printf(&allowed, "%s%s", d == detector_table ? "" : ", ", (*d)->name);
        buf_u8(&allowed, 0);
        return refuse(source, "detection", "detectors", "there is no \"%s\"; there are: %s", name,
                      allowed.error ? "" : (const char *)allowed.data);
    }
    char **list = reallocarray(c->detection.detectors, n + 1, sizeof(*list));
    if (!list)
        return -ENOMEM;
    list[n] = NULL;
    c->detection.detectors = list;
    return 0;
}

static int config_check(const struct config *c, const struct source *s)
{
    if (c->server.port > 65535)
        return refuse(s, "server", "port", "%u is not a port (1 to 65535)", c->server.port);
    if (c->spool.segment_mib > c->spool.size_max_mib / 2)
        return refuse(s, "spool", "segment_mib", "%u is more than half of size_max_mib (%u)",
                      c->spool.segment_mib, c->spool.size_max_mib);
    if (c->detection.alerts_per_day < 0.001 || c->detection.alerts_per_day > 1000)
        return refuse(s, "detection", "alerts_per_day", "%g is not between 0.001 and 1000",
                      c->detection.alerts_per_day);
    struct sink_options sinks[SINKS_MAX];
    struct http_options http = config_http(c, sinks, config_sinks(c, sinks));
    if (http_check(&http) == 0)
        return 0;
    return refuse(s, "server", "", "this cannot be used, for the reason above");
}

int config_load(const char *path, const char *data, struct config **ret)
{
    CLEANUP(config_freep) struct config *c = NULL;
    CLEANUP(buf_done) struct buf text;
    buf_init(&text, CONFIG_SIZE_MAX);
    const char *name = path ? path : CONFIG_DEFAULT_PATH;
    int r = read_file(name, &text);
    if (r < 0 && (path || r != -ENOENT)) {
        log_error("cannot read the configuration %s: %s", name, strerror(-r));
        return r;
    }
    /* An empty document is a configuration of defaults. */
    buf_printf(&text, "%s", "\n");
    buf_u8(&text, 0);
    if (text.error) {
        log_error("%s: larger than %u bytes: this is no configuration of Vigia", name,
                  CONFIG_SIZE_MAX);
        return text.error;
    }
    bool is_file = r == 0;
    r = load_text((const char *)text.data, text.size - 1, name, &c);
    if (r < 0)
        return r;
    int n = apply_environment(config_fields, "VIGIA", (char *)c);
    if (n < 0)
        return n;
    struct source source = {.file = is_file ? name : NULL, .text = &text, .environment = n > 0};
    if (data) {
        free(c->data);
        c->data = strdup(data);
        if (!c->data)
            return -ENOMEM;
    }
    r = apply_defaults(config_defaults, c);
    if (r == 0)
        r = config_check(c, &source);
    if (r == 0)
        r = detectors_end(c, &source);
    if (r < 0)
        return r;
    *ret = TAKE(c);
    return 0;
}

void config_free(struct config *c)
{
    cyaml_config_t setup = {.mem_fn = cyaml_mem};
    cyaml_free(&setup, &config_schema_top, c, 0);
}

int config_write(const struct config *c, struct buf *ret)
{
    struct complaint complaint = {0};
    cyaml_config_t setup = cyaml_setup(&complaint);
    char *text = NULL;
    size_t size = 0;
    cyaml_err_t err = cyaml_save_data(&text, &size, &setup, &config_schema_top, c, 0);
    if (err != CYAML_OK) {
        log_error("cannot write the configuration as YAML: %s", cyaml_strerror(err));
        return -EINVAL;
    }
    CLEANUP(freep) char *copy = strndup(text, size);
    cyaml_mem(NULL, text, 0);
    if (!copy)
        return -ENOMEM;
    for (char *line = strtok(copy, "\n"); line; line = strtok(NULL, "\n")) {
        char *colon = strstr(line, ": "), *end = NULL;
        double number = colon ? strtod(colon + 2, &end) : 0;
        if (colon && !*end && strchr(colon, 'e')) /* libcyaml writes 1.0000000000000000e+00 */
            buf_printf(ret, "%.*s: %.15g\n", (int)(colon - line), line, number);
        else
            buf_printf(ret, "%s\n", line);
    }
    return ret->error;
}

static void schema_value(const cyaml_schema_value_t *v, struct buf *ret)
{
    const char *comma = "";
    switch (v->type) {
    case CYAML_MAPPING:
        buf_printf(ret, "{\"type\":\"object\",\"additionalProperties\":false,\"properties\":{");
        for (const cyaml_schema_field_t *f = v->mapping.fields; f->key; f++, comma = ",") {
            buf_printf(ret, "%s\"%s\":", comma, f->key);
            schema_value(&f->value, ret);
        }
        buf_printf(ret, "}}");
        break;
    case CYAML_SEQUENCE:
        buf_printf(ret, "{\"type\":\"array\",\"maxItems\":%u,\"items\":", v->sequence.max);
        schema_value(v->sequence.entry, ret);
        buf_printf(ret, "}");
        break;
    case CYAML_ENUM:
        buf_printf(ret, "{\"enum\":[");
        for (uint32_t i = 0; i < v->enumeration.count; i++, comma = ",")
            buf_printf(ret, "%s\"%s\"", comma, v->enumeration.strings[i].str);
        buf_printf(ret, "]}");
        break;
    case CYAML_UINT:
        buf_printf(ret, "{\"type\":\"integer\",\"minimum\":0,\"maximum\":4294967295}");
        break;
    case CYAML_FLOAT:
        buf_printf(ret, "{\"type\":\"number\"}");
        break;
    default:
        buf_printf(ret, "{\"type\":\"string\",\"maxLength\":%u}", v->string.max);
    }
}

int config_schema(struct buf *ret)
{
    schema_value(&config_schema_top, ret);
    return ret->error;
}

char *config_path(const struct config *c, const char *name)
{
    char *path = NULL;
    return asprintf(&path, "%s/%s", c->data, name) < 0 ? NULL : path;
}

struct http_options config_http(const struct config *c, const struct sink_options *sinks,
                                uint32_t n_sinks)
{
    return (struct http_options){.address = c->server.address,
                                 .port = (uint16_t)c->server.port,
                                 .tls_certificate = c->server.tls_certificate,
                                 .tls_key = c->server.tls_key,
                                 .metrics_token = c->server.metrics_token,
                                 .sinks = sinks,
                                 .n_sinks = n_sinks};
}

uint32_t config_sinks(const struct config *c, struct sink_options *ret)
{
    uint32_t n = 0;
    for (; n < c->n_sinks && n < SINKS_MAX; n++) {
        const struct config_sink *s = &c->sinks[n];
        ret[n] = (struct sink_options){.type = s->type,
                                       .name = s->name,
                                       .path = s->path,
                                       .address = s->address,
                                       .protocol = s->protocol,
                                       .url = s->url,
                                       .secret = s->secret,
                                       .score_min = s->score_min};
    }
    return n;
}
