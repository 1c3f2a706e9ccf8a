/* Sessions of the page and the API. In memory: they end with the process. Only a hash of the token
 * is kept, so that a look into the memory or a core file gives nobody a session. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#define SESSION_TOKEN_SIZE 44 /* base64 (URL) of 32 random bytes, and NUL */
#define SESSION_NAME_SIZE 64

struct sessions;

struct session {
    char name[SESSION_NAME_SIZE];
    char generation[24];           /* of the user's credentials when it logged in */
    char csrf[SESSION_TOKEN_SIZE]; /* what X-CSRF-Token has to be */
};

/* Defaults: idle 8 h, age 7 days. */
int sessions_new(uint32_t sessions_max, double idle_s, double age_s, struct sessions **ret);
void sessions_free(struct sessions *s);
/* A new session; the longest unused one makes room, first among the user's own past 16. */
void session_begin(struct sessions *s, const char *name, const char *generation, double now_s,
                   char ret_token[SESSION_TOKEN_SIZE], struct session *ret);
/* -ENOENT for unknown and ended ones. Counts as use. */
int session_find(struct sessions *s, const char *token, double now_s, struct session *ret);
void session_end(struct sessions *s, const char *token);
/* All of one user. */
void session_end_user(struct sessions *s, const char *name);
uint32_t sessions_count(struct sessions *s, double now_s);
/* Compares two tokens in constant time. */
bool session_token_equal(const char *a, const char *b);
