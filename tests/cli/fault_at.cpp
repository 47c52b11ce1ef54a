// Preloaded, does something to the process at call number FAULT_AT of those that change what a disk holds. FAULT says what:
//   killed-before, killed-behind   SIGKILL
//   full, read-only, broken        from that call on the disk has no room, may only be read, or does not write what it should
// Writes how many calls there were into the file FAULT_COUNT at the end of a run.
#include <dlfcn.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>
#include <csignal>
#include <cstdarg>
#include <cstdio>
#include <cstdlib>
#include <string_view>

namespace {

enum class Does { fill, write, name, sync };  // what a call does to a disk: each fault leaves some of it possible

std::atomic<long> calls{0};

std::string_view said(const char* name) {
  const char* text = getenv(name);
  return text ? text : "";
}

long fault_at() {
  static const long at = atol(said("FAULT_AT").empty() ? "0" : getenv("FAULT_AT"));
  return at;
}

int errno_for(Does does) {
  const std::string_view fault = said("FAULT");
  if (fault == "full" && (does == Does::fill || does == Does::write)) return ENOSPC;
  if (fault == "read-only" && does != Does::sync) return EROFS;
  if (fault == "broken" && (does == Does::write || does == Does::sync)) return EIO;
  return 0;
}

struct Counter {
  ~Counter() {
    if (const char* file = getenv("FAULT_COUNT"))
      if (FILE* out = fopen(file, "w")) {
        fprintf(out, "%ld\n", calls.load());
        fclose(out);
      }
  }
} counter;

void end_if(std::string_view fault, long call) {
  if (call == fault_at() && said("FAULT") == fault) kill(getpid(), SIGKILL);
}

template <class Result, class... Args>
Result through(Does does, const char* name, Args... args) {
  const long call = ++calls;
  end_if("killed-before", call);
  if (const int error = fault_at() > 0 && call >= fault_at() ? errno_for(does) : 0) {
    errno = error;
    return std::string_view{name} == "posix_fallocate" ? Result(error) : Result(-1);
  }
  const auto real = reinterpret_cast<Result (*)(Args...)>(dlsym(RTLD_NEXT, name));
  const Result result = real(args...);
  end_if("killed-behind", call);
  return result;
}

int opened(const char* name, const char* path, int flags, mode_t mode) {
  const auto real = reinterpret_cast<int (*)(const char*, int, mode_t)>(dlsym(RTLD_NEXT, name));
  const bool makes = (flags & O_CREAT) != 0 || (flags & O_TMPFILE) == O_TMPFILE;
  return makes ? through<int>(Does::fill, name, path, flags, mode) : real(path, flags, mode);
}

mode_t mode_of(int flags, va_list more) {
  return (flags & (O_CREAT | O_TMPFILE)) != 0 ? va_arg(more, mode_t) : 0;
}

}  // namespace

extern "C" {

int open(const char* path, int flags, ...) {
  va_list more;
  va_start(more, flags);
  const mode_t mode = mode_of(flags, more);
  va_end(more);
  return opened("open", path, flags, mode);
}
int open64(const char* path, int flags, ...) {
  va_list more;
  va_start(more, flags);
  const mode_t mode = mode_of(flags, more);
  va_end(more);
  return opened("open64", path, flags, mode);
}
ssize_t pwrite(int file, const void* bytes, size_t count, off_t at) {
  return through<ssize_t>(Does::write, "pwrite", file, bytes, count, at);
}
ssize_t pwrite64(int file, const void* bytes, size_t count, off64_t at) {
  return through<ssize_t>(Does::write, "pwrite64", file, bytes, count, at);
}
int posix_fallocate(int file, off_t at, off_t bytes) {
  return through<int>(Does::fill, "posix_fallocate", file, at, bytes);
}
int mkdir(const char* path, mode_t mode) { return through<int>(Does::fill, "mkdir", path, mode); }
int linkat(int from_folder, const char* from, int to_folder, const char* to, int flags) {
  return through<int>(Does::fill, "linkat", from_folder, from, to_folder, to, flags);
}
int rename(const char* from, const char* to) { return through<int>(Does::name, "rename", from, to); }
int renameat2(int from_folder, const char* from, int to_folder, const char* to, unsigned flags) {
  return through<int>(Does::name, "renameat2", from_folder, from, to_folder, to, flags);
}
int unlink(const char* path) { return through<int>(Does::name, "unlink", path); }
int remove(const char* path) { return through<int>(Does::name, "remove", path); }
int ftruncate(int file, off_t bytes) { return through<int>(Does::name, "ftruncate", file, bytes); }
int fsync(int file) { return through<int>(Does::sync, "fsync", file); }
int fdatasync(int file) { return through<int>(Does::sync, "fdatasync", file); }

}  // extern "C"
