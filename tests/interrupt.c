/* Faults for tests/interrupt.py: loaded before libc, it counts what a process changes (or reads) under given folders and, at
 * the n-th, kills the process or fails the call. SQLite and Python both go through libc, so both are seen.
 *
 * A sync is never really made: a process that lives on cannot see it. Instead what it made durable is copied into a
 * folder, by inode: the bytes of a file, or the names in a folder. interrupt.py makes of that what a power cut leaves.
 */
#define _GNU_SOURCE
#include <dirent.h>
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <unistd.h>

enum { COUNT, KILL, TORN, ONCE, FROM };           /* what happens at the n-th point */
enum { CHANGES, READS };                          /* what is a point */
enum { ADDS, REMOVES, SYNCS, READING };           /* kinds of calls: a full disk refuses the first alone */

static char roots[4][PATH_MAX], shadow[PATH_MAX];
static int root_count, armed, mode, points, failure, note = -1, dead = -1;
static long last;
static atomic_long reached;

/* Arm: roots are separated by colons, each a device of its own, as far as a failure that stays goes. */
void interrupt_arm(const char *where, const char *durable, int mode_, int points_, int failure_, long last_, int note_) {
    char copy[4 * PATH_MAX], *rest = copy, *one;
    snprintf(copy, sizeof copy, "%s", where);
    while ((one = strsep(&rest, ":")) && root_count < 4) snprintf(roots[root_count++], PATH_MAX, "%s", one);
    snprintf(shadow, sizeof shadow, "%s", durable);
    mode = mode_, points = points_, failure = failure_, last = last_, note = note_, armed = 1;
}

#define REAL(name) static __typeof__(&name) real; if (!real) real = (__typeof__(&name))dlsym(RTLD_NEXT, #name)

static ssize_t plain_write(int fd, const void *data, size_t size) { REAL(write); return real(fd, data, size); }
static int plain_open(const char *path, int flags) { REAL(open); return real(path, flags, 0600); }

static void resolve(int dir, const char *path, char *out) {
    char base[PATH_MAX] = "", link[64];
    if (!path || path[0] != '/') {
        snprintf(link, sizeof link, "/proc/self/fd/%d", dir);
        ssize_t n = dir == AT_FDCWD ? (getcwd(base, sizeof base) ? (ssize_t)strlen(base) : 0)
                                    : readlink(link, base, sizeof base - 1);
        base[n > 0 ? n : 0] = 0;
    }
    snprintf(out, PATH_MAX, path ? (path[0] == '/' ? "%s%s" : "%s/%s") : "%s%s", base, path ? path : "");
}

/* What to do about one call: 0 go on, -1 fail with errno set, 1 do half of it (and die, if it is to be torn). */
static int reach(const char *call, int kind, int dir, const char *path) {
    char where[PATH_MAX], line[PATH_MAX + 64];
    int device = -1, saved = errno;
    if (!armed) return 0;
    resolve(dir, path, where);
    for (int i = 0; i < root_count; i++)
        if (!strncmp(where, roots[i], strlen(roots[i])) && strchr("/ ", where[strlen(roots[i])])) device = i;
    errno = saved;
    if (strstr(where, "/../")) device = -1; /* out of it again: the site's own data */
    if (device < 0) return 0;
    if (device == dead && (failure != ENOSPC || kind == ADDS)) return errno = failure, -1;
    if ((kind == READING) != (points == READS)) return 0;
    long now = atomic_fetch_add(&reached, 1) + 1;
    if (mode == COUNT || now == last) {
        int size = snprintf(line, sizeof line, "%s %s\n", call, where);
        plain_write(note, line, size);
        errno = saved;
    }
    if (mode == COUNT || now != last) return 0;
    if (mode == KILL) raise(SIGKILL);
    int writes = strstr(call, "write") != NULL;
    if (mode == TORN) return writes ? 1 : (raise(SIGKILL), 0);
    if (mode == FROM) dead = device;
    if (mode == FROM && failure == ENOSPC && writes) return 1; /* the last of the space takes half of it */
    return errno = failure, -1;
}

static ssize_t half(ssize_t done) { if (mode == TORN) raise(SIGKILL); return done; }

/* What a sync makes durable: the bytes of a file, or the names in a folder with their inodes. */
static int keep(int fd) {
    char name[PATH_MAX + 32], link[64], buffer[1 << 16];
    struct stat status;
    if (!armed || !shadow[0] || fstat(fd, &status)) return 0;
    snprintf(name, sizeof name, "%s/%lu%s", shadow, (unsigned long)status.st_ino, S_ISDIR(status.st_mode) ? ".names" : "");
    snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    int out = plain_open(name, O_WRONLY | O_CREAT | O_TRUNC), in = plain_open(link, O_RDONLY);
    if (S_ISDIR(status.st_mode)) {
        DIR *folder = fdopendir(in);
        for (struct dirent *e; (e = readdir(folder));)
            if (strcmp(e->d_name, ".") && strcmp(e->d_name, ".."))
                plain_write(out, buffer, snprintf(buffer, sizeof buffer, "%lu %c %s\n", (unsigned long)e->d_ino,
                                                  e->d_type == DT_DIR ? 'd' : 'f', e->d_name));
        closedir(folder);
    } else {
        off_t at = 0;
        REAL(pread);
        for (ssize_t n; (n = real(in, buffer, sizeof buffer, at)) > 0; at += n) plain_write(out, buffer, n);
        close(in);
    }
    close(out);
    return 0;
}

/* An inode whose name goes away is held open, so that its number is not given to another file. */
static void hold(int dir, const char *path) {
    char where[PATH_MAX];
    int saved = errno;
    if (armed && shadow[0]) resolve(dir, path, where), plain_open(where, O_PATH | O_NOFOLLOW);
    errno = saved;
}

#define CHANGE(call, kind, dir, path) do { if (reach(call, kind, dir, path)) return -1; } while (0)

ssize_t write(int fd, const void *data, size_t size) {
    int what = reach("write", ADDS, fd, NULL);
    return what < 0 ? -1 : what ? half(plain_write(fd, data, size / 2)) : plain_write(fd, data, size);
}
#define PWRITE(name) \
    ssize_t name(int fd, const void *data, size_t size, off_t at) { \
        REAL(name); \
        int what = reach(#name, ADDS, fd, NULL); \
        return what < 0 ? -1 : what ? half(real(fd, data, size / 2, at)) : real(fd, data, size, at); \
    }
PWRITE(pwrite)
PWRITE(pwrite64)
ssize_t writev(int fd, const struct iovec *parts, int count) {
    REAL(writev);
    int what = reach("writev", ADDS, fd, NULL);
    return what < 0 ? -1 : what ? half(real(fd, parts, count / 2)) : real(fd, parts, count);
}
int fsync(int fd) { CHANGE("fsync", SYNCS, fd, NULL); return keep(fd); }
int fdatasync(int fd) { CHANGE("fdatasync", SYNCS, fd, NULL); return keep(fd); }
#define TRUNCATE(name) int name(int fd, off_t size) { REAL(name); CHANGE(#name, REMOVES, fd, NULL); return real(fd, size); }
TRUNCATE(ftruncate)
TRUNCATE(ftruncate64)
int rename(const char *old, const char *new) {
    REAL(rename);
    CHANGE("rename", REMOVES, AT_FDCWD, new);
    hold(AT_FDCWD, new);
    return real(old, new);
}
int renameat(int from, const char *old, int to, const char *new) {
    REAL(renameat);
    CHANGE("renameat", REMOVES, to, new);
    hold(to, new);
    return real(from, old, to, new);
}
int renameat2(int from, const char *old, int to, const char *new, unsigned flags) {
    REAL(renameat2);
    CHANGE("renameat2", REMOVES, to, new);
    hold(to, new);
    return real(from, old, to, new, flags);
}
#define REMOVE(name) \
    int name(const char *path) { REAL(name); CHANGE(#name, REMOVES, AT_FDCWD, path); hold(AT_FDCWD, path); return real(path); }
REMOVE(unlink)
REMOVE(rmdir)
int unlinkat(int dir, const char *path, int flags) {
    REAL(unlinkat);
    CHANGE("unlinkat", REMOVES, dir, path);
    hold(dir, path);
    return real(dir, path, flags);
}
int mkdir(const char *path, mode_t m) { REAL(mkdir); CHANGE("mkdir", ADDS, AT_FDCWD, path); return real(path, m); }
int mkdirat(int dir, const char *path, mode_t m) { REAL(mkdirat); CHANGE("mkdirat", ADDS, dir, path); return real(dir, path, m); }
int link(const char *old, const char *new) { REAL(link); CHANGE("link", ADDS, AT_FDCWD, new); return real(old, new); }
int linkat(int from, const char *old, int to, const char *new, int flags) {
    REAL(linkat);
    CHANGE("linkat", ADDS, to, new);
    return real(from, old, to, new, flags);
}
int symlink(const char *old, const char *new) { REAL(symlink); CHANGE("symlink", ADDS, AT_FDCWD, new); return real(old, new); }

#define OPEN(name, dir, head, ...) \
    int name(head const char *path, int flags, ...) { \
        REAL(name); \
        va_list more; \
        va_start(more, flags); \
        mode_t m = flags & O_CREAT ? va_arg(more, mode_t) : 0; \
        va_end(more); \
        CHANGE(#name, flags & (O_CREAT | O_TRUNC) ? ADDS : READING, dir, path); \
        return real(__VA_ARGS__ path, flags, m); \
    }
#define COMMA ,
OPEN(open, AT_FDCWD, )
OPEN(open64, AT_FDCWD, )
OPEN(openat, dir, int dir COMMA, dir COMMA)
OPEN(openat64, dir, int dir COMMA, dir COMMA)
ssize_t read(int fd, void *data, size_t size) { REAL(read); CHANGE("read", READING, fd, NULL); return real(fd, data, size); }
#define PREAD(name) \
    ssize_t name(int fd, void *data, size_t size, off_t at) { \
        REAL(name); \
        CHANGE(#name, READING, fd, NULL); \
        return real(fd, data, size, at); \
    }
PREAD(pread)
PREAD(pread64)
