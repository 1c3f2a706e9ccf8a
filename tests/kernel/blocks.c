/* Prints a line per block of a live capture: blocks [SECONDS [host]]. To look at what capture sees.
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/log.h"
#include "capture/capture.h"
#include "capture/containers.h"

static void print_block(const struct block *b)
{
    uint64_t calls = 0, seen = 0, delivered = 0, dropped = 0;
    for (uint32_t i = 0; i < b->n_windows; i++)
        calls += b->windows[i].n_calls;
    for (uint32_t i = 0; i < b->n_ledger; i++) {
        seen += b->ledger[i].seen;
        delivered += b->ledger[i].delivered;
        dropped += b->ledger[i].dropped[DROP_RING_FULL];
    }
    printf("%.3f windows %u calls %" PRIu64 " bins %u texts %u processes %u containers %u gaps %u "
           "threads %u seen %" PRIu64 " delivered %" PRIu64 " dropped %" PRIu64 "\n",
           (double)b->until_ns / 1e9, b->n_windows, calls, b->n_bins, b->n_texts, b->n_processes,
           b->n_containers, b->n_gaps, b->n_threads, seen, delivered, dropped);
    for (uint32_t i = 0; i < b->n_containers; i++)
        printf("  container %u %s '%s' wanted %d state %u %s\n", b->containers[i].number,
               b->containers[i].id, b->containers[i].workload, b->containers[i].wanted,
               b->containers[i].state, b->containers[i].reason);
    for (uint32_t i = 0; i < b->n_processes && i < 20; i++)
        printf("  process %u event %u flags %u container %u parent %u '%s' '%s'\n",
               b->processes[i].tgid, b->processes[i].event, b->processes[i].flags,
               b->processes[i].container, b->processes[i].parent_tgid, b->processes[i].path,
               b->processes[i].arguments);
    for (uint32_t i = 0; i < b->n_texts; i++)
        printf("  text %s %s container %u '%s'\n", text_kind_name(b->texts[i].kind),
               text_access_name(b->texts[i].access), b->texts[i].container, b->texts[i].text);
    for (uint32_t i = 0; i < b->n_windows && i < 10; i++) {
        const struct window *w = &b->windows[i];
        printf("  window c%u %u/%u flags %u context %u:", w->container, w->tgid, w->tid, w->flags,
               w->n_context);
        for (int k = 0; k < w->n_calls; k++)
            printf(" %s", syscall_name(w->sysno[k]));
        printf("\n");
    }
}

int main(int argc, char **argv)
{
    uint64_t end = clock_mono_ns() + (argc > 1 ? (uint64_t)atoi(argv[1]) : 5) * NS_PER_S;
    const struct capture_options options = {.timing = TIMING_SAMPLED,
                                            .arguments = ARGUMENTS_HASH,
                                            .host = argc > 2,
                                            .pin_directory = ""};
    const struct containers_options found = {0};
    struct containers *containers;
    struct capture *c;
    log_set_level(LOG_LEVEL_DEBUG);
    setvbuf(stdout, NULL, _IOLBF, 0);
    if (containers_new(&found, &containers) || capture_open(&options, containers, NULL, &c))
        return 1;
    while (clock_mono_ns() < end) {
        struct block *b;
        capture_wait(c);
        if (capture_tick(c, clock_mono_ns(), &b))
            return 1;
        if (!b)
            continue;
        print_block(b);
        capture_commit(c, b);
        block_free(b);
    }
    capture_close(c, false);
    containers_free(containers);
    return 0;
}
