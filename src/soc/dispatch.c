#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "base/log.h"
#include "soc/server.h"

void reply_done(struct reply *r)
{
    json_decref(r->json);
    free(r->text);
    *r = (struct reply){0};
}

int reply_json(struct request *q, unsigned status, json_t *object)
{
    if (!object)
        return -ENOMEM;
    json_decref(q->reply.json);
    q->reply.json = object;
    q->reply.status = status;
    return 0;
}

int reply_error(struct request *q, unsigned status, const char *code, const char *fmt, ...)
{
    char text[512];
    va_list args;
    va_start(args, fmt);
    vsnprintf(text, sizeof(text), fmt, args);
    va_end(args);
    return reply_json(
        q, status, json_pack("{s:{s:s, s:o}}", "error", "code", code, "message", json_text(text)));
}

/* A handler could not do its work: what that means to the client. The cause is in the log. */
static void reply_failure(struct request *q, int r)
{
    reply_done(&q->reply);
    if (r == -ENOENT)
        r = reply_error(q, 404, "not_found", "there is nothing under this name (any more)");
    else if (r == -EBUSY)
        r = reply_error(q, 503, "store_busy", "the store is busy; try again in a moment");
    else if (r == -ENOSPC)
        r = reply_error(q, 503, "store_full", "the disk is full; nothing was changed");
    else
        r = reply_error(q, 500, "internal", "the server could not do this; its log says why");
    if (r < 0)
        q->reply.status = 500;
}

double query_number(const struct request *q, const char *name, double otherwise)
{
    return json_get_number(q->query, name, otherwise);
}

const char *query_string(const struct request *q, const char *name)
{
    return json_get_string(q->query, name, NULL);
}

int get_document(struct request *q, enum store_kind kind, const char *key, json_t **ret)
{
    json_t *body = NULL;
    int r = store_get(q->store, kind, key, &body, NULL, NULL);
    if (r < 0 && r != -ENOENT)
        return r;
    *ret = body;
    return 0;
}

int find_documents(struct request *q, const struct store_query *query, const char *id_name,
                   bool drop_time, json_t **ret, uint64_t *ret_total)
{
    json_t *rows, *row;
    size_t i;
    int r = store_find(q->store, query, &rows, ret_total);
    if (r < 0)
        return r;
    json_array_foreach (rows, i, row) {
        json_t *key = json_object_get(row, "key");
        if (key && strcmp(id_name, "key") != 0) {
            json_object_set(row, id_name, key);
            json_object_del(row, "key");
        }
        if (drop_time)
            json_object_del(row, "time");
    }
    *ret = rows;
    return 0;
}

/* Who is it? The user is read anew each time: a removed user, a changed password or role takes
 * effect with the next request. */
static int authenticate(struct request *q)
{
    int r = q->token ? session_find(q->http->sessions, q->token, q->now, &q->session) : -ENOENT;
    if (r == 0)
        r = user_get(q->store, q->session.name, &q->user);
    if (r == 0 && strcmp(q->user.generation, q->session.generation) == 0)
        return 0;
    if (r < 0 && r != -ENOENT)
        return r;
    if (r == 0)
        session_end(q->http->sessions, q->token);
    reply_error(q, 401, "login_required", "log in first (POST /api/v1/login)");
    return -EACCES;
}

static bool allowed(const struct request *q)
{
    enum role role = q->user.role;
    enum allow allow = q->route->allow;
    return allow <= ALLOW_VIEWER || (allow == ALLOW_ANALYST && role >= ROLE_ANALYST) ||
           role == ROLE_ADMIN;
}

/* 0, -EACCES with a reply, or another error. */
static int authorise(struct request *q)
{
    bool change = strcmp(q->route->method, "GET") != 0;
    if (change && q->fetch_site && strcmp(q->fetch_site, "same-origin") != 0 &&
        strcmp(q->fetch_site, "none") != 0) {
        reply_error(q, 403, "cross_site", "requests from other sites are refused");
        return -EACCES;
    }
    if (q->route->allow == ALLOW_ANYONE)
        return 0;
    int r = authenticate(q);
    if (r < 0)
        return r;
    if (change && (!q->csrf || !session_token_equal(q->csrf, q->session.csrf)))
        reply_error(q, 403, "csrf", "the header X-CSRF-Token must hold the token of GET /session");
    else if (q->user.must_change && q->route->allow != ALLOW_SELF)
        reply_error(q, 403, "password_change_required",
                    "change your password first (POST /api/v1/password)");
    else if (!allowed(q))
        reply_error(q, 403, "forbidden", "this takes the role %s; you are %s",
                    q->route->allow == ALLOW_ADMIN ? "admin" : "analyst", role_name(q->user.role));
    else
        return 0;
    return -EACCES;
}

static int parse_query(struct request *q, char message[SCHEMA_MESSAGE])
{
    q->query = json_object();
    if (!q->query)
        return -ENOMEM;
    if (q->route->path[0] == '\0')
        return 0; /* files of the page: "?v=1" does no harm */
    if (q->n_parameters > PARAMETERS_MAX) {
        snprintf(message, SCHEMA_MESSAGE, "at most %d parameters", PARAMETERS_MAX);
        return -EINVAL;
    }
    for (unsigned i = 0; i < q->n_parameters; i++) {
        const struct parameter *p = &q->parameters[i];
        int r = schema_parameter(q->route->query, p->name, p->value, p->size, q->query, message);
        if (r < 0)
            return r;
    }
    return schema_complete(q->route->query, q->query, message);
}

/* 0, -EINVAL with a reply, or another error. */
static int parse(struct request *q)
{
    char message[SCHEMA_MESSAGE] = "";
    int r = parse_query(q, message);
    if (r == -EINVAL)
        reply_error(q, 400, "bad_query", "%s", message);
    if (r < 0 || !q->route->body)
        return r;
    /* A form of another site can send text/plain and its kin, but not this. */
    if (!q->content_type || strncasecmp(q->content_type, "application/json", 16) != 0) {
        reply_error(q, 415, "not_json", "send the body as Content-Type: application/json");
        return -EINVAL;
    }
    r = schema_body(q->route->body, q->data, q->data_size, &q->body, message);
    if (r == -EINVAL || r == -EBADMSG) {
        reply_error(q, 400, r == -EINVAL ? "bad_request" : "bad_json", "%s", message);
        return -EINVAL;
    }
    return r;
}

static struct store *reader_take(struct http *h)
{
    pthread_mutex_lock(&h->readers_mutex);
    while (!h->readers_n)
        pthread_cond_wait(&h->readers_given, &h->readers_mutex);
    struct store *s = h->readers[--h->readers_n];
    pthread_mutex_unlock(&h->readers_mutex);
    return s;
}

static void reader_give(struct http *h, struct store *s)
{
    pthread_mutex_lock(&h->readers_mutex);
    h->readers[h->readers_n++] = s;
    pthread_cond_signal(&h->readers_given);
    pthread_mutex_unlock(&h->readers_mutex);
}

static int serve(struct request *q)
{
    q->route = route_find(q->method, q->path, q->id, sizeof(q->id), q->reply.allow);
    if (!q->route && q->reply.allow[0])
        return reply_error(q, 405, "method_not_allowed", "%s is not possible here", q->method);
    if (!q->route)
        return reply_error(q, 404, "not_found",
                           "there is no such route; GET /api/v1/openapi.json lists them");
    if (q->too_large)
        return reply_error(q, 413, "too_large", "a body has at most %d bytes", BODY_MAX);
    q->store = reader_take(q->http);
    int r = authorise(q);
    if (r == 0)
        r = parse(q);
    if (r == 0)
        r = q->route->handle(q);
    reader_give(q->http, q->store);
    q->store = NULL;
    /* -EACCES and -EINVAL come with the reply that explains them. */
    return q->reply.status ? 0 : r;
}

void dispatch(struct request *q)
{
    int r = serve(q);
    if (r < 0 || !q->reply.status)
        reply_failure(q, r);
    json_decref(q->query);
    json_decref(q->body);
    q->query = q->body = NULL;
    size_t route = q->route ? (size_t)(q->route - route_table) : ROUTES_MAX - 1;
    atomic_fetch_add(&q->http->requests[route][q->reply.status / 100 % STATUS_CLASSES], 1);
    if (q->too_large)
        atomic_fetch_add(&q->http->too_large, 1);
}
