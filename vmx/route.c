#include "route.h"

#include "vmx.h"
#include "../mm/phys.h"

#define BITMAP_MSRS  0x2000u
#define HIGH_MSRS    0xc0000000u
#define HIGH_BITMAP  1024u /* bytes from the bitmap for low MSRs to that for high ones */
#define WRITE_BITMAP 2048u /* and from reads to writes */

bool route_msr_to_l1(const struct vmcs12 *vmcs12, const u8 *own, u32 msr, bool write)
{
    u32 at = write ? WRITE_BITMAP : 0;
    u8 byte;

    if (!(vmcs12->cpu_based_vm_exec_control & CPU_BASED_USE_MSR_BITMAPS))
        return true;
    if (msr >= HIGH_MSRS) {
        msr -= HIGH_MSRS;
        at += HIGH_BITMAP;
    }
    if (msr >= BITMAP_MSRS)
        return true;
    at += msr / 8;
    /* Due to L1's bit, as it was at the entry. L1 may have changed it since, and L0 must not
       execute what it has no emulation for: IA32_GS_BASE, for one, is L0's own now. */
    if (!(own[at] >> msr % 8 & 1))
        return true;
    phys_read(&byte, vmcs12->msr_bitmap + at, sizeof(byte));
    return byte >> msr % 8 & 1;
}

bool route_cr_to_l1(const struct vmcs12 *vmcs12, u64 qualification, u64 value)
{
    enum cr_access_type type = (qualification & CONTROL_REG_ACCESS_TYPE) >> 4;

    /* L0 intercepts nothing of these but MOV to CR4. */
    if (type != CR_MOV_TO || (qualification & CONTROL_REG_ACCESS_NUM) != 4)
        return true;
    return (value ^ vmcs12->cr4_read_shadow) & vmcs12->cr4_guest_host_mask;
}
