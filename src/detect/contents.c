#include "detect/contents.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/hash.h"

/* Successes are all alike; an error is part of what happened. */
static uint16_t error_of(uint16_t ret)
{
    return ret_is_error(ret) ? ret : 0;
}

static uint64_t hash_window(const struct sample *s)
{
    const struct window *w = s->window;
    uint64_t h = hash_mix(SAMPLE_WINDOW, w->program), noise = 0;
    h = hash_mix(h, (uint64_t)w->flags << 8 | w->n_context);
    for (unsigned i = 0; i < w->n_context; i++) {
        if (!syscall_is_noise(w->context[i]))
            h = hash_mix(h, w->context[i]);
    }
    h = hash_mix(h, UINT64_MAX);
    for (unsigned i = 0; i < w->n_calls; i++) {
        uint64_t call = (uint64_t)w->sysno[i] << 16 | error_of(w->ret[i]);
        uint64_t class = s->argument_class ? s->argument_class[i] : 0;
        if (!syscall_is_noise(w->sysno[i]))
            h = hash_mix(hash_mix(h, call), class);
        else
            noise |= UINT64_C(1) << (hash_mix(1, call) >> 58); /* a set; the order is chance */
    }
    return hash_mix(h, noise);
}

uint64_t content_hash(const struct sample *s)
{
    uint64_t h;
    if (s->kind == SAMPLE_WINDOW)
        h = hash_window(s);
    else
        h = hash_mix(hash_mix(SAMPLE_EXEC, s->exec->parent_program), s->exec->program);
    return h ? h : 1;
}

void contents_done(struct contents *c)
{
    for (uint32_t i = 0; i < c->n; i++)
        free(c->items[i].packed);
    free(c->items);
    index_done(&c->by_hash);
    *c = (struct contents){0};
}

struct content *contents_find(const struct contents *c, uint64_t hash)
{
    uint32_t i = index_get(&c->by_hash, hash);
    return i == INDEX_NONE ? NULL : &c->items[i];
}

static size_t packed_size(const struct content *c)
{
    return 2u * c->n_context + 4u * c->n_calls + 9u * c->n_classes;
}

static int pack(const struct sample *s, struct content *ret)
{
    const struct window *w = s->window;
    ret->program = w->program;
    ret->flags = w->flags, ret->n_context = w->n_context, ret->n_calls = w->n_calls;
    for (unsigned i = 0; s->argument_class && i < w->n_calls; i++)
        ret->n_classes += s->argument_class[i] != 0;
    uint8_t *p = ret->packed = malloc(packed_size(ret) + 1);
    if (!p)
        return -ENOMEM;
    memcpy(p, w->context, 2u * w->n_context);
    p += 2u * w->n_context;
    memcpy(p, w->sysno, 2u * w->n_calls);
    p += 2u * w->n_calls;
    for (unsigned i = 0; i < w->n_calls; i++, p += 2) {
        uint16_t error = error_of(w->ret[i]);
        memcpy(p, &error, 2);
    }
    for (unsigned i = 0; ret->n_classes && i < w->n_calls; i++) {
        if (!s->argument_class[i])
            continue;
        *p = (uint8_t)i;
        memcpy(p + 1, &s->argument_class[i], 8);
        p += 9;
    }
    return 0;
}

static int contents_grow(struct contents *c)
{
    if (c->n < c->capacity)
        return 0;
    uint32_t more = c->capacity ? c->capacity * 2 : 256;
    struct content *items = realloc(c->items, more * sizeof(*items));
    if (!items)
        return -ENOMEM;
    c->items = items;
    c->capacity = more;
    return 0;
}

int contents_add(struct contents *c, uint64_t hash, const struct sample *s, struct content **ret)
{
    if (c->n >= c->n_max)
        return -ENOSPC;
    int err = contents_grow(c);
    if (err < 0)
        return err;
    struct content item = {.hash = hash, .kind = (uint8_t)s->kind};
    if (s->kind == SAMPLE_WINDOW)
        err = pack(s, &item);
    else
        item.program = s->exec->program, item.parent = s->exec->parent_program;
    if (err == 0)
        err = index_put(&c->by_hash, hash, c->n);
    if (err < 0) {
        free(item.packed);
        return err;
    }
    c->items[c->n] = item;
    *ret = &c->items[c->n++];
    return 0;
}

struct sample content_sample(const struct content *c, struct content_room *room)
{
    if (c->kind == SAMPLE_EXEC) {
        room->exec = (struct process){
            .program = c->program, .parent_program = c->parent, .event = PROCESS_EXEC};
        return (struct sample){.kind = SAMPLE_EXEC, .exec = &room->exec};
    }
    struct window *w = &room->window;
    const uint8_t *p = c->packed;
    w->program = c->program;
    w->flags = c->flags, w->n_context = c->n_context, w->n_calls = c->n_calls;
    memset(w->flag, 0, sizeof(w->flag));
    memset(room->class, 0, sizeof(room->class));
    memcpy(w->context, p, 2u * c->n_context);
    p += 2u * c->n_context;
    memcpy(w->sysno, p, 2u * c->n_calls);
    p += 2u * c->n_calls;
    memcpy(w->ret, p, 2u * c->n_calls);
    p += 2u * c->n_calls;
    for (unsigned i = 0; i < c->n_classes; i++, p += 9)
        memcpy(&room->class[p[0]], p + 1, 8);
    return (struct sample){.kind = SAMPLE_WINDOW, .window = w, .argument_class = room->class};
}

void contents_sweep(struct contents *c)
{
    uint32_t n = 0;
    index_clear(&c->by_hash);
    for (uint32_t i = 0; i < c->n; i++) {
        if (c->items[i].count[0] == 0 && c->items[i].count[1] == 0) {
            free(c->items[i].packed);
            continue;
        }
        c->items[n] = c->items[i];
        index_put(&c->by_hash, c->items[n].hash, n); /* there was room for more */
        n++;
    }
    c->n = n;
}

static bool packed_valid(const struct content *c)
{
    if (c->kind != SAMPLE_WINDOW)
        return c->kind == SAMPLE_EXEC && !c->n_calls && !c->n_context && !c->n_classes;
    if (c->n_context > WINDOW_CONTEXT_MAX || c->n_calls > WINDOW_CALLS_MAX || !c->n_calls ||
        c->n_classes > c->n_calls)
        return false;
    const uint8_t *p = c->packed;
    for (unsigned i = 0; i < (unsigned)c->n_context + c->n_calls; i++) {
        uint16_t sysno;
        memcpy(&sysno, p + 2 * i, 2);
        if (sysno >= SYSNO_COUNT)
            return false;
    }
    p += 2u * c->n_context + 4u * c->n_calls;
    for (unsigned i = 0; i < c->n_classes; i++, p += 9) {
        if (*p >= c->n_calls)
            return false;
    }
    return true;
}

static void content_state(struct content *c, struct state *s)
{
    state_u64(s, &c->hash), state_u64(s, &c->program), state_u64(s, &c->parent);
    for (int i = 0; i < CONTENT_PHASES; i++) {
        state_u16(s, &c->mask[i]), state_u32(s, &c->count[i]), state_u32(s, &c->learnt[i]);
        state_u32(s, &c->first_s[i]);
    }
    state_u32(s, &c->last_s), state_u32(s, &c->delta);
    state_u8(s, &c->kind), state_u8(s, &c->flags), state_u8(s, &c->n_context);
    state_u8(s, &c->n_calls), state_u8(s, &c->n_classes);
    if (c->kind != SAMPLE_WINDOW)
        c->packed = state_saving(s) ? c->packed : NULL;
    else if (state_array(s, (void **)&c->packed, (uint32_t)packed_size(c) + 1, 1))
        state_bytes(s, c->packed, packed_size(c));
    if (state_error(s) == 0 && !packed_valid(c))
        state_fail(s, -EBADMSG);
}

#define CONTENT_STATE_MIN 60 /* bytes of a content without its calls */

void contents_state(struct contents *c, struct state *s)
{
    uint32_t n = c->n;
    state_count(s, &n, CONTENT_STATE_MIN, UINT32_MAX / sizeof(struct content));
    if (!state_saving(s)) {
        if (!state_array(s, (void **)&c->items, n, sizeof(*c->items)))
            return;
        c->capacity = n ? n : 1;
    }
    for (uint32_t i = 0; i < n && state_error(s) == 0; i++) {
        content_state(&c->items[i], s);
        if (state_saving(s))
            continue;
        c->n++; /* what it allocated is freed with the others */
        if (state_error(s) == 0 && index_put(&c->by_hash, c->items[i].hash, i) < 0)
            state_fail(s, -ENOMEM);
    }
}
