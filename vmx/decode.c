/* Operands of VMX instructions, and segmentation. */
#include "decode.h"

#include "vmx.h"
#include "x86.h"

/*
 * The bits of the instruction information, SDM vol. 3, "Format of the VM-Exit
 * Instruction-Information Field as Used for VMREAD and VMWRITE", and the same for the other VMX
 * instructions, which have undefined bits where they have no register.
 */
#define INFO_SCALING(info)      ((info)&3)
#define INFO_REG1(info)         ((info) >> 3 & 15)
#define INFO_ADDRESS_SIZE(info) ((info) >> 7 & 7)
#define INFO_REGISTER           BIT(10)
#define INFO_SEGMENT(info)      ((info) >> 15 & 7)
#define INFO_INDEX(info)        ((info) >> 18 & 15)
#define INFO_NO_INDEX           BIT(22)
#define INFO_BASE(info)         ((info) >> 23 & 15)
#define INFO_NO_BASE            BIT(27)
#define INFO_REG2(info)         ((info) >> 28)

static u64 address_mask(u32 info)
{
    switch (INFO_ADDRESS_SIZE(info)) {
    case 0: return 0xffff;
    case 1: return 0xffffffff;
    default: return ~0ull;
    }
}

bool decode_is_register(u32 info) { return info & INFO_REGISTER; }

struct vmx_operand decode_registers(u32 info)
{
    return (struct vmx_operand){
        .is_register = true,
        .reg = INFO_REG1(info),
        .reg2 = (u8)INFO_REG2(info),
    };
}

struct vmx_operand decode_operand(u32 info, u64 displacement, const u64 gpr[16])
{
    struct vmx_operand operand = {
        .is_register = info & INFO_REGISTER,
        .reg = INFO_REG1(info),
        .reg2 = (u8)INFO_REG2(info),
        .segment = INFO_SEGMENT(info) <= SEGMENT_GS ? INFO_SEGMENT(info) : SEGMENT_DS,
        .offset = displacement,
    };

    if (!(info & INFO_NO_BASE))
        operand.offset += gpr[INFO_BASE(info)];
    if (!(info & INFO_NO_INDEX))
        operand.offset += gpr[INFO_INDEX(info)] << INFO_SCALING(info);
    operand.offset &= address_mask(info);
    return operand;
}

static u32 linear_bits(const struct segment_access *access)
{
    return access->cr4 & CR4_LA57 ? 57 : 48;
}

static bool canonical(u64 addr, u32 bits)
{
    u64 high = addr >> (bits - 1);

    return high == 0 || high == ~0ull >> (bits - 1);
}

/* The bits of a linear address that LAM leaves: those above, but for bit 63, are metadata. */
static u32 lam_bits(const struct segment_access *access, u64 addr)
{
    if (addr >> 63)
        return access->cr4 & CR4_LAM_SUP ? linear_bits(access) : 64;
    if (access->cr3 & CR3_LAM_U57)
        return 57;
    return access->cr3 & CR3_LAM_U48 ? 48 : 64;
}

/* SDM vol. 3, "Linear-Address Masking": as bit 63 stays, a sign that is not the same is found not
   canonical after it. */
static u64 mask_metadata(const struct segment_access *access, u64 addr)
{
    u32 metadata = 64 - lam_bits(access, addr);
    u64 extended = (u64)((s64)(addr << metadata) >> metadata);

    return (extended & ~BIT64(63)) | (addr & BIT64(63));
}

/* SDM vol. 3, "Linear-Address-Space Separation": supervisor-mode data accesses. */
static bool separated(const struct segment_access *access, u64 addr)
{
    return (access->cr4 & CR4_LASS) && (access->cr4 & CR4_SMAP) && !(access->rflags & RFLAGS_AC) &&
           !(addr >> 63);
}

/* SDM vol. 3, "Limit Checking": every byte within the limit; none wraps. */
static bool within_limit(const struct segment_state *state, u64 offset, u32 size)
{
    bool code = state->ar & AR_TYPE_CODE_MASK;
    bool expand_down = !code && (state->ar & AR_TYPE_EXPAND_DOWN_MASK);
    u64 highest = state->ar & AR_DB_MASK ? 0xffffffff : 0xffff;
    u64 last = offset + size - 1;

    if (last < offset)
        return false;
    return expand_down ? offset > state->limit && last <= highest : last <= state->limit;
}

/* SDM vol. 3, "Type Checking": null selectors, read-only and execute-only segments. */
static bool access_allowed(const struct segment_state *state, bool write)
{
    bool code = state->ar & AR_TYPE_CODE_MASK;
    bool second = state->ar & AR_TYPE_WRITEABLE_MASK; /* data: writable, code: readable */

    return write ? !code && second : !code || second;
}

/* In 64-bit mode only FS and GS have a base, and an address must be canonical. */
static bool flat_to_linear(const struct segment_state *state, const struct segment_access *access,
                           u64 *linear)
{
    u64 base = access->segment >= SEGMENT_FS ? state->base : 0;
    u64 first = base + access->offset, last = first + access->size - 1;

    *linear = mask_metadata(access, first);
    return canonical(*linear, linear_bits(access)) &&
           canonical(mask_metadata(access, last), linear_bits(access)) && !separated(access, first);
}

bool segment_to_linear(const struct segment_state *state, const struct segment_access *access,
                       u64 *linear, u8 *vector)
{
    *vector = access->segment == SEGMENT_SS ? VECTOR_SS : VECTOR_GP;
    if (access->mode == MODE_64BIT)
        return flat_to_linear(state, access, linear);
    if (access->mode == MODE_PROTECTED) {
        if (state->ar & AR_UNUSABLE_MASK)
            return false;
        if (!access_allowed(state, access->write)) {
            *vector = VECTOR_GP;
            return false;
        }
    }
    *linear = (u32)(state->base + access->offset);
    return within_limit(state, access->offset, access->size);
}
