#include "capture/workload.h"

#include <ctype.h>
#include <errno.h>
#include <string.h>

#include "base/buf.h"
#include "base/hash.h"

int workload_image(const char *image, char **ret_repository, char **ret_version)
{
    /* containerd 1.6 and Docker write the same image differently. */
    static const char *const prefixes[] = {"docker.io/library/", "docker.io/",
                                           "index.docker.io/library/"};
    const char *start = image ? image : "";
    for (size_t i = 0; i < ARRAY_SIZE(prefixes); i++) {
        if (!strncmp(start, prefixes[i], strlen(prefixes[i]))) {
            start += strlen(prefixes[i]);
            break;
        }
    }
    /* A colon before the last slash is a registry's port. */
    const char *slash = strrchr(start, '/'), *digest = strchr(start, '@');
    const char *colon = strchr(slash ? slash : start, ':');
    if (digest && colon > digest)
        colon = NULL;
    size_t n = colon ? (size_t)(colon - start) : digest ? (size_t)(digest - start) : strlen(start);
    CLEANUP(freep) char *repository = strndup(start, n);
    CLEANUP(freep) char *version = digest ? strdup(digest + 1) : strdup(colon ? colon + 1 : "");
    if (!repository || !version)
        return -ENOMEM;
    *ret_repository = TAKE(repository);
    *ret_version = TAKE(version);
    return 0;
}

/* The letters that Kubernetes makes names of (apimachinery, util/rand): no vowels, no 0, 1, 3. */
static bool is_random(const char *s, size_t n)
{
    return n && strspn(s, "bcdfghjklmnpqrstvwxz2456789") >= n;
}

static bool is_digits(const char *s, size_t n)
{
    return n && strspn(s, "0123456789") >= n;
}

static const char *last_dash(const char *s, size_t n)
{
    return memrchr(s, '-', n);
}

int workload_owner(const char *pod, char **ret)
{
    size_t n = strlen(pod);
    const char *dash = last_dash(pod, n), *kind = "Pod/", *end = pod + n;
    if (dash && dash > pod && is_digits(dash + 1, (size_t)(pod + n - dash - 1)) &&
        end - dash <= 5) {
        kind = "StatefulSet/";
        end = dash;
    } else if (dash && dash > pod && end - dash == 6 && is_random(dash + 1, 5)) {
        const char *before = last_dash(pod, (size_t)(dash - pod));
        size_t m = before ? (size_t)(dash - before - 1) : 0;
        bool hash = before > pod && m >= 6 && m <= 10;
        kind = hash && is_digits(before + 1, m) && m >= 8 ? "CronJob/"
               : hash && is_random(before + 1, m)         ? "Deployment/"
                                                          : "";
        end = *kind ? before : dash;
    }
    char *owner;
    if (asprintf(&owner, "%s%.*s", kind, (int)(end - pod), pod) < 0)
        return -ENOMEM;
    *ret = owner;
    return 0;
}

static const char *label_of(const struct container *c, const char *key)
{
    for (uint32_t i = 0; key && i < c->n_labels; i++)
        if (!strcmp(c->labels[i].key, key) && *c->labels[i].value)
            return c->labels[i].value;
    return NULL;
}

/* Replaces a word wherever it stands: replicas that get their own name as an argument are alike. */
static void append_without(struct buf *b, const char *text, const char *word)
{
    size_t n = word ? strlen(word) : 0;
    while (*text) {
        const char *hit = n >= 3 ? strstr(text, word) : NULL;
        buf_append(b, text, hit ? (size_t)(hit - text) : strlen(text));
        if (!hit)
            return;
        buf_append(b, "*", 1);
        text = hit + n;
    }
}

/* Hash of the arguments without the container's own names, as 8 hex digits. */
static void args_hash(const struct runtime_facts *f, char ret[9])
{
    struct buf b;
    size_t i;
    json_t *arg;
    buf_init(&b, RUNTIME_FILE_MAX);
    json_array_foreach (f->args, i, arg) {
        if (!json_is_string(arg))
            continue;
        append_without(&b, json_string_value(arg), f->hostname);
        buf_append(&b, "", 1);
    }
    snprintf(ret, 9, "%08x",
             (unsigned)(hash_bytes(b.data ? b.data : (const uint8_t *)"", b.size) >> 32));
    buf_done(&b);
}

static int set_command(struct runtime_facts *f)
{
    struct buf b;
    size_t i;
    json_t *arg;
    buf_init(&b, RUNTIME_FILE_MAX + 1);
    json_array_foreach (f->args, i, arg) {
        if (!json_is_string(arg))
            continue;
        if (b.size)
            buf_append(&b, " ", 1);
        buf_append(&b, json_string_value(arg), json_string_length(arg));
    }
    buf_append(&b, "", 1);
    int r = b.error ? b.error : runtime_set(&f->c.command, (const char *)b.data);
    buf_done(&b);
    return r;
}

/* "redis-server" of ["/usr/bin/redis-server", ...]. */
static const char *first_program(const struct runtime_facts *f)
{
    const char *arg = json_string_value(json_array_get(f->args, 0));
    const char *slash = arg ? strrchr(arg, '/') : NULL;
    return slash && slash[1] ? slash + 1 : arg ? arg : "";
}

static int make_key(struct runtime_facts *f, const char *label, const char *repository, char **ret)
{
    const struct container *c = &f->c;
    const char *configured = label_of(c, label);
    const char *project = label_of(c, "com.docker.compose.project");
    const char *service = label_of(c, "com.docker.compose.service");
    const char *owner = c->owner && *c->owner ? strchr(c->owner, '/') : NULL;
    char hash[9];
    int r;
    args_hash(f, hash);
    if (configured)
        r = asprintf(ret, "%s", configured);
    else if (c->namespace_ && *c->namespace_ && c->owner)
        r = asprintf(ret, "%s/%s/%s", c->namespace_, owner ? owner + 1 : c->owner,
                     c->sandbox ? "(sandbox)"
                     : c->name  ? c->name
                                : "");
    else if (project && service)
        r = asprintf(ret, "%s/%s", project, service);
    else if (*repository)
        r = asprintf(ret, "%s#%s", repository, hash);
    else if (json_array_size(f->args))
        r = asprintf(ret, "%s#%s", first_program(f), hash);
    else
        r = asprintf(ret, "%s", c->name && *c->name ? c->name : c->id);
    return r < 0 ? -ENOMEM : 0;
}

int workload_complete(struct runtime_facts *f, const char *label)
{
    CLEANUP(freep) char *repository = NULL, *version = NULL, *owner = NULL, *key = NULL;
    struct container *c = &f->c;
    int r = workload_image(c->image, &repository, &version);
    if (r == 0 && c->pod && *c->pod) {
        r = workload_owner(c->pod, &owner);
        r = r < 0 ? r : runtime_set(&c->owner, owner);
    }
    r = r < 0 ? r : runtime_set(&c->version, version);
    r = r < 0 ? r : set_command(f);
    r = r < 0 ? r : make_key(f, label, repository, &key);
    return r < 0 ? r : runtime_set(&c->workload, key);
}
