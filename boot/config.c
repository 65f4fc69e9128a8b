#include "config.h"
#include "hv/format.h"

#define DEFAULT_BAUD         115200
#define DEFAULT_MONITOR_RATE 100
#define UART_REGISTERS       8

/* A piece of the file; not zero-terminated. */
struct slice {
    const char *at;
    size_t size;
};

struct choice {
    const char *name;
    u32 value;
};

static const struct choice consoles[] = {{"com1", 0x3f8}, {"com2", 0x2f8}, {"com3", 0x3e8},
                                         {"com4", 0x2e8}, {"none", 0},     {NULL, 0}};

static const struct choice monitors[] = {{"none", 0},     {"com1", 0x3f8}, {"com2", 0x2f8},
                                         {"com3", 0x3e8}, {"com4", 0x2e8}, {NULL, 0}};

static const struct choice bauds[] = {{"9600", 9600},   {"19200", 19200},   {"38400", 38400},
                                      {"57600", 57600}, {"115200", 115200}, {NULL, 0}};

static const struct choice levels[] = {
    {"error", LOG_ERROR}, {"warn", LOG_WARN}, {"info", LOG_INFO}, {"debug", LOG_DEBUG}, {NULL, 0}};

static const struct choice switches[] = {{"on", true}, {"off", false}, {NULL, 0}};

static const struct choice cpuid_kinds[] = {{"native", false}, {"hypervisor", true}, {NULL, 0}};

static const struct choice shadow_names[] = {{"auto", 0}, {NULL, 0}};

/* The value of each name is its bit in config.mask. */
static const struct choice features[] = {
#define X(id, name, word, bit) {name, FEATURE_##id},
    PLASTRON_FEATURES(X)
#undef X
        {NULL, 0}};

static bool is_blank(char c) { return c == ' ' || c == '\t'; }

static bool is_printable(char c) { return c >= ' ' && c <= '~'; }

static struct slice trimmed(struct slice text)
{
    while (text.size && is_blank(text.at[0])) {
        text.at++;
        text.size--;
    }
    while (text.size && is_blank(text.at[text.size - 1]))
        text.size--;
    return text;
}

static struct slice without_comment(struct slice line)
{
    for (size_t i = 0; i < line.size; i++) {
        if (line.at[i] == '#' && (i == 0 || is_blank(line.at[i - 1])))
            line.size = i;
    }
    return line;
}

/* Cuts what stands before the first separator off text, the separator with it. */
static struct slice cut(struct slice *text, char separator)
{
    struct slice head = *text;

    for (size_t i = 0; i < text->size; i++) {
        if (text->at[i] == separator) {
            head.size = i;
            text->at += i + 1;
            text->size -= i + 1;
            return head;
        }
    }
    text->at += text->size;
    text->size = 0;
    return head;
}

static bool contains(struct slice text, char c)
{
    for (size_t i = 0; i < text.size; i++) {
        if (text.at[i] == c)
            return true;
    }
    return false;
}

static bool equals(struct slice text, const char *word)
{
    size_t i = 0;

    while (i < text.size && word[i] && text.at[i] == word[i])
        i++;
    return i == text.size && !word[i];
}

static bool choose(struct slice value, const struct choice *choices, u32 *chosen)
{
    for (; choices->name; choices++) {
        if (equals(value, choices->name)) {
            *chosen = choices->value;
            return true;
        }
    }
    return false;
}

static u32 digit_value(char c)
{
    if (c >= '0' && c <= '9')
        return (u32)(c - '0');
    if (c >= 'a' && c <= 'f')
        return (u32)(c - 'a') + 10;
    if (c >= 'A' && c <= 'F')
        return (u32)(c - 'A') + 10;
    return 16;
}

static bool parse_port(struct slice value, u16 *port)
{
    bool hex = value.size > 2 && value.at[0] == '0' && (value.at[1] == 'x' || value.at[1] == 'X');
    u32 base = hex ? 16 : 10;
    u32 number = 0;

    for (size_t i = hex ? 2 : 0; i < value.size; i++) {
        u32 digit = digit_value(value.at[i]);

        if (digit >= base)
            return false;
        number = number * base + digit;
        if (number > 0x10000 - UART_REGISTERS)
            return false;
    }
    if (!number)
        return false;
    *port = (u16)number;
    return true;
}

/* Each parse_* puts a good value into config and leaves config as it was for a bad one. */

static bool parse_next(struct config *config, struct slice value)
{
    if (value.size >= CONFIG_PATH_MAX)
        return false;
    if (value.size && value.at[0] != '\\' && value.at[0] != '/')
        return false;
    for (size_t i = 0; i < value.size; i++) {
        if (!is_printable(value.at[i]))
            return false;
    }
    for (size_t i = 0; i < value.size; i++)
        config->next[i] = value.at[i] == '/' ? '\\' : value.at[i];
    config->next[value.size] = '\0';
    return true;
}

static bool parse_console(struct config *config, struct slice value)
{
    u32 port;

    if (!choose(value, consoles, &port))
        return parse_port(value, &config->console_port);
    config->console_port = (u16)port;
    return true;
}

static bool parse_baud(struct config *config, struct slice value)
{
    return choose(value, bauds, &config->console_baud);
}

static bool parse_log(struct config *config, struct slice value)
{
    return choose(value, levels, &config->log_level);
}

static bool parse_switch(struct slice value, bool *on)
{
    u32 chosen;

    if (!choose(value, switches, &chosen))
        return false;
    *on = chosen;
    return true;
}

static bool parse_nested(struct config *config, struct slice value)
{
    return parse_switch(value, &config->nested);
}

static bool parse_cpuid(struct config *config, struct slice value)
{
    u32 hypervisor;

    if (!choose(value, cpuid_kinds, &hypervisor))
        return false;
    config->cpuid_hypervisor = hypervisor;
    return true;
}

static bool parse_mask(struct config *config, struct slice value)
{
    feature_set mask = 0;

    if (value.size && !equals(value, "none")) {
        bool more;

        do {
            u32 bit;

            more = contains(value, ',');
            if (!choose(trimmed(cut(&value, ',')), features, &bit))
                return false;
            mask |= FEATURE_BIT(bit);
        } while (more);
    }
    config->mask = mask;
    return true;
}

/* A decimal number from least to most. */
static bool parse_decimal(struct slice value, u32 least, u32 most, u32 *number)
{
    u32 sum = 0;

    for (size_t i = 0; i < value.size; i++) {
        u32 digit = digit_value(value.at[i]);

        if (digit > 9)
            return false;
        sum = sum * 10 + digit;
        if (sum > most)
            return false;
    }
    if (!value.size || sum < least)
        return false;
    *number = sum;
    return true;
}

static bool parse_shadow(struct config *config, struct slice value)
{
    return choose(value, shadow_names, &config->shadow) ||
           parse_decimal(value, CONFIG_SHADOW_MIN, CONFIG_SHADOW_MAX, &config->shadow);
}

static bool parse_monitor(struct config *config, struct slice value)
{
    u32 port;

    if (!choose(value, monitors, &port))
        return false;
    config->monitor_port = (u16)port;
    return true;
}

static bool parse_monitor_rate(struct config *config, struct slice value)
{
    return parse_decimal(value, 1, CONFIG_MONITOR_RATE_MAX, &config->monitor_rate);
}

static bool parse_trace(struct config *config, struct slice value)
{
    return parse_switch(value, &config->trace);
}

static bool parse_stats(struct config *config, struct slice value)
{
    return parse_switch(value, &config->stats);
}

static void default_next(struct config *config)
{
    for (size_t i = 0; i < CONFIG_PATH_MAX; i++)
        config->next[i] = '\0';
}

static void default_console(struct config *config) { config->console_port = 0x3f8; }

static void default_baud(struct config *config) { config->console_baud = DEFAULT_BAUD; }

static void default_log(struct config *config) { config->log_level = LOG_INFO; }

static void default_nested(struct config *config) { config->nested = true; }

static void default_cpuid(struct config *config) { config->cpuid_hypervisor = false; }

static void default_mask(struct config *config) { config->mask = 0; }

static void default_shadow(struct config *config) { config->shadow = 0; }

static void default_monitor(struct config *config) { config->monitor_port = 0; }

static void default_monitor_rate(struct config *config)
{
    config->monitor_rate = DEFAULT_MONITOR_RATE;
}

static void default_trace(struct config *config) { config->trace = false; }

static void default_stats(struct config *config) { config->stats = true; }

static const struct key {
    const char *name;
    bool (*parse)(struct config *config, struct slice value);
    void (*set_default)(struct config *config);
    const struct choice *choices; /* names for the warning, if there are any */
    const char *also;             /* what is accepted besides */
    const char *default_name;
} keys[] = {
    {"next", parse_next, default_next, NULL,
     "a path like \\EFI\\debian\\shimx64.efi, ASCII, up to 259 characters, or nothing",
     "the default search"},
    {"console", parse_console, default_console, consoles, "a port from 1 to 0xfff8", "com1"},
    {"baud", parse_baud, default_baud, bauds, NULL, "115200"},
    {"log", parse_log, default_log, levels, NULL, "info"},
    {"nested", parse_nested, default_nested, switches, NULL, "on"},
    {"cpuid", parse_cpuid, default_cpuid, cpuid_kinds, NULL, "native"},
    {"mask", parse_mask, default_mask, features, "none, several separated by commas", "none"},
    {"shadow", parse_shadow, default_shadow, shadow_names, "a number of MiB from 2 to 65536",
     "auto"},
    {"monitor", parse_monitor, default_monitor, monitors, NULL, "none"},
    {"monitor_rate", parse_monitor_rate, default_monitor_rate, NULL, "a number from 1 to 1000",
     "100"},
    {"trace", parse_trace, default_trace, switches, NULL, "off"},
    {"stats", parse_stats, default_stats, switches, NULL, "on"},
};

struct parser {
    const char *name; /* of the file */
    u32 line;
    config_warning *warn;
    void *context;
    u32 seen[ARRAY_SIZE(keys)]; /* line that set each key, 0 for none */
    char text[CONFIG_WARNING_MAX];
    size_t length;
};

static void append(struct parser *parser, const char *text)
{
    while (*text && parser->length < CONFIG_WARNING_MAX - 1)
        parser->text[parser->length++] = *text++;
    parser->text[parser->length] = '\0';
}

/* Quotes a piece of the file, made printable and cut to a readable length. */
static void append_quoted(struct parser *parser, struct slice piece)
{
    char quoted[44];
    size_t kept = piece.size > 40 ? 37 : piece.size;
    size_t length = 0;

    while (length < kept) {
        quoted[length] = is_printable(piece.at[length]) ? piece.at[length] : '?';
        length++;
    }
    for (u32 dots = 0; kept < piece.size && dots < 3; dots++)
        quoted[length++] = '.';
    quoted[length] = '\0';
    append(parser, "\"");
    append(parser, quoted);
    append(parser, "\"");
}

static void begin_warning(struct parser *parser, const char *text)
{
    char line[16];

    format_string(line, sizeof(line), ":%u: ", parser->line);
    parser->length = 0;
    append(parser, parser->name);
    append(parser, line);
    append(parser, text);
}

static void end_warning(struct parser *parser)
{
    if (parser->warn)
        parser->warn(parser->context, parser->text);
}

static void append_keys(struct parser *parser)
{
    append(parser, "; accepted:");
    for (size_t i = 0; i < ARRAY_SIZE(keys); i++) {
        append(parser, i ? ", " : " ");
        append(parser, keys[i].name);
    }
}

static void append_values(struct parser *parser, const struct key *key)
{
    append(parser, "; accepted: ");
    for (const struct choice *choice = key->choices; choice && choice->name; choice++) {
        append(parser, choice->name);
        if (choice[1].name || key->also)
            append(parser, ", ");
    }
    append(parser, key->also ? key->also : "");
    append(parser, "; the default is used: ");
    append(parser, key->default_name);
}

static const struct key *find_key(struct slice name)
{
    for (size_t i = 0; i < ARRAY_SIZE(keys); i++) {
        if (equals(name, keys[i].name))
            return &keys[i];
    }
    return NULL;
}

static void warn_about_line(struct parser *parser, const char *text)
{
    begin_warning(parser, text);
    end_warning(parser);
}

static void set_key(struct parser *parser, struct config *config, const struct key *key,
                    struct slice value)
{
    u32 *seen = &parser->seen[key - keys];

    if (!key->parse(config, value)) {
        key->set_default(config);
        begin_warning(parser, key->name);
        append(parser, "=");
        append_quoted(parser, value);
        append(parser, " is not accepted");
        append_values(parser, key);
        end_warning(parser);
    } else if (*seen) {
        char earlier[32];

        format_string(earlier, sizeof(earlier), " overrides line %u", *seen);
        begin_warning(parser, key->name);
        append(parser, earlier);
        end_warning(parser);
    }
    *seen = parser->line;
}

static void parse_line(struct parser *parser, struct config *config, struct slice line)
{
    if (line.size && line.at[line.size - 1] == '\r')
        line.size--;
    if (line.size > CONFIG_LINE_MAX) {
        warn_about_line(parser, "line ignored: longer than 2048 bytes");
        return;
    }
    if (contains(line, '\0')) {
        warn_about_line(parser, "line ignored: it holds a zero byte (accepted: ASCII text)");
        return;
    }
    line = trimmed(without_comment(line));
    if (!line.size)
        return;
    if (!contains(line, '=')) {
        begin_warning(parser, "line ignored: no = in ");
        append_quoted(parser, line);
        append(parser, "; accepted: key=value");
        end_warning(parser);
        return;
    }

    struct slice name = trimmed(cut(&line, '='));
    const struct key *key = find_key(name);

    if (!key) {
        begin_warning(parser, "unknown key ");
        append_quoted(parser, name);
        append_keys(parser);
        end_warning(parser);
        return;
    }
    set_key(parser, config, key, trimmed(line));
}

void config_default(struct config *config)
{
    for (size_t i = 0; i < ARRAY_SIZE(keys); i++)
        keys[i].set_default(config);
}

void config_parse(struct config *config, const char *name, const void *text, size_t size,
                  config_warning *warn, void *context)
{
    struct parser parser = {.name = name, .warn = warn, .context = context};
    struct slice rest = {text, size};

    config_default(config);
    if (size >= 3 && rest.at[0] == '\xef' && rest.at[1] == '\xbb' && rest.at[2] == '\xbf') {
        rest.at += 3;
        rest.size -= 3;
    }
    while (rest.size) {
        parser.line++;
        parse_line(&parser, config, cut(&rest, '\n'));
    }
}
