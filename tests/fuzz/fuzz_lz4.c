/* boot/lz4.c: whatever a block says, it reads the block alone and writes what fits. */
#include "fuzz.h"

#include "boot/lz4.h"

int LLVMFuzzerTestOneInput(const u8 *data, size_t size)
{
    struct input in = {data, data + size};
    size_t capacity = take16(&in), rest = (size_t)(in.end - in.at), done;
    /* Allocations of just the size: what lies behind must not be touched. */
    u8 *block = malloc(rest ? rest : 1), *out = malloc(capacity ? capacity : 1);

    memcpy(block, in.at, rest);
    done = lz4_decompress(block, rest, out, capacity);
    DEMAND(done <= capacity);
    if (done && done < capacity) {
        u8 *again = malloc(done);

        /* As much room as it needs is enough, and less is not. */
        DEMAND(lz4_decompress(block, rest, again, done) == done && !memcmp(again, out, done));
        DEMAND(lz4_decompress(block, rest, again, done - 1) == 0);
        free(again);
    }
    free(block);
    free(out);
    return 0;
}
