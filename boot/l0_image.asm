; L0's ELF image, compressed, found through NASM's include path (-i <build folder>/). L0_SIZE: its
; size in bytes before that. lz4's legacy format has a magic number and the size of its one block
; before the block.

LZ4_HEADER equ 8

section .rodata
global l0_image
global l0_image_end
global l0_image_size
align 16
l0_image:
    incbin "plastron-l0.lz4", LZ4_HEADER
l0_image_end:
align 8
l0_image_size:
    dq L0_SIZE

section .note.GNU-stack noalloc noexec nowrite progbits
