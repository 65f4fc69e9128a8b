/* vmx/decode.c against a model that computes in 128 bits. */
#include "fuzz.h"

#include "vmx.h"
#include "vmx/decode.h"
#include "x86.h"

typedef unsigned __int128 u128;

static u32 field(u32 info, u32 low, u32 count) { return info >> low & (BIT(count) - 1); }

/* SDM vol. 3, "Format of the VM-Exit Instruction-Information Field". */
static void check_operand(struct input *in)
{
    u32 info = take32(in);
    u64 displacement = take_value(in), gpr[16];
    u128 sum = displacement;
    static const u128 sizes[8] = {(u128)1 << 16, (u128)1 << 32};
    u128 modulus = sizes[field(info, 7, 3)] ? sizes[field(info, 7, 3)] : (u128)1 << 64;
    struct vmx_operand operand;

    for (u32 i = 0; i < 16; i++)
        gpr[i] = take_value(in);
    operand = decode_operand(info, displacement, gpr);
    if (!field(info, 27, 1))
        sum += gpr[field(info, 23, 4)];
    if (!field(info, 22, 1))
        sum += (u128)gpr[field(info, 18, 4)] * (1u << field(info, 0, 2));
    DEMAND(operand.offset == (u64)(sum % modulus));
    DEMAND(operand.is_register == field(info, 10, 1));
    DEMAND(operand.reg == field(info, 3, 4));
    DEMAND(operand.reg2 == field(info, 28, 4));
    DEMAND(operand.segment <= SEGMENT_GS);
    DEMAND(field(info, 15, 3) > 5 || operand.segment == field(info, 15, 3));
}

static bool model_canonical(u128 address, u32 bits)
{
    u128 low_end = (u128)1 << (bits - 1), high_start = ((u128)1 << 64) - low_end;

    address %= (u128)1 << 64;
    return address < low_end || address >= high_start;
}

/* SDM vol. 3, "Linear-Address Masking": bit 63 tells user pointers from supervisor ones. */
static u64 model_masked(const struct segment_access *access, u64 address)
{
    u32 sign = 63;

    if (address >= BIT64(63) && (access->cr4 & CR4_LAM_SUP))
        sign = access->cr4 & CR4_LA57 ? 56 : 47;
    if (address < BIT64(63) && access->cr3)
        sign = access->cr3 & CR3_LAM_U57 ? 56 : 47;
    for (u32 bit = sign + 1; bit < 63; bit++)
        address = (address & ~BIT64(bit)) | (address >> sign & 1) << bit;
    return address;
}

/* Whether every byte of the access is in the segment, one by one. */
static bool model_in_segment(const struct segment_state *state, u64 offset, u32 size)
{
    u32 type = state->ar & 15;
    bool expand_down = !(type & 8) && (type & 4);
    u64 top = state->ar & AR_DB_MASK ? 0xffffffff : 0xffff;

    for (u32 i = 0; i < size; i++) {
        u128 at = (u128)offset + i;

        if (expand_down ? at <= state->limit || at > top : at > state->limit)
            return false;
    }
    return true;
}

static bool model_allowed(const struct segment_state *state, bool write)
{
    switch (state->ar & 15) {
    case 0:
    case 1:
    case 4:
    case 5: return !write; /* read-only data */
    case 2:
    case 3:
    case 6:
    case 7: return true;
    case 8:
    case 9:
    case 12:
    case 13: return false; /* execute-only code */
    default: return !write;
    }
}

static void check_segment(struct input *in)
{
    struct segment_state state = {
        .base = take_value(in),
        .limit = (u32)take_value(in),
        .ar = take32(in) & 0x1f0ff,
        .selector = take16(in),
    };
    u8 kinds = take8(in);
    struct segment_access access = {
        .mode = kinds & 3,
        .segment = take8(in) % 6,
        .cr3 = (kinds & 16 ? CR3_LAM_U48 : 0) | (kinds & 32 ? CR3_LAM_U57 : 0),
        .cr4 = (kinds & 4 ? CR4_LA57 : 0) | (kinds & 64 ? CR4_LAM_SUP : 0) |
               (kinds & 128 ? CR4_LASS | CR4_SMAP : 0),
        .write = kinds & 8,
        .size = 1 + take8(in) % 16,
        .offset = take_value(in),
    };
    bool wide = access.mode == MODE_64BIT;
    u64 base = !wide || access.segment >= SEGMENT_FS ? state.base : 0;
    u64 linear = 0;
    u8 vector = 99;
    bool got, wanted, denied = false;

    if (!wide && access.offset >> 32)
        access.offset &= 0xffffffff; /* offsets are cut to the address size before */
    got = segment_to_linear(&state, &access, &linear, &vector);
    if (wide) {
        u64 start = base + access.offset;
        u32 bits = kinds & 4 ? 57 : 48;

        wanted = model_canonical(model_masked(&access, start), bits) &&
                 model_canonical(model_masked(&access, start + access.size - 1), bits) &&
                 !((kinds & 128) && start < BIT64(63));
    } else {
        bool unusable = access.mode == MODE_PROTECTED && state.ar & AR_UNUSABLE_MASK;

        denied = access.mode == MODE_PROTECTED && !unusable && !model_allowed(&state, access.write);
        wanted = !unusable && !denied && model_in_segment(&state, access.offset, access.size);
    }
    DEMAND(got == wanted);
    if (got)
        DEMAND(linear ==
               (wide ? model_masked(&access, base + access.offset) : (u32)(base + access.offset)));
    else
        DEMAND(vector == (access.segment == SEGMENT_SS && !denied ? VECTOR_SS : VECTOR_GP));
}

int LLVMFuzzerTestOneInput(const u8 *data, size_t size)
{
    struct input in = {data, data + size};

    check_operand(&in);
    check_segment(&in);
    return 0;
}
