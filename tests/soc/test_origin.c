/* Who counts as one client, and how many connections one may have. */
#include "test.h"

#include <netinet/in.h>
#include <string.h>

#include "soc/guard.h"
#include "soc/origin.h"

static void expect(const char *address, const char *origin)
{
    struct sockaddr_storage a = {.ss_family = strchr(address, ':') ? AF_INET6 : AF_INET};
    void *bytes = a.ss_family == AF_INET6 ? (void *)&((struct sockaddr_in6 *)&a)->sin6_addr
                                          : (void *)&((struct sockaddr_in *)&a)->sin_addr;
    char got[ORIGIN_SIZE];
    assert_int_equal(inet_pton(a.ss_family, address, bytes), 1);
    address_text((struct sockaddr *)&a, got);
    assert_string_equal(got, address);
    origin_text((struct sockaddr *)&a, got);
    assert_string_equal(got, origin);
}

static void origins(void **state)
{
    (void)state;
    expect("192.0.2.7", "192.0.2.7");
    expect("127.0.0.1", "127.0.0.1");
    expect("127.200.3.4", "127.0.0.1");
    expect("128.0.0.1", "128.0.0.1");
    expect("::1", "::1");
    expect("2001:db8:1:2:3:4:5:6", "2001:db8:1:2::");
    char got[ORIGIN_SIZE];
    origin_text(NULL, got);
    assert_string_equal(got, "?");
}

static void one_client_has_half(void **state)
{
    (void)state;
    struct guard *g;
    int slots[5];
    assert_int_equal(guard_start(10, 60, &g), 0);
    for (int i = 0; i < 5; i++) {
        assert_false(guard_refuses(g, "192.0.2.7"));
        slots[i] = guard_begin(g, 1000 + i, "192.0.2.7");
    }
    assert_true(guard_refuses(g, "192.0.2.7"));
    assert_false(guard_refuses(g, "192.0.2.8"));
    assert_int_equal(guard_refused(g), 1);
    guard_end(g, slots[2]);
    assert_false(guard_refuses(g, "192.0.2.7"));
    guard_stop(g);
    assert_int_equal(guard_start(1, 60, &g), 0);
    assert_false(guard_refuses(g, "192.0.2.7"));
    guard_stop(g);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(origins),
        cmocka_unit_test(one_client_has_half),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
