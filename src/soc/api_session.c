#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "base/log.h"
#include "soc/audit.h"
#include "soc/server.h"

const struct field login_body[] = {
    {"name", FIELD_STRING, true, 1, 256, NULL},
    {"password", FIELD_STRING, true, 1, 1024, NULL},
    {0},
};

const struct field password_body[] = {
    {"old", FIELD_STRING, true, 1, 1024, NULL},
    {"new", FIELD_STRING, true, 1, 1024, NULL},
    {0},
};

/* A name waits after 5 wrong passwords, an address after 20: people behind one address (a tunnel, a
 * proxy) are not locked out by one of them. Neither ever waits longer than its maximum, so that
 * nobody can lock somebody else out for good. */
static const struct limit_rule name_rule = {5, 15, 300, 3600};
static const struct limit_rule address_rule = {20, 5, 60, 900};

/* Passwords hashed at a time: each takes 64 MiB and 0.1 s of a thread that others wait for. */
#define VERIFYING_MAX 2

static void cookie_set(struct request *q, const char *token)
{
    snprintf(q->reply.cookie, sizeof(q->reply.cookie),
             "%s=%s; Path=/; HttpOnly; SameSite=Strict%s%s",
             q->http->tls ? "__Host-vigia" : "vigia", token, q->http->tls ? "; Secure" : "",
             token[0] ? "" : "; Max-Age=0");
}

static int reply_session(struct request *q)
{
    return reply_json(q, 200,
                      json_pack("{s:s, s:s, s:b, s:s}", "name", q->user.name, "role",
                                role_name(q->user.role), "must_change", q->user.must_change, "csrf",
                                q->session.csrf));
}

static int begin(struct request *q)
{
    char token[SESSION_TOKEN_SIZE];
    session_begin(q->http->sessions, q->user.name, q->user.generation, q->now, token, &q->session);
    int r = reply_session(q);
    cookie_set(q, token);
    return r;
}

static int reply_wait(struct request *q, double wait)
{
    q->reply.retry_after_s = (unsigned)ceil(wait);
    return reply_error(q, 429, "too_many_logins", "too many attempts; try again in %u seconds",
                       q->reply.retry_after_s);
}

/* Seconds to wait, or 0 and the attempt is counted. */
static double brake(struct request *q, const char *name)
{
    struct user user;
    bool known = user_name_is_valid(name) && user_get(q->store, name, &user) == 0;
    struct limit *names = known ? q->http->users : q->http->strangers;
    if (known && user.unlocked > limit_last(names, name))
        limit_clear(names, name);
    double wait = limit_take(q->http->addresses, &address_rule, q->origin, q->now);
    return wait > 0 ? wait : limit_take(names, &name_rule, name, q->now);
}

/* Checks a password, braked: 0, -EACCES with a reply, or another error. */
static int check(struct request *q, const char *name, const char *password, struct user *ret)
{
    double wait = brake(q, name);
    if (wait > 0) {
        reply_wait(q, wait);
        return -EACCES;
    }
    if (atomic_fetch_add(&q->http->verifying, 1) >= VERIFYING_MAX) {
        atomic_fetch_sub(&q->http->verifying, 1);
        reply_wait(q, 1);
        return -EACCES;
    }
    int r = user_check(q->store, name, password, ret);
    atomic_fetch_sub(&q->http->verifying, 1);
    if (r == 0) {
        limit_clear(q->http->users, name);
        limit_clear(q->http->addresses, q->origin);
    } else if (r == -EACCES) {
        atomic_fetch_add(&q->http->logins_failed, 1);
    }
    return r;
}

/* What was typed as a name may well be a password: only names of users are written down. */
static void note_failure(struct request *q, const char *name)
{
    struct user user;
    bool known = user_name_is_valid(name) && user_get(q->store, name, &user) == 0;
    log_warn("login from %s as %s refused: wrong name or password", q->address,
             known ? name : "an unknown user");
    audit_commit(q->http->writer, NULL, 0,
                 audit_entry(q->now, known ? name : "", q->address, "login refused", "",
                             known ? "wrong password" : "unknown user"));
}

int api_login(struct request *q)
{
    const char *name = json_get_string(q->body, "name", "");
    int r = check(q, name, json_get_string(q->body, "password", ""), &q->user);
    if (r == -EACCES && !q->reply.status) {
        note_failure(q, name);
        return reply_error(q, 401, "wrong_login", "wrong name or password");
    }
    if (r < 0)
        return r;
    r = audit_commit(q->http->writer, NULL, 0,
                     audit_entry(q->now, q->user.name, q->address, "login", "", ""));
    return r < 0 ? r : begin(q);
}

int api_logout(struct request *q)
{
    session_end(q->http->sessions, q->token);
    cookie_set(q, "");
    return reply_json(q, 200, json_object());
}

int api_session(struct request *q)
{
    return reply_session(q);
}

int api_password(struct request *q)
{
    const char *old = json_get_string(q->body, "old", ""),
               *new = json_get_string(q->body, "new", "");
    const char *problem = strcmp(old, new) == 0 ? "the new password must differ from the old one"
                                                : user_password_problem(q->user.name, new);
    if (problem)
        return reply_error(q, 400, "bad_password", "%s", problem);
    struct user user;
    int r = check(q, q->user.name, old, &user);
    if (r == -EACCES && !q->reply.status)
        return reply_error(q, 403, "wrong_password", "the old password is wrong");
    if (r < 0)
        return r;
    r = user_set_password(q->http->writer, q->user.name, new, false, q->user.name, q->address);
    if (r < 0)
        return r;
    session_end_user(q->http->sessions, q->user.name);
    r = user_get(q->http->writer, user.name, &q->user);
    return r < 0 ? r : begin(q);
}
