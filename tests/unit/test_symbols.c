/* The search of hv/symbols.c in a table as tools/mksymbols makes it. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>

#include "boot_info.h"
#include "../../hv/symbols.h"

const u32 symbol_count = 5;
const struct symbol symbol_table[] = {{0x10, 0}, {0x20, 6}, {0x21, 11}, {0x1000, 17}, {0x2000, 22}};
const char symbol_names[] = "first\0next\0short\0last\0";

static const struct {
    u64 address;
    const char *name; /* NULL: not found */
    u64 offset;
} rows[] = {
    {0, NULL, 0},
    {0xfff, NULL, 0},
    {L0_VIRT_BASE - 1, NULL, 0},
    {L0_VIRT_BASE, NULL, 0},
    {L0_VIRT_BASE + 0xf, NULL, 0},
    {L0_VIRT_BASE + 0x10, "first", 0},
    {L0_VIRT_BASE + 0x1f, "first", 0xf},
    {L0_VIRT_BASE + 0x20, "next", 0},
    {L0_VIRT_BASE + 0x21, "short", 0},
    {L0_VIRT_BASE + 0xfff, "short", 0xfde},
    {L0_VIRT_BASE + 0x1fff, "last", 0xfff},
    {L0_VIRT_BASE + 0x2000, NULL, 0}, /* behind the code */
    {~0ull, NULL, 0},
};

static void search(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
        u64 offset = 0;
        const char *name = symbol_find(rows[i].address, &offset);

        if (!rows[i].name) {
            assert_null(name);
            continue;
        }
        assert_non_null(name);
        assert_string_equal(name, rows[i].name);
        assert_int_equal(offset, rows[i].offset);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(search)};

    return cmocka_run_group_tests_name("symbols", tests, NULL, NULL);
}
