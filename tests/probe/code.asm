; Everything that rows execute.

%include "code.inc"

; ---- the probe's own VMX instructions: memory operand in RCX, field or type in RAX

ROOT "vmxoff", vmxoff
ROOT "vmlaunch", vmlaunch
ROOT "vmresume", vmresume
ROOT "vmcall", vmcall
ROOT "vmfunc", vmfunc
ROOT "vmxon", vmxon [rcx]
ROOT "vmclear", vmclear [rcx]
ROOT "vmptrld", vmptrld [rcx]
ROOT "vmptrst", vmptrst [rcx]
ROOT "vmread", vmread rdx, rax
ROOT "vmread-mem", vmread [rcx], rax
ROOT "vmwrite", vmwrite rax, rdx
ROOT "vmwrite-mem", vmwrite rax, [rcx]
ROOT "invept", invept rax, [rcx]
ROOT "invvpid", invvpid rax, [rcx]

%macro SEGMENT_FORMS 2 ; prefix of the name, address
ROOT {%1, "vmxon"}, vmxon %2
ROOT {%1, "vmclear"}, vmclear %2
ROOT {%1, "vmptrld"}, vmptrld %2
ROOT {%1, "vmptrst"}, vmptrst %2
ROOT {%1, "vmread-mem"}, vmread %2, rax
ROOT {%1, "vmwrite-mem"}, vmwrite rax, %2
ROOT {%1, "invept"}, invept rax, %2
ROOT {%1, "invvpid"}, invvpid rax, %2
%endmacro

SEGMENT_FORMS "fs:", [fs:rcx]
SEGMENT_FORMS "gs:", [gs:rcx]
SEGMENT_FORMS "ss:", [rbp]
SEGMENT_FORMS "es:", [es:rcx]
SEGMENT_FORMS "index:", [rcx + rdx * 8 + 0x10]
SEGMENT_FORMS "addr32:", [ecx]
SEGMENT_FORMS "disp8:", [r13 - 0x10]
SEGMENT_FORMS "r12:", [r12 + r9 * 4]
SEGMENT_FORMS "index-only:", [rdx * 2 + 0x1000]

CODE 64, "mov-ss vmlaunch"
    mov edx, ss
    mov ss, edx
    vmlaunch
    ret
END
CODE 64, "mov-ss vmresume"
    mov edx, ss
    mov ss, edx
    vmresume
    ret
END
CODE 64, "pop-ss-like vmlaunch nop"
    mov edx, ss
    mov ss, edx
    nop
    vmlaunch
    ret
END

; register forms through every register
%macro VMREAD_FORMS 1-*
%rep %0
%defstr register_text %1
CODE 64, {"vmread to ", register_text}
    mov rax, 0x681e
    vmread %1, rax
    ret
END
CODE 64, {"vmwrite from ", register_text}
    push 0x681e
    pop rax
    push rbx
%ifnidni %1, rax
    mov %1, 0x1234567890
%endif
%ifidni %1, rax
    mov rbx, rax
    mov rax, 0x1234567890
    vmwrite rbx, rax
%else
    vmwrite rax, %1
%endif
    pop rbx
    ret
END
%rotate 1
%endrep
%endmacro
VMREAD_FORMS rax, rcx, rdx, rbx, rbp, rsi, rdi, r8, r9, r10, r11, r12, r13, r14, r15

CODE 64, "vmread to rsp"
    mov rdx, rsp
    vmread rsp, rax
    mov rcx, rsp
    mov rsp, rdx
    ret
END
CODE 64, "vmwrite from rsp"
    vmwrite rax, rsp
    ret
END

; ---- the same below CPL 0 and in compatibility mode

%macro MODE_FORMS 3 ; bits, prefix, memory
FAR_CODE %1, {%2, "vmxon"}, vmxon %3
FAR_CODE %1, {%2, "vmxoff"}, vmxoff
FAR_CODE %1, {%2, "vmclear"}, vmclear %3
FAR_CODE %1, {%2, "vmptrld"}, vmptrld %3
FAR_CODE %1, {%2, "vmptrst"}, vmptrst %3
FAR_CODE %1, {%2, "vmlaunch"}, vmlaunch
FAR_CODE %1, {%2, "vmresume"}, vmresume
FAR_CODE %1, {%2, "vmcall"}, vmcall
%endmacro

MODE_FORMS 64, "user ", [rcx]
FAR_CODE 64, "user vmread", vmread rdx, rax
FAR_CODE 64, "user vmwrite", vmwrite rax, rdx
FAR_CODE 64, "user vmread-mem", vmread [rcx], rax
FAR_CODE 64, "user vmwrite-mem", vmwrite rax, [rcx]
FAR_CODE 64, "user invept", invept rax, [rcx]
FAR_CODE 64, "user invvpid", invvpid rax, [rcx]
MODE_FORMS 32, "compat ", [ecx]
FAR_CODE 32, "compat vmread", vmread edx, eax
FAR_CODE 32, "compat vmwrite", vmwrite eax, edx
FAR_CODE 32, "compat vmread-mem", vmread [ecx], eax
FAR_CODE 32, "compat vmwrite-mem", vmwrite eax, [ecx]
FAR_CODE 32, "compat invept", invept eax, [ecx]
FAR_CODE 32, "compat invvpid", invvpid eax, [ecx]

; ---- guests: one instruction

GUEST_ALL "nop", nop
GUEST_ALL "cpuid", cpuid
GUEST_ALL "hlt", hlt
GUEST_ALL "invd", invd
GUEST_ALL "wbinvd", wbinvd
GUEST_ALL "pause", pause
GUEST_CODE 64, "pause loop"
    mov ecx, 200
.again:
    pause
    dec ecx
    jnz .again
    vmcall
END
GUEST_CODE 64, "load selectors"
    mov eax, 0x10
    mov ds, eax
    xor eax, eax
    mov es, eax
    mov fs, eax
    vmcall
END
GUEST_ALL "rdtsc", rdtsc
GUEST_ALL "rdtscp", rdtscp
GUEST_ALL2 "rdpmc", {xor ecx, ecx}, rdpmc
GUEST_ALL "ud2", ud2
GUEST_ALL "getsec", getsec
GUEST_ALL "rsm", rsm
GUEST_ALL "int3", int3
GUEST_ALL "int1", db 0xf1
GUEST_ALL "int 0x30", int 0x30
GUEST_ALL "int 3 in two bytes", {db 0xcd, 0x03}
GUEST_ALL "clts", clts
GUEST_CODE 64, "monitor"
    mov rax, 0x3000
    monitor
    vmcall
END
GUEST_CODE 32, "monitor"
    mov eax, 0x3000
    monitor
    vmcall
END
GUEST_CODE 16, "monitor"
    mov eax, 0x3000
    monitor
    vmcall
END
GUEST_ALL "mwait", mwait
GUEST_CODE 64, "monitor-mwait"
    mov eax, 0x3000
    xor ecx, ecx
    xor edx, edx
    monitor
    xor eax, eax
    mwait
    vmcall
END
GUEST 64, "invlpg", invlpg [0x3000]
GUEST 64, "invlpg rbx", invlpg [rbx + rcx * 4 + 0x10]
GUEST 32, "invlpg", invlpg [0x3000]
GUEST 16, "invlpg", invlpg [0x3000]
GUEST 64, "invlpg gs", invlpg [gs:0x3000]
GUEST_ALL "vmfunc", vmfunc
%macro VMFUNC_FORMS 1 ; bits
GUEST_CODE %1, "vmfunc, read spare"
    vmfunc
    mov eax, [0x20010]
    vmcall
END
GUEST_CODE %1, "vmfunc, write spare"
    vmfunc
    mov [0x20020], eax
    vmcall
END
%endmacro
VMFUNC_FORMS 64
VMFUNC_FORMS 32
GUEST 64, "vmfunc 66", {db 0x66, 0x0f, 0x01, 0xd4}
GUEST 64, "vmfunc f3", {db 0xf3, 0x0f, 0x01, 0xd4}
GUEST 64, "vmfunc lock", {db 0xf0, 0x0f, 0x01, 0xd4}
GUEST_CODE 64, "sti, vmfunc"
    sti
    vmfunc
    vmcall
END
GUEST_CODE 64, "vmfunc to and fro"
    mov eax, [0x20010]
    mov r8d, eax
    xor eax, eax
    mov ecx, 1
    vmfunc
    mov r9d, [0x20010]
    xor ecx, ecx
    vmfunc
    mov r10d, [0x20010]
    mov ecx, 1
    vmfunc
    mov r11d, [0x20010]
    vmcall
END
GUEST 64, "rdrand rax", rdrand rax
GUEST 64, "rdrand ecx", rdrand ecx
GUEST 64, "rdrand r13w", rdrand r13w
GUEST 64, "rdseed rax", rdseed rax
GUEST 64, "rdseed ebx", rdseed ebx
GUEST 64, "rdseed r9w", rdseed r9w
GUEST 32, "rdrand eax", rdrand eax
GUEST 32, "rdseed edx", rdseed edx
GUEST_CODE 64, "xgetbv"
    xor ecx, ecx
    xgetbv
    vmcall
END
%macro XSETBV_FORM 3
GUEST_CODE 64, {%1}
    mov ecx, %2
    xor edx, edx
    mov eax, %3
    xsetbv
    vmcall
END
%endmacro
XSETBV_FORM "xsetbv", 0, 1
XSETBV_FORM "xsetbv zero", 0, 0
XSETBV_FORM "xsetbv index", 5, 1

; ---- MSRs: the number is put into ECX by the row

GUEST_ALL "rdmsr", rdmsr
GUEST_ALL "wrmsr", wrmsr

; ---- ports

GUEST_ALL "in al, imm", in al, 0x80
GUEST_ALL "in ax, imm", in ax, 0x80
GUEST_ALL "in eax, imm", in eax, 0x80
GUEST_ALL "in al, dx", in al, dx
GUEST_ALL "in ax, dx", in ax, dx
GUEST_ALL "in eax, dx", in eax, dx
GUEST_ALL "out imm, al", out 0x80, al
GUEST_ALL "out imm, ax", out 0x80, ax
GUEST_ALL "out imm, eax", out 0x80, eax
GUEST_ALL "out dx, al", out dx, al
GUEST_ALL "out dx, ax", out dx, ax
GUEST_ALL "out dx, eax", out dx, eax
GUEST_ALL "insb", insb
GUEST_ALL "insw", insw
GUEST_ALL "insd", insd
GUEST_ALL "outsb", outsb
GUEST_ALL "outsw", outsw
GUEST_ALL "outsd", outsd
GUEST_ALL "rep insb", rep insb
GUEST_ALL "rep insd", rep insd
GUEST_ALL "rep outsb", rep outsb
GUEST_ALL "rep outsw", rep outsw
GUEST_ALL "rep outsd", rep outsd
GUEST_ALL "outsb fs", {fs outsb}
GUEST_ALL "outsb gs", {gs outsb}
GUEST_ALL "outsb es", {es outsb}
GUEST_ALL "outsb ss", {ss outsb}
GUEST_ALL "outsb cs", {cs outsb}
GUEST 64, "insb a32", a32 insb
GUEST 64, "outsb a32", a32 outsb
GUEST 32, "insb a16", a16 insb
GUEST 32, "outsb a16", a16 outsb
GUEST 16, "insb a32", a32 insb
GUEST 16, "outsb a32", a32 outsb

; ---- control registers

%macro CR_FORMS 1 ; general register
%defstr cr_register %1
GUEST 64, {"mov cr0, ", cr_register}, mov cr0, %1
GUEST 64, {"mov cr3, ", cr_register}, mov cr3, %1
GUEST 64, {"mov cr4, ", cr_register}, mov cr4, %1
GUEST 64, {"mov cr8, ", cr_register}, mov cr8, %1
GUEST 64, {"mov ", cr_register, ", cr3"}, mov %1, cr3
GUEST 64, {"mov ", cr_register, ", cr8"}, mov %1, cr8
GUEST 64, {"mov dr1, ", cr_register}, mov dr1, %1
GUEST 64, {"mov ", cr_register, ", dr1"}, mov %1, dr1
%endmacro
CR_FORMS rax
CR_FORMS rcx
CR_FORMS rdx
CR_FORMS rbx
CR_FORMS rsp
CR_FORMS rbp
CR_FORMS rsi
CR_FORMS rdi
CR_FORMS r8
CR_FORMS r9
CR_FORMS r10
CR_FORMS r11
CR_FORMS r12
CR_FORMS r13
CR_FORMS r14
CR_FORMS r15
GUEST_EACH "mov cr0, xax", {mov cr0, rax}, {mov cr0, eax}
GUEST_EACH "mov cr2, xax", {mov cr2, rax}, {mov cr2, eax}
GUEST_EACH "mov cr3, xax", {mov cr3, rax}, {mov cr3, eax}
GUEST_EACH "mov cr4, xax", {mov cr4, rax}, {mov cr4, eax}
GUEST_EACH "mov xax, cr0", {mov rax, cr0}, {mov eax, cr0}
GUEST_EACH "mov xax, cr3", {mov rax, cr3}, {mov eax, cr3}
GUEST_EACH "mov xax, cr4", {mov rax, cr4}, {mov eax, cr4}
GUEST_CODE 64, "mov cr0, cr0"
    mov rax, cr0
    mov cr0, rax
    vmcall
END
GUEST_CODE 32, "mov cr0, cr0"
    mov eax, cr0
    mov cr0, eax
    vmcall
END
GUEST_CODE 16, "mov cr0, cr0"
    mov eax, cr0
    mov cr0, eax
    vmcall
END
GUEST_CODE 64, "mov cr3, cr3"
    mov rax, cr3
    mov cr3, rax
    vmcall
END
GUEST_CODE 32, "mov cr3, cr3"
    mov eax, cr3
    mov cr3, eax
    vmcall
END
GUEST_CODE 16, "mov cr3, cr3"
    mov eax, cr3
    mov cr3, eax
    vmcall
END
GUEST_CODE 64, "mov cr4, cr4"
    mov rax, cr4
    mov cr4, rax
    vmcall
END
GUEST_CODE 32, "mov cr4, cr4"
    mov eax, cr4
    mov cr4, eax
    vmcall
END
GUEST_CODE 16, "mov cr4, cr4"
    mov eax, cr4
    mov cr4, eax
    vmcall
END
GUEST_ALL "smsw ax", smsw ax
GUEST_ALL "smsw eax", smsw eax
GUEST 64, "smsw rax", smsw rax
GUEST_ALL "lmsw ax", lmsw ax
GUEST 64, "lmsw mem", lmsw [0x3000]
GUEST 32, "lmsw mem", lmsw [0x3000]
GUEST 16, "lmsw mem", lmsw [0x3000]

%macro CR0_CHANGE 4 ; name, and-mask, or-mask, xor-mask
GUEST_CODE 64, {"cr0 ", %1}
    mov rax, cr0
    mov rbx, %2
    and rax, rbx
    mov rbx, %3
    or rax, rbx
    mov rbx, %4
    xor rax, rbx
    mov cr0, rax
    vmcall
END
GUEST_CODE 64, {"cr4 ", %1}
    mov rax, cr4
    mov rbx, %2
    and rax, rbx
    mov rbx, %3
    or rax, rbx
    mov rbx, %4
    xor rax, rbx
    mov cr4, rax
    vmcall
END
GUEST_CODE 32, {"cr0 ", %1}
    mov eax, cr0
    and eax, %2 & 0xffffffff
    or eax, %3 & 0xffffffff
    xor eax, %4 & 0xffffffff
    mov cr0, eax
    jmp short .next
.next:
    vmcall
END
GUEST_CODE 32, {"cr4 ", %1}
    mov eax, cr4
    and eax, %2 & 0xffffffff
    or eax, %3 & 0xffffffff
    xor eax, %4 & 0xffffffff
    mov cr4, eax
    vmcall
END
%endmacro
%assign flip 0
%rep 32
%defstr flip_text flip
CR0_CHANGE {"flip bit ", flip_text}, -1, 0, 1 << flip
%assign flip flip + 1
%endrep

; ---- debug registers

%macro DR_FORMS 1
%defstr dr_register %1
GUEST_EACH {"mov ", dr_register, ", xax"}, {mov %1, rax}, {mov %1, eax}
GUEST_EACH {"mov xax, ", dr_register}, {mov rax, %1}, {mov eax, %1}
%endmacro
DR_FORMS dr0
DR_FORMS dr1
DR_FORMS dr2
DR_FORMS dr3
DR_FORMS dr6
DR_FORMS dr7
GUEST 64, "mov dr7, r12", mov dr7, r12
GUEST 64, "mov r15, dr6", mov r15, dr6
GUEST 64, "mov dr4, rax", {db 0x0f, 0x23, 0xe0}
GUEST 64, "mov dr5, rax", {db 0x0f, 0x23, 0xe8}

; ---- descriptor tables

%macro TABLE_FORMS 2 ; suffix, memory
GUEST 64, {"sgdt", %1}, sgdt %2
GUEST 64, {"sidt", %1}, sidt %2
GUEST 64, {"lgdt", %1}, lgdt %2
GUEST 64, {"lidt", %1}, lidt %2
GUEST 64, {"sldt", %1}, sldt %2
GUEST 64, {"str", %1}, str %2
GUEST 64, {"lldt", %1}, lldt %2
GUEST 64, {"ltr", %1}, ltr %2
%endmacro
TABLE_FORMS "", [0x3000]
TABLE_FORMS " sib", [rax + rcx * 2 + 0x10]
TABLE_FORMS " fs", [fs:r9]
TABLE_FORMS " a32", [edx + 8]
TABLE_FORMS " rip", [rel $ + 0x2000]
%macro TABLE_FORMS_32 2
GUEST_32_16 {"sgdt", %1}, sgdt %2
GUEST_32_16 {"sidt", %1}, sidt %2
GUEST_32_16 {"lgdt", %1}, lgdt %2
GUEST_32_16 {"lidt", %1}, lidt %2
GUEST 32, {"sldt", %1}, sldt %2
GUEST 32, {"str", %1}, str %2
GUEST 32, {"lldt", %1}, lldt %2
GUEST 32, {"ltr", %1}, ltr %2
%endmacro
TABLE_FORMS_32 "", [0x3000]
TABLE_FORMS_32 " bx", [bx + si + 4]
TABLE_FORMS_32 " gs", [gs:esi * 4 + ecx]
GUEST_32_16 "lgdt o32", o32 lgdt [0x3000]
GUEST_32_16 "sgdt o16", o16 sgdt [0x3000]
GUEST 64, "sldt eax", sldt eax
GUEST 64, "str r10", str r10
GUEST 64, "lldt ax", lldt ax
GUEST 64, "ltr bx", ltr bx
GUEST 32, "sldt eax", sldt eax
GUEST 32, "str ecx", str ecx
GUEST 32, "lldt ax", lldt ax
GUEST 32, "ltr bx", ltr bx

; ---- VMX instructions

%macro VMX_FORMS 2 ; suffix, memory
GUEST 64, {"vmxon", %1}, vmxon %2
GUEST 64, {"vmclear", %1}, vmclear %2
GUEST 64, {"vmptrld", %1}, vmptrld %2
GUEST 64, {"vmptrst", %1}, vmptrst %2
GUEST 64, {"vmread-mem", %1}, vmread %2, rdx
GUEST 64, {"vmwrite-mem", %1}, vmwrite r11, %2
GUEST 64, {"invept", %1}, invept rbx, %2
GUEST 64, {"invvpid", %1}, invvpid r14, %2
GUEST 64, {"invpcid", %1}, invpcid rsi, %2
%endmacro
VMX_FORMS "", [0x3000]
VMX_FORMS " base", [rcx]
VMX_FORMS " base r12", [r12 - 0x20]
VMX_FORMS " sib", [rax + r9 * 8 + 0x1234]
VMX_FORMS " index-only", [r10 * 4 + 0x55]
VMX_FORMS " fs", [fs:rbx]
VMX_FORMS " gs", [gs:rbp + 0x7f]
VMX_FORMS " ss", [rsp + rdi]
VMX_FORMS " a32", [ecx + edx]
VMX_FORMS " rip", [rel $ + 0x2000]
%macro VMX_FORMS_32 3 ; bits, suffix, memory
GUEST %1, {"vmxon", %2}, vmxon %3
GUEST %1, {"vmclear", %2}, vmclear %3
GUEST %1, {"vmptrld", %2}, vmptrld %3
GUEST %1, {"vmptrst", %2}, vmptrst %3
GUEST %1, {"vmread-mem", %2}, vmread %3, edx
GUEST %1, {"vmwrite-mem", %2}, vmwrite ebp, %3
GUEST %1, {"invept", %2}, invept ebx, %3
GUEST %1, {"invvpid", %2}, invvpid esi, %3
%endmacro
VMX_FORMS_32 32, "", [0x3000]
VMX_FORMS_32 32, " sib", [es:eax + ecx * 4 + 0x10]
VMX_FORMS_32 32, " a16", [bp + di + 0x10]
VMX_FORMS_32 16, "", [0x3000]
VMX_FORMS_32 16, " a32", [ecx]
GUEST_ALL "vmlaunch", vmlaunch
GUEST_ALL "vmresume", vmresume
GUEST_ALL "vmxoff", vmxoff
GUEST_ALL "vmcall", vmcall
GUEST 64, "vmread rax rbx", vmread rax, rbx
GUEST 64, "vmread r8 r15", vmread r8, r15
GUEST 64, "vmwrite rcx rdx", vmwrite rcx, rdx
GUEST 64, "vmwrite rsp r9", vmwrite rsp, r9
GUEST 32, "vmread rax rbx", vmread eax, ebx
GUEST 32, "vmwrite rcx rdx", vmwrite ecx, edx
GUEST 16, "vmread rax rbx", vmread eax, ebx
GUEST 16, "vmwrite rcx rdx", vmwrite ecx, edx
GUEST 64, "xsaves", xsaves [0x3000]
GUEST 64, "xrstors", xrstors [0x3000]

; ---- exceptions

GUEST_ALL2 "divide by zero", {xor ecx, ecx}, {div ecx}
GUEST_CODE 32, "into"
    mov al, 0x7f
    add al, 1
    into
    vmcall
END
GUEST_CODE 16, "into"
    mov al, 0x7f
    add al, 1
    into
    vmcall
END
GUEST_CODE 32, "bound"
    mov eax, 5
    bound eax, [0x3000]
    vmcall
END
GUEST_CODE 16, "bound"
    mov eax, 5
    bound eax, [0x3000]
    vmcall
END
GUEST 64, "read absent", mov eax, [0x30000]
GUEST 64, "write absent", mov [0x30008], eax
GUEST_CODE 64, "fetch absent"
    mov eax, 0x30010
    jmp rax
    vmcall
END
GUEST 32, "read absent", mov eax, [0x30000]
GUEST 32, "write absent", mov [0x30008], eax
GUEST_CODE 32, "fetch absent"
    mov eax, 0x30010
    jmp eax
    vmcall
END
GUEST 64, "rmw absent", add dword [0x30004], 1
GUEST_CODE 64, "push absent"
    mov esp, 0x31000
    push rax
    vmcall
END
GUEST_CODE 64, "call absent"
    mov esp, 0x31000
    call rax
    vmcall
END
GUEST_CODE 64, "movsb"
    mov esi, 0x3000
    mov edi, 0x30020
    movsb
    vmcall
END
GUEST 64, "cross into absent", mov rax, [0x2fffc]
GUEST 64, "write cross into absent", mov [0x2fffe], rax
GUEST_CODE 64, "general protection"
    mov rax, 0x0000800000000000
    mov rax, [rax]
    vmcall
END
GUEST_CODE 64, "stack fault"
    mov rbp, 0x0000800000000000
    mov rax, [rbp]
    vmcall
END
GUEST_CODE 64, "load bad selector"
    mov eax, 0x7f8
    mov ds, eax
    vmcall
END
GUEST_CODE 64, "load not-present"
    mov eax, 0x68
    mov ds, eax
    vmcall
END
GUEST_CODE 64, "load not-present ss"
    mov eax, 0x68
    mov ss, eax
    vmcall
END
GUEST 64, "alignment check", {mov eax, [0x3001]}
GUEST_ALL "fpu", fld1
GUEST_CODE 64, "fpu error"
    fninit
    fldz
    fld1
    fdiv st0, st1
    mov word [0x3000], 0
    fldcw [0x3000]
    fwait
    vmcall
END
GUEST_CODE 64, "single step"
    pushfq
    or dword [rsp], 0x100
    popfq
    nop
    vmcall
END
GUEST_CODE 64, "data breakpoint"
    mov eax, 0x3000
    mov dr0, rax
    mov eax, 0x000d0402
    mov dr7, rax
    mov [0x3000], eax
    nop
    vmcall
END
GUEST_CODE 64, "code breakpoint"
    lea rax, [rel $ + 0x20]
    mov dr0, rax
    mov eax, 0x402
    mov dr7, rax
    times 64 nop
    vmcall
END

; ---- blocking

GUEST_ALL2 "sti cpuid", sti, cpuid
GUEST_CODE 64, "mov ss cpuid"
    mov eax, ss
    mov ss, eax
    cpuid
    vmcall
END
GUEST_CODE 32, "mov ss cpuid"
    mov eax, ss
    mov ss, eax
    cpuid
    vmcall
END
GUEST_CODE 16, "mov ss cpuid"
    mov eax, ss
    mov ss, eax
    cpuid
    vmcall
END
GUEST_CODE 64, "mov ss hlt"
    mov eax, ss
    mov ss, eax
    hlt
    vmcall
END
GUEST_CODE 64, "sti hlt"
    sti
    hlt
    vmcall
END
GUEST_CODE 64, "sti nops"
    sti
    nop
    nop
    nop
    vmcall
END
GUEST_CODE 64, "sti cli"
    sti
    cli
    nop
    vmcall
END
GUEST_CODE 64, "loop"
.again:
    jmp .again
END
GUEST_CODE 64, "signal and loop"
    mov dword [0x3ff0], 1
.again:
    jmp .again
END
GUEST_CODE 64, "signal and hlt"
    mov dword [0x3ff0], 1
    hlt
.again:
    jmp .again
END
GUEST_CODE 64, "signal a and wait for b"
    mov dword [0x3ff0], 1
.again:
    pause
    cmp dword [0x3ff4], 1
    jne .again
    vmcall
END
GUEST_CODE 64, "signal b and wait for a"
    mov dword [0x3ff4], 1
.again:
    pause
    cmp dword [0x3ff0], 1
    jne .again
    vmcall
END
GUEST_CODE 64, "cpuid twice"
    cpuid
    cpuid
    vmcall
END
%macro NOPS 1
GUEST_CODE %1, "nops"
    nop
    nop
    nop
    nop
    vmcall
END
%endmacro
NOPS 64
NOPS 32
NOPS 16

; ---- task switches, 32 bits

GUEST 32, "jmp tss", jmp 0x40:0
GUEST 32, "call tss", call 0x40:0
GUEST 32, "jmp task gate", jmp 0x50:0
GUEST 32, "call task gate", call 0x50:0
GUEST_CODE 32, "iret nt"
    mov word [0x7000], 0x40
    pushfd
    or dword [esp], 0x4000
    popfd
    iretd
    vmcall
END
GUEST_CODE 64, "jmp tss"
    mov dword [0x3000], 0
    mov word [0x3004], 0x40
    jmp far dword [0x3000]
    vmcall
END

; ---- the local APIC, mapped at 0x1ff000

GUEST_CODE 64, "nmi to self"
    mov eax, [0x1ff020]
    mov [0x1ff310], eax
    mov dword [0x1ff300], 0x4400
    nop
    nop
    vmcall
END
GUEST_CODE 64, "interrupt to self"
    mov dword [0x1ff300], 0x40055
    nop
    nop
    vmcall
END
GUEST_CODE 64, "interrupt to self sti"
    mov dword [0x1ff300], 0x40055
    nop
    sti
    nop
    nop
    vmcall
END

; ---- a page of the guest's that rows protect or unmap, at 0x20000

%macro SPARE_FORMS 3 ; bits, accumulator, suffix of IRET
GUEST %1, "read spare", mov eax, [0x20010]
GUEST %1, "write spare", mov [0x20020], eax
GUEST %1, "rmw spare", add dword [0x20030], 1
GUEST %1, "locked spare", lock add dword [0x20030], 1
GUEST_CODE %1, "fetch spare"
    mov eax, 0x20040
    jmp %2
END
GUEST %1, "read across spare", mov eax, [0x20ffe]
GUEST %1, "write across spare", mov [0x20ffe], eax
GUEST %1, "read across into spare", mov eax, [0x1fffe]
GUEST_CODE %1, "push spare"
    mov esp, 0x20800
    push %2
    vmcall
END
GUEST_CODE %1, "movs to spare"
    mov esi, 0x3000
    mov edi, 0x20ff8
    mov ecx, 4
    rep movsd
    vmcall
END
GUEST_CODE %1, "two writes"
    mov [0x20020], eax
    mov [0x21020], eax
    vmcall
END
GUEST_CODE %1, "write spare, iret"
    mov [0x20020], eax
    iret%3
    vmcall
END
GUEST_CODE %1, "read spare twice"
    mov eax, [0x20010]
    mov ebx, [0x20014]
    vmcall
END
%endmacro
SPARE_FORMS 64, rax, q
SPARE_FORMS 32, eax, d

GUEST 64, "read idt", mov eax, [0x6000]
GUEST_CODE 64, "sti, read spare"
    sti
    mov eax, [0x20010]
    vmcall
END
GUEST_CODE 64, "read and write spare"
    mov eax, [0x20010]
    inc eax
    mov [0x20020], eax
    vmcall
END
GUEST_CODE 64, "race"
    xor ebx, ebx
    xor esi, esi
    xor edi, edi
    mov ecx, 64
.again:
    mov eax, [0x20010]
    cmp eax, 0x11111111
    je .plain
    cmp eax, 0xffffffff
    je .ones
    inc ebx
    jmp .next
.plain:
    inc esi
    jmp .next
.ones:
    inc edi
.next:
    mov [0x20020], ecx
    dec ecx
    jnz .again
    vmcall
END
GUEST_CODE 64, "touch 1 gib"
    mov ebx, 0x40000000
.again:
    mov eax, [rbx]
    add rbx, 0x1000
    cmp ebx, 0x80000000
    jne .again
    vmcall
END
; Works a mailbox of rows_churn.c off. Begun anew after an EPT violation, it goes on with the page.
GUEST_CODE 64, "churn"
    cld
.next:
    mov eax, [rbx + 4]
    cmp eax, [rbx]
    je .done
    lea rdx, [rax + rax * 2]
    lea rdx, [rbx + rdx * 8 + 16]
    mov ecx, 512
    cmp dword [rbx + 8], 0
    jne .write
    mov rdi, [rdx]
    mov rax, [rdx + 8]
    repe scasq
    je .right
    inc dword [rbx + 12]
.right:
    cmp rax, [rdx + 16]
    je .ended
    mov dword [rbx + 8], 1
    mov ecx, 512
.write:
    mov rdi, [rdx]
    mov rax, [rdx + 16]
    rep stosq
    mov dword [rbx + 8], 0
.ended:
    inc dword [rbx + 4]
    jmp .next
.done:
    vmcall
END
GUEST_CODE 64, "mov ss, read spare"
    mov eax, ss
    mov ss, eax
    mov eax, [0x20010]
    vmcall
END

; ---- the APIC page, at 0x1ff000; the offset is in RBX, made by the row

GUEST 64, "apic read", mov eax, [rbx + 0x1ff000]
GUEST 64, "apic write", mov [rbx + 0x1ff000], eax
GUEST 64, "apic read 64", mov rax, [rbx + 0x1ff000]
GUEST 64, "apic write byte", mov [rbx + 0x1ff000], al
GUEST 64, "apic read byte", mov al, [rbx + 0x1ff000]
GUEST 64, "apic rmw", add dword [rbx + 0x1ff000], eax
GUEST_CODE 64, "apic push"
    lea rsp, [rbx + 0x1ff000]
    push rax
    vmcall
END
GUEST_CODE 64, "apic stack int"
    lea rsp, [rbx + 0x1ff000]
    int 0x30
    vmcall
END
GUEST_CODE 64, "cr8 write and read"
    mov cr8, rax
    mov rbx, cr8
    vmcall
END
GUEST_CODE 64, "iret to user cpuid"
    push 0x2b
    push 0x12f00
    push 2
    push 0x23
    push 0x1800
    iretq
END
GUEST_CODE 64, "iret in nmi"
    push 0x10
    push 0x2f00
    push 2
    push 0x18
    push 0x1800
    iretq
END
GUEST_CODE 64, "touch"
    xor eax, eax
    mov ecx, 64
.next:
    lock add dword [rax], 0
    add eax, 0x1000
    loop .next
    vmcall
END
GUEST_CODE 64, "iret"
    iretq
END
GUEST_CODE 64, "nmi twice"
    mov eax, [0x1ff020]
    mov [0x1ff310], eax
    mov dword [0x1ff300], 0x4400
    mov dword [0x1ff300], 0x4400
    nop
    vmcall
END
GUEST_CODE 64, "two breakpoints"
    mov eax, 0x3000
    mov dr0, rax
    mov eax, 0x3010
    mov dr1, rax
    mov eax, 0x00dd040a
    mov dr7, rax
    mov [0x3000], eax
    cpuid
    vmcall
END
GUEST_CODE 64, "mov ss under breakpoint"
    mov eax, 0x3000
    mov dr0, rax
    mov eax, 0x000f0402
    mov dr7, rax
    mov dword [0x3000], 0x10
    mov ss, [0x3000]
    cpuid
    vmcall
END
GUEST_CODE 64, "popf tf cpuid"
    pushfq
    or dword [rsp], 0x100
    popfq
    cpuid
    vmcall
END
GUEST_CODE 64, "popf tf mov ss cpuid"
    mov eax, ss
    pushfq
    or dword [rsp], 0x100
    popfq
    mov ss, eax
    cpuid
    vmcall
END

; ---- the probe itself: registers and MSRs

ROOT "rdmsr", rdmsr
ROOT "wrmsr", wrmsr
ROOT "cpuid", cpuid
ROOT "xsetbv", xsetbv
ROOT "xgetbv", xgetbv
ROOT "invd", invd
ROOT "wbinvd", wbinvd
ROOT "getsec", getsec
ROOT "rsm", rsm
ROOT "mov cr0, rax", mov cr0, rax
ROOT "mov cr3, rax", mov cr3, rax
ROOT "mov cr4, rax", mov cr4, rax
ROOT "mov cr8, rax", mov cr8, rax
ROOT "mov rax, cr0", mov rax, cr0
ROOT "mov rax, cr4", mov rax, cr4
ROOT "mov rax, cr8", mov rax, cr8
ROOT "clts", clts
ROOT "lmsw ax", lmsw ax
ROOT "smsw rax", smsw rax
ROOT "mov dr7, rax", mov dr7, rax
ROOT "mov dr6, rax", mov dr6, rax
ROOT "mov rax, dr6", mov rax, dr6
ROOT "mov rax, dr7", mov rax, dr7
ROOT "ud2", ud2
ROOT "int3", int3
ROOT "read rcx", mov rax, [rcx]
ROOT "write rcx", mov [rcx], rax
ROOT "jmp rcx", call rcx
ROOT "locked add", lock add dword [rcx], 1
ROOT "rep movsq", rep movsq
ROOT "monitor", monitor
ROOT "invlpg", invlpg [rcx]
FAR_CODE 64, "user cpuid", cpuid
FAR_CODE 64, "user xsetbv", xsetbv
FAR_CODE 64, "user rdmsr", rdmsr
FAR_CODE 64, "user wrmsr", wrmsr
FAR_CODE 64, "user invd", invd
FAR_CODE 64, "user hlt", hlt
FAR_CODE 64, "user mov cr0", {mov rax, cr0}
CODE 64, "mov ss cpuid"
    mov edx, ss
    mov ss, edx
    cpuid
    ret
END
CODE 64, "single step cpuid"
    pushfq
    or dword [rsp], 0x100
    popfq
    cpuid
    ret
END
CODE 64, "single step vmread"
    pushfq
    or dword [rsp], 0x100
    popfq
    vmread rdx, rax
    nop
    ret
END
CODE 64, "single step rdmsr"
    pushfq
    or dword [rsp], 0x100
    popfq
    rdmsr
    nop
    ret
END
CODE 64, "sti cpuid nop"
    sti
    cpuid
    nop
    cli
    ret
END
CODE 64, "sti vmread nop"
    sti
    vmread rdx, rax
    nop
    cli
    ret
END
CODE 64, "sti nop"
    sti
    nop
    nop
    cli
    ret
END
CODE 64, "breakpoint cpuid"
    lea rax, [rel .target]
    mov dr0, rax
    mov eax, 0x402
    mov dr7, rax
    xor eax, eax
.target:
    cpuid
    ret
END

; ---- CET; what NASM does not know is spelled out

CODE 64, "read ssp"
    mov ecx, 0x6a2              ; IA32_S_CET, put back below
    rdmsr
    mov esi, eax
    mov edi, edx
    mov rbx, cr4
    mov rax, rbx
    bts rax, 23
    mov cr4, rax
    mov eax, 1
    xor edx, edx
    wrmsr
    db 0xf3, 0x48, 0x0f, 0x1e, 0xcd ; rdsspq rbp
    mov eax, esi
    mov edx, edi
    wrmsr
    mov cr4, rbx
    mov rax, rbp
    ret
END
%macro CET_CODES 2 ; bits, stack pointer
GUEST_CODE %1, "cet call"
    call .here
    vmcall
.here:
    ret
END
GUEST_CODE %1, "cet bad ret"
    call .here
    vmcall
.here:
    add dword [%2], 1
    ret
END
GUEST_CODE %1, "cet call cpuid"
    call .here
    vmcall
.here:
    cpuid
    ret
END
%endmacro
CET_CODES 64, rsp
CET_CODES 32, esp
GUEST_CODE 64, "rdssp"
    db 0xf3, 0x48, 0x0f, 0x1e, 0xc8 ; rdsspq rax
    vmcall
END
GUEST_CODE 32, "rdssp"
    db 0xf3, 0x0f, 0x1e, 0xc8 ; rdsspd eax
    vmcall
END
GUEST_CODE 64, "cet jump endbr"
    lea rax, [rel .here]
    jmp rax
    nop
.here:
    db 0xf3, 0x0f, 0x1e, 0xfa ; endbr64
    vmcall
END
GUEST_CODE 64, "cet jump nop"
    lea rax, [rel .here]
    jmp rax
    nop
.here:
    nop
    vmcall
END
GUEST_CODE 64, "to compatibility mode"
    push 0x48
    lea rax, [rel .here]
    push rax
    o64 retf
bits 32
.here:
    mov ebx, [edi]
    vmcall
END

; ---- user wait and pause; ECX or EDX says the state, RAX what to watch

GUEST_ALL "tpause", {db 0x66, 0x0f, 0xae, 0xf1}
GUEST_ALL "umwait", {db 0xf2, 0x0f, 0xae, 0xf1}
GUEST 64, "umwait edx", {db 0xf2, 0x0f, 0xae, 0xf2}
GUEST_ALL "umonitor", {db 0xf3, 0x0f, 0xae, 0xf0}

CODE_TABLE_END
