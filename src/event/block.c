#include "event/block.h"

#include <stdlib.h>

#include "base/cleanup.h"
#include "base/hash.h"

static const char *const kind_names[] = {"program", "path", "address", "flag"};
static const char *const access_names[] = {"",        "read",   "write",  "create",
                                           "exec",    "delete", "rename", "attribute",
                                           "connect", "bind",   "send"};
static const char *const reason_names[DROP_REASONS] = {
    [DROP_RING_FULL] = "ring full",     [DROP_RECURSION] = "recursion",
    [DROP_DEGRADED] = "degraded",       [DROP_SPOOL_FULL] = "spool full",
    [DROP_SPOOL_WRITE] = "spool write", [DROP_CORRUPT] = "corrupt block",
    [DROP_TABLE_FULL] = "table full",
};

uint64_t text_id(enum text_kind kind, enum text_access access, const char *text)
{
    uint64_t id = hash_mix(hash_string(text), (uint64_t)kind << 8 | access);
    return id ? id : 1; /* 0 stands for none */
}

const char *text_kind_name(enum text_kind kind)
{
    return kind < ARRAY_SIZE(kind_names) ? kind_names[kind] : "?";
}

const char *text_access_name(enum text_access access)
{
    return access < ARRAY_SIZE(access_names) ? access_names[access] : "?";
}

const char *drop_reason_name(enum drop_reason reason)
{
    return reason < DROP_REASONS ? reason_names[reason] : "?";
}

void block_free(struct block *b)
{
    for (uint32_t i = 0; i < b->n_bins; i++)
        free(b->bins[i].counts);
    for (uint32_t i = 0; i < b->n_texts; i++)
        free(b->texts[i].text);
    for (uint32_t i = 0; i < b->n_processes; i++) {
        free(b->processes[i].path);
        free(b->processes[i].arguments);
    }
    for (uint32_t i = 0; i < b->n_containers; i++)
        container_done(&b->containers[i]);
    for (uint32_t i = 0; i < b->n_blinds; i++)
        free(b->blinds[i].reason);
    free(b->windows);
    free(b->bins);
    free(b->texts);
    free(b->processes);
    free(b->containers);
    free(b->gaps);
    free(b->blinds);
    free(b->ledger);
    free(b->checkpoint);
    free(b->threads);
    free(b);
}
