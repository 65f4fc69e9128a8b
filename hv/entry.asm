; L0's entry point: what a loader calls on each core (include/boot_info.h), and the way into
; the first VM entry.

%include "hv/offsets.inc"

CALL_CPU        equ 8           ; offsets in struct l0_call, asserted in start.c
CALL_RIP        equ 16
CALL_RSP        equ 24
CALL_RFLAGS     equ 32

extern start_shared, start_stack, start_cpu

section .text

; rdi: struct l0_call, in the loader's memory. Runs on the loader's stack and page table until
; start_cpu. Comes back to the loader only when the core could not be started.
global l0_start
l0_start:
        mov     r12, rdi
        and     rsp, -16
        cmp     qword [r12 + CALL_CPU], 0
        jne     .stack
        call    start_shared            ; on the boot core, which comes first
        test    eax, eax
        jnz     .fail
.stack:
        mov     rdi, r12
        call    start_stack
        test    rax, rax
        jz      .no_stack
        mov     rsp, rax
        xor     ebp, ebp
        mov     rdi, r12
        call    start_cpu
        jmp     .fail
.no_stack:
        mov     eax, 3                  ; L0_BAD_BOOT_INFO
.fail:
        mov     rsp, [r12 + CALL_RSP]
        push    qword [r12 + CALL_RFLAGS]
        popfq
        jmp     [r12 + CALL_RIP]
