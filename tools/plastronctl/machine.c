#define _GNU_SOURCE
#include "plastronctl.h"

#include <errno.h>
#include <sched.h>
#include <signal.h>
#include <sys/ioctl.h>
#include <time.h>
#include <unistd.h>

static cpu_set_t before; /* where this could run when it entered the first core */
static bool entered;
static volatile sig_atomic_t ended;

bool machine_enter_core(uint32_t core)
{
    cpu_set_t set;

    if (!entered && sched_getaffinity(0, sizeof(before), &before))
        return false;
    CPU_ZERO(&set);
    CPU_SET(core, &set);
    entered = true;
    return !sched_setaffinity(0, sizeof(set), &set);
}

bool machine_is_on_core(uint32_t core) { return sched_getcpu() == (int)core; }

void machine_leave_core(void)
{
    if (entered)
        sched_setaffinity(0, sizeof(before), &before);
    entered = false;
}

double machine_now(void)
{
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec + (double)now.tv_nsec / 1e9;
}

static void on_signal(int number)
{
    (void)number;
    ended = 1;
}

void machine_catch_signals(void)
{
    const struct sigaction action = {.sa_handler = on_signal};

    sigaction(SIGINT, &action, NULL);
    sigaction(SIGTERM, &action, NULL);
}

bool machine_sleep_until(double time)
{
    struct timespec at = {.tv_sec = (time_t)time};

    at.tv_nsec = (long)((time - (double)at.tv_sec) * 1e9);
    while (!ended && clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &at, NULL) == EINTR)
        ;
    return !ended;
}

bool machine_terminal(FILE *file, uint32_t *columns, uint32_t *rows)
{
    struct winsize size;

    if (!isatty(fileno(file)))
        return false;
    if (ioctl(fileno(file), TIOCGWINSZ, &size) || !size.ws_col || !size.ws_row)
        size = (struct winsize){.ws_row = 24, .ws_col = 80};
    *columns = size.ws_col;
    *rows = size.ws_row;
    return true;
}
