/* vigia replay: a recording gives the same windows again, byte for byte. */
#include "cli/replay.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "base/log.h"
#include "cli/command.h"
#include "cli/config.h"
#include "cli/pipeline.h"
#include "cli/table.h"
#include "transport/codec.h"
#include "transport/spool.h"

#define DRAIN_EVERY_BLOCKS 64 /* so that the spool in between stays small */

struct options {
    struct command_common common;
    const char *file, *copy, *into;
    bool dump, force;
};

enum { KEY_DUMP = 256, KEY_SUMMARY, KEY_COPY, KEY_INTO, KEY_FORCE };

static const struct argp_option argp_options[] = {
    {"summary", KEY_SUMMARY, NULL, 0, "What is in it, a line a container (the default)", 0},
    {"dump", KEY_DUMP, NULL, 0, "Every window, bin, process, ... as a line of JSON", 0},
    {"copy", KEY_COPY, "OUT", 0,
     "Decode and encode it again into OUT: the same bytes if this version recorded it, else the "
     "same in this version's format",
     0},
    {"force", KEY_FORCE, NULL, 0, "Write over OUT if it exists", 0},
    {"into", KEY_INTO, "DIR", 0,
     "Run it through features, detectors and store as `vigia up` does, with DIR as data directory",
     0},
    {0},
};

static error_t parse(int key, char *arg, struct argp_state *state)
{
    struct options *o = state->input;
    switch (key) {
    case ARGP_KEY_INIT:
        state->child_inputs[0] = &o->common;
        return 0;
    case KEY_DUMP:
        o->dump = true;
        return 0;
    case KEY_SUMMARY:
        return 0;
    case KEY_COPY:
        o->copy = arg;
        return 0;
    case KEY_FORCE:
        o->force = true;
        return 0;
    case KEY_INTO:
        o->into = arg;
        return 0;
    case ARGP_KEY_ARG:
        if (o->file)
            argp_error(state, "one FILE, not '%s' too", arg);
        o->file = arg;
        return 0;
    case ARGP_KEY_NO_ARGS:
        argp_error(state, "which FILE? (`vigia record FILE` makes one)");
        return 0;
    case ARGP_KEY_END:
        if (o->dump + !!o->copy + !!o->into > 1)
            argp_error(state, "one of --dump, --copy and --into at a time");
        if (o->force && !o->copy)
            argp_error(state, "--force goes with --copy");
        return 0;
    }
    return ARGP_ERR_UNKNOWN;
}

static const struct argp argp = {
    argp_options,
    parse,
    "FILE",
    "Read a recording (*.vgr, of `vigia record`; a segment of a spool is one too)."
    "\v"
    "Damaged blocks are skipped and counted; then, and for an empty file, the exit status is 1. "
    "docs/FORMAT.md describes the file.\n\n"
    "Examples:\n"
    "  vigia replay redis.vgr\n"
    "  vigia replay redis.vgr --dump | jq -c 'select(.window) | .window.calls[].name'\n"
    "  vigia replay redis.vgr --into /tmp/data && vigia alerts --data /tmp/data",
    command_common_child,
    NULL,
    NULL};

static void show_progress(const struct recording *r, const char *doing)
{
    static int shown = -1;
    uint64_t size = recording_size_bytes(r);
    int percent = size ? (int)(recording_at_bytes(r) * 100 / size) : 100;
    if (!isatty(STDERR_FILENO) || percent == shown)
        return;
    shown = percent;
    fprintf(stderr, "\r\033[K%s: %d %%%s", doing, percent, percent == 100 ? "\n" : "");
}

static int dump(struct recording *r)
{
    CLEANUP(replay_dump_freep) struct replay_dump *d = NULL;
    int e = replay_dump_new(&d);
    while (e == 0) {
        CLEANUP(block_freep) struct block *b = NULL;
        e = recording_next(r, &b);
        if (e == 0)
            e = replay_dump_block(d, b);
    }
    return e == -ENODATA ? 0 : e;
}

static int summarize(struct recording *r, bool json)
{
    CLEANUP(replay_summary_freep) struct replay_summary *s = NULL;
    int e = replay_summary_new(&s);
    while (e == 0) {
        CLEANUP(block_freep) struct block *b = NULL;
        e = recording_next(r, &b);
        if (e == 0)
            e = replay_summary_add(s, b);
    }
    return e == -ENODATA ? replay_summary_print(s, r, json) : e;
}

/* The file itself, by whatever name, is what is read. */
static int copy_refuse(const struct options *o)
{
    struct stat from, to;
    if (stat(o->copy, &to) < 0)
        return 0;
    if (stat(o->file, &from) == 0 && from.st_dev == to.st_dev && from.st_ino == to.st_ino) {
        log_error("%s is the recording itself; name another file", o->copy);
        return -EEXIST;
    }
    if (!o->force) {
        log_error("%s exists already; --force writes over it", o->copy);
        return -EEXIST;
    }
    return 0;
}

static int copy(struct recording *r, const struct options *o)
{
    struct recording *out = NULL;
    int e = copy_refuse(o);
    if (e == 0)
        e = recording_create(o->copy, &out);
    while (e == 0) {
        CLEANUP(block_freep) struct block *b = NULL;
        e = recording_next(r, &b);
        if (e == 0)
            e = recording_append(out, b);
        show_progress(r, "copying");
    }
    if (out && recording_close(out) < 0)
        return -EIO;
    return e == -ENODATA ? 0 : e;
}

/* The blocks get numbers of the spool in DIR; their times stay those of the recording. */
static int feed(struct recording *r, struct spool *spool, struct pipeline *pipeline)
{
    int e = 0;
    for (uint32_t n = 1; e == 0; n++) {
        CLEANUP(block_freep) struct block *b = NULL;
        e = recording_next(r, &b);
        if (e == 0)
            e = spool_append(spool, b);
        if (e == -ENODATA || (e == 0 && n % DRAIN_EVERY_BLOCKS == 0)) {
            int drained = pipeline_drain(pipeline);
            e = drained < 0 ? drained : e;
        }
        show_progress(r, "replaying");
    }
    return e == -ENODATA ? 0 : e;
}

static int into(struct recording *r, const struct options *o)
{
    struct config *config = NULL;
    struct spool *spool = NULL;
    struct pipeline *pipeline = NULL;
    int e = config_load(o->common.config, o->into, &config);
    if (e < 0)
        return e;
    if (mkdir(config->data, 0700) < 0 && errno != EEXIST) {
        log_error("cannot make %s: %s", config->data, strerror(errno));
        e = -errno;
    }
    CLEANUP(freep) char *path = config_path(config, "spool");
    struct spool_options spool_options = {
        .directory = path,
        .size_max_bytes = (uint64_t)config->spool.size_max_mib << 20,
        .segment_max_bytes = (uint64_t)config->spool.segment_mib << 20};
    if (e == 0)
        e = path ? spool_open(&spool_options, &spool) : -ENOMEM;
    struct pipeline_options options = {.config = config, .spool = spool};
    if (e == 0)
        e = pipeline_open(&options, &pipeline);
    if (e == 0)
        e = feed(r, spool, pipeline);
    if (e == 0)
        e = pipeline_stop(pipeline);
    if (pipeline)
        pipeline_close(pipeline);
    if (spool)
        spool_close(spool);
    if (e == 0 && !o->common.json) {
        CLEANUP(freep) char *directory = table_escape(o->into);
        printf("Replayed. `vigia alerts --data %s` shows what was found.\n",
               directory ? directory : "DIR");
    }
    config_free(config);
    return e;
}

static int run(int argc, char **argv)
{
    struct options o = {0};
    argp_parse(&argp, argc, argv, 0, NULL, &o);
    struct recording *r = NULL;
    if (recording_open(o.file, &r) < 0)
        return EXIT_FAILED;
    int e = o.dump   ? dump(r)
            : o.copy ? copy(r, &o)
            : o.into ? into(r, &o)
                     : summarize(r, o.common.json);
    uint64_t corrupt = recording_corrupt(r);
    uint64_t bytes = recording_size_bytes(r);
    recording_close(r);
    if (e < 0)
        return EXIT_FAILED;
    if (corrupt)
        log_warn("%s: %llu damaged part%s skipped", o.file, (unsigned long long)corrupt,
                 corrupt == 1 ? " was" : "s were");
    if (!bytes)
        log_warn("%s is empty: nothing was recorded, or it was not copied", o.file);
    return corrupt || !bytes ? EXIT_FOUND : EXIT_OK;
}

const struct command command_replay = {.name = "replay",
                                       .group = "data",
                                       .summary =
                                           "Show a recording, copy it, or run it through detection",
                                       .run = run};
