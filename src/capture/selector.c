#include "capture/selector.h"

#include <errno.h>
#include <fnmatch.h>
#include <string.h>

#include "base/cleanup.h"
#include "capture/workload.h"

enum list { LIST_NAMES, LIST_IMAGES, LIST_NAMESPACES, LIST_LABELS, LIST_EXCLUDE, LISTS };
static const char *const list_names[] = {"name", "image", "namespace", "label"};

struct selector {
    char **lists[LISTS]; /* NULL, or NULL-ended */
};

DEFINE_CLEANUP(selector_free, struct selector *)

static int copy_list(const char *const *from, char ***ret)
{
    size_t n = 0;
    while (from && from[n])
        n++;
    if (!n)
        return 0;
    char **to = *ret = calloc(n + 1, sizeof(*to));
    if (!to)
        return -ENOMEM;
    for (size_t i = 0; i < n; i++)
        if (!(to[i] = strdup(from[i])))
            return -ENOMEM;
    return 0;
}

int selector_new(const struct container_selector *from, struct selector **ret)
{
    const char *const *const lists[LISTS] = {from->names, from->images, from->namespaces,
                                             from->labels, from->exclude};
    CLEANUP(selector_freep) struct selector *s = calloc(1, sizeof(*s));
    if (!s)
        return -ENOMEM;
    for (int i = 0; i < LISTS; i++) {
        int r = copy_list(lists[i], &s->lists[i]);
        if (r < 0)
            return r;
    }
    *ret = TAKE(s);
    return 0;
}

void selector_free(struct selector *s)
{
    if (!s)
        return;
    for (int i = 0; i < LISTS; i++) {
        for (size_t j = 0; s->lists[i] && s->lists[i][j]; j++)
            free(s->lists[i][j]);
        free(s->lists[i]);
    }
    free(s);
}

bool selector_includes(const struct selector *s)
{
    return s->lists[LIST_NAMES] || s->lists[LIST_IMAGES] || s->lists[LIST_NAMESPACES] ||
           s->lists[LIST_LABELS];
}

static const char *any(char *const *list, const char *text)
{
    for (size_t i = 0; list && text && list[i]; i++)
        if (!fnmatch(list[i], text, 0))
            return list[i];
    return NULL;
}

/* "redis" asks for every tag of it. */
static const char *any_image(char *const *list, const char *image)
{
    CLEANUP(freep) char *repository = NULL;
    CLEANUP(freep) char *version = NULL;
    const char *hit = any(list, image);
    if (hit || !list || workload_image(image, &repository, &version))
        return hit;
    return any(list, repository);
}

static const char *any_label(char *const *list, const struct container *c)
{
    char text[2 * CONTAINER_STRING_MAX + 2];
    for (uint32_t i = 0; list && i < c->n_labels; i++) {
        snprintf(text, sizeof(text), "%s=%s", c->labels[i].key, c->labels[i].value);
        const char *hit = any(list, text);
        if (hit)
            return hit;
    }
    return NULL;
}

static const char *text_of(const char *s)
{
    return s ? s : "";
}

static const char *match(char *const *list, enum list field, const struct container *c)
{
    switch (field) {
    case LIST_NAMES:
        return any(list, c->name && *c->name ? c->name : text_of(c->id));
    case LIST_IMAGES:
        return any_image(list, text_of(c->image));
    case LIST_NAMESPACES:
        return any(list, text_of(c->namespace_));
    default:
        return any_label(list, c);
    }
}

static const char *excluded(const struct selector *s, const struct container *c)
{
    char *const *exclude = s->lists[LIST_EXCLUDE];
    char pod[2 * CONTAINER_STRING_MAX + 2];
    const char *hit = NULL;
    snprintf(pod, sizeof(pod), "%s/%s", text_of(c->namespace_), text_of(c->pod));
    for (int i = LIST_NAMES; i <= LIST_LABELS && !hit; i++)
        hit = i == LIST_NAMESPACES ? any(exclude, pod) : match(exclude, i, c);
    return hit;
}

bool selector_excludes(const struct selector *s, const struct container *c)
{
    return excluded(s, c);
}

bool selector_wants(const struct selector *s, const struct container *c, char *why, unsigned size)
{
    const char *hit = excluded(s, c);
    if (hit) {
        snprintf(why, size, "excluded by the pattern \"%s\"", hit);
        return false;
    }
    for (int i = LIST_NAMES; i <= LIST_LABELS; i++) {
        if (s->lists[i] && !match(s->lists[i], i, c)) {
            snprintf(why, size, "no %s pattern of the configuration matches", list_names[i]);
            return false;
        }
    }
    snprintf(why, size, "%s", "");
    return true;
}
