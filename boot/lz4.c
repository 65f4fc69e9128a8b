#include "lz4.h"

#define MATCH_MIN    4u
#define LENGTH_MORE  15u /* a length of four bits that goes on in the bytes behind */
#define OFFSET_BYTES 2u

struct stream {
    const u8 *at, *end;
};

/* A length: the token's four bits, and bytes as long as they are 255. False: the block ends in it.
 */
static bool read_length(struct stream *in, u32 bits, size_t *length)
{
    u8 more = 255;

    *length = bits;
    if (bits != LENGTH_MORE)
        return true;
    while (more == 255) {
        if (in->at == in->end)
            return false;
        more = *in->at++;
        *length += more;
    }
    return true;
}

size_t lz4_decompress(const u8 *from, size_t size, u8 *to, size_t capacity)
{
    struct stream in = {from, from + size};
    size_t done = 0;

    while (in.at < in.end) {
        u8 token = *in.at++;
        size_t length, offset;

        if (!read_length(&in, token >> 4, &length) || length > (size_t)(in.end - in.at) ||
            length > capacity - done)
            return 0;
        for (size_t i = 0; i < length; i++)
            to[done++] = *in.at++;
        if (in.at == in.end)
            return done; /* the last sequence has no match */
        if (in.end - in.at < (ptrdiff_t)OFFSET_BYTES)
            return 0;
        offset = in.at[0] | (size_t)in.at[1] << 8;
        in.at += OFFSET_BYTES;
        if (!read_length(&in, token & LENGTH_MORE, &length) || !offset || offset > done)
            return 0;
        length += MATCH_MIN;
        if (length > capacity - done)
            return 0;
        /* Byte by byte: a match may reach into what it makes. */
        for (size_t i = 0; i < length; i++, done++)
            to[done] = to[done - offset];
    }
    return 0;
}
