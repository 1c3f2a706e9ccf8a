#include "test.h"

#include "base/crc.h"

static void rfc_check_value(void **state)
{
    (void)state;
    assert_int_equal(crc32c("123456789", 9), 0xe3069283);
    assert_int_equal(crc32c("", 0), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(rfc_check_value),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
