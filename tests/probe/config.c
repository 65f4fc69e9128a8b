/* What \probe.cfg asks for: words separated by white space. */
#include "probe.h"

struct config_words config = {.seed = 1, .cpus = 1, .churn = 40000};

static u64 number(const char *text)
{
    u64 value = 0;

    while (*text >= '0' && *text <= '9')
        value = value * 10 + (u64)(*text++ - '0');
    return value;
}

/* A plus sign stands for a space in a row's name. */
static const char *with_spaces(char *text)
{
    for (char *at = text; *at; at++)
        if (*at == '+')
            *at = ' ';
    return text;
}

static void parse_word(char *word)
{
    if (text_equal(word, "attack"))
        config.attack = true;
    else if (text_equal(word, "bench"))
        config.bench = true;
    else if (text_equal(word, "demo"))
        config.demo = true;
    else if (text_starts(word, "abort="))
        config.abort = number(word + 6);
    else if (text_starts(word, "cpus="))
        config.cpus = number(word + 5);
    else if (text_starts(word, "fuzz="))
        config.fuzz = number(word + 5);
    else if (text_starts(word, "churn="))
        config.churn = number(word + 6);
    else if (text_starts(word, "seed="))
        config.seed = number(word + 5);
    else if (text_starts(word, "single=") && config.single_count < ARRAY_SIZE(config.single))
        config.single[config.single_count++] = number(word + 7);
    else if (text_starts(word, "only=") && config.only_count < ARRAY_SIZE(config.only))
        config.only[config.only_count++] = with_spaces(word + 5);
}

void config_parse(void)
{
    char *at = config.text;

    while (*at) {
        char *word = at;

        while (*at > ' ')
            at++;
        if (*at)
            *at++ = 0;
        if (*word)
            parse_word(word);
    }
}

bool config_wants(const char *row)
{
    for (u32 i = 0; i < config.only_count; i++)
        if (text_starts(row, config.only[i]))
            return true;
    return config.only_count == 0;
}
