#include "event/syscall.h"

#include <asm/unistd.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "test.h"

static void names_of_every_abi(void **state)
{
    (void)state;
    assert_string_equal(syscall_name(__NR_openat), "openat");
    assert_string_equal(syscall_name(452), "fchmodat2");
    assert_string_equal(syscall_name(SYSNO(ABI_IO_URING, 22)), "io_uring:READ");
    assert_string_equal(syscall_name(SYSNO(ABI_IO_URING, 57)), "io_uring:LISTEN");
    assert_string_equal(syscall_name(999), "#999");
    assert_string_equal(syscall_name(SYSNO(ABI_X32, 1022)), "x32:#1022");
#ifdef __x86_64__
    assert_string_equal(syscall_name(0), "read");
    assert_string_equal(syscall_name(SYSNO(ABI_COMPAT, 5)), "compat:open");
    assert_string_equal(syscall_name(SYSNO(ABI_COMPAT, 102)), "compat:socketcall");
    assert_string_equal(syscall_name(SYSNO(ABI_X32, 1)), "x32:write");
    assert_string_equal(syscall_name(SYSNO(ABI_X32, 520)), "x32:execve");
#endif
}

static void every_name_leads_back(void **state)
{
    (void)state;
    for (unsigned i = 0; i < SYSNO_COUNT; i++) {
        uint16_t back = 0xffff;
        assert_int_equal(syscall_by_name(syscall_name((uint16_t)i), &back), 0);
        assert_int_equal(back, i);
    }
    uint16_t kept = 7;
    const char *wrong[] = {"",    "opena",    "#",    "#-1",       "#1024",
                           "# 1", "compat#3", "x:#3", "compat:#3x"};
    for (size_t i = 0; i < sizeof(wrong) / sizeof(*wrong); i++)
        assert_int_equal(syscall_by_name(wrong[i], &kept), -ENOENT);
    assert_int_equal(kept, 7);
}

static void return_classes(void **state)
{
    (void)state;
    assert_int_equal(ret_class(0), 0);
    assert_int_equal(ret_class(127), 127);
    assert_int_equal(ret_class(128), 128 + 7);
    assert_int_equal(ret_class(4096), 128 + 12);
    assert_int_equal(ret_class(INT64_MIN), 191);
    assert_int_equal(ret_class(-EACCES), 256 + EACCES);
    assert_int_equal(ret_class(-133), 256 + 133);
    assert_int_equal(ret_class(-134), 256 + 255);
    assert_int_equal(ret_class(-512), 256 + 240);
    assert_int_equal(ret_class(-516), 256 + 244);
    assert_int_equal(ret_class(-517), 256 + 255);
    for (int64_t v = -4096; v < 70000; v++)
        assert_int_equal(ret_is_error(ret_class(v)), v < 0 && v >= -4095);
    assert_int_equal(ret_errno(ret_class(-ENOENT)), ENOENT);
    assert_int_equal(ret_errno(ret_class(-514)), 514);
    assert_int_equal(ret_errno(ret_class(5)), 0);
    assert_int_equal(ret_errno(256 + 255), -1);
    assert_string_equal(errno_name(EACCES), "EACCES");
    assert_string_equal(errno_name(EAGAIN), "EAGAIN");
    assert_string_equal(errno_name(512), "ERESTARTSYS");
    assert_string_equal(errno_name(200), "E#200");
}

static void meanings_and_sets(void **state)
{
    (void)state;
    assert_string_equal(syscall_meaning(__NR_openat), "open a file");
    assert_string_equal(syscall_meaning(SYSNO(ABI_IO_URING, 18)), "open a file");
    assert_null(syscall_meaning(999));
    assert_true(syscall_is_wait(__NR_futex) && syscall_is_noise(__NR_futex));
    assert_true(syscall_is_wait(__NR_epoll_pwait) && !syscall_is_noise(__NR_epoll_pwait));
    assert_true(syscall_is_noise(__NR_madvise) && !syscall_is_wait(__NR_madvise));
    assert_false(syscall_is_noise(__NR_clock_settime));
    assert_false(syscall_is_wait(__NR_read) || syscall_is_noise(__NR_read));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(names_of_every_abi),
        cmocka_unit_test(every_name_leads_back),
        cmocka_unit_test(return_classes),
        cmocka_unit_test(meanings_and_sets),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
