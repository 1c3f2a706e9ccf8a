#include "event/program.h"

#include <ctype.h>
#include <stdbool.h>
#include <string.h>

#include "base/cleanup.h"

static const char *const multi_call[] = {"busybox", "coreutils", "toybox"};
static const char *const interpreters[] = {"sh",   "dash", "bash", "ash",    "ksh", "zsh", "python",
                                           "perl", "node", "ruby", "nodejs", "php", "lua", "awk"};

static const char *base_name(const char *path)
{
    const char *slash = strrchr(path, '/');
    return slash ? slash + 1 : path;
}

/* Is the name that of the list, apart from a version ("python3.11")? */
static bool listed(const char *name, const char *const *list, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        size_t length = strlen(list[i]);
        if (!strncmp(name, list[i], length) && !name[length + strspn(name + length, "0123456789.")])
            return true;
    }
    return false;
}

static size_t key_add(char *key, size_t at, const char *text)
{
    for (; *text && at + 1 < PROGRAM_KEY_MAX; text++) {
        if (!isdigit((unsigned char)*text))
            key[at++] = *text;
        else if (at == 0 || key[at - 1] != '#')
            key[at++] = '#';
    }
    key[at] = 0;
    return at;
}

/* The argument after `at`, or NULL. Only whole ones: a cut one would be another name. */
static const char *argument_next(const char *arguments, size_t length, const char *at)
{
    const char *end = arguments + length;
    at += strnlen(at, (size_t)(end - at)) + 1;
    return at < end && memchr(at, 0, (size_t)(end - at)) ? at : NULL;
}

static size_t key_add_script(char *key, size_t at, const char *arguments, size_t length)
{
    const char *a = arguments;
    while ((a = argument_next(arguments, length, a))) {
        if (*a != '-')
            return key_add(key, key_add(key, at, " "), a);
        if (!strcmp(a, "-c") || !strcmp(a, "-e"))
            return key_add(key, key_add(key, at, " "), a);
        if (!strcmp(a, "-m")) {
            at = key_add(key, at, " -m ");
            a = argument_next(arguments, length, a);
            return a ? key_add(key, at, a) : at;
        }
    }
    return at;
}

void program_key(const char *path, const char *arguments, size_t length, char ret[PROGRAM_KEY_MAX])
{
    size_t at = key_add(ret, 0, *path ? path : PROGRAM_UNKNOWN);
    if (!length || !memchr(arguments, 0, length))
        return;
    const char *name = base_name(path);
    if (listed(name, multi_call, ARRAY_SIZE(multi_call))) {
        name = base_name(arguments);
        name += *name == '-'; /* a login shell */
        at = key_add(ret, key_add(ret, at, " "), name);
    }
    if (listed(name, interpreters, ARRAY_SIZE(interpreters)))
        key_add_script(ret, at, arguments, length);
}
