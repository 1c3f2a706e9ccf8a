/* Users of the SOC: names, roles and password hashes (argon2id) in the store. Changes write an
 * audit entry in the same commit. A user's generation changes with password and role: sessions
 * begun under another one are over, whichever process made the change. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "store/store.h"

enum role { ROLE_VIEWER, ROLE_ANALYST, ROLE_ADMIN, ROLES };
const char *role_name(enum role role); /* "viewer", "analyst", "admin" */
bool role_parse(const char *name, enum role *ret);

#define USER_NAME_MAX 63      /* a-z 0-9 . _ - @, beginning with a letter or digit */
#define USER_PASSWORD_MIN 10  /* characters */
#define USER_PASSWORD_MAX 256 /* bytes */
#define USER_RANDOM_SIZE 25   /* 5 x 4 characters with dashes, and NUL: 100 bit */
#define USER_GENERATION_SIZE 24

struct user {
    char name[USER_NAME_MAX + 1];
    char generation[USER_GENERATION_SIZE];
    enum role role;
    bool must_change; /* the password has to be changed before anything else */
    double unlocked;  /* wall s of `vigia user unlock`, 0 never: failures before it do not count */
};

/* Call once before anything else here; -EIO when libsodium cannot start. */
int user_start(void);
bool user_name_is_valid(const char *name);
/* Says in words what is wrong with a password; NULL when it will do. */
const char *user_password_problem(const char *name, const char *password);
void user_password_random(char ret[USER_RANDOM_SIZE]);

/* All log nothing for -EEXIST, -ENOENT and -EINVAL: the caller says it better. who, address: for
 * the audit log. */
int user_add(struct store *s, const char *name, enum role role, const char *password,
             bool must_change, const char *who, const char *address);
int user_set_password(struct store *s, const char *name, const char *password, bool must_change,
                      const char *who, const char *address);
/* These two: -EBUSY for the last admin. */
int user_set_role(struct store *s, const char *name, enum role role, const char *who,
                  const char *address);
int user_remove(struct store *s, const char *name, const char *who, const char *address);
int user_unlock(struct store *s, const char *name, const char *who, const char *address);
int user_get(struct store *s, const char *name, struct user *ret);
/* [{"name", "role", "must_change", "created", "changed"}], no hashes. */
int user_list(struct store *s, json_t **ret);
/* 0 and the user when the password is right; -EACCES otherwise, after the same work whether or not
 * there is such a user. Takes about 0.1 s and 64 MiB. */
int user_check(struct store *s, const char *name, const char *password, struct user *ret);

/* The first start: user "admin" with a random password, to be changed at first login. -EEXIST when
 * there are users already. */
int user_create_first(struct store *s, char ret_password[USER_RANDOM_SIZE]);
