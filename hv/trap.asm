; Entry of exceptions, interrupts and NMIs into L0, and the way back from those that return.
;
; Nothing here executes IRET, but for a debugger, because IRET ends the blocking of NMIs. Blocking
; starts with the NMI that caused an exit or came while L0 ran, and must last until the next VM
; entry: else a second NMI would find the first one still noted in nmi_pending, and be lost. SDM
; vol. 3, "Handling Multiple NMIs".

%include "hv/offsets.inc"

bits 64
default rel

extern trap_handle              ; void trap_handle(struct trap_frame *)
extern panic_nmi                ; void panic_nmi(void): returns on the panicking core alone
extern panicking
extern vm_exit                  ; the first instruction of these loads RSP
extern vm_exit_observed
extern vm_resume_window_start   ; between these two L0 no longer looks at nmi_pending ...
extern vm_resume_window_end
extern vm_resume_restart        ; ... so it must look again

global trap_stubs
global trap_unexpected

%define TRAP_UNEXPECTED_INTERRUPT 256
%define RFLAGS_TF 0x100

%macro push_registers 0         ; the order of struct trap_frame, last member first
    push rax
    push rcx
    push rdx
    push rbx
    push rbp
    push rsi
    push rdi
    push r8
    push r9
    push r10
    push r11
    push r12
    push r13
    push r14
    push r15
%endmacro

%macro pop_registers 0
    pop r15
    pop r14
    pop r13
    pop r12
    pop r11
    pop r10
    pop r9
    pop r8
    pop rdi
    pop rsi
    pop rbp
    pop rbx
    pop rdx
    pop rcx
    pop rax
%endmacro

section .text

global trap_text_start, trap_text_end ; for hv/monitor/breakpoints.c
trap_text_start:

%assign vector 0
%rep 32
trap_stub_ %+ vector:
%if vector == 2
    jmp trap_nmi
%else
    ; SDM vol. 3, table "Exceptions and Interrupts": these push an error code themselves
%if !(vector == 8 || (vector >= 10 && vector <= 14) || vector == 17 || vector == 21 || \
      vector == 29 || vector == 30)
    push 0
%endif
    push vector
    jmp trap_common
%endif
%assign vector vector + 1
%endrep

trap_unexpected:
    push 0
    push TRAP_UNEXPECTED_INTERRUPT
    ; falls through

; The processor aligned RSP to 16 before it pushed 5 words; with the 17 here it is aligned again.
trap_common:
    push_registers
    cld
    mov rdi, rsp
    call trap_handle
    pop_registers
    add rsp, 16                 ; vector and error code
    push rax
    push rcx
    ; falls through

; The stack holds RCX, RAX and what the processor pushed: RIP, CS, RFLAGS, RSP, SS. CS and SS are
; L0's own, so RIP and RFLAGS suffice; they go below the interrupted RSP, where L0 keeps nothing
; (no red zone). Without an IST that is where this very frame lies: each word of it is read
; before it can be overwritten.
trap_return:
    test dword [rsp + 32], RFLAGS_TF
    jnz .step
    mov rax, [rsp + 40]         ; RSP
    mov rcx, [rsp + 16]         ; RIP
    mov [rax - 8], rcx
    mov rcx, [rsp + 32]         ; RFLAGS
    mov [rax - 16], rcx
    mov rcx, [rsp + 8]          ; RAX
    mov [rax - 24], rcx
    mov rcx, [rsp]
    lea rsp, [rax - 24]
    pop rax
    popfq
    ret

; A debugger steps: the flag is to take effect behind the next instruction of the code that was
; interrupted. With IRET alone it does.
.step:
    pop rcx
    pop rax
    iretq

; On its own stack (IST), and never nested: see above.
trap_nmi:
    push rax
    push rcx
    mov qword [gs:CPU_NMI_PENDING], 1
    cmp dword [panicking], 0
    jne .panicking
.look_at_window:
    mov rcx, [rsp + 16]         ; RIP
    lea rax, [vm_exit]
    cmp rcx, rax
    je .before_stack
    lea rax, [vm_exit_observed]
    cmp rcx, rax
    je .before_stack
    lea rax, [vm_resume_window_start]
    cmp rcx, rax
    jb trap_return
    lea rax, [vm_resume_window_end]
    cmp rcx, rax
    jae trap_return
    lea rax, [vm_resume_restart]
    mov [rsp + 16], rax
    jmp trap_return

.before_stack:
    mov rax, [gs:CPU_STACK_TOP]
    mov [rsp + 40], rax         ; RSP
    jmp trap_return

.panicking:
    push_registers              ; 5 + 2 + 15 words: aligned to 16
    cld
    call panic_nmi
    pop_registers
    jmp .look_at_window

trap_text_end:

section .rodata

align 8
trap_stubs:
%assign vector 0
%rep 32
    dq trap_stub_ %+ vector
%assign vector vector + 1
%endrep

section .note.GNU-stack noalloc noexec nowrite progbits
