#include "cli/sinks.h"

#include <stdio.h>

#include "cli/config.h"
#include "cli/look.h"
#include "cli/table.h"
#include "soc/sink.h"

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
    json_array_foreach (results, i, s) {
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
    uint32_t n = config_sinks(config, sinks);
    if (n == 0 && !common->json)
        puts("No sinks are configured.\n"
             "  Add some under `sinks:` in the configuration; `vigia config schema` has their "
             "keys.");
    if (sinks_check(sinks, n) < 0 || sinks_test(sinks, n, &results) < 0)
        return EXIT_FAILED;
    const json_t *s;
    size_t i;
    bool failed = false;
    json_array_foreach (results, i, s) {
        failed |= !look_true(s, "ok");
        if (common->json)
            look_print(s);
    }
    if (!common->json && n > 0 && print_results(results) < 0)
        return EXIT_FAILED;
    return failed || n == 0 ? EXIT_FOUND : EXIT_OK; /* none: no alert would reach anybody */
}
