/* vmx/bitmaps.c and vmx/route.c: who sees an L2's access to an MSR or a control register. */
#include "fuzz.h"

#include "mm/phys.h"
#include "vmx.h"
#include "vmx/bitmaps.h"
#include "vmx/route.h"

#define OWNED_MAX 64

/* L0's own MSRs, as they might be. */
static struct {
    u32 msr;
    bool read, write;
} owned[OWNED_MAX];
static u32 owned_count;

/* SDM vol. 3, "MSR-Bitmap Address": the bit for an MSR; -1 if it has none and always exits. */
static s64 bit_of(u32 msr, bool write)
{
    s64 start = write ? 2048 * 8 : 0;

    if (msr <= 0x1fff)
        return start + msr;
    if (msr >= 0xc0000000 && msr <= 0xc0001fff)
        return start + 1024 * 8 + (msr - 0xc0000000);
    return -1;
}

static bool bit_is_set(const u8 *bitmap, s64 bit) { return bitmap[bit / 8] >> bit % 8 & 1; }

static void fill_own(u8 *bitmap)
{
    memset(bitmap, 0, PAGE_SIZE);
    for (u32 i = 0; i < owned_count; i++)
        for (u32 write = 0; write < 2; write++) {
            s64 bit = bit_of(owned[i].msr, write);

            if (write ? owned[i].write : owned[i].read)
                bitmap[bit / 8] |= (u8)(1 << bit % 8);
        }
}

static u32 take_msr(struct input *in)
{
    u32 msr = take16(in);

    switch (take8(in) % 4) {
    case 0: return msr;
    case 1: return 0xc0000000 | msr;
    case 2: return take32(in);
    default: return 0x2000 - 2 + msr % 4;
    }
}

static void check_access(const struct vmcs12 *vmcs12, const u8 *merged, const u8 *own_bitmap,
                         u32 msr, bool write)
{
    bool uses = vmcs12->cpu_based_vm_exec_control & CPU_BASED_USE_MSR_BITMAPS;
    s64 bit = bit_of(msr, write);
    bool wanted = true, own = false;
    u8 byte = 0;

    if (uses && bit >= 0) {
        phys_read(&byte, vmcs12->msr_bitmap + (u64)bit / 8, 1);
        wanted = byte >> bit % 8 & 1;
    }
    for (u32 i = 0; i < owned_count; i++)
        own |= owned[i].msr == msr && (write ? owned[i].write : owned[i].read);
    DEMAND(route_msr_to_l1(vmcs12, own_bitmap, msr, write) == (wanted || !own));
    if (bit >= 0)
        DEMAND(bit_is_set(merged, bit) == (wanted || own));
}

static void check_bitmap(struct input *in)
{
    struct vmcs12 vmcs12 = {.msr_bitmap = take_value(in) & PAGE_MASK & (BIT64(46) - 1),
                            .cpu_based_vm_exec_control = (u32)take_value(in)};
    static u64 merged[PAGE_SIZE / 8], own[PAGE_SIZE / 8];

    owned_count = take8(in) % OWNED_MAX;
    for (u32 i = 0; i < owned_count; i++) {
        u32 msr = take16(in);

        owned[i].msr = msr & 0x2000 ? 0xc0000000 | (msr & 0x1fff) : msr & 0x1fff;
        owned[i].read = msr & 0x4000;
        owned[i].write = msr & 0x8000;
    }
    fill_own((u8 *)own);
    if (vmcs12.cpu_based_vm_exec_control & CPU_BASED_USE_MSR_BITMAPS)
        phys_read(merged, vmcs12.msr_bitmap, PAGE_SIZE);
    else
        memset(merged, 0xff, PAGE_SIZE);
    bitmap_merge(merged, own);
    DEMAND(memory_total_writes() == 0);
    for (u32 i = 0; i < owned_count; i++) {
        check_access(&vmcs12, (u8 *)merged, (u8 *)own, owned[i].msr, false);
        check_access(&vmcs12, (u8 *)merged, (u8 *)own, owned[i].msr, true);
    }
    for (u32 i = 0; i < 16; i++)
        check_access(&vmcs12, (u8 *)merged, (u8 *)own, take_msr(in), take8(in) & 1);
}

/* SDM vol. 3, "Instructions That Cause VM Exits Conditionally": MOV to CR4. */
static void check_cr(struct input *in)
{
    struct vmcs12 vmcs12 = {.cr4_guest_host_mask = take_value(in),
                            .cr4_read_shadow = take_value(in)};
    u64 qualification = take32(in) & 0xffff0f7f, value = take_value(in);
    bool to_cr4 = (qualification & 0x3f) == 4;
    bool differs = false;

    for (u32 bit = 0; bit < 64; bit++)
        if (vmcs12.cr4_guest_host_mask >> bit & 1)
            differs |= (value >> bit & 1) != (vmcs12.cr4_read_shadow >> bit & 1);
    DEMAND(route_cr_to_l1(&vmcs12, qualification, value) == (!to_cr4 || differs));
}

/* SDM vol. 3, "VMCS Shadowing Bitmap Addresses": bit n is for the encoding n; of a 64-bit field
   both halves have one. */
static void check_fields(struct input *in)
{
    static u8 bitmap[PAGE_SIZE];
    u32 encoding = take16(in) & 0x7ffe;
    bool wide = (encoding >> 13 & 3) == 1;
    bool lets;

    memset(bitmap, take8(in), sizeof(bitmap));
    bitmap[encoding / 8] = take8(in);
    lets = !(bitmap[encoding / 8] >> encoding % 8 & 1) ||
           (wide && !(bitmap[encoding / 8] >> (encoding % 8 + 1) & 1));
    DEMAND(bitmap_lets_field(bitmap, encoding) == lets);
}

int LLVMFuzzerTestOneInput(const u8 *data, size_t size)
{
    struct input in = {data, data + size};

    memory_reset(take64(&in));
    check_cr(&in);
    check_fields(&in);
    check_bitmap(&in);
    return 0;
}
