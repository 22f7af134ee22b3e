/* Preloaded: SIGKILL at the Nth change of a file under FAULT_ROOT, counted over all processes of a run.
 *
 * FAULT_COUNTER  a file of eight zero bytes that the processes share
 * FAULT_AT       N; the change itself does not happen
 * FAULT_ROOT     changes elsewhere are not counted
 * FAULT_LEADER   if set, the whole process group of this number is killed too, as a batch system would
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

static int counts(int folder, const char *path) {
    const char *root = getenv("FAULT_ROOT");
    char whole[2 * PATH_MAX];
    if (!root || !path) return 0;
    if (path[0] == '/') {
        snprintf(whole, sizeof whole, "%s", path);
    } else if (folder == AT_FDCWD) {
        if (!getcwd(whole, PATH_MAX)) return 0;
    } else {
        char link[64];
        snprintf(link, sizeof link, "/proc/self/fd/%d", folder);
        ssize_t size = readlink(link, whole, PATH_MAX);
        if (size < 0) return 0;
        whole[size] = 0;
    }
    return strncmp(whole, root, strlen(root)) == 0;
}

static void change(int folder, const char *path) {
    const char *file = getenv("FAULT_COUNTER"), *at = getenv("FAULT_AT"), *leader = getenv("FAULT_LEADER");
    if (!file || !at || !counts(folder, path)) return;
    static int (*real_open)(const char *, int, ...);
    if (!real_open) real_open = dlsym(RTLD_NEXT, "open");
    int fd = real_open(file, O_RDWR);
    if (fd < 0) return;
    long *counter = mmap(NULL, sizeof *counter, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    close(fd);
    if (counter == MAP_FAILED) return;
    long count = __atomic_add_fetch(counter, 1, __ATOMIC_SEQ_CST);
    munmap(counter, sizeof *counter);
    if (count != atol(at)) return;
    if (leader) kill(-atoi(leader), SIGKILL);
    kill(getpid(), SIGKILL);
    pause();
}

#define WRITES (O_CREAT | O_TRUNC | O_WRONLY | O_RDWR)
#define OPEN(name)                                                             \
    int name(const char *path, int flags, ...) {                               \
        static int (*real)(const char *, int, ...);                            \
        if (!real) real = dlsym(RTLD_NEXT, #name);                             \
        va_list rest;                                                          \
        va_start(rest, flags);                                                 \
        mode_t mode = va_arg(rest, mode_t);                                    \
        va_end(rest);                                                          \
        if (flags & WRITES) change(AT_FDCWD, path);                            \
        return real(path, flags, mode);                                        \
    }
#define OPENAT(name)                                                           \
    int name(int folder, const char *path, int flags, ...) {                   \
        static int (*real)(int, const char *, int, ...);                       \
        if (!real) real = dlsym(RTLD_NEXT, #name);                             \
        va_list rest;                                                          \
        va_start(rest, flags);                                                 \
        mode_t mode = va_arg(rest, mode_t);                                    \
        va_end(rest);                                                          \
        if (flags & WRITES) change(folder, path);                              \
        return real(folder, path, flags, mode);                                \
    }
#define FOPEN(name)                                                            \
    FILE *name(const char *path, const char *mode) {                           \
        static FILE *(*real)(const char *, const char *);                      \
        if (!real) real = dlsym(RTLD_NEXT, #name);                             \
        if (strpbrk(mode, "wa+")) change(AT_FDCWD, path);                      \
        return real(path, mode);                                               \
    }
#define WRAP(name, folder, path, parameters, ...)                              \
    int name parameters {                                                      \
        static int(*real) parameters;                                          \
        if (!real) real = dlsym(RTLD_NEXT, #name);                             \
        change(folder, path);                                                  \
        return real(__VA_ARGS__);                                              \
    }

OPEN(open)
OPEN(open64)
OPENAT(openat)
OPENAT(openat64)
FOPEN(fopen)
FOPEN(fopen64)
WRAP(rename, AT_FDCWD, to, (const char *from, const char *to), from, to)
WRAP(renameat, b, to, (int a, const char *from, int b, const char *to), a, from, b, to)
WRAP(renameat2, b, to, (int a, const char *from, int b, const char *to, unsigned flags), a, from, b, to, flags)
WRAP(unlink, AT_FDCWD, path, (const char *path), path)
WRAP(unlinkat, folder, path, (int folder, const char *path, int flags), folder, path, flags)
WRAP(mkdir, AT_FDCWD, path, (const char *path, mode_t mode), path, mode)
WRAP(mkdirat, folder, path, (int folder, const char *path, mode_t mode), folder, path, mode)
WRAP(rmdir, AT_FDCWD, path, (const char *path), path)
WRAP(symlink, AT_FDCWD, to, (const char *from, const char *to), from, to)
WRAP(link, AT_FDCWD, to, (const char *from, const char *to), from, to)
