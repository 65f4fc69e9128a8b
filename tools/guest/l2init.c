// L2's init: reports the CPUs online from user space, and ends the machine.
#include <stdio.h>
#include <sys/mount.h>
#include <sys/reboot.h>
#include <unistd.h>

int main(void)
{
    mount("devtmpfs", "/dev", "devtmpfs", 0, NULL);
    printf("L2: user space, %ld CPUs online\n", sysconf(_SC_NPROCESSORS_ONLN));
    fflush(stdout);
    // QEMU runs with -no-reboot: this ends it.
    reboot(RB_AUTOBOOT);
    return 1;
}
