#include "cli/box.h"

#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <jansson.h>
#include <sched.h>
#include <signal.h>
#include <string.h>
#include <sys/sendfile.h>
#include <sys/stat.h>
#include <time.h>

#include "base/log.h"
#include "cli/child.h"

#define PATH_BYTES 1024
#define CGROUP_NAME_BYTES 256
#define LDD_MAX (64 << 10)
#define STOP_GRACE_MS 1000

struct box {
    char *name, *bundle, *root, *log, *pid_file;
    json_t *args;
    pid_t pid;
};

static int fail(const char *what, const char *path)
{
    int error = errno;
    log_error("container from this machine's files: %s %s: %s", what, path, strerror(error));
    return -error;
}

static int find_program(const char *name, char ret[PATH_BYTES])
{
    static const char *const places[] = {"/usr/bin", "/usr/sbin", "/usr/local/bin",
                                         "/usr/local/sbin"};
    if (name[0] == '/') {
        snprintf(ret, PATH_BYTES, "%s", name);
        return access(ret, X_OK) ? -ENOENT : 0;
    }
    for (size_t i = 0; i < ARRAY_SIZE(places); i++) {
        snprintf(ret, PATH_BYTES, "%s/%s", places[i], name);
        if (!access(ret, X_OK))
            return 0;
    }
    return -ENOENT;
}

int box_probe(char *why, unsigned size)
{
    char path[PATH_BYTES];
    if (geteuid() != 0) {
        snprintf(why, size, "only root can start containers: run this with sudo");
        return -EPERM;
    }
    if (find_program("runc", path)) {
        snprintf(why, size, "runc is not installed: apt-get install runc");
        return -ENOENT;
    }
    if (find_program("ldd", path)) {
        snprintf(why, size, "ldd is not installed: apt-get install libc-bin");
        return -ENOENT;
    }
    return 0;
}

static int make_directories(char *path)
{
    for (char *p = strchr(path + 1, '/'); p; p = strchr(p + 1, '/')) {
        *p = '\0';
        int r = mkdir(path, 0755) && errno != EEXIST ? fail("making", path) : 0;
        *p = '/';
        if (r < 0)
            return r;
    }
    return 0;
}

static int inside(const struct box *b, const char *path, char ret[PATH_BYTES])
{
    if (path[0] != '/' || strstr(path, "/../") ||
        snprintf(ret, PATH_BYTES, "%s%s", b->root, path) >= PATH_BYTES)
        return -EINVAL;
    return make_directories(ret);
}

static int copy_file(const struct box *b, const char *from)
{
    char to[PATH_BYTES];
    struct stat st;
    int r = inside(b, from, to);
    if (r < 0)
        return r;
    if (!access(to, F_OK))
        return 0;
    CLEANUP(closep) int in = open(from, O_RDONLY | O_CLOEXEC);
    if (in < 0 || fstat(in, &st))
        return fail("reading", from);
    CLEANUP(closep) int out = open(to, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, st.st_mode & 0755);
    if (out < 0)
        return fail("writing", to);
    for (off_t left = st.st_size; left > 0;) {
        ssize_t n = sendfile(out, in, NULL, (size_t)left);
        if (n <= 0)
            return fail("writing", to);
        left -= n;
    }
    return fchmod(out, st.st_mode & 0755) ? fail("writing", to) : 0;
}

/* ldd prints "name => /path (address)" or "/path (address)" a line. */
static int copy_libraries(const struct box *b, const char *program)
{
    const char *const argv[] = {"ldd", program, NULL};
    CLEANUP(freep) char *text = NULL;
    char *rest = NULL;
    int r = child_output(argv, NULL, LDD_MAX, &text);
    if (r != 0) /* a static program: it needs nothing else */
        return r < 0 ? r : 0;
    for (char *line = strtok_r(text, "\n", &rest); line; line = strtok_r(NULL, "\n", &rest)) {
        char *path = strchr(line, '/');
        if (!path)
            continue;
        path[strcspn(path, " \t")] = '\0';
        r = copy_file(b, path);
        if (r < 0)
            return r;
    }
    return 0;
}

int box_add_program(struct box *b, const char *program)
{
    char path[PATH_BYTES];
    int r = find_program(program, path);
    if (r < 0) {
        log_error("container from this machine's files: the program %s is not installed", program);
        return r;
    }
    r = copy_file(b, path);
    return r < 0 ? r : copy_libraries(b, path);
}

int box_add_programs(struct box *b, const char *const *programs)
{
    int r = 0;
    for (size_t i = 0; programs[i] && r == 0; i++)
        r = box_add_program(b, programs[i]);
    return r;
}

int box_add_directory(struct box *b, const char *path, mode_t mode)
{
    char to[PATH_BYTES];
    int r = inside(b, path, to);
    if (r < 0)
        return r;
    if (mkdir(to, 0755) && errno != EEXIST)
        return fail("making", to);
    return chmod(to, mode) ? fail("making", to) : 0;
}

static int write_file(const char *path, mode_t mode, const char *text)
{
    CLEANUP(closep) int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, mode);
    size_t size = strlen(text);
    if (fd < 0 || write(fd, text, size) != (ssize_t)size || fchmod(fd, mode))
        return fail("writing", path);
    return 0;
}

int box_add_file(struct box *b, const char *path, mode_t mode, const char *text)
{
    char to[PATH_BYTES];
    int r = inside(b, path, to);
    return r < 0 ? r : write_file(to, mode, text);
}

/* What every program expects to find. The shadow file is made up, not this machine's. */
static int add_skeleton(struct box *b)
{
    static const char *const links[][2] = {{"bin", "usr/bin"},
                                           {"sbin", "usr/sbin"},
                                           {"lib", "usr/lib"},
                                           {"lib64", "usr/lib64"},
                                           {"usr/bin/sh", "dash"}};
    static const char *const directories[] = {"/usr/bin/", "/usr/sbin/", "/usr/lib/", "/usr/lib64/",
                                              "/etc/",     "/proc/",     "/sys/",     "/dev/",
                                              "/run/",     "/var/"};
    char path[PATH_BYTES];
    for (size_t i = 0; i < ARRAY_SIZE(directories); i++) {
        int r = inside(b, directories[i], path);
        if (r < 0)
            return r;
    }
    for (size_t i = 0; i < ARRAY_SIZE(links); i++) {
        snprintf(path, sizeof(path), "%s/%s", b->root, links[i][0]);
        if (symlink(links[i][1], path))
            return fail("linking", path);
    }
    int r = box_add_directory(b, "/tmp", 01777);
    r = r < 0 ? r : box_add_directory(b, "/root", 0700);
    r = r < 0 ? r
              : box_add_file(
                    b, "/etc/passwd", 0644,
                    "root:x:0:0:root:/root:/bin/sh\nwww-data:x:33:33:www:/var/www:/bin/false\n");
    r = r < 0 ? r : box_add_file(b, "/etc/group", 0644, "root:x:0:\nwww-data:x:33:\n");
    r = r < 0 ? r
              : box_add_file(b, "/etc/shadow", 0640,
                             "root:$y$j9T$made.up.for.this.container$0:19700:0:99999:7:::\n");
    r = r < 0 ? r : box_add_file(b, "/etc/hosts", 0644, "127.0.0.1 localhost\n");
    return r < 0 ? r : box_add_file(b, "/etc/nsswitch.conf", 0644, "passwd: files\nhosts: files\n");
}

static json_t *mount(const char *type, const char *where, const char *options)
{
    json_t *list = json_array();
    for (const char *o = options; *o; o += strcspn(o, ","), o += *o == ',')
        json_array_append_new(list, json_stringn(o, strcspn(o, ",")));
    return json_pack("{s:s, s:s, s:s, s:o}", "destination", where, "type", type, "source", type,
                     "options", list);
}

/* OCI runtime specification 1.0.2, as `runc spec` writes it, with fewer capabilities than Docker
 * gives and limits that need no CAP_SYS_RESOURCE. */
static json_t *config_of(const struct box *b)
{
    static const char *const spaces[] = {"pid", "network", "ipc", "uts", "mount"};
    json_t *capabilities = json_pack("[s,s,s,s,s,s]", "CAP_CHOWN", "CAP_DAC_OVERRIDE", "CAP_KILL",
                                     "CAP_SETGID", "CAP_SETUID", "CAP_NET_BIND_SERVICE");
    json_t *namespaces = json_array();
    for (size_t i = 0; i < ARRAY_SIZE(spaces); i++)
        json_array_append_new(namespaces, json_pack("{s:s}", "type", spaces[i]));
    json_t *process = json_pack(
        "{s:b, s:{s:i, s:i}, s:O, s:[s,s], s:s, s:{s:O, s:O, s:o}, s:[{s:s, s:i, s:i}], s:b}",
        "terminal", 0, "user", "uid", 0, "gid", 0, "args", b->args, "env",
        "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "LANG=C.UTF-8", "cwd",
        "/", "capabilities", "bounding", capabilities, "effective", capabilities, "permitted",
        capabilities, "rlimits", "type", "RLIMIT_NOFILE", "hard", 4096, "soft", 4096,
        "noNewPrivileges", 1);
    json_t *mounts =
        json_pack("[o,o,o,o,o]", mount("proc", "/proc", "nosuid,noexec,nodev"),
                  mount("tmpfs", "/dev", "nosuid,strictatime,mode=755,size=65536k"),
                  mount("devpts", "/dev/pts", "nosuid,noexec,newinstance,ptmxmode=0666,mode=0620"),
                  mount("tmpfs", "/dev/shm", "nosuid,noexec,nodev,mode=1777,size=65536k"),
                  mount("sysfs", "/sys", "nosuid,noexec,nodev,ro"));
    /* At the top, whatever session or service it is started from. */
    char cgroup[CGROUP_NAME_BYTES];
    snprintf(cgroup, sizeof(cgroup), "/%s", b->name);
    return json_pack("{s:s, s:o, s:{s:s, s:b}, s:s, s:o, s:{s:s, s:{s:[{s:b, s:s}]}, s:o, "
                     "s:[s,s,s], s:[s,s,s]}}",
                     "ociVersion", "1.0.2", "process", process, "root", "path", "rootfs",
                     "readonly", 0, "hostname", b->name, "mounts", mounts, "linux", "cgroupsPath",
                     cgroup, "resources", "devices", "allow", 0, "access", "rwm", "namespaces",
                     namespaces, "maskedPaths", "/proc/kcore", "/proc/keys", "/sys/firmware",
                     "readonlyPaths", "/proc/bus", "/proc/sys", "/proc/sysrq-trigger");
}

static int write_config(const struct box *b)
{
    char path[PATH_BYTES];
    json_t *config = config_of(b);
    CLEANUP(freep) char *text = config ? json_dumps(config, JSON_INDENT(1)) : NULL;
    json_decref(config);
    if (!text)
        return -ENOMEM;
    snprintf(path, sizeof(path), "%s/config.json", b->bundle);
    return write_file(path, 0644, text);
}

int box_new(const char *directory, const char *name, const char *const *args, struct box **ret)
{
    CLEANUP(box_freep) struct box *b = calloc(1, sizeof(*b));
    if (!b || asprintf(&b->bundle, "%s/%s", directory, name) < 0 ||
        asprintf(&b->root, "%s/rootfs", b->bundle) < 0 ||
        asprintf(&b->log, "%s.log", b->bundle) < 0 ||
        asprintf(&b->pid_file, "%s.pid", b->bundle) < 0 || !(b->args = json_array()) ||
        !(b->name = strdup(name)))
        return -ENOMEM;
    for (size_t i = 0; args[i]; i++)
        json_array_append_new(b->args, json_string(args[i]));
    if (mkdir(b->bundle, 0755) || mkdir(b->root, 0755))
        return fail("making", b->bundle);
    int r = add_skeleton(b);
    r = r < 0 ? r : write_config(b);
    if (r < 0)
        return r;
    *ret = TAKE(b);
    return 0;
}

static int read_pid(struct box *b)
{
    CLEANUP(fclosep) FILE *f = fopen(b->pid_file, "re");
    int pid;
    if (!f || fscanf(f, "%d", &pid) != 1)
        return fail("reading", b->pid_file);
    b->pid = pid;
    return 0;
}

int box_start(struct box *b)
{
    const char *const argv[] = {"runc",       "run",       "--detach", "--bundle", b->bundle,
                                "--pid-file", b->pid_file, b->name,    NULL};
    int r = child_run(argv, b->log);
    if (r == 0)
        return read_pid(b);
    log_error("runc did not start the container %s (%s); see %s", b->name,
              r < 0 ? strerror(-r) : "it said why", b->log);
    return r < 0 ? r : -EIO;
}

static bool alive(pid_t pid)
{
    return kill(pid, 0) == 0;
}

int box_stop(struct box *b)
{
    const char *const term[] = {"runc", "kill", b->name, "TERM", NULL};
    const char *const delete[] = {"runc", "delete", "--force", b->name, NULL};
    const struct timespec step = {.tv_nsec = 20 * 1000 * 1000};
    if (!b->pid)
        return 0;
    child_run(term, b->log);
    for (unsigned waited = 0; alive(b->pid) && waited < STOP_GRACE_MS; waited += 20)
        nanosleep(&step, NULL);
    b->pid = 0;
    int r = child_run(delete, b->log);
    if (r == 0)
        return 0;
    log_error("runc did not delete the container %s; see %s", b->name, b->log);
    return r < 0 ? r : -EIO;
}

static int drop(const char *path, const struct stat *st, int type, struct FTW *ftw)
{
    (void)st, (void)type, (void)ftw;
    return remove(path) && errno != ENOENT ? -1 : 0;
}

void box_free(struct box *b)
{
    if (!b)
        return;
    if (b->pid)
        box_stop(b);
    if (b->bundle)
        nftw(b->bundle, drop, 32, FTW_DEPTH | FTW_PHYS | FTW_MOUNT);
    json_decref(b->args);
    free(b->name), free(b->bundle), free(b->root), free(b->log), free(b->pid_file);
    free(b);
}

const char *box_root(const struct box *b)
{
    return b->root;
}

pid_t box_pid(const struct box *b)
{
    return b->pid;
}

int box_enter_network(pid_t pid)
{
    char path[64];
    snprintf(path, sizeof(path), "/proc/%d/ns/net", pid);
    CLEANUP(closep) int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0 || setns(fd, CLONE_NEWNET))
        return -errno;
    return 0;
}
