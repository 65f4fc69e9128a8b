; The other core: from its SIPI in real mode to other_main(), and its way into an L2 and back.

default rel

extern other_main

; Filled in by smp.c: struct start_block, at the end of the page that the core starts in.
%define BLOCK       0xf00
%define BLOCK_GDTR  (BLOCK + 0)
%define BLOCK_FAR32 (BLOCK + 8)
%define BLOCK_FAR64 (BLOCK + 16)
%define BLOCK_CR0   (BLOCK + 24)
%define BLOCK_CR3   (BLOCK + 32)
%define BLOCK_CR4   (BLOCK + 40)
%define BLOCK_EFER  (BLOCK + 48)
%define BLOCK_STACK (BLOCK + 56)
%define BLOCK_ENTRY (BLOCK + 64)

section .text

global start_page, start_page_end, start_page_32, start_page_64
bits 16
start_page:
    cli
    mov ax, cs
    mov ds, ax
    xor ebx, ebx
    mov bx, ax
    shl ebx, 4
    o32 lgdt [BLOCK_GDTR]
    mov eax, cr0
    or al, 1
    mov cr0, eax
    jmp far dword [BLOCK_FAR32]
bits 32
start_page_32:
    mov eax, 0x10
    mov ds, eax
    mov es, eax
    mov ss, eax
    mov eax, [ebx + BLOCK_CR4]
    mov cr4, eax
    mov eax, [ebx + BLOCK_CR3]
    mov cr3, eax
    mov ecx, 0xc0000080
    mov eax, [ebx + BLOCK_EFER]
    xor edx, edx
    wrmsr
    mov eax, [ebx + BLOCK_CR0]
    mov cr0, eax
    jmp far dword [ebx + BLOCK_FAR64]
bits 64
start_page_64:
    mov ebx, ebx
    mov rsp, [rbx + BLOCK_STACK]
    mov rax, [rbx + BLOCK_ENTRY]
    jmp rax
start_page_end:

; u8 guest_enter(bool launch, u64 rbx), on either core: 0 after a VM exit, else CF and ZF as bits 0 and
; 1. The current VMCS gets HOST_RSP and HOST_RIP, the guest RBX.
HOST_RSP equ 0x6c14
HOST_RIP equ 0x6c16
global guest_enter
guest_enter:
    push rbx
    push rbp
    push r12
    push r13
    push r14
    push r15
    mov eax, HOST_RSP
    vmwrite rax, rsp
    mov eax, HOST_RIP
    lea rdx, [rel .exit]
    vmwrite rax, rdx
    mov rbx, rsi
    test dil, dil
    jz .resume
    vmlaunch
    jmp .failed
.resume:
    vmresume
.failed:
    setc al
    setz cl
    add cl, cl
    or al, cl
    jmp .leave
.exit:
    xor eax, eax
.leave:
    pop r15
    pop r14
    pop r13
    pop r12
    pop rbp
    pop rbx
    movzx eax, al
    ret

section .note.GNU-stack noalloc noexec nowrite progbits
