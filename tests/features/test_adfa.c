/* The loader of ADFA-LD on folders made here. */
#include "test.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "base/cleanup.h"
#include "features/adfa.h"

DEFINE_CLEANUP(traces_free, struct traces *)

static char root[64];

static void put(const char *path, const char *text)
{
    char full[256];
    snprintf(full, sizeof(full), "%s/%s", root, path);
    for (char *p = full + strlen(root) + 1; (p = strchr(p, '/')); p++) {
        *p = '\0';
        mkdir(full, 0700);
        *p = '/';
    }
    CLEANUP(fclosep) FILE *f = fopen(full, "w");
    assert_non_null(f);
    fputs(text, f);
}

static int make(void **state)
{
    (void)state;
    snprintf(root, sizeof(root), "/tmp/vigia-adfa-XXXXXX");
    if (!mkdtemp(root))
        return -1;
    put("Training_Data_Master/UTD-2.txt", "6 6 63");
    put("Training_Data_Master/UTD-1.txt", "6 6 63 \n");
    put("Training_Data_Master/notes", "not a trace");
    put("Validation_Data_Master/UVD-1.txt", "  1\t2\n3");
    put("Validation_Data_Master/UVD-2.txt", "\n");
    put("Attack_Data_Master/Hydra_FTP_2/a.txt", "4094");
    put("Attack_Data_Master/Hydra_FTP_1/b.txt", "0");
    put("Attack_Data_Master/Adduser_1/c.txt", "340 340");
    return 0;
}

static int sweep(void **state)
{
    (void)state;
    char command[128];
    snprintf(command, sizeof(command), "rm -r '%s'", root);
    return system(command);
}

static void folders_become_labelled_traces(void **state)
{
    (void)state;
    CLEANUP(traces_freep) struct traces *t = NULL;
    assert_int_equal(adfa_load(root, &t), 0);
    assert_int_equal(t->n, 6); /* the empty one is left out */
    assert_string_equal(t->trace[0].name, "UTD-1.txt");
    assert_int_equal(t->trace[0].set, TRACE_TRAINING);
    assert_int_equal(t->trace[0].n, 3);
    assert_int_equal(t->trace[0].symbol[2], 63);
    assert_true(t->trace[0].content == t->trace[1].content);
    assert_int_equal(t->trace[2].set, TRACE_NORMAL);
    assert_true(t->trace[2].content != t->trace[0].content);
    assert_int_equal(t->n_classes, 2);
    assert_string_equal(t->class_name[1], "Hydra_FTP");
    assert_string_equal(t->trace[3].name, "Adduser_1/c.txt");
    assert_int_equal(t->trace[4].class, 1);
    assert_int_equal(t->trace[5].class, 1);
    assert_int_equal(t->trace[5].symbol[0], 4094);
}

static void what_is_no_number_is_refused(void **state)
{
    (void)state;
    static const char *const wrong[] = {"1 2 x", "1 -2", "4095", "99999999999", "1,2", "3.5"};
    for (size_t i = 0; i < ARRAY_SIZE(wrong); i++) {
        struct traces *t = NULL;
        put("Validation_Data_Master/UVD-3.txt", wrong[i]);
        assert_int_equal(adfa_load(root, &t), -EBADMSG);
        assert_null(t);
    }
    put("Validation_Data_Master/UVD-3.txt", "1");
}

static void missing_folders_are_said(void **state)
{
    (void)state;
    struct traces *t = NULL;
    assert_int_equal(adfa_load("/nonexistent", &t), -ENOENT);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(folders_become_labelled_traces),
        cmocka_unit_test(what_is_no_number_is_refused),
        cmocka_unit_test(missing_folders_are_said),
    };
    return cmocka_run_group_tests(tests, make, sweep);
}
