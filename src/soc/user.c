#include "soc/user.h"

#include <errno.h>
#include <sodium.h>
#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "base/log.h"
#include "soc/audit.h"
#include "soc/json.h"

static const char *const role_names[ROLES] = {"viewer", "analyst", "admin"};
/* What the password of a user that does not exist is compared with. */
static char nobody_hash[crypto_pwhash_STRBYTES];

const char *role_name(enum role role)
{
    return role_names[role];
}

bool role_parse(const char *name, enum role *ret)
{
    for (int i = 0; i < ROLES; i++) {
        if (strcmp(role_names[i], name) == 0) {
            *ret = i;
            return true;
        }
    }
    return false;
}

/* argon2id, RFC 9106: 2 passes over 64 MiB (libsodium's "interactive"). */
static int hash_password(const char *password, char ret[crypto_pwhash_STRBYTES])
{
    if (crypto_pwhash_str(ret, password, strlen(password), crypto_pwhash_OPSLIMIT_INTERACTIVE,
                          crypto_pwhash_MEMLIMIT_INTERACTIVE) != 0) {
        log_error("hash a password: no memory (64 MiB are needed)");
        return -ENOMEM;
    }
    return 0;
}

int user_start(void)
{
    char random[USER_RANDOM_SIZE];
    if (sodium_init() < 0) {
        log_error("start libsodium: the system gives no random numbers");
        return -EIO;
    }
    if (nobody_hash[0])
        return 0;
    user_password_random(random);
    return hash_password(random, nobody_hash);
}

bool user_name_is_valid(const char *name)
{
    static const char letters[] = "abcdefghijklmnopqrstuvwxyz0123456789.-_@";
    size_t size = strlen(name);
    return size > 0 && size <= USER_NAME_MAX && strspn(name, letters) == size &&
           !strchr(".-_@", name[0]);
}

const char *user_password_problem(const char *name, const char *password)
{
    size_t characters = 0;
    if (strlen(password) > USER_PASSWORD_MAX)
        return "a password has at most 256 bytes";
    for (const char *p = password; *p; p++)
        characters += ((uint8_t)*p & 0xc0) != 0x80;
    if (characters < USER_PASSWORD_MIN)
        return "a password has at least 10 characters";
    if (strstr(password, name))
        return "a password must not contain the user's name";
    if (strspn(password, (char[]){password[0], '\0'}) == strlen(password))
        return "a password has more than one character";
    return NULL;
}

/* 20 of 32 characters that are not easily confused. */
void user_password_random(char ret[USER_RANDOM_SIZE])
{
    static const char letters[33] = "abcdefghijkmnpqrstuvwxyz23456789";
    char *p = ret;
    for (int i = 0; i < 20; i++) {
        if (i && i % 4 == 0)
            *p++ = '-';
        *p++ = letters[randombytes_uniform(32)];
    }
    *p = '\0';
}

static void generation_make(char ret[USER_GENERATION_SIZE])
{
    uint8_t bytes[11];
    randombytes_buf(bytes, sizeof(bytes));
    sodium_bin2hex(ret, USER_GENERATION_SIZE, bytes, sizeof(bytes));
}

static double wall_s(void)
{
    return (double)clock_wall_ns() / NS_PER_S;
}

/* Writes the members of body (merged into what is there) and the audit entry; takes over body. */
static int put(struct store *s, const char *name, json_t *body, json_t *entry)
{
    CLEANUP(json_decrefp) json_t *owned = body;
    if (!body) {
        json_decref(entry);
        return -ENOMEM;
    }
    struct store_document document = {
        .kind = STORE_USER, .key = name, .time = wall_s(), .body = body, .merge = true};
    return audit_commit(s, &document, 1, entry);
}

int user_add(struct store *s, const char *name, enum role role, const char *password,
             bool must_change, const char *who, const char *address)
{
    char hash[crypto_pwhash_STRBYTES], generation[USER_GENERATION_SIZE];
    struct user user;
    if (!user_name_is_valid(name) || user_password_problem(name, password))
        return -EINVAL;
    int r = user_get(s, name, &user);
    if (r != -ENOENT)
        return r < 0 ? r : -EEXIST;
    r = hash_password(password, hash);
    if (r < 0)
        return r;
    generation_make(generation);
    double now = wall_s();
    json_t *body = json_pack("{s:s, s:s, s:s, s:b, s:f, s:f}", "hash", hash, "role",
                             role_name(role), "generation", generation, "must_change", must_change,
                             "created", now, "changed", now);
    return put(s, name, body, audit_entry(now, who, address, "user added", name, role_name(role)));
}

int user_set_password(struct store *s, const char *name, const char *password, bool must_change,
                      const char *who, const char *address)
{
    char hash[crypto_pwhash_STRBYTES], generation[USER_GENERATION_SIZE];
    struct user user;
    if (user_password_problem(name, password))
        return -EINVAL;
    int r = user_get(s, name, &user);
    if (r == 0)
        r = hash_password(password, hash);
    if (r < 0)
        return r;
    generation_make(generation);
    double now = wall_s();
    json_t *body = json_pack("{s:s, s:s, s:b, s:f}", "hash", hash, "generation", generation,
                             "must_change", must_change, "changed", now);
    return put(s, name, body, audit_entry(now, who, address, "password changed", name, ""));
}

/* Is there such a user, and an admin without this one? */
static int dispensable(struct store *s, const char *name)
{
    struct user user;
    uint64_t admins;
    CLEANUP(json_decrefp) json_t *rows = NULL;
    struct store_query query = {.kind = STORE_USER, .field = "role", .equals = "admin"};
    int r = user_get(s, name, &user);
    if (r == 0)
        r = store_find(s, &query, &rows, &admins);
    return r == 0 && user.role == ROLE_ADMIN && admins <= 1 ? -EBUSY : r;
}

int user_set_role(struct store *s, const char *name, enum role role, const char *who,
                  const char *address)
{
    char generation[USER_GENERATION_SIZE];
    struct user user;
    int r = role == ROLE_ADMIN ? user_get(s, name, &user) : dispensable(s, name);
    if (r < 0)
        return r;
    generation_make(generation);
    double now = wall_s();
    json_t *body = json_pack("{s:s, s:s, s:f}", "role", role_name(role), "generation", generation,
                             "changed", now);
    return put(s, name, body,
               audit_entry(now, who, address, "role changed", name, role_name(role)));
}

int user_remove(struct store *s, const char *name, const char *who, const char *address)
{
    int r = dispensable(s, name);
    if (r < 0)
        return r;
    struct store_document document = {.kind = STORE_USER, .key = name, .removed = true};
    return audit_commit(s, &document, 1,
                        audit_entry(wall_s(), who, address, "user removed", name, ""));
}

int user_unlock(struct store *s, const char *name, const char *who, const char *address)
{
    struct user user;
    double now = wall_s();
    int r = user_get(s, name, &user);
    if (r < 0)
        return r;
    return put(s, name, json_pack("{s:f}", "unlocked", now),
               audit_entry(now, who, address, "user unlocked", name, ""));
}

static int load(struct store *s, const char *name, struct user *ret, json_t **ret_body)
{
    CLEANUP(json_decrefp) json_t *body = NULL;
    int r = store_get(s, STORE_USER, name, &body, NULL, NULL);
    if (r < 0)
        return r;
    struct user user = {
        .must_change = json_is_true(json_object_get(body, "must_change")),
        .unlocked = json_get_number(body, "unlocked", 0),
    };
    snprintf(user.name, sizeof(user.name), "%s", name);
    snprintf(user.generation, sizeof(user.generation), "%s",
             json_get_string(body, "generation", ""));
    if (!role_parse(json_get_string(body, "role", ""), &user.role)) {
        log_error("user \"%s\": the store has no valid role for it", user.name);
        return -EBADMSG;
    }
    *ret = user;
    *ret_body = TAKE(body);
    return 0;
}

int user_get(struct store *s, const char *name, struct user *ret)
{
    CLEANUP(json_decrefp) json_t *body = NULL;
    return load(s, name, ret, &body);
}

int user_list(struct store *s, json_t **ret)
{
    CLEANUP(json_decrefp) json_t *rows = NULL;
    struct store_query query = {.kind = STORE_USER, .limit = 10000, .oldest_first = true};
    int r = store_find(s, &query, &rows, NULL);
    if (r < 0)
        return r;
    CLEANUP(json_decrefp) json_t *list = json_array();
    size_t i;
    json_t *row;
    json_array_foreach (rows, i, row) {
        json_t *user = json_pack(
            "{s:s, s:s, s:b, s:f, s:f}", "name", json_get_string(row, "key", ""), "role",
            json_get_string(row, "role", ""), "must_change",
            json_is_true(json_object_get(row, "must_change")), "created",
            json_get_number(row, "created", 0), "changed", json_get_number(row, "changed", 0));
        if (json_array_append_new(list, user) < 0)
            return -ENOMEM;
    }
    *ret = TAKE(list);
    return 0;
}

int user_check(struct store *s, const char *name, const char *password, struct user *ret)
{
    CLEANUP(json_decrefp) json_t *body = NULL;
    struct user user;
    int r = user_name_is_valid(name) ? load(s, name, &user, &body) : -ENOENT;
    if (r < 0 && r != -ENOENT)
        return r;
    const char *hash = r == 0 ? json_get_string(body, "hash", nobody_hash) : nobody_hash;
    bool right = crypto_pwhash_str_verify(hash, password, strlen(password)) == 0;
    if (!right || r < 0 || hash == nobody_hash)
        return -EACCES;
    *ret = user;
    return 0;
}

int user_create_first(struct store *s, char ret_password[USER_RANDOM_SIZE])
{
    CLEANUP(json_decrefp) json_t *rows = NULL;
    struct store_query query = {.kind = STORE_USER, .limit = 1};
    char password[USER_RANDOM_SIZE];
    int r = user_start();
    if (r == 0)
        r = store_find(s, &query, &rows, NULL);
    if (r < 0)
        return r;
    if (json_array_size(rows))
        return -EEXIST;
    user_password_random(password);
    r = user_add(s, "admin", ROLE_ADMIN, password, true, "first start", "");
    if (r == 0)
        memcpy(ret_password, password, sizeof(password));
    sodium_memzero(password, sizeof(password));
    return r;
}
