/* vigia user add|list|password|role|remove|unlock */
#include <errno.h>
#include <sodium.h>
#include <stdio.h>
#include <string.h>
#include <termios.h>

#include "cli/look.h"
#include "soc/json.h"
#include "soc/user.h"

#define LINE_LIMIT (USER_PASSWORD_MAX + 2)

struct options {
    struct command_common common;
    const char *action, *name;
    const char *role;
    bool random;
};

enum { KEY_RANDOM = 256 };

static const struct argp_option argp_options[] = {
    {"role", 'r', "ROLE", 0, "viewer (looks), analyst (judges alerts; default), admin", 0},
    {"random", KEY_RANDOM, NULL, 0,
     "Make a random password, print it once, and ask for another at the first login", 0},
    {0},
};

static error_t parse(int key, char *arg, struct argp_state *state)
{
    struct options *o = state->input;
    switch (key) {
    case ARGP_KEY_INIT:
        state->child_inputs[0] = &o->common;
        return 0;
    case 'r':
        o->role = arg;
        return 0;
    case KEY_RANDOM:
        o->random = true;
        return 0;
    case ARGP_KEY_ARG:
        if (state->arg_num == 0)
            o->action = arg;
        else if (state->arg_num == 1)
            o->name = arg;
        else
            argp_error(state, "too many arguments");
        return 0;
    case ARGP_KEY_END:
        if (!o->action)
            argp_error(state, "say what to do: add, list, password, role, remove or unlock");
        return 0;
    }
    return ARGP_ERR_UNKNOWN;
}

static const struct argp argp = {
    argp_options,
    parse,
    "add|list|password|role|remove|unlock [NAME]",
    "Manage who may use the web page and the API."
    "\v"
    "  add NAME       a new user; the password is asked for, or read from standard input\n"
    "  list           all users with their roles\n"
    "  password NAME  a new password; the user's sessions end\n"
    "  role NAME      the role that --role says; the user's sessions end; the last admin stays\n"
    "  remove NAME    the last admin stays\n"
    "  unlock NAME    forget wrong passwords, so that the user need not wait any longer\n\n"
    "Every change is written to the audit log. The server need not be restarted.\n\n"
    "With --json one object: name, done, and with --random password; of list one user a line.\n\n"
    "Examples:\n"
    "  vigia user add ana --role analyst\n"
    "  vigia user role ana --role admin\n"
    "  vigia user password admin --random\n"
    "  echo \"$PASSWORD\" | vigia user add ci --role viewer",
    command_common_child,
    NULL,
    NULL};

/* One line from standard input; without echo on a terminal. */
static int read_line(const char *prompt, char ret[LINE_LIMIT])
{
    struct termios old, quiet;
    bool terminal = tcgetattr(STDIN_FILENO, &old) == 0;
    if (terminal) {
        fprintf(stderr, "%s: ", prompt);
        quiet = old;
        quiet.c_lflag &= ~(tcflag_t)ECHO;
        tcsetattr(STDIN_FILENO, TCSAFLUSH, &quiet);
    }
    char *line = fgets(ret, LINE_LIMIT, stdin);
    if (terminal) {
        tcsetattr(STDIN_FILENO, TCSAFLUSH, &old);
        fputc('\n', stderr);
    }
    if (!line)
        return -ENODATA;
    ret[strcspn(ret, "\r\n")] = '\0';
    return 0;
}

/* Asks twice on a terminal. Says what is wrong: -EINVAL. */
static int read_password(const char *name, char ret[LINE_LIMIT])
{
    char again[LINE_LIMIT] = "";
    const char *problem = NULL;
    if (read_line("Password", ret) < 0)
        problem = "no password was given on standard input; --random makes one";
    else
        problem = user_password_problem(name, ret);
    if (!problem && isatty(STDIN_FILENO) &&
        (read_line("Once more", again) < 0 || strcmp(ret, again) != 0))
        problem = "the two passwords differ";
    sodium_memzero(again, sizeof(again));
    if (!problem)
        return 0;
    fprintf(stderr, "vigia user: %s\n", problem);
    return -EINVAL;
}

static int fail(const struct options *o, int r)
{
    if (r == -ENOENT)
        fprintf(stderr, "vigia user: there is no user '%s'; `vigia user list` shows all\n",
                o->name);
    else if (r == -EEXIST)
        fprintf(stderr,
                "vigia user: '%s' exists already; `vigia user password %s` changes the "
                "password\n",
                o->name, o->name);
    else if (r == -EBUSY)
        fprintf(stderr, "vigia user: '%s' is the last admin, and stays so\n", o->name);
    return r == -ENOENT || r == -EEXIST || r == -EBUSY ? EXIT_FOUND : EXIT_FAILED;
}

/* For people nothing but a new random password; else what was done. */
static void done(const struct options *o, const char *what, const char *password)
{
    if (o->common.json) {
        json_auto_t *said = json_pack("{s:s, s:s}", "name", o->name, "done", what);
        if (password)
            json_object_set_new(said, "password", json_string(password));
        look_print(said);
    } else if (password) {
        printf("%s's password, to be changed at the first login: %s\n", o->name, password);
    }
}

static int set_password(struct store *s, const struct options *o, enum role role)
{
    char password[LINE_LIMIT];
    int r = 0;
    if (o->random)
        user_password_random(password);
    else
        r = read_password(o->name, password);
    if (r < 0)
        return EXIT_FAILED;
    bool add = strcmp(o->action, "add") == 0;
    r = add ? user_add(s, o->name, role, password, o->random, look_actor(), LOOK_ADDRESS)
            : user_set_password(s, o->name, password, o->random, look_actor(), LOOK_ADDRESS);
    if (r == 0)
        done(o, add ? "added" : "password changed", o->random ? password : NULL);
    sodium_memzero(password, sizeof(password));
    return r < 0 ? fail(o, r) : EXIT_OK;
}

static int list(struct store *s, bool json)
{
    CLEANUP(json_decrefp) json_t *users = NULL;
    json_t *user;
    size_t i;
    if (user_list(s, &users) < 0)
        return EXIT_FAILED;
    if (!json)
        printf("%-24s %-8s %s\n", "NAME", "ROLE", "PASSWORD");
    json_array_foreach (users, i, user) {
        if (json) {
            look_print(user);
        } else {
            printf("%-24s %-8s %s\n", json_get_string(user, "name", ""),
                   json_get_string(user, "role", ""),
                   json_is_true(json_object_get(user, "must_change")) ? "has to be changed"
                                                                      : "set");
        }
    }
    return EXIT_OK;
}

static int act(struct store *s, const struct options *o)
{
    enum role role = ROLE_ANALYST;
    if (strcmp(o->action, "list") == 0)
        return list(s, o->common.json);
    if (!o->name || !user_name_is_valid(o->name)) {
        fprintf(stderr, "vigia user: give a name of a-z, 0-9, '.', '-', '_' and '@', at most %d\n",
                USER_NAME_MAX);
        return EXIT_FAILED;
    }
    if (o->role && !role_parse(o->role, &role)) {
        fprintf(stderr, "vigia user: there is no role '%s': viewer, analyst or admin\n", o->role);
        return EXIT_FAILED;
    }
    if (strcmp(o->action, "role") == 0 && !o->role) {
        fprintf(stderr, "vigia user: which role? --role viewer, analyst or admin\n");
        return EXIT_FAILED;
    }
    if (strcmp(o->action, "add") == 0 || strcmp(o->action, "password") == 0)
        return set_password(s, o, role);
    const char *what = "unlocked";
    int r;
    if (strcmp(o->action, "role") == 0) {
        what = "role changed";
        r = user_set_role(s, o->name, role, look_actor(), LOOK_ADDRESS);
    } else if (strcmp(o->action, "remove") == 0) {
        what = "removed";
        r = user_remove(s, o->name, look_actor(), LOOK_ADDRESS);
    } else {
        r = user_unlock(s, o->name, look_actor(), LOOK_ADDRESS);
    }
    if (r < 0)
        return fail(o, r);
    done(o, what, NULL);
    return EXIT_OK;
}

static int run(int argc, char **argv)
{
    static const char *const actions[] = {"add", "list", "password", "role", "remove", "unlock"};
    struct options o = {0};
    bool known = false;
    argp_parse(&argp, argc, argv, 0, NULL, &o);
    for (size_t i = 0; i < ARRAY_SIZE(actions); i++)
        known |= strcmp(o.action, actions[i]) == 0;
    if (!known) {
        fprintf(stderr,
                "vigia user: there is no action '%s': add, list, password, role, remove, unlock\n",
                o.action);
        return EXIT_FAILED;
    }
    CLEANUP(look_close) struct look l = {0};
    if (look_open(&o.common, strcmp(o.action, "list") != 0, &l) < 0 || user_start() < 0)
        return EXIT_FAILED;
    return act(l.store, &o);
}

const struct command command_user = {
    .name = "user", .group = "care", .summary = "Add, list, change and remove users", .run = run};
