; VM exit and VM entry. HOST_RIP is vm_exit, GS base the core's struct cpu. The guest's registers are
; kept there while L0 runs. HOST_RSP is not L0's, see vmx/direct.h: an NMI before the first
; instruction finds the stack itself.

%include "hv/offsets.inc"

extern exit_handle, exit_handle_observed, exit_nmi, exit_entry_failed

section .text

%macro EACH_GPR 1                       ; all but RSP, which the VMCS holds
        %1      rax, 0
        %1      rcx, 1
        %1      rdx, 2
        %1      rbx, 3
        %1      rbp, 5
        %1      rsi, 6
        %1      rdi, 7
        %1      r8, 8
        %1      r9, 9
        %1      r10, 10
        %1      r11, 11
        %1      r12, 12
        %1      r13, 13
        %1      r14, 14
        %1      r15, 15
%endmacro

%macro SAVE_GPR 2
        mov     [gs:CPU_GPR + %2 * 8], %1
%endmacro

%macro LOAD_GPR 2
        mov     %1, [gs:CPU_GPR + %2 * 8]
%endmacro

%macro VM_EXIT 1
        mov     rsp, [gs:CPU_STACK_TOP]
        EACH_GPR SAVE_GPR
        mov     rdi, [gs:CPU_SELF]
        xor     ebp, ebp                ; the end of a backtrace
        call    %1
%endmacro

; HOST_RIP where the monitor or the flight recorder sees each exit.
global vm_exit_observed
vm_exit_observed:
        VM_EXIT exit_handle_observed
        jmp     vm_resume

global vm_exit
vm_exit:
        VM_EXIT exit_handle

; eax: whether the VMCS is launched, so that VMRESUME is right. An NMI that hits L0 between the
; look at nmi_pending and the entry makes its handler continue at vm_resume_restart, or it would
; wait for the next exit.
global vm_resume, vm_resume_window_start, vm_resume_window_end, vm_resume_restart
vm_resume:
vm_resume_window_start:
        cmp     qword [gs:CPU_NMI_PENDING], 0
        jne     vm_resume_restart
        test    eax, eax
        EACH_GPR LOAD_GPR
        jz      .launch
        vmresume
        jmp     .failed
.launch:
        vmlaunch
.failed:
vm_resume_window_end:
        mov     rdi, [gs:CPU_SELF]
        xor     ebp, ebp
        call    exit_entry_failed
        jmp     vm_resume

vm_resume_restart:
        mov     rdi, [gs:CPU_SELF]
        xor     ebp, ebp
        call    exit_nmi
        jmp     vm_resume

; The first entry of a core. rdi: the top of its stack.
global vm_launch
vm_launch:
        mov     rsp, rdi
        xor     eax, eax
        jmp     vm_resume

; The end of all this, for hv/monitor/breakpoints.c.
global exit_text_end
exit_text_end:
