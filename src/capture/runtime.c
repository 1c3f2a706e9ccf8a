#include "capture/runtime.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/openat2.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>

void runtime_facts_done(struct runtime_facts *f)
{
    container_done(&f->c);
    free(f->hostname);
    if (f->args)
        json_decref(f->args);
    *f = (struct runtime_facts){0};
}

bool runtime_name_ok(const char *name)
{
    size_t n = strnlen(name, CGROUP_NAME_MAX + 1);
    return n > 0 && n <= CGROUP_NAME_MAX && !strchr(name, '/') && strcmp(name, ".") &&
           strcmp(name, "..");
}

/* The kernel itself refuses links and "..": no check of ours can be raced. */
static int open_beneath(int dir, const char *path, int flags)
{
    struct open_how how = {
        .flags = (uint64_t)(flags | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY),
        .resolve = RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS | RESOLVE_NO_MAGICLINKS,
    };
    long fd = syscall(SYS_openat2, dir, path, &how, sizeof(how));
    return fd < 0 ? -errno : (int)fd;
}

int runtime_open_dir(int at, const char *path, int *ret)
{
    /* The root of a runtime is the administrator's word: /var/lib/docker may be a link to a disk.
     */
    int fd = at == AT_FDCWD ? open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC)
                            : open_beneath(at, path, O_RDONLY | O_DIRECTORY);
    if (fd < 0)
        return at == AT_FDCWD ? -errno : fd;
    *ret = fd;
    return 0;
}

int runtime_reason(struct runtime_facts *f, int error, const char *what)
{
    static const struct {
        int error;
        const char *words;
    } words[] = {{-ELOOP, "is a symbolic link"},   {-EXDEV, "leads outside its directory"},
                 {-EFBIG, "is larger than 1 MiB"}, {-E2BIG, "is larger than 16 MiB"},
                 {-EBADMSG, "is not valid JSON"},  {-EACCES, "may not be read"},
                 {-EPERM, "may not be read"},      {-EISDIR, "is not a regular file"}};
    const char *why = NULL;
    for (size_t i = 0; i < ARRAY_SIZE(words) && !why; i++)
        why = words[i].error == error ? words[i].words : NULL;
    char text[CGROUP_NAME_MAX + 64];
    const char *base = strrchr(what, '/');
    snprintf(text, sizeof(text), "%s %s", base ? base + 1 : what, why ? why : strerror(-error));
    free(f->c.reason);
    f->c.reason = strdup(text);
    return error;
}

static int read_bounded(int fd, size_t size_max, char **ret, size_t *ret_size)
{
    struct stat st;
    if (fstat(fd, &st))
        return -errno;
    if (!S_ISREG(st.st_mode))
        return -EISDIR;
    int too_large = size_max == RUNTIME_LIST_MAX ? -E2BIG : -EFBIG;
    if ((size_t)st.st_size > size_max)
        return too_large;
    /* One byte more than allowed tells a file that grew meanwhile; size 0 is a file of procfs. */
    size_t room = st.st_size ? (size_t)st.st_size + 1 : size_max + 1, size = 0;
    CLEANUP(freep) char *text = malloc(room);
    if (!text)
        return -ENOMEM;
    while (size < room) {
        ssize_t n = read(fd, text + size, room - size);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return -errno;
        if (n == 0)
            break;
        size += (size_t)n;
    }
    if (size == room)
        return too_large;
    *ret = TAKE(text);
    *ret_size = size;
    return 0;
}

static int json_read(int dir, const char *path, size_t size_max, struct runtime_facts *f,
                     json_t **ret)
{
    CLEANUP(closep) int fd = open_beneath(dir, path, O_RDONLY);
    if (fd == -ENOENT || fd == -ENOTDIR)
        return -ENOENT;
    if (fd < 0)
        return runtime_reason(f, fd, path);
    CLEANUP(freep) char *text = NULL;
    size_t size = 0;
    int r = read_bounded(fd, size_max, &text, &size);
    if (r < 0)
        return runtime_reason(f, r, path);
    json_t *value = json_loadb(text, size, 0, NULL);
    if (!value)
        return runtime_reason(f, -EBADMSG, path);
    *ret = value;
    return 0;
}

int runtime_json(int dir, const char *path, struct runtime_facts *f, json_t **ret)
{
    return json_read(dir, path, RUNTIME_FILE_MAX, f, ret);
}

int runtime_list(int dir, const char *path, struct runtime_facts *f, json_t **ret)
{
    return json_read(dir, path, RUNTIME_LIST_MAX, f, ret);
}

int runtime_set(char **field, const char *value)
{
    if (!value)
        return 0;
    size_t n = strnlen(value, CONTAINER_STRING_MAX + 1);
    if (n > CONTAINER_STRING_MAX) {
        n = CONTAINER_STRING_MAX;
        while (n && ((unsigned char)value[n] & 0xc0) == 0x80)
            n--;
    }
    char *copy = strndup(value, n);
    if (!copy)
        return -ENOMEM;
    free(*field);
    *field = copy;
    return 0;
}

int runtime_label(struct container *c, const char *key, const char *value)
{
    if (c->n_labels == CONTAINER_LABELS_MAX)
        return 0;
    if (!c->labels && !(c->labels = calloc(CONTAINER_LABELS_MAX, sizeof(*c->labels))))
        return -ENOMEM;
    struct label l = {0};
    if (runtime_set(&l.key, key) || runtime_set(&l.value, value)) {
        free(l.key);
        return -ENOMEM;
    }
    c->labels[c->n_labels++] = l;
    return 0;
}

int runtime_labels(struct container *c, json_t *object)
{
    const char *key;
    json_t *value;
    json_object_foreach (object, key, value) {
        int r = json_is_string(value) ? runtime_label(c, key, json_string_value(value)) : 0;
        if (r < 0)
            return r;
    }
    return 0;
}

const char *runtime_text(json_t *object, const char *key)
{
    return json_string_value(json_object_get(object, key));
}

int runtime_oci(json_t *config, struct runtime_facts *f)
{
    json_t *args = json_object_get(json_object_get(config, "process"), "args");
    if (json_is_array(args)) {
        if (f->args)
            json_decref(f->args);
        f->args = json_incref(args);
    }
    return runtime_set(&f->hostname, runtime_text(config, "hostname"));
}

int runtime_each_entry(int dir, int (*f)(int dir, const char *name, void *arg), void *arg)
{
    int fd = openat(dir, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0)
        return -errno;
    DIR *d = fdopendir(fd);
    if (!d) {
        close(fd);
        return -ENOMEM;
    }
    int r = -ENOENT;
    struct dirent *e;
    for (int i = 0; r == -ENOENT && i < RUNTIME_ENTRIES_MAX && (e = readdir(d)); i++)
        if (runtime_name_ok(e->d_name))
            r = f(dir, e->d_name, arg);
    closedir(d);
    return r;
}

int runtime_find(const struct runtime_paths *paths, const struct runtime_query *q,
                 struct runtime_facts *ret)
{
    /* Docker and CRI run on containerd and runc, so they come first: they know names and images. */
    static const struct runtime *const families[] = {&runtime_docker, &runtime_storage,
                                                     &runtime_containerd, &runtime_runc};
    int error = -ENOENT;
    CLEANUP(freep) char *reason = NULL;
    for (size_t i = 0; i < ARRAY_SIZE(families); i++) {
        CLEANUP(runtime_facts_done) struct runtime_facts f = {0};
        int r = families[i]->find(paths, q, &f);
        if (r == 0) {
            *ret = f;
            f = (struct runtime_facts){0};
            return 0;
        }
        if (r != -ENOENT && error == -ENOENT) {
            error = r;
            reason = TAKE(f.c.reason);
        }
    }
    if (reason) {
        free(ret->c.reason);
        ret->c.reason = TAKE(reason);
    }
    return error;
}
