/* The files of real runtimes, written into a temporary directory: proc, cgroup, run, docker,
 * podman. */
#include "test.h"

#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/clock.h"
#include "capture/cgroup.h"
#include "capture/containers.h"
#include "capture/workload.h"

#define A "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
#define B "bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb"
#define D "dddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddd"
#define F "ffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff"
#define POD "/kubepods/burstable/pod8a7b6c5d-1111-2222-3333-444455556666"

struct tree {
    char root[64];
    char proc[96], cgroup[96], run[96], docker[96], podman[96];
};

static void make_parents(char *path)
{
    for (char *p = strchr(path + 1, '/'); p; p = strchr(p + 1, '/')) {
        *p = '\0';
        mkdir(path, 0755);
        *p = '/';
    }
}

static void put_bytes(struct tree *t, const char *name, const void *data, size_t size)
{
    char path[1024];
    snprintf(path, sizeof(path), "%s/%s", t->root, name);
    make_parents(path);
    FILE *f = fopen(path, "w");
    assert_non_null(f);
    assert_int_equal(fwrite(data, 1, size, f), size);
    fclose(f);
}

static void put(struct tree *t, const char *name, const char *text)
{
    put_bytes(t, name, text, strlen(text));
}

static void put_directory(struct tree *t, const char *name)
{
    char path[1024];
    snprintf(path, sizeof(path), "%s/%s/", t->root, name);
    make_parents(path);
}

static int setup(void **state)
{
    static struct tree t;
    snprintf(t.root, sizeof(t.root), "/tmp/vigia-test-containers-XXXXXX");
    if (!mkdtemp(t.root))
        return -1;
    snprintf(t.proc, sizeof(t.proc), "%s/proc", t.root);
    snprintf(t.cgroup, sizeof(t.cgroup), "%s/cgroup", t.root);
    snprintf(t.run, sizeof(t.run), "%s/run", t.root);
    snprintf(t.docker, sizeof(t.docker), "%s/docker", t.root);
    snprintf(t.podman, sizeof(t.podman), "%s/podman", t.root);
    put_directory(&t, "proc");
    *state = &t;
    return 0;
}

static int drop(const char *path, const struct stat *st, int type, struct FTW *ftw)
{
    (void)st, (void)type, (void)ftw;
    return remove(path);
}

static int teardown(void **state)
{
    struct tree *t = *state;
    return nftw(t->root, drop, 16, FTW_DEPTH | FTW_PHYS);
}

static struct containers *make(struct tree *t, struct containers_options o)
{
    struct containers *c;
    o.proc = t->proc, o.cgroup = t->cgroup, o.run = t->run, o.docker = t->docker,
    o.podman = t->podman;
    assert_int_equal(containers_new(&o, &c), 0);
    return c;
}

static void process(struct tree *t, int pid, const char *lines)
{
    char name[64];
    snprintf(name, sizeof(name), "proc/%d/cgroup", pid);
    put(t, name, lines);
}

/* containerd's CRI plugin, as read on a node of Kubernetes 1.34 with containerd 1.6. */
static const char cri_config[] =
    "{\"ociVersion\":\"1.0.2-dev\",\"process\":{\"args\":[\"nginx\",\"-g\",\"daemon off;\"],"
    "\"env\":[\"PATH=/usr/bin\",\"HOSTNAME=web-7d4b9c6f5-x2x9z\"],\"cwd\":\"/\"},"
    "\"root\":{\"path\":\"rootfs\"},\"annotations\":{"
    "\"io.kubernetes.cri.container-name\":\"nginx\",\"io.kubernetes.cri.container-type\":"
    "\"container\","
    "\"io.kubernetes.cri.image-name\":\"docker.io/library/nginx:1.25\","
    "\"io.kubernetes.cri.sandbox-id\":\"" B "\",\"io.kubernetes.cri.sandbox-name\":"
    "\"web-7d4b9c6f5-x2x9z\",\"io.kubernetes.cri.sandbox-namespace\":\"shop\","
    "\"io.kubernetes.cri.sandbox-uid\":\"8a7b6c5d-1111-2222-3333-444455556666\"},"
    "\"linux\":{\"cgroupsPath\":\"" POD "/" A "\"}}";
static const char cri_sandbox[] =
    "{\"process\":{\"args\":[\"/pause\"]},\"hostname\":\"web-7d4b9c6f5-x2x9z\",\"annotations\":{"
    "\"io.kubernetes.cri.container-type\":\"sandbox\",\"io.kubernetes.cri.sandbox-id\":\"" B "\","
    "\"io.kubernetes.cri.sandbox-name\":\"web-7d4b9c6f5-x2x9z\","
    "\"io.kubernetes.cri.sandbox-namespace\":\"shop\"}}";
static const char docker_config[] =
    "{\"StreamConfig\":{},\"State\":{\"Running\":true,\"Pid\":4711},\"ID\":\"" A "\",\"Created\":"
    "\"2026-01-02T03:04:05.678Z\",\"Path\":\"docker-entrypoint.sh\",\"Args\":[\"redis-server\","
    "\"--announce\",\"f00dcafe1234\"],\"Config\":{\"Hostname\":\"f00dcafe1234\",\"Env\":[\"A=b\"],"
    "\"Cmd\":[\"redis-server\"],\"Image\":\"redis:7.0\",\"Labels\":{\"team\":\"shop\"}},"
    "\"Image\":\"sha256:0123\",\"Name\":\"/cache\",\"Driver\":\"overlay2\"}";

#define BUNDLE_TASK(ns, id) "run/containerd/io.containerd.runtime.v2.task/" ns "/" id "/config.json"

static void containerd_pod_in_mixed_cgroups(void **state)
{
    struct tree *t = *state;
    put(t, BUNDLE_TASK("k8s.io", A), cri_config);
    put(t, BUNDLE_TASK("k8s.io", B), cri_sandbox);
    process(t, 1, "2:pids:/init.scope\n1:name=systemd:/init.scope\n0::/init.scope\n");
    process(t, 50, "2:pids:/system.slice/ssh.service\n0::/system.slice/ssh.service\n");
    process(t, 100, "9:pids:" POD "/" A "\n0::" POD "/" A "\n");
    process(t, 101, "9:pids:" POD "/" A "\n0::" POD "/" A "\n");
    process(t, 102, "9:pids:" POD "/" B "\n0::" POD "/" B "\n");
    put_directory(t, "cgroup/unified" POD "/" A);
    put_directory(t, "cgroup/pids" POD "/" A);

    struct containers *c = make(t, (struct containers_options){0});
    uint32_t next = 7;
    assert_int_equal(containers_scan(c, 1000, &next), 0);
    assert_int_equal(containers_count(c), 2);
    assert_int_equal(next, 9);
    struct stat st;
    char path[512];
    snprintf(path, sizeof(path), "%s/unified" POD "/" A, t->cgroup);
    assert_int_equal(stat(path, &st), 0);
    for (uint32_t i = 0; i < 2; i++) {
        const struct container *k = containers_at(c, i);
        assert_int_equal(k->state, CONTAINER_RUNNING);
        assert_true(k->attached && k->wanted);
        assert_string_equal(k->runtime, "containerd");
        assert_string_equal(k->namespace_, "shop");
        assert_string_equal(k->pod, "web-7d4b9c6f5-x2x9z");
        assert_string_equal(k->owner, "Deployment/web");
        if (k->sandbox) {
            assert_string_equal(k->id, B);
            assert_string_equal(k->workload, "shop/web/(sandbox)");
            continue;
        }
        assert_string_equal(k->id, A);
        assert_string_equal(k->name, "nginx");
        assert_string_equal(k->image, "docker.io/library/nginx:1.25");
        assert_string_equal(k->version, "1.25");
        assert_string_equal(k->command, "nginx -g daemon off;");
        assert_string_equal(k->workload, "shop/web/nginx");
        assert_true(k->cgroup_id == st.st_ino);
        assert_string_equal(containers_hierarchy(c, k->number), "unified");
    }
    containers_free(c);
}

static void docker_on_v2_and_on_v1(void **state)
{
    struct tree *t = *state;
    put(t, "docker/containers/" A "/config.v2.json", docker_config);
    process(t, 100, "0::/system.slice/docker-" A ".scope\n");
    put(t, "cgroup/cgroup.controllers", "pids memory\n");
    put_directory(t, "cgroup/system.slice/docker-" A ".scope");
    struct containers *c = make(t, (struct containers_options){0});
    uint32_t next = 1;
    assert_int_equal(containers_scan(c, 1000, &next), 0);
    assert_int_equal(containers_count(c), 1);
    const struct container *k = containers_get(c, 1);
    assert_string_equal(k->runtime, "docker");
    assert_string_equal(k->name, "cache");
    assert_string_equal(k->image, "redis:7.0");
    assert_string_equal(k->command, "docker-entrypoint.sh redis-server --announce f00dcafe1234");
    assert_true(k->cgroup_id != 0);
    char workload[128];
    snprintf(workload, sizeof(workload), "%s", k->workload);
    assert_int_equal(strncmp(workload, "redis#", 6), 0);
    containers_free(c);

    /* A replica has another host name, and the other layout: the same workload. */
    char text[sizeof(docker_config)];
    strcpy(text, docker_config);
    for (char *p; (p = strstr(text, "f00dcafe1234"));)
        memcpy(p, "beefbeefbeef", 12);
    teardown(state);
    setup(state);
    put(t, "docker/containers/" A "/config.v2.json", text);
    process(t, 100, "4:pids:/docker/" A "\n3:memory:/x/docker/" A "\n0::/\n");
    put_directory(t, "cgroup/pids/docker/" A);
    c = make(t, (struct containers_options){.workload_label = "absent"});
    assert_int_equal(containers_scan(c, 1000, &next), 0);
    assert_int_equal(containers_count(c), 1);
    k = containers_at(c, 0);
    assert_string_equal(k->workload, workload);
    assert_true(k->cgroup_id != 0);
    assert_string_equal(containers_hierarchy(c, k->number), "pids");
    containers_free(c);
}

static void docker_without_its_data_directory(void **state)
{
    struct tree *t = *state;
    put(t, BUNDLE_TASK("moby", A), "{\"process\":{\"args\":[\"sh\"]},\"hostname\":\"x\"}");
    struct containers *c = make(t, (struct containers_options){0});
    struct container *changed;
    uint32_t n;
    assert_non_null(containers_add(c, 1, 99, "/docker/" A, 0));
    assert_int_equal(containers_poll(c, 0, &changed, &n), 0);
    assert_int_equal(n, 1);
    assert_string_equal(changed[0].runtime, "docker");
    assert_string_equal(changed[0].command, "sh");
    container_done(&changed[0]);
    free(changed);
    containers_free(c);
}

static void podman_and_crio(void **state)
{
    struct tree *t = *state;
    put(t, "podman/storage/overlay-containers/" A "/userdata/config.json",
        "{\"process\":{\"args\":[\"httpd\",\"-f\"]},\"annotations\":{\"io.container.manager\":"
        "\"libpod\"}}");
    put(t, "podman/storage/overlay-containers/containers.json",
        "[{\"id\":\"" B "\",\"names\":[\"other\"]},{\"id\":\"" A
        "\",\"names\":[\"web\"],\"image\":\"12\","
        "\"metadata\":\"{\\\"image-name\\\":\\\"docker.io/library/busybox:1.35\\\","
        "\\\"name\\\":\\\"web\\\"}\"}]");
    put(t, "run/containers/storage/overlay-containers/" D "/userdata/config.json",
        "{\"process\":{\"args\":[\"server\"]},\"annotations\":{\"io.kubernetes.cri-o."
        "ContainerType\":"
        "\"container\",\"io.kubernetes.container.name\":\"db\",\"io.kubernetes.pod.name\":\"mysql-"
        "0\","
        "\"io.kubernetes.pod.namespace\":\"prod\",\"io.kubernetes.cri-o.ImageName\":"
        "\"registry.local:5000/mysql@sha256:77\",\"io.kubernetes.cri-o.Labels\":"
        "\"{\\\"tier\\\":\\\"data\\\"}\"}}");
    process(t, 10, "0::/machine.slice/libpod-" A ".scope/container\n");
    process(t, 11, "0::/machine.slice/libpod-conmon-" A ".scope\n");
    process(t, 12, "0::/libpod_parent/" F "/libpod-" B "\n");
    process(t, 13, "0::/libpod_parent/conmon\n");
    process(t, 14, "0::/kubepods.slice/kubepods-pod12.slice/crio-" D ".scope\n");
    struct containers *c = make(t, (struct containers_options){0});
    uint32_t next = 1, seen = 0;
    assert_int_equal(containers_scan(c, 0, &next), 0);
    assert_int_equal(containers_count(c), 3);
    assert_int_equal(containers_unresolved(c), 1);
    for (uint32_t i = 0; i < 3; i++) {
        const struct container *k = containers_at(c, i);
        if (!strcmp(k->id, A)) {
            assert_string_equal(k->runtime, "podman");
            assert_string_equal(k->name, "web");
            assert_string_equal(k->image, "docker.io/library/busybox:1.35");
            assert_int_equal(strncmp(k->workload, "busybox#", 8), 0);
            seen |= 1;
        } else if (!strcmp(k->id, D)) {
            assert_string_equal(k->runtime, "cri-o");
            assert_string_equal(k->owner, "StatefulSet/mysql");
            assert_string_equal(k->workload, "prod/mysql/db");
            assert_string_equal(k->version, "sha256:77");
            assert_int_equal(k->n_labels, 1);
            assert_string_equal(k->labels[0].value, "data");
            seen |= 2;
        } else {
            assert_string_equal(k->id, B);
            assert_string_equal(k->runtime, "podman");
            assert_string_equal(k->workload, B);
            seen |= 4;
        }
    }
    assert_int_equal(seen, 7);
    containers_free(c);
}

/* As runc 1.1.5 writes it, shortened; %s are the name, the cgroup's path twice and the bundle. */
static void runc_state(struct tree *t, const char *name, const char *path, const char *args)
{
    char text[2048], file[512];
    snprintf(
        text, sizeof(text),
        "{\"id\":\"%s\",\"init_process_pid\":8552,\"init_process_start\":137446,\"config\":{"
        "\"rootfs\":\"%s/bundle/%s/rootfs\",\"hostname\":\"host-of-%s\",\"labels\":[\"bundle=%s/"
        "bundle/%s\"]},"
        "\"cgroup_paths\":{\"\":\"/sys/fs/cgroup/unified%s\",\"pids\":\"/sys/fs/cgroup/pids%s\"}}",
        name, t->root, name, name, t->root, name, path, path);
    snprintf(file, sizeof(file), "run/runc/%s/state.json", name);
    put(t, file, text);
    snprintf(text, sizeof(text), "{\"hostname\":\"host-of-%s\",\"process\":{\"args\":%s}}", name,
             args);
    snprintf(file, sizeof(file), "bundle/%s/config.json", name);
    put(t, file, text);
}

static void runc_names_are_no_ids(void **state)
{
    struct tree *t = *state;
    runc_state(t, "web", "/web", "[\"/usr/sbin/httpd\",\"--name\",\"host-of-web\"]");
    runc_state(t, "web2", "/some/where/else", "[\"/usr/sbin/httpd\",\"--name\",\"host-of-web2\"]");
    process(t, 10, "9:pids:/web\n0::/web\n");
    process(t, 11, "9:pids:/some/where/else/child\n0::/some/where/else/child\n");
    process(t, 12, "9:pids:/jobs/nightly\n0::/jobs/nightly\n"); /* a cgroup, no container */
    process(t, 13, "9:pids:/evil/web\n0::/evil/web\n");         /* ends alike, is another */
    process(t, 14, "4:memory:/process_api/0123456789abcdef0123456789abcdef\n0::/\n");
    struct containers *c = make(t, (struct containers_options){0});
    uint32_t next = 1;
    assert_int_equal(containers_scan(c, 0, &next), 0);
    assert_int_equal(containers_count(c), 2);
    for (uint32_t i = 0; i < 2; i++) {
        const struct container *k = containers_at(c, i);
        assert_string_equal(k->runtime, "runc");
        assert_true(!strcmp(k->name, "web") || !strcmp(k->name, "web2"));
        assert_int_equal(strncmp(k->workload, "httpd#", 6), 0);
    }
    /* Their arguments differ in the host name only. */
    assert_string_equal(containers_at(c, 0)->workload, containers_at(c, 1)->workload);
    containers_free(c);
}

static void state_that_comes_later_completes_it(void **state)
{
    struct tree *t = *state;
    struct containers *c = make(t, (struct containers_options){0});
    struct container *changed;
    uint32_t n;
    const struct container *k = containers_add(c, 3, 77, "/late", 0);
    assert_non_null(k);
    assert_int_equal(k->state, CONTAINER_UNRESOLVED);
    assert_true(k->wanted);
    assert_int_equal(containers_poll(c, 1, &changed, &n), 0);
    assert_int_equal(n, 1);
    assert_string_equal(changed[0].id, "late");
    assert_string_equal(changed[0].reason, "no runtime state found (yet)");
    container_done(&changed[0]);
    free(changed);

    runc_state(t, "late", "/late", "[\"/bin/late\"]");
    assert_int_equal(containers_poll(c, 2, &changed, &n), 0); /* back-off: not yet */
    assert_int_equal(n, 0);
    assert_null(changed);
    assert_int_equal(containers_poll(c, NS_PER_S, &changed, &n), 0);
    assert_int_equal(n, 1);
    assert_int_equal(changed[0].state, CONTAINER_RUNNING);
    assert_int_equal(changed[0].number, 3);
    assert_true(changed[0].cgroup_id == 77);
    assert_string_equal(changed[0].command, "/bin/late");
    container_done(&changed[0]);
    free(changed);

    /* Now that it is a container, what lies below it belongs to it. */
    k = containers_add(c, 4, 78, "/late/child", NS_PER_S);
    assert_non_null(k);
    assert_int_equal(k->number, 3);
    containers_remove(c, 3, 5 * NS_PER_S);
    containers_drained(c, 3);
    assert_int_equal(containers_poll(c, 5 * NS_PER_S, &changed, &n), 0);
    assert_int_equal(n, 1);
    assert_int_equal(changed[0].state, CONTAINER_GONE);
    assert_true(changed[0].gone_ns == 5 * NS_PER_S);
    container_done(&changed[0]);
    free(changed);
    assert_int_equal(containers_count(c), 0);
    containers_free(c);
}

static void what_no_runtime_knows_is_dropped_after_a_while(void **state)
{
    struct tree *t = *state;
    struct containers *c = make(t, (struct containers_options){0});
    struct container *changed = NULL;
    uint32_t n;
    containers_add(c, 1, 1, "/jobs", 0);
    containers_add(c, 2, 2, "/docker/" A, 0);
    assert_null(containers_add(c, 3, 3, "/docker", 0));
    assert_null(containers_add(c, 4, 4, "/system.slice/cron.service", 0));
    assert_null(containers_add(c, 5, 5, "/kubepods/burstable", 0));
    assert_null(containers_add(c, 6, 6, POD, 0));
    assert_null(containers_add(c, 7, 7, "/a/../docker/" A, 0));
    assert_null(containers_add(c, 8, 8, "no/slash", 0));
    assert_int_equal(containers_refused(c), 0);
    assert_int_equal(containers_poll(c, 11 * NS_PER_S, &changed, &n), 0);
    while (n)
        container_done(&changed[--n]);
    free(changed);
    assert_false(containers_get(c, 1)->wanted);
    assert_true(containers_get(c, 2)->wanted);
    assert_int_equal(containers_unresolved(c), 2);
    containers_free(c);
}

/* Left in the service that started it by v2, as where a daemon manages the v1 hierarchies alone. */
static void v2_may_say_less_than_v1(void **state)
{
    struct tree *t = *state;
    process(t, 100, "9:pids:/docker/" A "\n0::/system.slice/containerd.service\n");
    process(t, 101, "9:pids:/system.slice/ssh.service\n0::/system.slice/ssh.service\n");
    put_directory(t, "cgroup/pids/docker/" A);
    struct containers *c = make(t, (struct containers_options){0});
    uint32_t next = 1;
    assert_int_equal(containers_scan(c, 1000, &next), 0);
    assert_int_equal(containers_count(c), 1);
    assert_string_equal(containers_at(c, 0)->id, A);
    assert_string_equal(containers_hierarchy(c, 1), "pids");
    containers_free(c);
    struct cgroup_place place;
    assert_int_equal(cgroup_of("9:pids:/system.slice/x.service\n0::/system.slice\n", &place), 0);
    assert_string_equal(place.hierarchy, "unified");
}

/* podman has one list of all containers, which grows with them. */
static void a_long_list_of_podman(void **state)
{
    struct tree *t = *state;
    static const char file[] = "podman/storage/overlay-containers/containers.json";
    static char list[(16 << 20) + 2];
    memset(list, ' ', sizeof(list));
    list[0] = '[';
    static const char one[] = "{\"id\":\"" A "\",\"names\":[\"web\"]}]";
    memcpy(list + (2 << 20), one, sizeof(one) - 1);
    put(t, "podman/storage/overlay-containers/" A "/userdata/config.json",
        "{\"process\":{\"args\":[\"httpd\"]}}");
    for (size_t size = 3 << 20; size <= sizeof(list); size += sizeof(list) - (3 << 20)) {
        put_bytes(t, file, list, size);
        struct containers *c = make(t, (struct containers_options){0});
        struct container *changed;
        uint32_t n;
        assert_non_null(containers_add(c, 1, 1, "/machine.slice/libpod-" A ".scope", 0));
        assert_int_equal(containers_poll(c, 0, &changed, &n), 0);
        assert_int_equal(n, 1);
        if (size == 3 << 20) {
            assert_string_equal(changed[0].name, "web");
        } else { /* no other name and workload than it has, but the reason */
            assert_int_equal(changed[0].state, CONTAINER_UNRESOLVED);
            assert_string_equal(changed[0].reason, "containers.json is larger than 16 MiB");
        }
        container_done(&changed[0]);
        free(changed);
        containers_free(c);
    }
}

static void hostile(struct tree *t, const char *file, const void *data, size_t size,
                    const char *why)
{
    put_bytes(t, file, data, size);
    struct containers *c = make(t, (struct containers_options){0});
    struct container *changed;
    uint32_t n;
    assert_non_null(containers_add(c, 1, 1, "/docker/" A, 0));
    assert_int_equal(containers_poll(c, 0, &changed, &n), 0);
    assert_int_equal(n, 1);
    assert_int_equal(changed[0].state, CONTAINER_UNRESOLVED);
    assert_string_equal(changed[0].id, A);
    assert_string_equal(changed[0].workload, "");
    assert_string_equal(changed[0].reason, why);
    assert_true(changed[0].wanted);
    container_done(&changed[0]);
    free(changed);
    assert_int_equal(containers_poll(c, 11 * NS_PER_S, &changed, &n), 0);
    assert_int_equal(n, 1);
    assert_string_equal(changed[0].workload, A);
    container_done(&changed[0]);
    free(changed);
    containers_free(c);
}

static void hostile_metadata_leaves_it_under_its_id(void **state)
{
    struct tree *t = *state;
    static char huge[(1 << 20) + 2];
    static const char file[] = "docker/containers/" A "/config.v2.json";
    memset(huge, ' ', sizeof(huge));
    memcpy(huge, docker_config, sizeof(docker_config) - 1);
    hostile(t, file, huge, sizeof(huge) - 1, "config.v2.json is larger than 1 MiB");
    hostile(t, file, "\x00\xff\xfe{", 4, "config.v2.json is not valid JSON");
    hostile(t, file, "{\"ID\":", 6, "config.v2.json is not valid JSON");
    hostile(t, file, "[]", 2, "config.v2.json is not valid JSON");
    hostile(t, file, "{\"Config\":\"\\u0000\"}", 19, "config.v2.json is not valid JSON");
    memset(huge, '[', 1 << 20);
    hostile(t, file, huge, 1 << 20, "config.v2.json is not valid JSON");

    char path[512];
    snprintf(path, sizeof(path), "%s/%s", t->root, file);
    put(t, "elsewhere.json", docker_config);
    assert_int_equal(unlink(path), 0);
    assert_int_equal(symlink("../../../elsewhere.json", path), 0);
    struct containers *c = make(t, (struct containers_options){0});
    struct container *changed;
    uint32_t n;
    containers_add(c, 1, 1, "/docker/" A, 0);
    assert_int_equal(containers_poll(c, 0, &changed, &n), 0);
    assert_string_equal(changed[0].reason, "config.v2.json is a symbolic link");
    assert_int_equal(unlink(path), 0);
    assert_int_equal(mkfifo(path, 0600), 0); /* must not block */
    while (n)
        container_done(&changed[--n]);
    free(changed);
    assert_int_equal(containers_poll(c, NS_PER_S, &changed, &n), 0);
    assert_string_equal(changed[0].reason, "config.v2.json is not a regular file");
    while (n)
        container_done(&changed[--n]);
    free(changed);
    containers_free(c);
}

static void long_strings_are_cut_and_odd_ones_kept(void **state)
{
    struct tree *t = *state;
    char text[4096], name[1201] = "";
    for (int i = 0; i < 400; i++)
        strcat(name, "\xe2\x82\xac"); /* three bytes each */
    snprintf(text, sizeof(text),
             "{\"Name\":\"/%s\",\"Path\":\"x\\u001b[31m\",\"Args\":[],\"Config\":{\"Image\":\"../"
             "../etc\","
             "\"Labels\":{\"a\":\"<script>\",\"n\":7}}}",
             name);
    put(t, "docker/containers/" A "/config.v2.json", text);
    struct containers *c = make(t, (struct containers_options){0});
    struct container *changed;
    uint32_t n;
    containers_add(c, 1, 1, "/docker/" A, 0);
    assert_int_equal(containers_poll(c, 0, &changed, &n), 0);
    assert_int_equal(changed[0].state, CONTAINER_RUNNING);
    assert_int_equal(strlen(changed[0].name), 510); /* 512 is within a character */
    assert_string_equal(changed[0].command, "x\x1b[31m");
    assert_string_equal(changed[0].image, "../../etc");
    assert_int_equal(changed[0].n_labels, 1);
    container_done(&changed[0]);
    free(changed);

    /* A runc name from a cgroup's path goes nowhere near a file name it should not. */
    runc_state(t, "ok", "/ok", "[\"a\"]");
    assert_non_null(containers_add(c, 2, 2, "/...", 0));
    assert_non_null(containers_add(c, 3, 3, "/\xff\x01 \n", 0));
    assert_int_equal(containers_poll(c, 0, &changed, &n), 0);
    assert_int_equal(n, 2);
    assert_string_equal(changed[1].id, "\xff\x01 \n");
    while (n)
        container_done(&changed[--n]);
    free(changed);
    containers_free(c);
}

static void selectors_choose_and_change(void **state)
{
    struct tree *t = *state;
    put(t, BUNDLE_TASK("k8s.io", A), cri_config);
    process(t, 100, "0::" POD "/" A "\n");
    const char *const images[] = {"redis", "nginx*", NULL}, *const spaces[] = {"sh?p", NULL};
    const char *const other[] = {"prod", NULL}, *const pods[] = {"shop/web-*", NULL};
    const char *const label[] = {"io.kubernetes.cri.container-name=ng*", NULL}, *const tag[] = {
                                                                                    "nginx", NULL};
    struct containers *c =
        make(t, (struct containers_options){.selector = {.images = images, .namespaces = spaces}});
    uint32_t next = 1, n;
    struct container *changed;
    assert_int_equal(containers_scan(c, 0, &next), 0);
    assert_true(containers_get(c, 1)->wanted);
    containers_poll(c, 0, &changed, &n);
    assert_int_equal(n, 1);
    container_done(&changed[0]);
    free(changed);

    const struct {
        struct container_selector s;
        bool wanted;
    } cases[] = {
        {{.namespaces = other}, false},
        {{.images = tag, .labels = label}, true},
        {{.exclude = pods}, false},
        {{.names = tag}, true},
        {{.names = other}, false},
        {{.exclude = label}, false},
        {{0}, true},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        assert_int_equal(containers_select(c, &cases[i].s), 0);
        assert_int_equal(containers_poll(c, 0, &changed, &n), 0);
        assert_int_equal(n, 1); /* each case differs from the one before, in wanted or in reason */
        assert_int_equal(changed[0].wanted, cases[i].wanted);
        assert_int_equal(changed[0].reason[0] == '\0', cases[i].wanted);
        container_done(&changed[0]);
        free(changed);
    }
    containers_free(c);
}

static void the_cap_refuses_and_counts(void **state)
{
    struct tree *t = *state;
    struct containers *c = make(t, (struct containers_options){.containers_max = 100});
    struct container *changed;
    uint32_t n, kept = 0;
    for (uint32_t i = 0; i < 10000; i++) {
        char path[96];
        snprintf(path, sizeof(path), "/docker/%064x", i);
        kept += containers_add(c, i + 1, i, path, 0) != NULL;
    }
    assert_int_equal(kept, 100);
    assert_int_equal(containers_refused(c), 9900);
    assert_int_equal(containers_poll(c, 0, &changed, &n), 0);
    assert_int_equal(n, 100);
    while (n)
        container_done(&changed[--n]);
    free(changed);
    for (uint32_t i = 0; i < 100; i++) {
        containers_remove(c, i + 1, 1);
        containers_drained(c, i + 1);
    }
    containers_poll(c, 1, &changed, &n);
    while (n)
        container_done(&changed[--n]);
    free(changed);
    assert_non_null(containers_add(c, 20000, 1, "/docker/" A, 2));
    containers_free(c);
}

static void a_restart_keeps_numbers(void **state)
{
    struct tree *t = *state;
    put(t, BUNDLE_TASK("k8s.io", A), cri_config);
    process(t, 100, "0::" POD "/" A "\n");
    process(t, 101, "0::" POD "/" B "\n");
    put_directory(t, "cgroup/unified" POD "/" A);
    put_directory(t, "cgroup/unified" POD "/" B);
    struct containers *c = make(t, (struct containers_options){0});
    uint32_t next = 40;
    assert_int_equal(containers_scan(c, 500, &next), 0);
    struct container known[2];
    for (uint32_t i = 0; i < 2; i++)
        assert_int_equal(container_copy(containers_at(c, i), &known[i]), 0);
    known[0].number = 90, known[0].attached = false;
    containers_free(c);

    c = make(t, (struct containers_options){0});
    next = 1;
    assert_int_equal(containers_restore(c, &known[0], 1), 0);
    assert_int_equal(containers_restore(c, &known[1], 1), 0);
    assert_int_equal(containers_scan(c, 900, &next), 0);
    assert_int_equal(next, 91);
    assert_string_equal(containers_get(c, 90)->id, known[0].id);
    assert_false(containers_get(c, 90)->attached);
    assert_true(containers_get(c, 90)->born_ns == 500);
    assert_string_equal(containers_get(c, 41)->id, known[1].id);
    container_done(&known[0]);
    container_done(&known[1]);
    containers_free(c);
}

static void images_and_owners(void **state)
{
    (void)state;
    static const char *const images[][3] = {
        {"docker.io/library/redis:7.0", "redis", "7.0"},
        {"redis", "redis", ""},
        {"localhost:5000/team/app", "localhost:5000/team/app", ""},
        {"localhost:5000/app:v1@sha256:00", "localhost:5000/app", "sha256:00"},
        {"quay.io/x/y@sha256:00", "quay.io/x/y", "sha256:00"},
        {"", "", ""},
    };
    static const char *const owners[][2] = {
        {"web-7d4b9c6f5-x2x9z", "Deployment/web"},
        {"db-0", "StatefulSet/db"},
        {"back-28391040-zbcdf", "CronJob/back"},
        {"agent-x7k2p", "agent"},
        {"redis", "Pod/redis"},
        {"redis-cache", "Pod/redis-cache"},
        {"my-app-web-7d4b9c6f5-x2x9z", "Deployment/my-app-web"},
        {"-0", "Pod/-0"},
        {"", "Pod/"},
    };
    for (size_t i = 0; i < sizeof(images) / sizeof(images[0]); i++) {
        char *repository, *version;
        assert_int_equal(workload_image(images[i][0], &repository, &version), 0);
        assert_string_equal(repository, images[i][1]);
        assert_string_equal(version, images[i][2]);
        free(repository), free(version);
    }
    for (size_t i = 0; i < sizeof(owners) / sizeof(owners[0]); i++) {
        char *owner;
        assert_int_equal(workload_owner(owners[i][0], &owner), 0);
        assert_string_equal(owner, owners[i][1]);
        free(owner);
    }
}

static void keys_prefer_the_configured_label(void **state)
{
    struct tree *t = *state;
    put(t, "docker/containers/" A "/config.v2.json",
        "{\"Path\":\"x\",\"Config\":{\"Image\":\"i\",\"Labels\":{\"com.docker.compose.project\":"
        "\"p\","
        "\"com.docker.compose.service\":\"s\",\"mine\":\"special\"}}}");
    const char *const labels[] = {NULL, "mine"}, *const keys[] = {"p/s", "special"};
    for (int i = 0; i < 2; i++) {
        struct containers *c = make(t, (struct containers_options){.workload_label = labels[i]});
        struct container *changed;
        uint32_t n;
        containers_add(c, 1, 1, "/docker/" A, 0);
        assert_int_equal(containers_poll(c, 0, &changed, &n), 0);
        assert_string_equal(changed[0].workload, keys[i]);
        container_done(&changed[0]);
        free(changed);
        containers_free(c);
    }
}

int main(void)
{
#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
    const struct CMUnitTest tests[] = {
        TEST(containerd_pod_in_mixed_cgroups),
        TEST(docker_on_v2_and_on_v1),
        TEST(docker_without_its_data_directory),
        TEST(podman_and_crio),
        TEST(v2_may_say_less_than_v1),
        TEST(a_long_list_of_podman),
        TEST(runc_names_are_no_ids),
        TEST(state_that_comes_later_completes_it),
        TEST(what_no_runtime_knows_is_dropped_after_a_while),
        TEST(hostile_metadata_leaves_it_under_its_id),
        TEST(long_strings_are_cut_and_odd_ones_kept),
        TEST(selectors_choose_and_change),
        TEST(the_cap_refuses_and_counts),
        TEST(a_restart_keeps_numbers),
        TEST(images_and_owners),
        TEST(keys_prefer_the_configured_label),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
