/* boot/elf.c on any bytes, and on headers that are right but for a few numbers. */
#include "fuzz.h"

#include "boot/elf.h"
#include "boot_info.h"

#define LOAD_MAX (1u << 20) /* larger images are only read */

/* The start of an ELF that is accepted, with one segment. */
static void put_header(u8 *file, size_t size)
{
    static const u8 ident[] = {0x7f, 'E', 'L', 'F', 2, 1, 1};
    u64 entry = L0_VIRT_BASE, offset = 64, address = L0_VIRT_BASE;
    u16 type = 2, machine = 62, entry_size = 56, count = 1;
    u32 load = 1;

    if (size < 120)
        return;
    memcpy(file, ident, sizeof(ident));
    memcpy(file + 16, &type, 2);
    memcpy(file + 18, &machine, 2);
    memcpy(file + 24, &entry, 8);
    memcpy(file + 32, &offset, 8);
    memcpy(file + 54, &entry_size, 2);
    memcpy(file + 56, &count, 2);
    memcpy(file + 64, &load, 4);
    memcpy(file + 80, &address, 8);
}

int LLVMFuzzerTestOneInput(const u8 *data, size_t size)
{
    struct input in = {data, data + size};
    u32 kind = take8(&in);
    size_t rest = (size_t)(in.end - in.at);
    u8 *file = aligned_alloc(8, align_up(rest + 1, 8)), *copy;
    struct elf_layout layout;

    /* An allocation of just the size: what lies behind it must not be read. */
    copy = malloc(rest ? rest : 1);
    memcpy(file, in.at, rest);
    if (kind & 3)
        put_header(file, rest);
    if (kind & 2 && rest >= 120) { /* and a few numbers that are not right */
        for (u32 i = 0; i < (kind >> 4); i++) {
            u64 value = take_value(&in);

            memcpy(file + take8(&in) % 112, &value, sizeof(value));
        }
    }
    memcpy(copy, file, rest);
    if (elf_read(copy, rest, &layout)) {
        DEMAND(layout.image_size % PAGE_SIZE == 0);
        DEMAND(layout.image_size > 0 && layout.image_size <= SIZE_1G);
        DEMAND(layout.entry - L0_VIRT_BASE < layout.image_size);
        if (layout.image_size <= LOAD_MAX) {
            u8 *memory = malloc(layout.image_size);

            elf_load(copy, memory, layout.image_size);
            free(memory);
        }
    }
    free(copy);
    free(file);
    return 0;
}
