/*
 * Work of an operating system, measured in L1 and in L2 alike:
 *   work ROW syscall | pipe | stream | files | idle
 *   work ROW run COMMAND [ARGUMENT]...
 *   work mark NUMBER
 * prints the ticks it took, and marks its begin and end for the emulator: 2 * ROW, 2 * ROW + 1
 * (tools/bochs/count.h). So that these can stand in two systems, the third form is one mark alone.
 */
#define _GNU_SOURCE
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#define SYSCALLS     20000
#define PIPE_ROUNDS  2000
#define STREAM_BYTES (8 << 20)
#define STREAM_TIMES 4
#define FILE_COUNT   200
#define FILE_BYTES   16384
#define IDLE_SECONDS 10

static char **command;

static void mark(uint32_t number) { __asm__ volatile("xchg %%bx, %%bx" ::"a"(number) : "memory"); }

static void fail(const char *what)
{
    perror(what);
    exit(1);
}

static void do_syscall(void)
{
    for (int i = 0; i < SYSCALLS; i++)
        syscall(SYS_getppid);
}

/* A byte goes to another process and comes back. */
static void do_pipe(void)
{
    int there[2], back[2];
    char byte = 0;
    pid_t child;

    if (pipe(there) || pipe(back) || (child = fork()) < 0)
        fail("pipe");
    for (int i = 0; i < PIPE_ROUNDS; i++) {
        int *from = child ? back : there, *to = child ? there : back;

        if (child && write(to[1], &byte, 1) != 1)
            fail("write");
        if (read(from[0], &byte, 1) != 1)
            fail("read");
        if (!child && write(to[1], &byte, 1) != 1)
            fail("write");
    }
    if (!child)
        _exit(0);
    waitpid(child, NULL, 0);
}

static void do_stream(void)
{
    char *from = malloc(STREAM_BYTES), *to = malloc(STREAM_BYTES);

    if (!from || !to)
        fail("malloc");
    memset(from, 1, STREAM_BYTES);
    for (int i = 0; i < STREAM_TIMES; i++) {
        memcpy(to, from, STREAM_BYTES);
        __asm__ volatile("" ::"r"(to) : "memory");
    }
}

static void do_files(void)
{
    static char data[FILE_BYTES];
    char name[32];

    for (int i = 0; i < FILE_COUNT; i++) {
        int file;

        snprintf(name, sizeof(name), "/tmp/work%d", i);
        file = open(name, O_RDWR | O_CREAT | O_TRUNC, 0600);
        if (file < 0 || write(file, data, sizeof(data)) != sizeof(data) ||
            pread(file, data, sizeof(data), 0) != sizeof(data))
            fail(name);
        close(file);
    }
    for (int i = 0; i < FILE_COUNT; i++) {
        snprintf(name, sizeof(name), "/tmp/work%d", i);
        unlink(name);
    }
}

static void do_idle(void) { sleep(IDLE_SECONDS); }

static void do_run(void)
{
    int status;
    pid_t child = fork();

    if (!child) {
        execvp(command[0], command);
        _exit(127);
    }
    if (child < 0 || waitpid(child, &status, 0) < 0 || status)
        fail(command[0]);
}

static const struct {
    const char *name;
    void (*what)(void);
} works[] = {
    {"syscall", do_syscall}, {"pipe", do_pipe}, {"stream", do_stream},
    {"files", do_files},     {"idle", do_idle}, {"run", do_run},
};

static void measure(uint32_t row, const char *name, void (*what)(void))
{
    uint64_t start;

    mark(2 * row);
    start = __builtin_ia32_rdtsc();
    what();
    start = __builtin_ia32_rdtsc() - start;
    mark(2 * row + 1);
    printf("work: row %u: %s takes %lu ticks, 1 in a batch\n", row, name, start);
}

int main(int count, char **arguments)
{
    if (count == 3 && !strcmp(arguments[1], "mark")) {
        mark((uint32_t)strtoul(arguments[2], NULL, 0));
        return 0;
    }
    command = arguments + 3;
    for (size_t i = 0; count >= 3 && i < sizeof(works) / sizeof(*works); i++) {
        if (strcmp(arguments[2], works[i].name) || (works[i].what == do_run && count < 4))
            continue;
        measure((uint32_t)strtoul(arguments[1], NULL, 0), works[i].name, works[i].what);
        return 0;
    }
    fprintf(stderr, "usage: work ROW syscall|pipe|stream|files|idle\n"
                    "       work ROW run COMMAND [ARGUMENT]...\n"
                    "       work mark NUMBER\n");
    return 2;
}
