// Preloaded, does something to the process at call number FAULT_AT of those that change what a disk holds. FAULT says what:
//   killed-before, killed-behind   SIGKILL
//   full, read-only, broken        from that call on the disk has no room, may only be read, or does not write what it should
//   no-memory, no-descriptors      from then on the process gets no more memory, or opens no more files
//   gone-1, gone-2                 nobody reads from that descriptor any more: its terminal or pipe is gone
//   closed-0, closed-1, closed-2   the program is started with that descriptor closed, at whatever call
//   shrunk                         the file FAULT_FILE loses its second half
//   no-temporary                   the folder TMPDIR is gone
//   clock-back                     from then on the wall clock goes back an hour with every look at it
// Writes how many calls there were into the file FAULT_COUNT at the end of a run, and into FAULT_LOG a line "call N" a call,
// between the lines that the program says on stderr.
#include <dlfcn.h>
#include <fcntl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>
#include <csignal>
#include <cstdarg>
#include <cstdio>
#include <cstdlib>
#include <string>
#include <string_view>

namespace {

enum class Does { fill, write, name, sync };  // what a call does to a disk: each fault leaves some of it possible

std::atomic<long> calls{0};
std::atomic<bool> goes_back{false};

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

void log(const std::string& line) {
  static const int file = [] {
    const char* name = getenv("FAULT_LOG");
    return name ? static_cast<int>(syscall(SYS_open, name, O_WRONLY | O_CREAT | O_APPEND, 0666)) : -1;
  }();
  if (file >= 0 && write(file, line.data(), line.size()) < 0) abort();
}

/// What is used already stays.
void allow_no_more(int resource, rlim_t limit) {
  rlimit all{};
  getrlimit(static_cast<__rlimit_resource>(resource), &all);
  all.rlim_cur = limit;
  setrlimit(static_cast<__rlimit_resource>(resource), &all);
}

rlim_t memory_used() {
  unsigned long pages = 0;
  if (FILE* in = fopen("/proc/self/statm", "r")) {
    if (fscanf(in, "%lu", &pages) != 1) pages = 0;
    fclose(in);
  }
  return pages * static_cast<rlim_t>(sysconf(_SC_PAGE_SIZE));
}

void shrink(const char* file) {
  struct stat info {};
  if (file && stat(file, &info) == 0 && truncate(file, info.st_size / 2) != 0) abort();
}

void take_away(const std::string& folder) {
  if (!folder.empty() && syscall(SYS_rename, folder.c_str(), (folder + ".gone").c_str()) != 0) abort();
}

void leave_unread(int descriptor) {
  int ends[2];
  if (pipe(ends) != 0 || dup2(ends[1], descriptor) < 0) abort();
  for (const int end : ends) close(end);
}

struct Started {
  Started() {
    if (said("FAULT").starts_with("closed-")) close(said("FAULT").back() - '0');
  }
} started;

void befall(long call) {
  if (call != fault_at()) return;
  const std::string_view fault = said("FAULT");
  if (fault == "no-memory") allow_no_more(RLIMIT_AS, memory_used());
  if (fault == "no-descriptors") allow_no_more(RLIMIT_NOFILE, 3);
  if (fault.starts_with("gone-")) leave_unread(fault.back() - '0');
  if (fault == "shrunk") shrink(getenv("FAULT_FILE"));
  if (fault == "no-temporary") take_away(std::string{said("TMPDIR")});
  if (fault == "clock-back") goes_back = true;
}

void end_if(std::string_view fault, long call) {
  if (call == fault_at() && said("FAULT") == fault) kill(getpid(), SIGKILL);
}

template <class Result, class... Args>
Result through(Does does, const char* name, Args... args) {
  const long call = ++calls;
  log("call " + std::to_string(call) + "\n");
  befall(call);
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

int clock_gettime(clockid_t clock, timespec* now) {
  static std::atomic<time_t> looks{0};
  const long failed = syscall(SYS_clock_gettime, clock, now);
  if (failed == 0 && clock == CLOCK_REALTIME && goes_back) now->tv_sec -= 3600 * ++looks;
  return static_cast<int>(failed);
}
int fprintf(FILE* file, const char* format, ...) {
  char text[4096];
  va_list more;
  va_start(more, format);
  vsnprintf(text, sizeof text, format, more);
  va_end(more);
  if (file == stderr) log(text);
  return fputs(text, file);
}
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
