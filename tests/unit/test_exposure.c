/* The counters of what L2 can write to. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include "types.h"
#include <cmocka.h>

#include "mm/exposure.h"
#include "vmx.h"

#define TOP         (4 * SIZE_1G)
#define PAGE        0x40201000ull
#define SIZE(level) (1ull << (12 + 9 * ((level)-1)))

static struct exposure exposure;
static void *memory;

static int setup(void **state)
{
    (void)state;
    memory = malloc(exposure_size(TOP));
    exposure_init(&exposure, TOP, memory);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    free(memory);
    return 0;
}

static u64 entry_for(u32 level) { return align_down(PAGE, SIZE(level)) | EPT_READ | EPT_WRITE; }

/* A page of each size exposes the memory that it covers, and no more. */
static void a_page_exposes_its_memory(void **state)
{
    (void)state;
    for (u32 level = 1; level <= EXPOSURE_LEVELS; level++) {
        u64 first = align_down(PAGE, SIZE(level));

        exposure_add(&exposure, entry_for(level), level);
        assert_true(exposure_any(&exposure, first));
        assert_true(exposure_any(&exposure, first + SIZE(level) - PAGE_SIZE));
        assert_false(exposure_any(&exposure, first - PAGE_SIZE));
        assert_false(exposure_any(&exposure, first + SIZE(level)));
        exposure_remove(&exposure, entry_for(level), level);
        assert_false(exposure_any(&exposure, first));
    }
}

static void reading_exposes_nothing(void **state)
{
    (void)state;
    exposure_add(&exposure, PAGE | EPT_READ | EPT_EXEC, 1);
    assert_false(exposure_any(&exposure, PAGE));
}

static void the_last_of_several_ends_it(void **state)
{
    (void)state;
    for (u32 i = 0; i < 200; i++)
        exposure_add(&exposure, entry_for(1), 1);
    for (u32 i = 0; i < 200; i++) {
        assert_true(exposure_any(&exposure, PAGE));
        exposure_remove(&exposure, entry_for(1), 1);
    }
    assert_false(exposure_any(&exposure, PAGE));
}

/* More than a counter can count: it is never right again, on the safe side. */
static void a_full_counter_stays(void **state)
{
    (void)state;
    for (u32 i = 0; i < 300; i++)
        exposure_add(&exposure, entry_for(1), 1);
    for (u32 i = 0; i < 300; i++)
        exposure_remove(&exposure, entry_for(1), 1);
    assert_true(exposure_any(&exposure, PAGE));
}

/* What lies above the memory has no counters. */
static void nothing_above_the_top(void **state)
{
    (void)state;
    for (u32 level = 1; level <= EXPOSURE_LEVELS; level++) {
        exposure_add(&exposure, TOP | EPT_WRITE, level);
        exposure_remove(&exposure, TOP | EPT_WRITE, level);
    }
    assert_false(exposure_any(&exposure, TOP));
    assert_false(exposure_any(&exposure, TOP - PAGE_SIZE));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(a_page_exposes_its_memory, setup, teardown),
        cmocka_unit_test_setup_teardown(reading_exposes_nothing, setup, teardown),
        cmocka_unit_test_setup_teardown(the_last_of_several_ends_it, setup, teardown),
        cmocka_unit_test_setup_teardown(a_full_counter_stays, setup, teardown),
        cmocka_unit_test_setup_teardown(nothing_above_the_top, setup, teardown),
    };

    return cmocka_run_group_tests_name("exposure", tests, NULL, NULL);
}
