; L0's ELF image, found through NASM's include path (-i <build folder>/).

section .rodata
global l0_image
global l0_image_end
align 16
l0_image:
    incbin "plastron-l0.elf"
l0_image_end:

section .note.GNU-stack noalloc noexec nowrite progbits
