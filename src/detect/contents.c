#include "detect/contents.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/hash.h"
#include "detect/profile.h"

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

/* A call is one byte, those from 0xf0 on two: the commonest are below. */
static uint8_t *put_call(uint8_t *p, uint16_t sysno)
{
    if (sysno >= 0xf0)
        *p++ = (uint8_t)(0xf0 | sysno >> 8);
    *p++ = (uint8_t)sysno;
    return p;
}

#define PACKED_MAX (2 * WINDOW_CONTEXT_MAX + (2 + 3 + 9) * WINDOW_CALLS_MAX)

static int pack(const struct sample *s, struct content *ret)
{
    const struct window *w = s->window;
    uint8_t bytes[PACKED_MAX], *p = bytes;
    ret->program = w->program;
    ret->flags = w->flags, ret->n_context = w->n_context, ret->n_calls = w->n_calls;
    for (unsigned i = 0; i < w->n_context; i++)
        p = put_call(p, w->context[i] % SYSNO_COUNT);
    for (unsigned i = 0; i < w->n_calls; i++)
        p = put_call(p, w->sysno[i] % SYSNO_COUNT);
    for (unsigned i = 0; i < w->n_calls; i++) {
        uint16_t error = error_of(w->ret[i]);
        if (!error)
            continue;
        *p = (uint8_t)i;
        memcpy(p + 1, &error, 2);
        p += 3, ret->n_errors++;
    }
    for (unsigned i = 0; s->argument_class && i < w->n_calls; i++) {
        if (!s->argument_class[i])
            continue;
        *p = (uint8_t)i;
        memcpy(p + 1, &s->argument_class[i], 8);
        p += 9, ret->n_classes++;
    }
    ret->packed_size = (uint16_t)(p - bytes);
    ret->packed = malloc(ret->packed_size);
    if (!ret->packed)
        return -ENOMEM;
    memcpy(ret->packed, bytes, ret->packed_size);
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

/* NULL when there are no n calls before the end. */
static const uint8_t *get_calls(const uint8_t *p, const uint8_t *end, unsigned n, uint16_t *ret)
{
    for (unsigned i = 0; i < n; i++) {
        if (p >= end || (*p >= 0xf0 && p + 1 == end))
            return NULL;
        ret[i] = *p++;
        if (ret[i] >= 0xf0)
            ret[i] = (uint16_t)((ret[i] & 0xf) << 8 | *p++);
    }
    return p;
}

/* -EBADMSG if the bytes are not those of a content. */
static int unpack(const struct content *c, struct content_room *room)
{
    struct window *w = &room->window;
    const uint8_t *p = c->packed, *end = p + c->packed_size;
    w->program = c->program;
    w->flags = c->flags, w->n_context = c->n_context, w->n_calls = c->n_calls;
    memset(w->ret, 0, sizeof(w->ret));
    memset(w->flag, 0, sizeof(w->flag));
    memset(room->class, 0, sizeof(room->class));
    p = get_calls(p, end, c->n_context, w->context);
    p = p ? get_calls(p, end, c->n_calls, w->sysno) : NULL;
    if (!p || end - p != 3 * c->n_errors + 9 * c->n_classes)
        return -EBADMSG;
    for (unsigned i = 0; i < c->n_errors; i++, p += 3) {
        if (p[0] >= c->n_calls)
            return -EBADMSG;
        memcpy(&w->ret[p[0]], p + 1, 2);
    }
    for (unsigned i = 0; i < c->n_classes; i++, p += 9) {
        if (p[0] >= c->n_calls)
            return -EBADMSG;
        memcpy(&room->class[p[0]], p + 1, 8);
    }
    return 0;
}

struct sample content_sample(const struct content *c, struct content_room *room)
{
    if (c->kind == SAMPLE_EXEC) {
        room->exec = (struct process){
            .program = c->program, .parent_program = c->parent, .event = PROCESS_EXEC};
        return (struct sample){.kind = SAMPLE_EXEC, .exec = &room->exec};
    }
    unpack(c, room); /* what was loaded has been checked */
    return (struct sample){
        .kind = SAMPLE_WINDOW, .window = &room->window, .argument_class = room->class};
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

static int ascending(const void *a, const void *b)
{
    uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;
    return (x > y) - (x < y);
}

/* Contents that tell what others do not: what was first seen in them, and how starts are. */
static bool is_rare(const struct content *c)
{
    return c->marks & CONTENT_NEW || c->mask[PHASE_STARTUP];
}

void contents_evict(struct contents *c)
{
    if (!c->n || c->n < c->n_max / 10 * 9)
        return;
    CLEANUP(freep) uint32_t *last = malloc(c->n * sizeof(*last));
    if (!last)
        return;
    uint32_t settled = 0, rare = 0, n = 0;
    for (uint32_t i = 0; i < c->n; i++) {
        settled += !c->items[i].delta;
        rare += !c->items[i].delta && is_rare(&c->items[i]);
    }
    bool all = rare > settled / 2;
    for (uint32_t i = 0; i < c->n; i++) {
        if (!c->items[i].delta && (all || !is_rare(&c->items[i])))
            last[n++] = c->items[i].last_s;
    }
    if (settled < c->n_max / 4 || !n)
        return;
    qsort(last, n, sizeof(*last), ascending);
    uint32_t until = last[n / 4];
    for (uint32_t i = 0; i < c->n; i++) {
        struct content *x = &c->items[i];
        if (!x->delta && (all || !is_rare(x)) && x->last_s <= until)
            x->count[0] = x->count[1] = 0;
    }
    contents_sweep(c);
}

static bool packed_valid(const struct content *c)
{
    struct content_room room;
    if (c->kind != SAMPLE_WINDOW)
        return c->kind == SAMPLE_EXEC && !c->packed_size;
    return c->packed_size && c->n_calls && c->n_context <= WINDOW_CONTEXT_MAX &&
           c->n_calls <= WINDOW_CALLS_MAX && unpack(c, &room) == 0;
}

static void content_state(struct content *c, struct state *s)
{
    state_u64(s, &c->hash), state_u64(s, &c->program), state_u64(s, &c->parent);
    for (int i = 0; i < CONTENT_PHASES; i++) {
        state_u16(s, &c->mask[i]), state_u32(s, &c->count[i]), state_u32(s, &c->learnt[i]);
        state_u32(s, &c->first_s[i]);
    }
    state_u32(s, &c->last_s), state_u32(s, &c->delta);
    state_u8(s, &c->kind), state_u8(s, &c->marks);
    state_u8(s, &c->flags), state_u8(s, &c->n_context);
    state_u8(s, &c->n_calls), state_u8(s, &c->n_errors), state_u8(s, &c->n_classes);
    state_u16(s, &c->packed_size);
    if (c->packed_size > PACKED_MAX)
        state_fail(s, -EBADMSG);
    else if (c->packed_size && state_array(s, (void **)&c->packed, c->packed_size, 1))
        state_bytes(s, c->packed, c->packed_size);
    if (state_error(s) == 0 && !packed_valid(c))
        state_fail(s, -EBADMSG);
}

#define CONTENT_STATE_MIN 69 /* bytes of a content without its calls */

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
