#include "features/adfa.h"

#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "base/cleanup.h"
#include "base/hash.h"
#include "base/log.h"
#include "event/syscall.h"

#define TRACES_MAX 1000000
#define FILE_MAX_BYTES (64 << 20)

void traces_free(struct traces *t)
{
    for (size_t i = 0; i < t->n; i++) {
        free(t->trace[i].name);
        free(t->trace[i].symbol);
    }
    for (size_t i = 0; i < t->n_classes; i++)
        free(t->class_name[i]);
    free(t->trace);
    free(t);
}

DEFINE_CLEANUP(traces_free, struct traces *)
DEFINE_CLEANUP(closedir, DIR *)

static int file_read(const char *path, char **ret, size_t *ret_size)
{
    CLEANUP(fclosep) FILE *f = fopen(path, "re");
    struct stat st;
    if (!f || fstat(fileno(f), &st) < 0)
        return -errno;
    if (st.st_size > FILE_MAX_BYTES)
        return -EFBIG;
    CLEANUP(freep) char *text = malloc((size_t)st.st_size + 1);
    if (!text)
        return -ENOMEM;
    size_t n = fread(text, 1, (size_t)st.st_size, f);
    if (ferror(f))
        return -EIO;
    text[n] = '\0';
    *ret = TAKE(text);
    *ret_size = n;
    return 0;
}

/* Numbers with blanks between. Returns how many, or -1 and the place of what is not one. */
static long parse_symbols(const char *text, size_t size, uint16_t *ret, size_t *ret_at)
{
    long n = 0;
    for (size_t at = 0;;) {
        while (at < size && isspace((unsigned char)text[at]))
            at++;
        if (at == size)
            return n;
        unsigned value = 0, digits = 0;
        for (; at < size && isdigit((unsigned char)text[at]) && digits < 5; at++, digits++)
            value = value * 10 + (unsigned)(text[at] - '0');
        bool ends = at == size || isspace((unsigned char)text[at]);
        if (!digits || !ends || value >= SYSNO_COUNT - 1) {
            *ret_at = at;
            return -1;
        }
        ret[n++] = (uint16_t)value;
    }
}

static int trace_read(const char *path, struct trace *ret)
{
    CLEANUP(freep) char *text = NULL;
    size_t size = 0, at = 0;
    int err = file_read(path, &text, &size);
    if (err < 0) {
        log_error("cannot read the trace %s: %s", path, strerror(-err));
        return err;
    }
    CLEANUP(freep) uint16_t *symbol = malloc((size / 2 + 1) * sizeof(*symbol));
    if (!symbol)
        return -ENOMEM;
    long n = parse_symbols(text, size, symbol, &at);
    if (n == 0) {
        log_warn("the trace %s is empty: left out", path);
        return -ENODATA;
    }
    if (n < 0) {
        log_error("the trace %s has something other than call numbers near byte %zu", path, at);
        return -EBADMSG;
    }
    ret->n = (uint32_t)n;
    ret->content = hash_bytes(symbol, (size_t)n * sizeof(*symbol));
    ret->symbol = TAKE(symbol);
    return 0;
}

static int traces_append(struct traces *t, struct trace trace)
{
    if (t->n == TRACES_MAX)
        return -ENOSPC;
    if (t->n == t->capacity) {
        size_t capacity = t->capacity ? 2 * t->capacity : 1024;
        struct trace *more = realloc(t->trace, capacity * sizeof(*more));
        if (!more)
            return -ENOMEM;
        t->trace = more;
        t->capacity = capacity;
    }
    t->trace[t->n++] = trace;
    return 0;
}

/* All *.txt files of directory/sub; names get the prefix. */
static int folder_read(struct traces *t, const char *directory, const char *prefix,
                       struct trace like)
{
    CLEANUP(closedirp) DIR *dir = opendir(directory);
    if (!dir) {
        int err = -errno;
        log_error("cannot read the folder %s: %s; is this an unpacked ADFA-LD?", directory,
                  strerror(-err));
        return err;
    }
    for (struct dirent *e; (e = readdir(dir));) {
        size_t length = strlen(e->d_name);
        if (length < 5 || strcmp(e->d_name + length - 4, ".txt") != 0)
            continue;
        CLEANUP(freep) char *path = NULL;
        CLEANUP(freep) char *name = NULL;
        struct trace trace = like;
        if (asprintf(&path, "%s/%s", directory, e->d_name) < 0 ||
            asprintf(&name, "%s%s", prefix, e->d_name) < 0)
            return -ENOMEM;
        int err = trace_read(path, &trace);
        if (err == -ENODATA)
            continue;
        if (err < 0)
            return err;
        trace.name = name;
        err = traces_append(t, trace);
        if (err < 0) {
            free(trace.symbol);
            return err;
        }
        (void)TAKE(name);
    }
    return 0;
}

/* "Hydra_FTP_3" -> index of "Hydra_FTP". */
static int class_find(struct traces *t, const char *run, uint8_t *ret)
{
    const char *end = strrchr(run, '_');
    size_t length = end ? (size_t)(end - run) : strlen(run);
    for (size_t i = 0; i < t->n_classes; i++) {
        if (strlen(t->class_name[i]) == length && strncmp(t->class_name[i], run, length) == 0) {
            *ret = (uint8_t)i;
            return 0;
        }
    }
    if (t->n_classes == TRACE_CLASSES_MAX)
        return -ENOSPC;
    char *name = strndup(run, length);
    if (!name)
        return -ENOMEM;
    *ret = (uint8_t)t->n_classes;
    t->class_name[t->n_classes++] = name;
    return 0;
}

struct folders {
    struct dirent **names; /* [n] */
    int n;
};

static void folders_done(struct folders *f)
{
    for (int i = 0; i < f->n; i++)
        free(f->names[i]);
    free(f->names);
}

static int no_dot(const struct dirent *e)
{
    return e->d_name[0] != '.' && (e->d_type == DT_DIR || e->d_type == DT_UNKNOWN);
}

static int attacks_read(struct traces *t, const char *directory)
{
    CLEANUP(freep) char *top = NULL;
    if (asprintf(&top, "%s/Attack_Data_Master", directory) < 0)
        return -ENOMEM;
    CLEANUP(folders_done) struct folders f = {0};
    f.n = scandir(top, &f.names, no_dot, alphasort);
    if (f.n < 0) {
        int err = -errno;
        log_error("cannot read the folder %s: %s; is this an unpacked ADFA-LD?", top,
                  strerror(-err));
        return err;
    }
    for (int i = 0; i < f.n; i++) {
        struct trace like = {.set = TRACE_ATTACK};
        CLEANUP(freep) char *folder = NULL;
        CLEANUP(freep) char *prefix = NULL;
        int err = class_find(t, f.names[i]->d_name, &like.class);
        if (err < 0)
            return err;
        if (asprintf(&folder, "%s/%s", top, f.names[i]->d_name) < 0 ||
            asprintf(&prefix, "%s/", f.names[i]->d_name) < 0)
            return -ENOMEM;
        err = folder_read(t, folder, prefix, like);
        if (err < 0)
            return err;
    }
    return 0;
}

static int trace_compare(const void *a, const void *b)
{
    const struct trace *x = a, *y = b;
    return x->set != y->set ? x->set - y->set : strcmp(x->name, y->name);
}

int adfa_load(const char *directory, struct traces **ret)
{
    static const char *const folders[] = {"Training_Data_Master", "Validation_Data_Master"};
    CLEANUP(traces_freep) struct traces *t = calloc(1, sizeof(*t));
    if (!t)
        return -ENOMEM;
    for (uint8_t set = TRACE_TRAINING; set <= TRACE_NORMAL; set++) {
        CLEANUP(freep) char *folder = NULL;
        if (asprintf(&folder, "%s/%s", directory, folders[set]) < 0)
            return -ENOMEM;
        int err = folder_read(t, folder, "", (struct trace){.set = set, .class = TRACE_NONE});
        if (err < 0)
            return err;
    }
    int err = attacks_read(t, directory);
    if (err < 0)
        return err;
    qsort(t->trace, t->n, sizeof(*t->trace), trace_compare);
    size_t sets[3] = {0};
    for (size_t i = 0; i < t->n; i++)
        sets[t->trace[i].set]++;
    if (!sets[TRACE_TRAINING] || !sets[TRACE_NORMAL] || !sets[TRACE_ATTACK]) {
        log_error("%s has %zu training, %zu normal and %zu attack traces: some of each are needed",
                  directory, sets[TRACE_TRAINING], sets[TRACE_NORMAL], sets[TRACE_ATTACK]);
        return -ENOENT;
    }
    *ret = TAKE(t);
    return 0;
}
