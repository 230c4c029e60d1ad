/* The C library's getaddrinfo with names of its own, for programs that are started with it as LD_PRELOAD.
 *
 * Each host that ends in ".test" is written down in the file `asked` of the folder that TEST_NAMES names, and then
 * - slow...   waits until nobody holds the lock on the file `gate`;
 * - again...  is the error EAI_AGAIN;
 * - system... is the error EAI_SYSTEM with EMFILE;
 * - else, and when the wait is over, has the address 127.0.0.1.
 * All other hosts are the C library's. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <netdb.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <unistd.h>

typedef int lookup(const char *, const char *, const struct addrinfo *, struct addrinfo **);

static int begins_with(const char *host, const char *start) { return strncmp(host, start, strlen(start)) == 0; }

static int open_in_folder(const char *name, int flags)
{
    char path[4096];
    snprintf(path, sizeof path, "%s/%s", getenv("TEST_NAMES"), name);
    return open(path, flags | O_CLOEXEC, 0600);
}

static void note(const char *host)
{
    char line[300];
    int length = snprintf(line, sizeof line, "%s\n", host);
    int file = open_in_folder("asked", O_WRONLY | O_APPEND | O_CREAT);
    if (write(file, line, length) != length)
        abort();
    close(file);
}

static void wait_at_gate(void)
{
    int file = open_in_folder("gate", O_RDONLY);
    while (flock(file, LOCK_SH) == -1 && errno == EINTR)
        ;
    close(file);
}

int getaddrinfo(const char *host, const char *service, const struct addrinfo *hints, struct addrinfo **found)
{
    lookup *next = (lookup *)dlsym(RTLD_NEXT, "getaddrinfo");
    size_t length = host ? strlen(host) : 0;
    struct addrinfo numeric = {0};
    if (length < 5 || strcmp(host + length - 5, ".test") != 0)
        return next(host, service, hints, found);
    note(host);
    if (begins_with(host, "slow"))
        wait_at_gate();
    if (begins_with(host, "again"))
        return EAI_AGAIN;
    if (begins_with(host, "system")) {
        errno = EMFILE;
        return EAI_SYSTEM;
    }
    if (hints)
        numeric = *hints;
    numeric.ai_flags |= AI_NUMERICHOST;
    return next("127.0.0.1", service, &numeric, found);
}
