; u64 enter_l0(struct l0_call *call, u64 entry, u64 cr3)
;
; Jumps to L0's entry point on the page table cr3, after having filled in where the core is to
; continue: here, on its present page table, as L1 if L0 could start on it. Returns the enum
; l0_error that L0 put into RAX. The layout of struct l0_call is asserted in boot/start.c.
;
; A core that L0 could not start on may come back on cr3 as well: L0's upper-half code can get
; from its own tables to those, which map both it and this, but not to the firmware's.

bits 64
default rel

RESUME_RIP    equ 16
RESUME_RSP    equ 24
RESUME_RFLAGS equ 32
RESUME_CR3    equ 40

section .text
global enter_l0
enter_l0:
    pushfq
    push rbx
    push rbp
    push r12
    push r13
    push r14
    push r15
    cli
    mov rax, cr3
    push rax
    mov [rdi + RESUME_CR3], rax

    lea rax, [resumed]
    mov [rdi + RESUME_RIP], rax
    mov [rdi + RESUME_RSP], rsp
    pushfq
    pop qword [rdi + RESUME_RFLAGS]

    mov cr3, rdx
    jmp rsi                     ; the stack is aligned as behind a call

resumed:
    pop rcx
    mov cr3, rcx                ; where L0 could not start, its page table is still in use
    pop r15
    pop r14
    pop r13
    pop r12
    pop rbp
    pop rbx
    popfq                       ; interrupts on again if they were
    ret

section .note.GNU-stack noalloc noexec nowrite progbits
