# Plastron. `make help` names the targets; everything built goes to build/, everything
# downloaded to .cache/.

CC ?= gcc
ifeq ($(origin CC),default)
CC := gcc
endif
NASM := nasm
B := build
V ?=
Q := $(if $(V),,@)
say = $(if $(V),,@printf '  %-8s %s\n' $(1) $@)

WARNINGS := -Wall -Wextra -Wvla -Werror
INCLUDES := -Iinclude -I.
CFLAGS_L0 := -std=gnu11 -O2 -g $(WARNINGS) -Wconversion -ffreestanding -I$(B) -fno-stack-protector \
	-mcmodel=kernel -mgeneral-regs-only -mno-red-zone -fno-pic -fno-pie \
	-fno-omit-frame-pointer -fno-asynchronous-unwind-tables $(INCLUDES)
CFLAGS_EFI := -std=gnu11 -O2 $(WARNINGS) -ffreestanding -fpic -fshort-wchar \
	-fno-stack-protector -mno-red-zone -fno-strict-aliasing -DGNU_EFI_USE_MS_ABI \
	$(INCLUDES) -isystem /usr/include/efi -isystem /usr/include/efi/x86_64
CFLAGS_UNIT := -std=gnu11 -O1 -g $(WARNINGS) -Wconversion -fsanitize=address,undefined \
	-fno-sanitize-recover=all $(INCLUDES) -Itests/unit

L0_C := $(wildcard hv/*.c vmx/*.c mm/*.c drivers/*.c)
L0_ASM := $(wildcard hv/*.asm)
L0_OBJ := $(L0_C:%.c=$(B)/l0/%.o) $(L0_ASM:%.asm=$(B)/l0/%.asm.o)
LOADER_C := $(wildcard boot/*.c) hv/format.c
LOADER_ASM := $(wildcard boot/*.asm)
LOADER_OBJ := $(LOADER_C:%.c=$(B)/efi/%.o) $(LOADER_ASM:%.asm=$(B)/efi/%.asm.o)

all: $(B)/plastron.efi $(B)/probe.efi

# L0 is linked twice: the second time with the symbol table made from the first.
$(B)/l0/%.o: %.c
	@mkdir -p $(@D)
	$(call say,CC)
	$(Q)$(CC) $(CFLAGS_L0) -MMD -MP -c $< -o $@

$(B)/l0/%.asm.o: %.asm hv/offsets.inc
	@mkdir -p $(@D)
	$(call say,NASM)
	$(Q)$(NASM) -f elf64 -g -w+all -Werror $< -o $@

$(B)/l0/hv/start.o: $(B)/vmcs12_abi.h

LINK_L0 = ld -nostdlib -static -z max-page-size=4096 -z noexecstack -T linker.ld

$(B)/symbols1.c: tools/mksymbols
	@mkdir -p $(@D)
	$(Q)tools/mksymbols > $@

$(B)/pass1.elf: $(L0_OBJ) $(B)/l0/symbols1.o linker.ld
	$(call say,LD)
	$(Q)$(LINK_L0) $(L0_OBJ) $(B)/l0/symbols1.o -o $@

$(B)/symbols2.c: $(B)/pass1.elf
	$(Q)tools/mksymbols $< > $@

$(B)/l0/symbols%.o: $(B)/symbols%.c
	$(call say,CC)
	$(Q)$(CC) $(CFLAGS_L0) -Ihv -c $< -o $@

$(B)/plastron.elf: $(L0_OBJ) $(B)/l0/symbols2.o linker.ld
	$(call say,LD)
	$(Q)$(LINK_L0) $(L0_OBJ) $(B)/l0/symbols2.o -o $@
	$(Q)tools/mksymbols $@ | cmp - $(B)/symbols2.c

# The documented vmcs12 layout, as assertions.
$(B)/vmcs12_abi.h: include/vmcs12.tsv tools/vmcs12_abi.awk
	@mkdir -p $(@D)
	$(Q)awk -f tools/vmcs12_abi.awk $< > $@

# The loader carries L0's image with it.
$(B)/plastron-l0.elf: $(B)/plastron.elf
	$(Q)objcopy --strip-all $< $@

$(B)/efi/%.o: %.c
	@mkdir -p $(@D)
	$(call say,CC)
	$(Q)$(CC) $(CFLAGS_EFI) -MMD -MP -c $< -o $@

$(B)/efi/%.asm.o: %.asm
	@mkdir -p $(@D)
	$(call say,NASM)
	$(Q)$(NASM) -f elf64 -w+all -Werror -i $(B)/ $< -o $@

$(B)/efi/boot/l0_image.asm.o: $(B)/plastron-l0.elf

LINK_EFI = ld -nostdlib -znocombreloc -shared -Bsymbolic --no-undefined -z noexecstack \
	-T /usr/lib/elf_x86_64_efi.lds /usr/lib/crt0-efi-x86_64.o
OBJCOPY_EFI = objcopy -j .text -j .sdata -j .data -j .dynamic -j .dynsym -j '.rel*' -j .reloc \
	--target efi-app-x86_64 --subsystem 10

$(B)/plastron.efi: $(LOADER_OBJ)
	$(call say,LD)
	$(Q)$(LINK_EFI) $(LOADER_OBJ) -o $(B)/plastron.so -L/usr/lib -lefi -lgnuefi
	$(Q)$(OBJCOPY_EFI) $(B)/plastron.so $@

clean:
	rm -rf $(B)

-include $(L0_OBJ:.o=.d) $(LOADER_OBJ:.o=.d)
