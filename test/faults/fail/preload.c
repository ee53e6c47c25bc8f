/*
 * Stands between the driver, or a program that it starts, and the C library (LD_PRELOAD), for what strace can't do: writes
 * and reads that move only a part, a close that says late what went wrong, and failures in the programs alone. It is
 * steered by 32-bit numbers in a file that the test and all these processes map: preload.ts has their places.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/fs.h>
#include <linux/magic.h>
#include <spawn.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <unistd.h>

enum { IN_DRIVER = 1, IN_TOOL = 2 };
enum { WRITE, PWRITE, READ, PREAD, COPY, CLOSE, FSYNC, OPEN, IOCTL, TRUNCATE, FALLOCATE, CALLS };

struct control {
  atomic_int scope; /* 0: nothing is to fail */
  atomic_int call;
  atomic_int left; /* strikes when it comes to 0 */
  atomic_int error; /* 0: moves only a part */
  atomic_int struck;
  atomic_int unused[11];
  atomic_int seen[2][16]; /* how often each call came by: in the driver, in its programs */
};

static struct control *control;
static int scope = IN_DRIVER;
static const char *path;

__attribute__((constructor)) static void start(void) {
  path = getenv("HOLDFAST_FAULTS");
  if (path == NULL) return;
  if (getenv("HOLDFAST_FAULTS_TOOL") != NULL) scope = IN_TOOL;
  int fd = open(path, O_RDWR | O_CLOEXEC);
  if (fd < 0) return;
  void *at = mmap(NULL, sizeof(struct control), PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
  close(fd);
  if (at != MAP_FAILED) control = at;
}

/* Whether this call is the one to strike. Counts it. */
static int strikes(int call) {
  if (control == NULL) return 0;
  atomic_fetch_add(&control->seen[scope - 1][call], 1);
  if (atomic_load(&control->scope) != scope || atomic_load(&control->call) != call) return 0;
  if (atomic_fetch_sub(&control->left, 1) != 1) return 0;
  atomic_store(&control->struck, 1);
  return 1;
}

#define REAL(name) \
  static __typeof__(name) *real; \
  if (real == NULL) real = (__typeof__(name) *)dlsym(RTLD_NEXT, #name)

static int failing(void) {
  errno = atomic_load(&control->error);
  return -1;
}

/*
 * Only files and devices, for sockets and pipes take and give parts every day; and those that lie on a disk, not what the
 * kernel makes up as it is read.
 */
static int concerns(int fd) {
  struct stat about;
  struct statfs on;
  int before = errno;
  int yes = control != NULL && fd > 2 && fstat(fd, &about) == 0 && (S_ISREG(about.st_mode) || S_ISBLK(about.st_mode)) &&
            fstatfs(fd, &on) == 0 && on.f_type != PROC_SUPER_MAGIC && on.f_type != SYSFS_MAGIC;
  errno = before;
  return yes;
}

/* How much of `size` is moved; -1: the call fails. */
static ssize_t part(int call, int fd, size_t size) {
  if (size < 2 || !concerns(fd) || !strikes(call)) return (ssize_t)size;
  if (atomic_load(&control->error) != 0) return failing();
  return (ssize_t)(size / 2);
}

#define MOVES(result, name, call, parameters, arguments) \
  result name parameters { \
    REAL(name); \
    ssize_t moved = part(call, fd, size); \
    if (moved < 0) return -1; \
    size = (size_t)moved; \
    return real arguments; \
  }

MOVES(ssize_t, write, WRITE, (int fd, const void *from, size_t size), (fd, from, size))
MOVES(ssize_t, pwrite, PWRITE, (int fd, const void *from, size_t size, off_t at), (fd, from, size, at))
MOVES(ssize_t, pwrite64, PWRITE, (int fd, const void *from, size_t size, off64_t at), (fd, from, size, at))
MOVES(ssize_t, read, READ, (int fd, void *to, size_t size), (fd, to, size))
MOVES(ssize_t, pread, PREAD, (int fd, void *to, size_t size, off_t at), (fd, to, size, at))
MOVES(ssize_t, pread64, PREAD, (int fd, void *to, size_t size, off64_t at), (fd, to, size, at))
MOVES(ssize_t, copy_file_range, COPY, (int fd, off64_t *from, int into, off64_t *to, size_t size, unsigned flags),
      (fd, from, into, to, size, flags))

/* It is closed all the same (close(2)). Only what was open for writing has anything to say. */
int close(int fd) {
  REAL(close);
  int strike = fd > 2 && (fcntl(fd, F_GETFL) & O_ACCMODE) != O_RDONLY && concerns(fd) && strikes(CLOSE);
  int result = real(fd);
  return strike ? failing() : result;
}

#define SIMPLE(name, call, parameters, arguments) \
  int name parameters { \
    REAL(name); \
    if (scope == IN_TOOL && strikes(call)) return failing(); \
    return real arguments; \
  }

SIMPLE(fsync, FSYNC, (int fd), (fd))
SIMPLE(fdatasync, FSYNC, (int fd), (fd))
SIMPLE(ftruncate, TRUNCATE, (int fd, off_t size), (fd, size))
SIMPLE(ftruncate64, TRUNCATE, (int fd, off64_t size), (fd, size))
SIMPLE(fallocate, FALLOCATE, (int fd, int mode, off_t at, off_t size), (fd, mode, at, size))
SIMPLE(fallocate64, FALLOCATE, (int fd, int mode, off64_t at, off64_t size), (fd, mode, at, size))

/* Not those that only ask what a device is: they need no disk. */
static int works(unsigned long request) {
  unsigned kind = (request >> 8) & 0xff;
  return request == BLKFLSBUF || request == BLKDISCARD || request == BLKZEROOUT || kind == 0x94 || kind == 'X' || kind == 'f';
}

int ioctl(int fd, unsigned long request, ...) {
  REAL(ioctl);
  va_list more;
  va_start(more, request);
  void *argument = va_arg(more, void *);
  va_end(more);
  if (scope == IN_TOOL && works(request) && strikes(IOCTL)) return failing();
  return real(fd, request, argument);
}

#define OPENS(name) \
  int name(const char *file, int flags, ...) { \
    REAL(name); \
    va_list more; \
    va_start(more, flags); \
    mode_t mode = va_arg(more, mode_t); \
    va_end(more); \
    if (scope == IN_TOOL && strncmp(file, "/dev/", 5) == 0 && strikes(OPEN)) return failing(); \
    return real(file, flags, mode); \
  }

OPENS(open)
OPENS(open64)

/* The driver gives its programs an environment of their own. */
extern char **environ;

int posix_spawn(pid_t *pid, const char *file, const posix_spawn_file_actions_t *actions, const posix_spawnattr_t *attributes,
                char *const arguments[], char *const environment[]) {
  REAL(posix_spawn);
  if (control == NULL) return real(pid, file, actions, attributes, arguments, environment);
  size_t count = 0;
  while (environment[count] != NULL) count++;
  char *longer[count + 4];
  char library[4200], faults[4200];
  memcpy(longer, environment, count * sizeof(char *));
  strcpy(stpcpy(library, "LD_PRELOAD="), getenv("LD_PRELOAD"));
  strcpy(stpcpy(faults, "HOLDFAST_FAULTS="), path);
  longer[count] = library;
  longer[count + 1] = faults;
  longer[count + 2] = "HOLDFAST_FAULTS_TOOL=1";
  longer[count + 3] = NULL;
  return real(pid, file, actions, attributes, arguments, longer);
}
