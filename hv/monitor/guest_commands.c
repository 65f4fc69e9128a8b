#include "guest_commands.h"

#include "say.h"
#include "../vmcs_names.h"
#include "../vmcs_words.h"

const char *const level_choices[] = {"l1", "l2", NULL};

u32 level_of(const char *word)
{
    return text_equal(word, "l1") ? 1 : text_equal(word, "l2") ? 2 : 0;
}

bool parse_level(const struct cpu *cpu, const struct words *words, u32 *level)
{
    *level = words->count == 1 ? guest_running(cpu) : level_of(words->word[1]);
    return *level && words->count <= 2;
}

bool demand_guest(const struct cpu *cpu, u32 level)
{
    if (guest_exists(cpu, level))
        return true;
    say("core %u has no L2: L1 has no current VMCS\n", cpu->index);
    return false;
}

/* What the words are drawn from besides the field. */
static struct vmcs_context read_context(struct cpu *cpu, enum guest_vmcs vmcs)
{
    static const u32 encodings[] = {EXIT_QUALIFICATION,   VM_EXIT_REASON,
                                    VMX_INSTRUCTION_INFO, VM_ENTRY_INTR_INFO_FIELD,
                                    VM_EXIT_INTR_INFO,    IDT_VECTORING_INFO_FIELD};
    u64 value[ARRAY_SIZE(encodings)] = {0};

    for (u32 i = 0; i < ARRAY_SIZE(encodings); i++)
        guest_vmcs_read(cpu, vmcs, encodings[i], &value[i]);
    return (struct vmcs_context){
        .exit_qualification = value[0],
        .exit_reason = (u32)value[1],
        .instruction_info = (u32)value[2],
        .entry_intr_info = (u32)value[3],
        .exit_intr_info = (u32)value[4],
        .idt_vectoring_info = (u32)value[5],
    };
}

void say_field(struct cpu *cpu, enum guest_vmcs vmcs, u32 encoding)
{
    char text[VMCS_WORDS_MAX];
    struct vmcs_context context;
    u64 value;

    if (!guest_vmcs_read(cpu, vmcs, encoding, &value))
        return;
    context = read_context(cpu, vmcs);
    vmcs_words(encoding, value, &context, text, sizeof(text));
    say("  %-30s %#lx%s%s\n", vmcs_field_name(encoding), value, text[0] ? "  " : "", text);
}
