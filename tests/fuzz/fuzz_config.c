/* boot/config.c on any bytes. */
#include "fuzz.h"

#include "boot/config.h"

struct seen {
    u32 warnings;
    u32 hash;
};

/* A line of printable ASCII that names file and line. */
static void see_warning(void *context, const char *text)
{
    struct seen *seen = context;
    size_t length = strlen(text);
    unsigned line = 0;

    DEMAND(length > 0 && length < CONFIG_WARNING_MAX);
    for (size_t i = 0; i < length; i++) {
        DEMAND(text[i] >= ' ' && text[i] <= '~');
        seen->hash = seen->hash * 31 + (u8)text[i];
    }
    DEMAND(sscanf(text, "some.conf:%u:", &line) == 1 && line > 0);
    seen->warnings++;
}

static u32 count_lines(const u8 *text, size_t size)
{
    u32 lines = 0;

    for (size_t i = 0; i < size; i++)
        lines += text[i] == '\n' || i + 1 == size;
    return lines;
}

static void check_values(const struct config *config)
{
    static const u32 bauds[] = {9600, 19200, 38400, 57600, 115200};
    bool known = false;

    for (u32 i = 0; i < ARRAY_SIZE(bauds); i++)
        known |= config->console_baud == bauds[i];
    DEMAND(known);
    DEMAND(config->console_port <= 0xfff8);
    DEMAND(config->log_level <= LOG_DEBUG);
    DEMAND(!(config->mask >> FEATURE_COUNT));
    DEMAND(memchr(config->next, 0, sizeof(config->next)));
    DEMAND(config->next[0] == '\0' || config->next[0] == '\\');
    DEMAND(!strchr(config->next, '/'));
    for (const char *at = config->next; *at; at++)
        DEMAND(*at >= ' ' && *at <= '~');
}

static bool same(const struct config *a, const struct config *b)
{
    return a->console_port == b->console_port && a->console_baud == b->console_baud &&
           a->log_level == b->log_level && a->nested == b->nested &&
           a->cpuid_hypervisor == b->cpuid_hypervisor && a->mask == b->mask &&
           !strcmp(a->next, b->next);
}

int LLVMFuzzerTestOneInput(const u8 *data, size_t size)
{
    /* Copies of just the size, so that a read beyond the end is seen. */
    char *text = malloc(size ? size : 1), *longer = malloc(size + 10);
    struct seen seen = {0}, again = {0};
    struct config config, second;

    memcpy(text, data, size);
    memset(&config, 0xa5, sizeof(config));
    memset(&second, 0x5a, sizeof(second));
    config_parse(&config, "some.conf", text, size, see_warning, &seen);
    check_values(&config);
    DEMAND(seen.warnings <= count_lines(data, size));
    /* A comment at the end changes nothing; nor does it matter whether anybody listens. */
    memcpy(longer, data, size);
    memcpy(longer + size, "\n# the end", 10);
    config_parse(&second, "some.conf", longer, size + 10, see_warning, &again);
    DEMAND(same(&config, &second) && again.warnings == seen.warnings && again.hash == seen.hash);
    config_parse(&second, "some.conf", text, size, NULL, NULL);
    DEMAND(same(&config, &second));
    free(longer);
    free(text);
    return 0;
}
