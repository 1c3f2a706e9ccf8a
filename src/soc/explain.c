/* Sentences. The reader does not know syscalls by heart. */
#include "soc/explain.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "event/block.h"
#include "features/arguments.h"

#define SENTENCE_MAX 700

/* The last component: "/usr/bin/dash" -> "dash"; what follows a space stays ("busybox wget"). */
static const char *short_name(const char *program)
{
    const char *space = strchr(program, ' '), *at = program;
    for (const char *p = program; *p && p != space; p++) {
        if (*p == '/' && p[1] && p + 1 != space)
            at = p + 1;
    }
    return at;
}

static const char *duration_words(double s, char *ret, size_t size)
{
    if (s < 120)
        snprintf(ret, size, "%.0f s", s);
    else if (s < 7200)
        snprintf(ret, size, "%.0f min", s / 60);
    else if (s < 172800)
        snprintf(ret, size, "%.0f hours", s / 3600);
    else
        snprintf(ret, size, "%.0f days", s / 86400);
    return ret;
}

static const char *access_verb(uint8_t access)
{
    static const char *const verbs[] = {
        [ACCESS_NONE] = "used",
        [ACCESS_READ] = "read",
        [ACCESS_WRITE] = "wrote",
        [ACCESS_CREATE] = "created",
        [ACCESS_EXEC] = "executed",
        [ACCESS_DELETE] = "deleted",
        [ACCESS_RENAME] = "renamed",
        [ACCESS_ATTRIBUTE] = "changed the rights of",
        [ACCESS_CONNECT] = "connected to",
        [ACCESS_BIND] = "listens on",
        [ACCESS_SEND] = "sent to",
    };
    return access < ARRAY_SIZE(verbs) ? verbs[access] : "used";
}

static void list_children(const struct explain_context *c, char *ret, size_t size)
{
    size_t n = 0;
    ret[0] = 0;
    for (uint32_t i = 0; i < c->n_children && n < size; i++) {
        const char *joint = i == 0 ? "" : i + 1 == c->n_children ? " and " : ", ";
        n += (size_t)snprintf(ret + n, size - n, "%s%s", joint, short_name(c->children[i]));
    }
}

static void explain_start(const struct evidence *x, const struct explain_context *c, char *text,
                          char *sentence)
{
    char learnt[32], children[256];
    duration_words(c->learnt_s, learnt, sizeof(learnt));
    list_children(c, children, sizeof(children));
    if (x->kind == EVIDENCE_PROGRAM) {
        snprintf(text, SENTENCE_MAX, "%s", c->program);
        snprintf(sentence, SENTENCE_MAX, "%s ran%s%s: a program never seen here in %s of learning",
                 c->program, c->parent ? ", started by " : "",
                 c->parent ? short_name(c->parent) : "", learnt);
        return;
    }
    snprintf(text, SENTENCE_MAX, "%s -> %s", c->parent, c->program);
    if (c->n_children)
        snprintf(sentence, SENTENCE_MAX,
                 "%s, which in this workload has only ever started %s%s, started %s",
                 short_name(c->parent), children, c->n_children == EXPLAIN_CHILDREN ? ", ..." : "",
                 c->program);
    else
        snprintf(sentence, SENTENCE_MAX,
                 "%s started %s: it never started a program in %s of learning",
                 short_name(c->parent), c->program, learnt);
}

static void explain_argument(const struct explain_context *c, char *text, char *sentence)
{
    char learnt[32];
    duration_words(c->learnt_s, learnt, sizeof(learnt));
    const char *what = c->text ? c->text : "something";
    const char *access = text_access_name(c->access);
    snprintf(text, SENTENCE_MAX, "%s%s%s", access, *access ? " " : "", what);
    if (c->text_kind == TEXT_PATH)
        snprintf(sentence, SENTENCE_MAX, "%s %s %s: %s, never before in %s of learning",
                 short_name(c->program), access_verb(c->access), what,
                 c->zone == ZONE_OTHER ? "a place of its own" : zone_name(c->zone), learnt);
    else if (c->text_kind == TEXT_ADDRESS)
        snprintf(sentence, SENTENCE_MAX, "%s %s %s, never before in %s of learning",
                 short_name(c->program), access_verb(c->access), what, learnt);
    else
        snprintf(sentence, SENTENCE_MAX, "%s called %s, never before in %s of learning",
                 short_name(c->program), what, learnt);
}

static void explain_call(const struct evidence *x, const struct explain_context *c, char *text,
                         char *sentence)
{
    char learnt[32];
    duration_words(c->learnt_s, learnt, sizeof(learnt));
    const char *meaning = syscall_meaning(x->sysno);
    char call[200];
    snprintf(call, sizeof(call), "%s%s%s%s", syscall_name(x->sysno), meaning ? " (" : "",
             meaning ? meaning : "", meaning ? ")" : "");
    if (x->kind == EVIDENCE_PAIR) {
        snprintf(text, SENTENCE_MAX, "%s", syscall_name(x->sysno));
        snprintf(sentence, SENTENCE_MAX, "%s called %s: it never did in %s of learning",
                 short_name(c->program), call, learnt);
        return;
    }
    int error = ret_errno(x->error);
    const char *name = error > 0 ? errno_name(error) : "an error";
    snprintf(text, SENTENCE_MAX, "%s %s", syscall_name(x->sysno), name);
    snprintf(sentence, SENTENCE_MAX, "%s of %s failed with %s: it never did in %s of learning",
             call, short_name(c->program), name, learnt);
}

static void explain_rate(const struct evidence *x, const struct explain_context *c, char *text,
                         char *sentence)
{
    snprintf(text, SENTENCE_MAX, "%s %llu a second", syscall_name(x->sysno),
             (unsigned long long)x->detail);
    if (x->program)
        snprintf(sentence, SENTENCE_MAX, "%s called %s %llu times in a second; %.3g is normal",
                 short_name(c->program), syscall_name(x->sysno), (unsigned long long)x->detail,
                 (double)x->normal);
    else
        snprintf(sentence, SENTENCE_MAX, "%s was called %llu times in a second; %.3g is normal",
                 syscall_name(x->sysno), (unsigned long long)x->detail, (double)x->normal);
}

static void normally(uint16_t sysno, float share, char *ret, size_t size)
{
    snprintf(ret, size, "; normally %s comes there (%.0f %%)", syscall_name(sysno),
             100.0 * (double)share);
}

static void explain_ngram(const struct evidence *x, const struct explain_context *c, char *text,
                          char *sentence)
{
    char expected[100] = "";
    if (x->n_expected)
        normally(x->expected[0].sysno, x->expected[0].share, expected, sizeof(expected));
    snprintf(text, SENTENCE_MAX, "%s", syscall_name(x->sysno));
    snprintf(sentence, SENTENCE_MAX, "%s called %s where normal time does not%s",
             short_name(c->program), syscall_name(x->sysno), expected);
}

void explain_evidence(const struct evidence *x, const struct explain_context *c, char **ret_text,
                      char **ret_sentence)
{
    char text[SENTENCE_MAX] = "", sentence[SENTENCE_MAX] = "";
    if (x->kind == EVIDENCE_PROGRAM || (x->kind == EVIDENCE_EDGE && c->parent))
        explain_start(x, c, text, sentence);
    else if (x->kind == EVIDENCE_ARGUMENT)
        explain_argument(c, text, sentence);
    else if (x->kind == EVIDENCE_RATE)
        explain_rate(x, c, text, sentence);
    else if (x->kind == EVIDENCE_NGRAM)
        explain_ngram(x, c, text, sentence);
    else
        explain_call(x, c, text, sentence);
    *ret_text = strdup(text);
    *ret_sentence = strdup(sentence);
}

/* What says most comes first: a session, a new program and who started it, a bold argument, ... */
int explain_weight(const struct alert_novelty *n)
{
    static const int weight[EVIDENCE_KINDS] = {
        [EVIDENCE_EDGE] = 50, [EVIDENCE_PROGRAM] = 40, [EVIDENCE_ARGUMENT] = 30,
        [EVIDENCE_PAIR] = 20, [EVIDENCE_ERRNO] = 10,   [EVIDENCE_RATE] = 5,
    };
    return weight[n->kind < EVIDENCE_KINDS ? n->kind : 0] + (n->bold ? 25 : 0);
}

static const struct alert_novelty *best_novelty(const struct alert *a)
{
    const struct alert_novelty *best = NULL;
    for (uint32_t i = 0; i < a->n_novelties; i++) {
        if (!best || explain_weight(&a->novelties[i]) > explain_weight(best))
            best = &a->novelties[i];
    }
    return best;
}

/* Does the process, or one that it descends from, belong to a session from outside? */
static bool in_session(const struct alert *a, uint32_t tgid, uint64_t start_ns)
{
    for (uint32_t i = a->n_processes; i-- > 0;) { /* parents stand before children */
        const struct alert_process *p = &a->processes[i];
        if (p->tgid != tgid || p->start_ns != start_ns)
            continue;
        if (p->flags & PROGRAM_SESSION)
            return true;
        tgid = p->parent_tgid;
        start_ns = p->parent_start_ns;
    }
    return false;
}

char *explain_headline(const struct alert *a)
{
    const struct alert_novelty *n = best_novelty(a);
    uint32_t tgid = n ? n->tgid : a->n_sequences ? a->sequences[0].tgid : 0;
    uint64_t start_ns = n ? n->start_ns : a->n_sequences ? a->sequences[0].start_ns : 0;
    const char *session = in_session(a, tgid, start_ns) ? "In a session from outside: " : "";
    char *text = NULL;
    int r;
    if (n)
        r = asprintf(&text, "%s%s", session, n->sentence);
    else if (a->n_sequences)
        r = asprintf(&text, "%s%s made calls in an order that normal time does not have", session,
                     short_name(a->sequences[0].program));
    else
        r = asprintf(&text, "%sthe rates of calls are far from normal", session);
    return r < 0 ? NULL : text;
}

char *explain_sequence(const struct alert *a, const struct alert_sequence *s)
{
    (void)a;
    char calls[300] = "", expected[200] = "";
    size_t n = 0;
    unsigned named = 0;
    for (uint32_t i = 0; i < s->n_calls && named < 4 && n < sizeof(calls); i++) {
        if (!s->calls[i].strange)
            continue;
        const char *meaning = syscall_meaning(s->calls[i].sysno);
        n += (size_t)snprintf(calls + n, sizeof(calls) - n, "%s%s%s%s%s", named ? ", " : "",
                              syscall_name(s->calls[i].sysno), meaning ? " (" : "",
                              meaning ? meaning : "", meaning ? ")" : "");
        named++;
    }
    if (s->n_expected)
        normally(s->expected[0].sysno, s->expected[0].share, expected, sizeof(expected));
    char *text = NULL;
    if (asprintf(&text, "%s called %s where normal time does not%s", short_name(s->program),
                 named ? calls : "this sequence", expected) < 0)
        return NULL;
    return text;
}
