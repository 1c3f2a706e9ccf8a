#include "cli/sinks.h"

#include <stdio.h>

#include "cli/look.h"
#include "cli/table.h"

uint32_t sinks_of_config(const struct config *c, struct sink_options ret[static SINKS_MAX])
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

static int print_results(const json_t *results)
{
    static const struct table_column columns[] = {
        {"SINK", false, 8},
        {"TYPE", false, 0},
        {"RESULT", false, 0},
        {"TOOK", true, 0},
    };
    CLEANUP(table_freep) struct table *t = NULL;
    const json_t *s;
    size_t i;
    char took[WORDS_MAX];
    if (table_new(columns, ARRAY_SIZE(columns), &t) < 0)
        return -1;
    json_array_foreach(results, i, s)
    {
        table_cell(t, "%s", look_text(s, "name"));
        table_cell(t, "%s", look_text(s, "type"));
        table_cell(t, "%s", look_true(s, "ok") ? "taken" : "failed");
        table_cell(t, "%s", words_duration(look_number(s, "took_s"), took));
        if (*look_text(s, "message"))
            table_note(t, "%s", look_text(s, "message"));
    }
    return table_print(t, stdout, 0);
}

int sinks_test_command(const struct command_common *common)
{
    CLEANUP(config_freep) struct config *config = NULL;
    struct sink_options sinks[SINKS_MAX];
    json_auto_t *results = NULL;
    if (config_load(common->config, common->data, &config) < 0)
        return EXIT_FAILED;
    uint32_t n = sinks_of_config(config, sinks);
    if (n == 0 && !common->json)
        puts("No sinks are configured.\n"
             "  Add some under `sinks:` in the configuration; `vigia config schema` has their "
             "keys.");
    if (sinks_check(sinks, n) < 0 || sinks_test(sinks, n, &results) < 0)
        return EXIT_FAILED;
    const json_t *s;
    size_t i;
    bool failed = false;
    json_array_foreach(results, i, s)
    {
        failed |= !look_true(s, "ok");
        if (common->json)
            look_print(s);
    }
    if (!common->json && n > 0 && print_results(results) < 0)
        return EXIT_FAILED;
    return failed ? EXIT_FOUND : EXIT_OK;
}
