#include "capture/pins.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <unistd.h>

#include <bpf/bpf.h>

#include "base/cleanup.h"
#include "base/crc.h"
#include "base/log.h"
#include "bpf/vigia.skel.h"

#define BPF_FS 0xcafe4a11

static const char *const map_names[KERNEL_MAPS] = {
    "control", "rings",      "records", "cgroups", "containers", "decisions",
    "seen",    "dictionary", "bins",    "state",   "programs"};

DEFINE_CLEANUP(closedir, DIR *)

/* Whatever differs in the kernel programs is another ABI: their bytes name it. */
static void abi_name(char ret[32])
{
    size_t size;
    const void *object = vigia_bpf__elf_bytes(&size);
    snprintf(ret, 32, "%d_%08x-", VIGIA_ABI, crc32c(object, size));
}

static int directory_lock(const char *path)
{
    CLEANUP(closep) int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    return fd >= 0 && !flock(fd, LOCK_EX | LOCK_NB) ? TAKE_FD(fd) : -1;
}

static void directory_remove(const char *path)
{
    CLEANUP(closedirp) DIR *d = opendir(path);
    if (!d)
        return;
    for (struct dirent *e; (e = readdir(d));)
        if (e->d_name[0] != '.')
            unlinkat(dirfd(d), e->d_name, 0);
    rmdir(path);
}

/* One agent at a time looks or makes: pins between their making and their lock are nobody's. */
static int directory_wait(const char *path)
{
    CLEANUP(closep) int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    return fd >= 0 && !flock(fd, LOCK_EX) ? TAKE_FD(fd) : -1;
}

int pins_find(struct kernel *k, const char *directory, uint64_t wanted)
{
    char abi[32], path[sizeof(k->pin)];
    int error = -ENOENT;
    abi_name(abi);
    CLEANUP(closep) int turn = directory_wait(directory);
    CLEANUP(closedirp) DIR *d = turn < 0 ? NULL : opendir(directory);
    if (!d)
        return error;
    if (snprintf(path, sizeof(path), "%s/%s%016lx", directory, abi, (unsigned long)wanted) <
        (int)sizeof(path))
        k->lock = directory_lock(path);
    if (k->lock >= 0) {
        snprintf(k->pin, sizeof(k->pin), "%s", path);
        error = 0;
    }
    for (struct dirent *e; (e = readdir(d));) {
        if (e->d_name[0] < '0' || e->d_name[0] > '9' ||
            snprintf(path, sizeof(path), "%s/%s", directory, e->d_name) >= (int)sizeof(path))
            continue;
        CLEANUP(closep) int lock = directory_lock(path);
        if (lock < 0)
            continue; /* another agent's */
        if (strncmp(e->d_name, abi, strlen(abi))) {
            directory_remove(path); /* of another version: its rings cannot be read by this one */
            k->upgraded = true;
        } else if (error) {
            k->lock = TAKE_FD(lock);
            snprintf(k->pin, sizeof(k->pin), "%s", path);
            error = 0;
        }
    }
    return error;
}

static int pin_get(const struct kernel *k, const char *name)
{
    char path[512];
    snprintf(path, sizeof(path), "%s/%s", k->pin, name);
    return bpf_obj_get(path);
}

static int pin_put(const struct kernel *k, const char *name, int fd)
{
    char path[512];
    snprintf(path, sizeof(path), "%s/%s", k->pin, name);
    return bpf_obj_pin(fd, path);
}

int pins_open(struct kernel *k)
{
    for (int i = 0; i < KERNEL_MAPS; i++) {
        k->maps[i] = pin_get(k, map_names[i]);
        if (k->maps[i] < 0)
            return -ENOENT;
    }
    k->exit_program = pin_get(k, "exit");
    k->enter_program = pin_get(k, "enter");
    CLEANUP(closep) int complete = pin_get(k, "link0");
    return k->exit_program < 0 || k->enter_program < 0 || complete < 0 ? -ENOENT : 0;
}

int pins_open_ring(const struct kernel *k, uint32_t cpu)
{
    char name[32];
    snprintf(name, sizeof(name), "ring%u", cpu);
    return pin_get(k, name);
}

void pins_add_ring(const struct kernel *k, uint32_t cpu)
{
    char name[32];
    snprintf(name, sizeof(name), "ring%u", cpu);
    if (*k->pin && pin_put(k, name, k->rings[cpu].fd))
        log_warn("pinning the ring of CPU %u: %s", cpu, strerror(errno));
}

static int pins_put_all(struct kernel *k)
{
    for (int i = 0; i < KERNEL_MAPS; i++)
        if (pin_put(k, map_names[i], k->maps[i]))
            return -errno;
    if (pin_put(k, "exit", k->exit_program) || pin_put(k, "enter", k->enter_program))
        return -errno;
    for (uint32_t cpu = 0; cpu < k->cpus; cpu++)
        if (k->rings[cpu].header)
            pins_add_ring(k, cpu);
    for (uint32_t i = k->n_links; i-- > 0;) { /* link0 last: it says that all is there */
        char name[32];
        snprintf(name, sizeof(name), "link%u", i);
        if (pin_put(k, name, k->links[i]))
            return -errno;
    }
    return 0;
}

int pins_make(struct kernel *k, const char *directory)
{
    CLEANUP(freep) char *parent = strdup(directory);
    if (!parent)
        return -ENOMEM;
    char *slash = strrchr(parent, '/');
    if (slash && slash != parent)
        *slash = 0;
    struct statfs fs;
    if (statfs(parent, &fs) || (unsigned long)fs.f_type != BPF_FS)
        return -ENODEV;
    if (mkdir(directory, 0700) && errno != EEXIST)
        return -errno;
    CLEANUP(closep) int turn = directory_wait(directory);
    char abi[32];
    abi_name(abi);
    if (snprintf(k->pin, sizeof(k->pin), "%s/%s%016lx", directory, abi,
                 (unsigned long)k->capture_id) >= (int)sizeof(k->pin)) {
        k->pin[0] = 0;
        return -ENAMETOOLONG;
    }
    int error = mkdir(k->pin, 0700) ? -errno : 0;
    k->lock = error ? -1 : directory_lock(k->pin);
    closep(&turn);
    turn = -1;
    if (!error)
        error = pins_put_all(k);
    if (error) {
        pins_remove(k);
        k->pin[0] = 0;
    }
    return error;
}

void pins_remove(const struct kernel *k)
{
    if (!*k->pin)
        return;
    directory_remove(k->pin);
    /* The directory of all captures goes with its last one. */
    char parent[PATH_MAX];
    snprintf(parent, sizeof(parent), "%s", k->pin);
    *strrchr(parent, '/') = 0;
    rmdir(parent);
}
