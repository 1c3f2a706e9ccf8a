/* Sessions, brakes and users, each beside a clock that the test turns. */
#include "test.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "soc/json.h"
#include "soc/limit.h"
#include "soc/server.h"
#include "soc/session.h"
#include "soc/user.h"

static void sessions_end(void **state)
{
    (void)state;
    struct sessions *s;
    struct session session;
    char a[SESSION_TOKEN_SIZE], b[SESSION_TOKEN_SIZE];
    assert_int_equal(sessions_new(64, 100, 1000, &s), 0);
    session_begin(s, "ana", "g1", 0, a, &session);
    session_begin(s, "bob", "g2", 0, b, &session);
    assert_int_equal(strlen(a), SESSION_TOKEN_SIZE - 1);
    assert_string_not_equal(a, b);
    assert_string_not_equal(b, session.csrf);
    assert_int_equal(session_find(s, a, 99, &session), 0);
    assert_string_equal(session.name, "ana");
    assert_string_equal(session.generation, "g1");
    assert_int_equal(session_find(s, b, 101, &session), -ENOENT); /* idle */
    for (double t = 150; t <= 1000; t += 50)
        assert_int_equal(session_find(s, a, t, &session), 0);
    assert_int_equal(session_find(s, a, 1001, &session), -ENOENT); /* age */
    session_begin(s, "ana", "g1", 2000, a, &session);
    session_begin(s, "ana", "g1", 2000, b, &session);
    session_end(s, a);
    assert_int_equal(session_find(s, a, 2000, &session), -ENOENT);
    assert_int_equal(session_find(s, b, 2000, &session), 0);
    session_end_user(s, "ana");
    assert_int_equal(session_find(s, b, 2000, &session), -ENOENT);
    assert_int_equal(session_find(s, "", 2000, &session), -ENOENT);
    assert_int_equal(sessions_count(s, 2000), 0);
    sessions_free(s);
}

static void one_user_cannot_push_out_others(void **state)
{
    (void)state;
    struct sessions *s;
    struct session session;
    char first[SESSION_TOKEN_SIZE], token[SESSION_TOKEN_SIZE];
    assert_int_equal(sessions_new(64, 100, 1000, &s), 0);
    session_begin(s, "ana", "g", 0, first, &session);
    for (int i = 0; i < 500; i++)
        session_begin(s, "bob", "g", 1, token, &session);
    assert_int_equal(session_find(s, first, 2, &session), 0);
    assert_int_equal(session_find(s, token, 2, &session), 0);
    assert_int_equal(sessions_count(s, 2), 17);
    sessions_free(s);
}

static void attempts_wait_longer_and_longer(void **state)
{
    (void)state;
    const struct limit_rule rule = {3, 10, 60, 600};
    struct limit *l;
    assert_int_equal(limit_new(8, &l), 0);
    for (int i = 0; i < 3; i++)
        assert_true(limit_take(l, &rule, "ana", 100) == 0);
    assert_true(limit_take(l, &rule, "ana", 100) == 10);
    assert_true(limit_take(l, &rule, "ana", 105) == 5); /* asking does not make it longer */
    assert_true(limit_take(l, &rule, "bob", 105) == 0);
    assert_true(limit_take(l, &rule, "ana", 110) == 0);
    assert_true(limit_take(l, &rule, "ana", 110) == 20);
    for (double t = 130; t < 5000; t += 60)
        assert_true(limit_take(l, &rule, "ana", t) == 0); /* never longer than 60 */
    limit_clear(l, "ana");
    assert_true(limit_last(l, "ana") == 0);
    assert_true(limit_take(l, &rule, "ana", 5000) == 0);
    assert_true(limit_last(l, "ana") == 5000);
    assert_int_equal(limit_refused(l), 3);
    limit_free(l);
}

static void attempts_are_forgotten(void **state)
{
    (void)state;
    const struct limit_rule rule = {2, 1000, 1000, 600};
    struct limit *l;
    assert_int_equal(limit_new(8, &l), 0);
    limit_take(l, &rule, "ana", 0);
    limit_take(l, &rule, "ana", 0);
    assert_true(limit_take(l, &rule, "ana", 600) > 0);
    assert_true(limit_take(l, &rule, "ana", 601) == 0);
    limit_free(l);
}

/* A full table forgets what is longest unused, but nobody gets past a wait by trying many names:
 * one that has to wait stays, and with all waiting the next one waits with them. */
static void a_full_table_keeps_who_waits(void **state)
{
    (void)state;
    const struct limit_rule rule = {2, 1000, 1000, 1e6};
    struct limit *l;
    char name[32];
    assert_int_equal(limit_new(8, &l), 0);
    limit_take(l, &rule, "ana", 0);
    limit_take(l, &rule, "ana", 0);
    for (int i = 1; i < 100; i++) {
        snprintf(name, sizeof(name), "user %d", i);
        assert_true(limit_take(l, &rule, name, i) == 0);
    }
    assert_true(limit_take(l, &rule, "ana", 100) == 900);
    assert_true(limit_last(l, "user 93") == 93);
    assert_true(limit_last(l, "user 92") == 0);
    for (int i = 93; i < 100; i++) {
        snprintf(name, sizeof(name), "user %d", i);
        assert_true(limit_take(l, &rule, name, 200) == 0);
    }
    assert_true(limit_take(l, &rule, "bob", 200) == 800);
    assert_int_equal(limit_refused(l), 2);
    assert_true(limit_take(l, &rule, "bob", 1000) == 0);
    limit_free(l);
}

static struct store *store_new(char directory[64])
{
    char path[96];
    struct store *s;
    strcpy(directory, "/tmp/vigia-users-XXXXXX");
    assert_non_null(mkdtemp(directory));
    snprintf(path, sizeof(path), "%s/v.db", directory);
    assert_int_equal(store_open(NULL, &(struct store_options){.path = path}, &s), 0);
    return s;
}

static void store_remove(struct store *s, const char *directory)
{
    char command[96];
    store_close(s);
    snprintf(command, sizeof(command), "rm -r %s", directory);
    assert_int_equal(system(command), 0);
}

static void the_first_user(void **state)
{
    (void)state;
    char directory[64], password[USER_RANDOM_SIZE], again[USER_RANDOM_SIZE];
    struct store *s = store_new(directory);
    struct user user;
    assert_int_equal(user_create_first(s, password), 0);
    assert_int_equal(user_create_first(s, again), -EEXIST);
    assert_int_equal(strlen(password), USER_RANDOM_SIZE - 1);
    assert_int_equal(user_check(s, "admin", password, &user), 0);
    assert_true(user.must_change && user.role == ROLE_ADMIN);
    assert_int_equal(user_check(s, "admin", "wrong", &user), -EACCES);
    assert_int_equal(user_check(s, "nobody", password, &user), -EACCES);
    assert_int_equal(user_check(s, "../x", password, &user), -EACCES);
    assert_int_equal(user_remove(s, "admin", "t", ""), -EBUSY);
    assert_int_equal(user_set_role(s, "admin", ROLE_VIEWER, "t", ""), -EBUSY);
    assert_int_equal(user_set_role(s, "admin", ROLE_ADMIN, "t", ""), 0);
    assert_int_equal(user_check(s, "admin", password, &user), 0);
    assert_true(user.must_change && user.role == ROLE_ADMIN);
    store_remove(s, directory);
}

static void users_change(void **state)
{
    (void)state;
    char directory[64];
    struct store *s = store_new(directory);
    struct user user, before;
    json_auto_t *list = NULL;
    assert_int_equal(user_add(s, "ana", ROLE_ANALYST, "a fine password", false, "t", ""), 0);
    assert_int_equal(user_add(s, "ana", ROLE_ADMIN, "a fine password", false, "t", ""), -EEXIST);
    assert_int_equal(user_add(s, "Bad Name", ROLE_ADMIN, "a fine password", false, "t", ""),
                     -EINVAL);
    assert_int_equal(user_add(s, "bob", ROLE_ADMIN, "short", false, "t", ""), -EINVAL);
    assert_int_equal(user_get(s, "ana", &before), 0);
    assert_int_equal(user_set_password(s, "ana", "another fine one", false, "t", ""), 0);
    assert_int_equal(user_get(s, "ana", &user), 0);
    assert_string_not_equal(before.generation, user.generation);
    assert_true(user.role == ROLE_ANALYST);
    assert_int_equal(user_check(s, "ana", "a fine password", &user), -EACCES);
    assert_int_equal(user_unlock(s, "ana", "t", ""), 0);
    assert_int_equal(user_check(s, "ana", "another fine one", &user), 0);
    assert_true(user.unlocked > 0);
    before = user;
    assert_int_equal(user_set_role(s, "ana", ROLE_VIEWER, "t", ""), 0);
    assert_int_equal(user_check(s, "ana", "another fine one", &user), 0);
    assert_true(user.role == ROLE_VIEWER);
    assert_string_not_equal(before.generation, user.generation);
    assert_int_equal(user_set_role(s, "bob", ROLE_VIEWER, "t", ""), -ENOENT);
    assert_int_equal(user_set_role(s, "bob", ROLE_ADMIN, "t", ""), -ENOENT);
    assert_int_equal(user_list(s, &list), 0);
    assert_int_equal(json_array_size(list), 1);
    char *text = json_dumps(list, 0);
    assert_null(strstr(text, "argon2"));
    free(text);
    assert_int_equal(user_remove(s, "ana", "t", ""), 0);
    assert_int_equal(user_remove(s, "ana", "t", ""), -ENOENT);
    store_remove(s, directory);
}

static unsigned login(struct http *h, const char *origin, const char *name)
{
    json_auto_t *body = json_pack("{s:s, s:s}", "name", name, "password", "not the right one");
    struct request q = {.http = h,
                        .store = h->writer,
                        .body = body,
                        .address = origin,
                        .origin = origin,
                        .now = 1000};
    api_login(&q);
    unsigned status = q.reply.status;
    reply_done(&q.reply);
    return status;
}

/* With addresses enough any number of names can be tried; a user's attempts stay counted. */
static void other_names_do_not_push_out_a_user(void **state)
{
    (void)state;
    char directory[64], text[32];
    struct http h = {.writer = store_new(directory)};
    assert_int_equal(user_add(h.writer, "ana", ROLE_ANALYST, "a fine password", false, "t", ""), 0);
    assert_int_equal(limit_new(64, &h.addresses), 0);
    assert_int_equal(limit_new(4, &h.users), 0);
    assert_int_equal(limit_new(4, &h.strangers), 0);
    for (int i = 0; i < 4; i++)
        assert_int_equal(login(&h, "2001:db8::", "ana"), 401);
    for (int i = 0; i < 6; i++) {
        snprintf(text, sizeof(text), "2001:db8:0:%d::", i + 1);
        assert_int_equal(login(&h, text, text), 401);
    }
    assert_int_equal(login(&h, "2001:db8::", "ana"), 401);
    assert_int_equal(login(&h, "2001:db8::", "ana"), 429);
    limit_free(h.addresses);
    limit_free(h.users);
    limit_free(h.strangers);
    store_remove(h.writer, directory);
}

static void passwords_have_rules(void **state)
{
    (void)state;
    char large[300];
    assert_non_null(user_password_problem("ana", "123456789"));
    assert_null(user_password_problem("ana", "1234567890"));
    assert_non_null(user_password_problem("ana", "mariana's own"));
    assert_non_null(user_password_problem("ana", "aaaaaaaaaaaaaaaa"));
    assert_non_null(user_password_problem("ana", "\xc3\xa9\xc3\xa9\xc3\xa9\xc3\xa9z")); /* 5 */
    memset(large, 'a', sizeof(large) - 1);
    large[0] = 'b', large[sizeof(large) - 1] = '\0';
    assert_non_null(user_password_problem("zoe", large));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(sessions_end),
        cmocka_unit_test(one_user_cannot_push_out_others),
        cmocka_unit_test(attempts_wait_longer_and_longer),
        cmocka_unit_test(attempts_are_forgotten),
        cmocka_unit_test(a_full_table_keeps_who_waits),
        cmocka_unit_test(the_first_user),
        cmocka_unit_test(users_change),
        cmocka_unit_test(other_names_do_not_push_out_a_user),
        cmocka_unit_test(passwords_have_rules),
    };
    if (user_start() < 0)
        return 1;
    return cmocka_run_group_tests(tests, NULL, NULL);
}
