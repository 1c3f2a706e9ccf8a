#include "capture/arguments.h"

#include <stdio.h>
#include <string.h>
#include <sys/syscall.h>

#include "base/cleanup.h"
#include "event/block.h"
#include "event/syscall.h"

struct argument {
    uint16_t number;
    uint8_t form, access;
};

static const struct argument list[] = {
#ifdef SYS_open /* architectures that began later have the *at calls alone */
    {SYS_open, ARGUMENT_OPEN, ACCESS_READ},
    {SYS_creat, ARGUMENT_PATH0, ACCESS_CREATE},
    {SYS_unlink, ARGUMENT_PATH0, ACCESS_DELETE},
    {SYS_rmdir, ARGUMENT_PATH0, ACCESS_DELETE},
    {SYS_rename, ARGUMENT_PATH1, ACCESS_RENAME},
    {SYS_link, ARGUMENT_PATH1, ACCESS_CREATE},
    {SYS_symlink, ARGUMENT_PATH1, ACCESS_CREATE},
    {SYS_chmod, ARGUMENT_CHMOD, ACCESS_ATTRIBUTE},
    {SYS_chown, ARGUMENT_PATH0, ACCESS_ATTRIBUTE},
    {SYS_lchown, ARGUMENT_PATH0, ACCESS_ATTRIBUTE},
    {SYS_mkdir, ARGUMENT_PATH0, ACCESS_CREATE},
    {SYS_mknod, ARGUMENT_PATH0, ACCESS_CREATE},
#endif
    {SYS_openat, ARGUMENT_OPENAT, ACCESS_READ},
    {SYS_openat2, ARGUMENT_OPENAT2, ACCESS_READ},
    {SYS_execve, ARGUMENT_EXEC, ACCESS_EXEC},
    {SYS_execveat, ARGUMENT_EXECAT, ACCESS_EXEC},
    {SYS_unlinkat, ARGUMENT_AT1, ACCESS_DELETE},
#ifdef SYS_renameat
    {SYS_renameat, ARGUMENT_AT3, ACCESS_RENAME},
#endif
    {SYS_renameat2, ARGUMENT_AT3, ACCESS_RENAME},
    {SYS_linkat, ARGUMENT_AT3, ACCESS_CREATE},
    {SYS_symlinkat, ARGUMENT_AT2, ACCESS_CREATE},
    {SYS_fchmod, ARGUMENT_FCHMOD, ACCESS_ATTRIBUTE},
    {SYS_fchmodat, ARGUMENT_FCHMODAT, ACCESS_ATTRIBUTE},
    {452 /* fchmodat2 */, ARGUMENT_FCHMODAT, ACCESS_ATTRIBUTE},
    {SYS_fchownat, ARGUMENT_AT1, ACCESS_ATTRIBUTE},
    {SYS_mkdirat, ARGUMENT_AT1, ACCESS_CREATE},
    {SYS_mknodat, ARGUMENT_AT1, ACCESS_CREATE},
    {SYS_truncate, ARGUMENT_PATH0, ACCESS_WRITE},
    {SYS_chroot, ARGUMENT_PATH0, ACCESS_ATTRIBUTE},
    {SYS_setxattr, ARGUMENT_PATH0, ACCESS_ATTRIBUTE},
    {SYS_connect, ARGUMENT_ADDRESS, ACCESS_CONNECT},
    {SYS_bind, ARGUMENT_ADDRESS, ACCESS_BIND},
    {SYS_sendto, ARGUMENT_SENDTO, ACCESS_SEND},
    {SYS_sendmsg, ARGUMENT_SENDMSG, ACCESS_SEND},
    {SYS_mmap, ARGUMENT_PROT, ACCESS_NONE},
    {SYS_mprotect, ARGUMENT_PROT, ACCESS_NONE},
    {SYS_pkey_mprotect, ARGUMENT_PROT, ACCESS_NONE},
    {SYS_clone, ARGUMENT_CLONE, ACCESS_NONE},
    {SYS_unshare, ARGUMENT_CLONE, ACCESS_NONE},
    {SYS_clone3, ARGUMENT_CLONE3, ACCESS_NONE},
    {SYS_setns, ARGUMENT_SETNS, ACCESS_NONE},
    {SYS_ptrace, ARGUMENT_PTRACE, ACCESS_NONE},
    {SYS_mount, ARGUMENT_MOUNT, ACCESS_NONE},
    {SYS_socket, ARGUMENT_SOCKET, ACCESS_NONE},
};

/* Of the 32-bit table: calls that it has under another name, and two of its own. */
static const char *const same[][2] = {
    {"mmap2", "mmap"},
    {"chown32", "chown"},
    {"lchown32", "lchown"},
    {"truncate64", "truncate"},
};
static const struct {
    const char *name;
    uint16_t native;
    uint8_t form;
} own[] = {
    {"socketcall", SYS_socket, ARGUMENT_SOCKETCALL},
    {"mmap", SYS_mmap, ARGUMENT_MMAP_OLD},
};

static uint32_t compat_argument(uint16_t number, const uint16_t native[ARGUMENT_CALLS])
{
    char full[64];
    snprintf(full, sizeof(full), "%s", syscall_name(SYSNO(ABI_COMPAT, number)));
    if (strncmp(full, "compat:", 7) != 0)
        return 0;
    const char *name = full + 7;
    uint16_t found;
    for (size_t i = 0; i < ARRAY_SIZE(own); i++) {
        if (strcmp(own[i].name, name) == 0)
            return (uint32_t)own[i].native << 16 | (ARGUMENT_COMPAT | own[i].form) << 8;
    }
    for (size_t i = 0; i < ARRAY_SIZE(same); i++)
        name = strcmp(same[i][0], name) == 0 ? same[i][1] : name;
    if (syscall_by_name(name, &found) < 0 || found >= ARGUMENT_CALLS || !native[found])
        return 0;
    return (uint32_t)found << 16 | ARGUMENT_COMPAT << 8 | native[found];
}

void arguments_fill(uint16_t ret[ARGUMENT_CALLS], uint32_t ret_compat[ARGUMENT_CALLS])
{
    memset(ret, 0, ARGUMENT_CALLS * sizeof(*ret));
    for (size_t i = 0; i < ARRAY_SIZE(list); i++)
        ret[list[i].number] = (uint16_t)(list[i].form << 8 | list[i].access);
    for (uint16_t i = 0; i < ARGUMENT_CALLS; i++)
        ret_compat[i] = compat_argument(i, ret);
}
