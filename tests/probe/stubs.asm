; Entry of exceptions and interrupts, and the way into code that may fault or leave by a VM exit.
; The offsets of struct exec are asserted in exec.c.

bits 64
default rel

%define EXEC_GPR(n)  (exec + 8 * (n))
%define EXEC_RFLAGS  (exec + 128)
%define EXEC_ENTRY   (exec + 136)
%define EXEC_STACK   (exec + 144)
%define EXEC_END     (exec + 152)
%define EXEC_CS      (exec + 160)
%define EXEC_SS      (exec + 168)

%define END_RETURNED 0
%define END_EXITED   2

extern exec
extern trap
extern shadow_stack_after

section .text

; ---- 256 entries of 16 bytes, each leaving a vector and an error code on the stack
global trap_entries
align 16
trap_entries:
%assign vector 0
%rep 256
    align 16
%if vector = 8 || (vector >= 10 && vector <= 14) || vector = 17 || vector = 21
%else
    push 0
%endif
    push vector
    jmp trap_common
%assign vector vector + 1
%endrep

; struct trap_frame: registers in encoding order, vector, error, what the processor pushed
align 16
trap_common:
    push r15
    push r14
    push r13
    push r12
    push r11
    push r10
    push r9
    push r8
    push rdi
    push rsi
    push rbp
    push rsp
    push rbx
    push rdx
    push rcx
    push rax
    cld
    mov rdi, rsp
    call trap
    pop rax
    pop rcx
    pop rdx
    pop rbx
    add rsp, 8
    pop rbp
    pop rsi
    pop rdi
    pop r8
    pop r9
    pop r10
    pop r11
    pop r12
    pop r13
    pop r14
    pop r15
    add rsp, 16
    iretq

%macro PUSH_CALLEE_SAVED 0
    push rbx
    push rbp
    push r12
    push r13
    push r14
    push r15
%endmacro

%macro LOAD_REGISTERS 0
    mov rax, [EXEC_GPR(0)]
    mov rcx, [EXEC_GPR(1)]
    mov rdx, [EXEC_GPR(2)]
    mov rbx, [EXEC_GPR(3)]
    mov rbp, [EXEC_GPR(5)]
    mov rsi, [EXEC_GPR(6)]
    mov rdi, [EXEC_GPR(7)]
    mov r8, [EXEC_GPR(8)]
    mov r9, [EXEC_GPR(9)]
    mov r10, [EXEC_GPR(10)]
    mov r11, [EXEC_GPR(11)]
    mov r12, [EXEC_GPR(12)]
    mov r13, [EXEC_GPR(13)]
    mov r14, [EXEC_GPR(14)]
    mov r15, [EXEC_GPR(15)]
%endmacro

%macro SAVE_REGISTERS 0
    mov [EXEC_GPR(0)], rax
    mov [EXEC_GPR(1)], rcx
    mov [EXEC_GPR(2)], rdx
    mov [EXEC_GPR(3)], rbx
    mov [EXEC_GPR(5)], rbp
    mov [EXEC_GPR(6)], rsi
    mov [EXEC_GPR(7)], rdi
    mov [EXEC_GPR(8)], r8
    mov [EXEC_GPR(9)], r9
    mov [EXEC_GPR(10)], r10
    mov [EXEC_GPR(11)], r11
    mov [EXEC_GPR(12)], r12
    mov [EXEC_GPR(13)], r13
    mov [EXEC_GPR(14)], r14
    mov [EXEC_GPR(15)], r15
%endmacro

; void exec_enter(void): runs exec.entry until it returns, faults or exits
global exec_enter
exec_enter:
    PUSH_CALLEE_SAVED
    mov [EXEC_STACK], rsp
    lea rax, [exec_return]
    push rax
    push qword [EXEC_ENTRY]
    push qword [EXEC_RFLAGS]
    LOAD_REGISTERS
    popfq
    ret

exec_return:
    SAVE_REGISTERS
    pushfq
    pop qword [EXEC_RFLAGS]
    mov qword [EXEC_END], END_RETURNED
    jmp exec_unwind

; void exec_enter_far(void): the same through IRETQ, with exec.cs, exec.ss and exec's RSP.
; It comes back by a trap or a VM exit only.
global exec_enter_far
exec_enter_far:
    PUSH_CALLEE_SAVED
    mov [EXEC_STACK], rsp
    push qword [EXEC_SS]
    push qword [EXEC_GPR(4)]
    push qword [EXEC_RFLAGS]
    push qword [EXEC_CS]
    push qword [EXEC_ENTRY]
    LOAD_REGISTERS
    iretq

; HOST_RIP of every VMCS
global vm_exit_entry
vm_exit_entry:
    SAVE_REGISTERS
    mov [EXEC_GPR(4)], rsp
    pushfq
    pop qword [EXEC_RFLAGS]
    mov qword [EXEC_END], END_EXITED
    jmp exec_unwind

; HOST_RIP of a VMCS whose exits switch shadow stacks on
global vm_exit_on_shadow_stack
vm_exit_on_shadow_stack:
    push rax
    push rbx
    push rcx
    push rdx
    call .inside
    db 0xf3, 0x48, 0x0f, 0x1e, 0xc8 ; rdsspq rax
    mov [shadow_stack_after], rax
    mov rax, cr4
    btr rax, 23
    mov cr4, rax
    pop rdx
    pop rcx
    pop rbx
    pop rax
    jmp vm_exit_entry
.inside:
    cpuid
    ret

; Where all ways out meet; trap() comes here too.
global exec_unwind
exec_unwind:
    mov rsp, [EXEC_STACK]
    push 2
    popfq
    cld
    pop r15
    pop r14
    pop r13
    pop r12
    pop rbp
    pop rbx
    ret

; void load_tables(const void *gdtr, const void *idtr, u64 tr)
global load_tables
load_tables:
    lgdt [rdi]
    lidt [rsi]
    push 0x08
    lea rax, [.reload]
    push rax
    o64 retf
.reload:
    mov eax, 0x10
    mov ds, eax
    mov es, eax
    mov ss, eax
    mov fs, eax
    mov gs, eax
    ltr dx
    ret

section .note.GNU-stack noalloc noexec nowrite progbits
