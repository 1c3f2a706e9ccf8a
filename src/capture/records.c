#include "capture/records.h"

#include <linux/bpf.h>
#include <unistd.h>

/* Layout of a BPF ring buffer: Documentation/bpf/ringbuf.rst. */
#define RECORD_HEADER 8

uint64_t records_tail(const struct kernel *k)
{
    return __atomic_load_n((uint64_t *)(void *)k->record_consumer, __ATOMIC_ACQUIRE);
}

void records_free(struct kernel *k, uint64_t position)
{
    __atomic_store_n((uint64_t *)(void *)k->record_consumer, position, __ATOMIC_RELEASE);
}

static int record_process(const struct record_program *r, struct known *known,
                          struct decide *decide)
{
    uint32_t container = r->process.container;
    if (!decide_wanted(decide, &container))
        return 0;
    switch (r->process.type) {
    case RECORD_PROGRAM:
        return known_program(known, r, container);
    case RECORD_FORK:
        return known_fork(known, &r->process, container);
    default:
        return known_exit(known, &r->process, container);
    }
}

static int record_read(const void *data, struct known *known, struct decide *decide)
{
    const struct record_text *text = data;
    uint32_t container = text->container;
    switch (text->type) {
    case RECORD_TEXT:
        return decide_wanted(decide, &container) ? known_text(known, text, container) : 0;
    case RECORD_CGROUP:
        decide_new(decide, data);
        return 0;
    case RECORD_CGROUP_GONE:
        decide_gone(decide, data);
        return 0;
    case RECORD_PROGRAM:
    case RECORD_FORK:
    case RECORD_EXIT:
        return record_process(data, known, decide);
    default:
        return 0;
    }
}

int records_read(struct kernel *k, struct known *known, struct decide *decide, uint64_t *position)
{
    uint64_t head = __atomic_load_n((uint64_t *)(void *)k->record_producer, __ATOMIC_ACQUIRE);
    const uint8_t *data = k->record_producer + sysconf(_SC_PAGESIZE);
    while (*position < head) {
        const uint8_t *at = data + (*position & (k->record_bytes - 1));
        uint32_t length = __atomic_load_n((const uint32_t *)(const void *)at, __ATOMIC_ACQUIRE);
        if (length & BPF_RINGBUF_BUSY_BIT)
            break;
        uint32_t size = length & ~(uint32_t)BPF_RINGBUF_DISCARD_BIT;
        int error =
            length & BPF_RINGBUF_DISCARD_BIT ? 0 : record_read(at + RECORD_HEADER, known, decide);
        if (error)
            return error;
        *position += (size + RECORD_HEADER + 7) & ~UINT64_C(7);
    }
    return 0;
}
