#include "base/state.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define STATE_STRING_MAX (1 << 20)

void state_fail(struct state *s, int error)
{
    if (!s->error)
        s->error = error;
}

int state_error(struct state *s)
{
    if (!s->error && s->in && s->in->error)
        s->error = s->in->error;
    return s->error;
}

#define SCALAR(name, type)                                                                         \
    void state_##name(struct state *s, type *v)                                                    \
    {                                                                                              \
        if (s->out)                                                                                \
            buf_##name(s->out, *v);                                                                \
        else                                                                                       \
            *v = reader_##name(s->in);                                                             \
    }

SCALAR(u8, uint8_t)
SCALAR(u16, uint16_t)
SCALAR(u32, uint32_t)
SCALAR(u64, uint64_t)
SCALAR(f64, double)

void state_bool(struct state *s, bool *v)
{
    uint8_t b = s->out && *v;
    state_u8(s, &b);
    *v = b != 0;
}

void state_string(struct state *s, char **v)
{
    if (s->out) {
        buf_string(s->out, *v);
        return;
    }
    *v = reader_string(s->in, STATE_STRING_MAX);
    if (!*v && state_error(s) == 0)
        state_fail(s, -ENOMEM);
}

void state_bytes(struct state *s, void *data, size_t size)
{
    if (s->out) {
        buf_append(s->out, data, size);
        return;
    }
    const uint8_t *from = reader_bytes(s->in, size);
    if (from)
        memcpy(data, from, size);
    else
        memset(data, 0, size);
}

void state_count(struct state *s, uint32_t *n, size_t size, uint32_t max)
{
    state_u32(s, n);
    if (s->out)
        return;
    if (state_error(s) == 0 && (*n > max || *n * (uint64_t)size > reader_left(s->in)))
        state_fail(s, -EBADMSG);
    if (state_error(s))
        *n = 0;
}

bool state_array(struct state *s, void **array, uint32_t n, size_t element)
{
    if (s->out)
        return true;
    *array = state_error(s) ? NULL : calloc(n ? n : 1, element);
    if (!*array && !s->error)
        state_fail(s, -ENOMEM);
    return *array;
}

void state_magic(struct state *s, uint64_t magic)
{
    uint64_t v = magic;
    state_u64(s, &v);
    if (v != magic)
        state_fail(s, -EBADMSG);
}
