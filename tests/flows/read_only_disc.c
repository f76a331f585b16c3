/* A disc that turns read-only under files that are open, as one does that has failed (ext4's errors=remount-ro):
 * mount(2) refuses that to whoever only wants to try it.
 *
 * Loaded before the program (ld.so(8), LD_PRELOAD). Once there is a file KIOSK_READ_ONLY, nothing below the directory
 * KIOSK_DISC can be written any more.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/types.h>
#include <unistd.h>

static int refuses_path(const char *path)
{
    const char *disc = getenv("KIOSK_DISC"), *flag = getenv("KIOSK_READ_ONLY");
    if (!disc || !flag || strncmp(path, disc, strlen(disc)) != 0)
        return 0;
    int before = errno, refuses = access(flag, F_OK) == 0;
    errno = refuses ? EROFS : before;
    return refuses;
}

static int refuses(int file)
{
    char link[64], path[PATH_MAX];
    int before = errno;
    snprintf(link, sizeof link, "/proc/self/fd/%d", file);
    ssize_t length = readlink(link, path, sizeof path - 1);
    errno = before;
    if (length < 0)
        return 0;
    path[length] = 0;
    return refuses_path(path);
}

#define NEXT(name) ((__typeof__(&name))dlsym(RTLD_NEXT, #name))

ssize_t write(int file, const void *data, size_t size)
{
    return refuses(file) ? -1 : NEXT(write)(file, data, size);
}

ssize_t pwrite64(int file, const void *data, size_t size, off64_t at)
{
    return refuses(file) ? -1 : NEXT(pwrite64)(file, data, size, at);
}

int ftruncate64(int file, off64_t size)
{
    return refuses(file) ? -1 : NEXT(ftruncate64)(file, size);
}

int unlink(const char *path)
{
    return refuses_path(path) ? -1 : NEXT(unlink)(path);
}
