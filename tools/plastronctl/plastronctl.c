#define _GNU_SOURCE
#include "plastronctl.h"

#include <getopt.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include "plastron_version.h"

enum { STATUS_DONE, STATUS_FAILED, STATUS_USAGE };

#define DELAY_MIN 0.01
#define DELAY_MAX 86400.0

static const char usage[] =
    "usage: plastronctl [--json] info | stat | top [-d SECONDS] [-n ROUNDS]\n"
    "  info        Plastron's version, the cores, the features of VMX that L1 is offered and not\n"
    "  stat        exits to Plastron by core, level and reason so far; its shadow page tables\n"
    "  top         exits a second, again and again\n"
    "  -d SECONDS  that a round of top takes: 1, if not given\n"
    "  -n ROUNDS   after which top ends\n"
    "  --json      as JSON, in one line, or with top one for each round\n"
    "  --help, --version\n";

enum command { COMMAND_NONE, COMMAND_INFO, COMMAND_STAT, COMMAND_TOP };

static const char *const commands[] = {
    [COMMAND_INFO] = "info",
    [COMMAND_STAT] = "stat",
    [COMMAND_TOP] = "top",
};

struct request {
    enum command command;
    bool help, version;
    bool for_top;   /* an option was given that is top's alone */
    struct top top; /* json is for all commands */
};

static void __attribute__((format(printf, 2, 3))) complain(FILE *errors, const char *format, ...)
{
    va_list arguments;

    fprintf(errors, "plastronctl: ");
    va_start(arguments, format);
    vfprintf(errors, format, arguments);
    va_end(arguments);
    fprintf(errors, "\n");
}

/* ---- what is asked for ---- */

static bool parse_delay(const char *text, double *delay)
{
    char *end;

    *delay = strtod(text, &end);
    return end != text && !*end && *delay >= DELAY_MIN && *delay <= DELAY_MAX;
}

static bool parse_rounds(const char *text, uint64_t *rounds)
{
    char *end;

    *rounds = strtoull(text, &end, 10);
    return *text >= '0' && *text <= '9' && !*end && *rounds && *rounds < UINT64_MAX;
}

static bool take_option(int option, struct request *request, FILE *errors)
{
    bool valid = true;

    switch (option) {
    case 'j': request->top.json = true; break;
    case 'h': request->help = true; break;
    case 'v': request->version = true; break;
    case 'd':
        valid = parse_delay(optarg, &request->top.delay);
        if (!valid)
            complain(errors, "-d takes 0.01 to 86400 seconds, not '%s'", optarg);
        break;
    case 'n':
        valid = parse_rounds(optarg, &request->top.rounds);
        if (!valid)
            complain(errors, "-n takes a number from 1 on, not '%s'", optarg);
        break;
    default: return false;
    }
    request->for_top |= option == 'd' || option == 'n';
    return valid;
}

static bool take_command(const char *word, struct request *request, FILE *errors)
{
    for (enum command i = COMMAND_INFO; i <= COMMAND_TOP; i++)
        if (!strcmp(word, commands[i]))
            request->command = i;
    if (request->command)
        return true;
    complain(errors, "there is no command '%s'", word);
    return false;
}

/* False: that is not possible, and why has been said, unless it is the usage that tells. */
static bool parse(int count, char **arguments, struct request *request, FILE *errors)
{
    static const struct option longs[] = {{"json", no_argument, NULL, 'j'},
                                          {"help", no_argument, NULL, 'h'},
                                          {"version", no_argument, NULL, 'v'},
                                          {NULL, 0, NULL, 0}};
    int option;

    *request = (struct request){.top = {.delay = 1}};
    optind = 0; /* from the beginning, in case there was another command line */
    opterr = 0;
    while ((option = getopt_long(count, arguments, "d:n:", longs, NULL)) != -1)
        if (!take_option(option, request, errors))
            return false;
    if (request->help || request->version)
        return true;
    if (count - optind != 1 || !take_command(arguments[optind], request, errors))
        return false;
    if (!request->for_top || request->command == COMMAND_TOP)
        return true;
    complain(errors, "-d and -n are for top");
    return false;
}

/* ---- what is done ---- */

static int run_stat(const struct info *info, bool json, FILE *out, FILE *errors)
{
    struct reading reading;

    if (!reading_init(&reading, info)) {
        complain(errors, "no memory for %u cores", info->cores);
        return STATUS_FAILED;
    }
    reading_take(&reading);
    for (uint32_t i = 0; i < info->cores; i++)
        if (!reading.cores[i].read)
            complain(errors, "core %u is offline, or not this process's to run on", i);
    if (json)
        show_reading_json(out, &reading, 0);
    else
        show_reading(out, &reading);
    reading_free(&reading);
    return STATUS_DONE;
}

static int run_top(const struct info *info, const struct top *top, FILE *out, FILE *errors)
{
    if (top_run(out, info, top))
        return STATUS_DONE;
    complain(errors, "no memory for %u cores", info->cores);
    return STATUS_FAILED;
}

/* Features are numbered as in the version that this program was made for. */
static void warn_of_version(const struct info *info, FILE *errors)
{
    if (info->major != PLASTRON_VERSION_MAJOR || info->minor != PLASTRON_VERSION_MINOR ||
        info->patch != PLASTRON_VERSION_PATCH)
        complain(errors,
                 "Plastron is %u.%u.%u, this program is of " PLASTRON_VERSION
                 ": it may give features wrong names",
                 info->major, info->minor, info->patch);
}

static int run(const struct request *request, FILE *out, FILE *errors)
{
    bool json = request->top.json;
    struct info info;

    read_info(&info);
    if (request->command == COMMAND_STAT)
        return run_stat(&info, json, out, errors);
    if (request->command == COMMAND_TOP)
        return run_top(&info, &request->top, out, errors);
    warn_of_version(&info, errors);
    if (json)
        show_info_json(out, &info);
    else
        show_info(out, &info);
    return STATUS_DONE;
}

static bool is_answered(FILE *errors)
{
    switch (plastron_find()) {
    case PLASTRON_NONE: complain(errors, "this does not run under Plastron"); return false;
    case PLASTRON_HIDES:
        complain(errors, "this runs under Plastron, whose configuration hides all else: stats=off");
        return false;
    case PLASTRON_OLDER:
        complain(errors, "this runs under a Plastron that is older than this program");
        return false;
    default: return true;
    }
}

int plastronctl(int count, char **arguments, FILE *out, FILE *errors)
{
    struct request request;
    int status = STATUS_DONE;

    if (!parse(count, arguments, &request, errors)) {
        fprintf(errors, "%s", usage);
        return STATUS_USAGE;
    }
    if (request.help)
        fprintf(out, "%s", usage);
    else if (request.version)
        fprintf(out, "plastronctl " PLASTRON_VERSION "\n");
    else
        status = is_answered(errors) ? run(&request, out, errors) : STATUS_FAILED;
    if (fflush(out) || ferror(out)) {
        complain(errors, "the output cannot be written");
        return STATUS_FAILED;
    }
    return status;
}
