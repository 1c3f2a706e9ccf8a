/* Flags that are worth a class of their own, in words. */
#include <linux/sched.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/ptrace.h>
#include <sys/socket.h>
#include <sys/syscall.h>

#include "base/cleanup.h"
#include "capture/text.h"
#include "event/syscall.h"

struct value_name {
    uint32_t value;
    const char *name;
};

static const struct value_name clones[] = {
    {CLONE_NEWUSER, "CLONE_NEWUSER"},     {CLONE_NEWNS, "CLONE_NEWNS"},
    {CLONE_NEWPID, "CLONE_NEWPID"},       {CLONE_NEWNET, "CLONE_NEWNET"},
    {CLONE_NEWIPC, "CLONE_NEWIPC"},       {CLONE_NEWUTS, "CLONE_NEWUTS"},
    {CLONE_NEWCGROUP, "CLONE_NEWCGROUP"}, {0}};
static const struct value_name prots[] = {
    {PROT_WRITE, "PROT_WRITE"}, {PROT_EXEC, "PROT_EXEC"}, {0}};
static const struct value_name mounts[] = {{MS_BIND, "MS_BIND"},
                                           {MS_REMOUNT, "MS_REMOUNT"},
                                           {MS_MOVE, "MS_MOVE"},
                                           {MS_RDONLY, "MS_RDONLY"},
                                           {0}};
static const struct value_name families[] = {{AF_UNIX, "AF_UNIX"},     {AF_INET, "AF_INET"},
                                             {AF_INET6, "AF_INET6"},   {AF_NETLINK, "AF_NETLINK"},
                                             {AF_PACKET, "AF_PACKET"}, {AF_ALG, "AF_ALG"},
                                             {AF_VSOCK, "AF_VSOCK"},   {0}};
static const struct value_name types[] = {
    {SOCK_STREAM, "SOCK_STREAM"},       {SOCK_DGRAM, "SOCK_DGRAM"},   {SOCK_RAW, "SOCK_RAW"},
    {SOCK_SEQPACKET, "SOCK_SEQPACKET"}, {SOCK_PACKET, "SOCK_PACKET"}, {0}};
static const struct value_name requests[] = {{PTRACE_TRACEME, "PTRACE_TRACEME"},
                                             {PTRACE_PEEKTEXT, "PTRACE_PEEKTEXT"},
                                             {PTRACE_PEEKDATA, "PTRACE_PEEKDATA"},
                                             {PTRACE_POKETEXT, "PTRACE_POKETEXT"},
                                             {PTRACE_POKEDATA, "PTRACE_POKEDATA"},
                                             {PTRACE_ATTACH, "PTRACE_ATTACH"},
                                             {PTRACE_SEIZE, "PTRACE_SEIZE"},
                                             {PTRACE_SETREGS, "PTRACE_SETREGS"},
                                             {0}};

static size_t add(char *ret, size_t at, char between, const char *name)
{
    int n = snprintf(ret + at, TEXT_MAX + 1 - at, "%c%s", between, name);
    return MIN(at + (size_t)n, (size_t)TEXT_MAX);
}

static size_t add_bits(char *ret, size_t at, uint32_t value, const struct value_name *names)
{
    char between = ' ';
    for (; names->name; names++) {
        if (!(value & names->value))
            continue;
        at = add(ret, at, between, names->name);
        between = '|';
    }
    return at;
}

static size_t add_value(char *ret, size_t at, uint32_t value, const struct value_name *names)
{
    char number[16];
    for (; names->name; names++)
        if (value == names->value)
            return add(ret, at, ' ', names->name);
    snprintf(number, sizeof(number), "%#x", value);
    return add(ret, at, ' ', number);
}

void text_flag(uint32_t number, uint32_t value, char ret[TEXT_MAX + 1])
{
    size_t at = (size_t)snprintf(ret, TEXT_MAX + 1, "%s", syscall_name(SYSNO(ABI_NATIVE, number)));
    switch (number) {
    case SYS_mmap:
    case SYS_mprotect:
    case SYS_pkey_mprotect:
        add_bits(ret, at, value, prots);
        return;
    case SYS_clone:
    case SYS_clone3:
    case SYS_unshare:
    case SYS_setns:
        add_bits(ret, at, value, clones);
        return;
    case SYS_mount:
        add_bits(ret, at, value - 1, mounts);
        return;
    case SYS_ptrace:
        add_value(ret, at, value - 1, requests);
        return;
    case SYS_socket:
        at = add_value(ret, at, value >> 16 & 0xff, families);
        at = add_value(ret, at, value >> 8 & 0xf, types);
        if ((value >> 16 & 0xff) != AF_NETLINK && (value >> 8 & 0xf) != SOCK_RAW)
            return;
        add_value(ret, at, value & 0xff, (const struct value_name[]){{0}});
        return;
    default: /* chmod, fchmod, fchmodat */
        snprintf(ret, TEXT_MAX + 1, "chmod %s", value == 06000 ? "+s" : "+x");
    }
}
