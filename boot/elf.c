#include "elf.h"
#include "boot_info.h"

#define ELF_CLASS_64           2
#define ELF_DATA_LITTLE_ENDIAN 1
#define ELF_TYPE_EXECUTABLE    2
#define ELF_MACHINE_X86_64     62
#define ELF_SEGMENT_LOAD       1

#define IMAGE_SIZE_MAX SIZE_1G

struct elf_header {
    u8 magic[4];
    u8 class;
    u8 data;
    u8 ident_version;
    u8 abi[9];
    u16 type;
    u16 machine;
    u32 version;
    u64 entry;
    u64 segment_offset;
    u64 section_offset;
    u32 flags;
    u16 header_size;
    u16 segment_entry_size;
    u16 segment_count;
    u16 section_entry_size;
    u16 section_count;
    u16 section_names;
};

struct elf_segment {
    u32 type;
    u32 flags;
    u64 offset;
    u64 address;
    u64 physical;
    u64 file_size;
    u64 memory_size;
    u64 alignment;
};

_Static_assert(sizeof(struct elf_header) == 64, "ELF64 file header");
_Static_assert(sizeof(struct elf_segment) == 56, "ELF64 program header");

static bool is_supported(const struct elf_header *header)
{
    return header->magic[0] == 0x7f && header->magic[1] == 'E' && header->magic[2] == 'L' &&
           header->magic[3] == 'F' && header->class == ELF_CLASS_64 &&
           header->data == ELF_DATA_LITTLE_ENDIAN && header->type == ELF_TYPE_EXECUTABLE &&
           header->machine == ELF_MACHINE_X86_64 &&
           header->segment_entry_size == sizeof(struct elf_segment);
}

static bool is_within(u64 start, u64 length, u64 limit)
{
    return start <= limit && length <= limit - start;
}

static bool segment_fits(const struct elf_segment *segment, size_t file_size)
{
    return is_within(segment->offset, segment->file_size, file_size) &&
           segment->file_size <= segment->memory_size && segment->address >= L0_VIRT_BASE &&
           is_within(segment->address - L0_VIRT_BASE, segment->memory_size, IMAGE_SIZE_MAX);
}

static const struct elf_segment *segments_of(const struct elf_header *header)
{
    return (const struct elf_segment *)((const char *)header + header->segment_offset);
}

bool elf_read(const void *file, size_t size, struct elf_layout *layout)
{
    const struct elf_header *header = file;
    bool entry_found = false;

    if (size < sizeof(*header) || !is_supported(header))
        return false;
    if (header->segment_offset % 8 ||
        !is_within(header->segment_offset, header->segment_count * sizeof(struct elf_segment),
                   size))
        return false;

    *layout = (struct elf_layout){.entry = header->entry};
    for (u32 i = 0; i < header->segment_count; i++) {
        const struct elf_segment *segment = &segments_of(header)[i];

        if (segment->type != ELF_SEGMENT_LOAD)
            continue;
        if (!segment_fits(segment, size))
            return false;

        u64 end = align_up(segment->address - L0_VIRT_BASE + segment->memory_size, PAGE_SIZE);

        if (end > layout->image_size)
            layout->image_size = end;
        if (header->entry >= segment->address &&
            header->entry - segment->address < segment->file_size)
            entry_found = true;
    }
    return entry_found;
}

void elf_load(const void *file, void *memory, u64 image_size)
{
    const struct elf_header *header = file;

    __builtin_memset(memory, 0, image_size);
    for (u32 i = 0; i < header->segment_count; i++) {
        const struct elf_segment *segment = &segments_of(header)[i];

        if (segment->type == ELF_SEGMENT_LOAD)
            __builtin_memcpy((char *)memory + (segment->address - L0_VIRT_BASE),
                             (const char *)file + segment->offset, segment->file_size);
    }
}
