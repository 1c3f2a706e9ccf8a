/* Inside of the engine, shared by engine*.c and alert*.c. "Engine time" is the monotonic time of a
 * capture plus the wall clock's lead at its first block, or more, so that it never goes back: one
 * clock for all captures that no clock jump moves. Wall times for people are worked out per block.
 */
#pragma once

#include "base/index.h"
#include "features/arguments.h"
#include "soc/engine.h"

#define MEMORY_KEYS 1024
#define MEMORY_NS (UINT64_C(600) * 1000000000)
#define KIND_NS (UINT64_C(60) * 1000000000) /* two kinds of novelty within this belong together */
#define NEAR_WINDOWS 32 /* kept around an anomalous one, half before, half after */
#define ALERT_EVIDENCE_MAX 64
#define ALERT_CONTAINERS_MAX 64
#define OPENING_KEYS 3
#define PEAK_TOLD .5 /* share of the threshold from which every second is kept, and why */
#define CAPTURES_MAX 256

/* The evidence of a process that was counted already. */
struct memory {
    struct index slots;  /* key -> slot */
    uint64_t (*item)[2]; /* [capacity] key and time; grows to MEMORY_KEYS, then a ring */
    uint32_t capacity, n, next;
};

struct engine_process {
    uint64_t key, capture, start_ns, parent_start_ns, program;
    uint64_t first_ns, last_ns, exit_ns; /* engine time */
    uint64_t kind_ns[NOVELTY_KINDS];     /* when a first sight of the kind was counted last */
    uint64_t whole_ns[NOVELTY_KINDS];    /* of these, what start-up does not know either */
    uint64_t joined_program;             /* its program while it was the runtime's, 0: never */
    uint64_t alert;                      /* it or an ancestor is part of this alert, open or not */
    uint32_t container, tgid, parent_tgid, keep_after;
    uint8_t flags;
    char *arguments;
    struct memory *memory; /* NULL until there is something */
};

struct engine_text {
    uint64_t id, class_key;
    uint64_t used; /* block in which it was asked for last */
    uint8_t kind, access, zone;
    char *text;
};

/* What a second, or a minute, came to. */
struct peaks {
    double value[CHANNELS];
    uint8_t detector[CHANNELS];
};

/* What a container does before anybody knows which workload it is. */
#define WAITING_MAX 512
struct waiting {
    struct window window; /* n_calls 0: it is an exec */
    struct process exec;  /* without strings */
};

struct engine_container {
    uint64_t key, capture;
    struct container info;
    struct profile *profile; /* NULL: not resolved yet */
    uint64_t joined_program; /* the runtime's program that entered last */
    uint64_t rates_ns;       /* the last second whose rates passed the threshold */
    uint8_t phase;
    uint32_t start;
    uint64_t start_ns, pair_ns; /* start-up: since when, and when a pair was last new */
    struct index pairs;         /* start-up: pairs seen since the start */
    uint64_t second;            /* monotonic second that is open; 0 none */
    struct bin bin;             /* its counts so far */
    uint32_t bin_capacity;
    struct peaks peaks, minute;
    char why[CHANNELS][SCORE_WHY_MAX]; /* of the peaks; "" below PEAK_TOLD */
    uint64_t minute_at;
    uint64_t alert;          /* the latest, 0 none */
    uint64_t over_ns;        /* engine time when it showed something over a threshold last */
    uint64_t gone_ns;        /* engine time, 0 while it runs */
    struct waiting *waiting; /* [n_waiting] in time order until the profile is known */
    uint32_t n_waiting, waiting_capacity;
    struct window *near; /* [NEAR_WINDOWS / 2] ring of the last windows */
    uint32_t near_next;
};

struct engine_capture {
    uint64_t capture, offset_ns; /* engine time - monotonic */
    uint64_t until_ns;           /* engine time of the last cut */
    char node[NODE_NAME_MAX];
};

struct alert_state {
    struct alert alert;
    uint64_t hash;
    struct profile *profile;
    uint64_t opened_ns, last_ns;    /* engine time; opened anew when it comes back */
    uint64_t raised_ns;             /* when it was new */
    uint64_t opening[OPENING_KEYS]; /* strongest keys when it opened, ascending, 0 none */
    struct {
        uint64_t key;
        double value;
    } evidence[ALERT_EVIDENCE_MAX];
    uint32_t n_evidence;
    uint64_t containers[ALERT_CONTAINERS_MAX];
    uint32_t n_containers;
    double detector_sum[PROFILE_DETECTORS_MAX];
    double channel_sum[CHANNELS];
    double told;     /* the highest score told of, negative: none */
    uint8_t verdict; /* enum verdict */
    uint8_t change;  /* 1 + enum alert_change waiting to be told, 0 none */
};

struct engine {
    struct engine_options options;
    struct engine_capture captures[CAPTURES_MAX];
    uint32_t n_captures;
    struct engine_container **containers; /* [n_containers] */
    uint32_t n_containers, containers_capacity;
    struct index container_index;
    struct engine_process *processes;
    uint32_t n_processes, processes_capacity;
    struct index process_index;
    struct engine_text *texts;
    uint32_t n_texts, texts_capacity;
    struct index text_index;
    struct profile **profiles;
    uint64_t *profile_told; /* changes told of */
    uint32_t n_profiles;
    struct alert_state **alerts; /* [n_alerts] oldest first */
    uint32_t n_alerts;
    struct engine_suppression *suppressions; /* strings owned */
    uint32_t n_suppressions;
    uint64_t now_ns;  /* the latest cut of any capture */
    uint64_t wall_ns; /* of the last block: what people's times are compared with */
    struct engine_counters counters;

    /* The block at hand. */
    const struct block *block;
    struct engine_capture *capture;
    struct profile_view view; /* its scores are what is left after memory and suppression */

    /* Outputs of the last block. */
    struct engine_alert *out_alerts;
    struct engine_score *out_scores;
    struct engine_keep *out_keeps;
    const struct profile **out_profiles;
    struct window **out_windows; /* owned copies, one per keep */
    uint32_t n_out_alerts, n_out_scores, n_out_keeps, n_out_profiles;
    uint32_t out_alerts_capacity, out_scores_capacity, out_keeps_capacity, out_profiles_capacity;
    bool failed; /* out of memory while writing outputs */
};

/* Makes room for one more element; false and e->failed when out of memory. */
bool engine_room(struct engine *e, void **array, uint32_t n, uint32_t *capacity, size_t element);

/* Engine and wall time of a monotonic time of the block at hand. */
uint64_t engine_time(const struct engine *e, uint64_t mono_ns);
double engine_wall(const struct engine *e, uint64_t mono_ns);
/* Is it of this workload, and not over? */
bool suppression_holds(const struct engine *e, const struct engine_suppression *s,
                       const char *workload);

/* engine_tables.c */
uint64_t container_key(uint64_t capture, uint32_t number);
struct engine_container *container_find(const struct engine *e, uint64_t capture, uint32_t number);
struct engine_container *container_by_key(const struct engine *e, uint64_t key);
void container_free(struct engine_container *c);
int containers_take(struct engine *e, const struct container *c);
void containers_forget(struct engine *e); /* those gone for a minute */
void containers_retry(struct engine *e);  /* those that found no room for their profile */
void profiles_forget(struct engine *e);
void profile_gone(struct engine *e, struct profile *p); /* what it refused stays counted */
struct profile *profile_of_workload(struct engine *e, const char *workload);
uint64_t process_key(uint64_t capture, uint32_t tgid, uint64_t start_ns);
struct engine_process *process_find(const struct engine *e, uint64_t capture, uint32_t tgid,
                                    uint64_t start_ns);
struct engine_process *process_parent(const struct engine *e, const struct engine_process *p);
/* The process, made if it was not known. NULL when the cap refuses it. */
struct engine_process *process_get(struct engine *e, uint32_t container, uint32_t tgid,
                                   uint64_t start_ns, uint64_t now_ns);
void process_done(struct engine_process *p);
void process_forget(struct engine_process *p); /* its memory of evidence */
int texts_take(struct engine *e, const struct text *t);
const struct engine_text *text_find(const struct engine *e, uint64_t id);
/* The same for what a call or an exec says: such texts stay longest when the table is full. */
const struct engine_text *text_use(struct engine *e, uint64_t id);
/* Has the process counted this already? Remembers it from now on. */
bool memory_seen(struct engine_process *p, uint64_t key, uint64_t now_ns);

/* engine_output.c. The windows around an anomalous one are kept with it. */
void outputs_clear(struct engine *e);
void outputs_collect(struct engine *e, struct engine_output *ret);
void keep_anomalous(struct engine *e, struct engine_container *c, struct engine_process *p,
                    const struct window *w);
void keep_other(struct engine *e, struct engine_container *c, struct engine_process *p,
                const struct window *w);
void tell_scores(struct engine *e, struct engine_container *c);

/* alert_stage.c: one sample that the profile does not know, with what is left of its evidence. */
struct finding {
    struct engine_container *container;
    struct engine_process *process; /* NULL: a bin */
    const struct sample *sample;    /* with its argument classes; NULL: a bin */
    const struct window *window;    /* of the sample, or */
    const struct process *exec;     /* or neither: a bin */
    uint64_t now_ns, mono_ns;
    bool suppressed; /* some of its evidence was left out */
    bool rates;      /* they passed the threshold, doubted or not */
    double value[CHANNELS];
    uint8_t detector[CHANNELS];
    double raw[PROFILE_DETECTORS_MAX];   /* value per detector, rescored */
    double share[PROFILE_DETECTORS_MAX]; /* value per detector on its channel's scale */
};
/* engine_judge.c. Rescores e->view for a sample of the finding and fills its values. */
void finding_judge(struct engine *e, struct finding *f);
/* Of item i of detector d's score, on the scale of its channel. */
double finding_item_value(const struct finding *f, const struct score *s, uint32_t i, uint32_t d);
/* True: it is part of an alert now. Its evidence is e->view. */
bool alert_stage(struct engine *e, const struct finding *f);
void alert_stage_time(struct engine *e);
void alert_close(struct engine *e, struct alert_state *a);
struct alert_state *alert_by_hash(const struct engine *e, uint64_t hash); /* 0: none */
struct alert_state *alert_open_by_hash(const struct engine *e, uint64_t hash);
void alert_state_free(struct alert_state *a);
void alert_changed(struct alert_state *a);

/* alert_evidence.c: fills the alert for people. finding_why: the sentence of the strongest piece of
 * evidence in the channel; "" if there is none. */
void finding_why(const struct engine *e, const struct finding *f, enum channel c,
                 char ret[SCORE_WHY_MAX]);
void alert_add_process(struct engine *e, struct alert_state *a, struct engine_process *p,
                       bool strange);
void alert_add_evidence(struct engine *e, struct alert_state *a, const struct finding *f,
                        bool mark);
