#include "state/disk.hpp"

#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <random>
#include <string>
#include <utility>

#include "base/files/atomic_file.hpp"
#include "base/str.hpp"
#include "snug/error.hpp"

namespace snug::state {
namespace {

constexpr const char* kFullDisk =
    "free some space; what is saved stays, and the same command goes on from there";

class RealFile final : public File {
 public:
  RealFile(int fd, std::filesystem::path path) : fd_(fd), path_(std::move(path)) {}
  ~RealFile() override { close(fd_); }
  RealFile(const RealFile&) = delete;
  RealFile& operator=(const RealFile&) = delete;

  int64_t size() const override {
    struct stat info {};
    if (fstat(fd_, &info) != 0) throw io_error("look at the state store", path_.string());
    return info.st_size;
  }

  size_t read_at(int64_t offset, std::span<std::byte> bytes) const override {
    size_t done = 0;
    while (done < bytes.size()) {
      const ssize_t n =
          pread(fd_, bytes.data() + done, bytes.size() - done, offset + static_cast<int64_t>(done));
      if (n < 0 && errno == EINTR) continue;
      if (n < 0) throw io_error("read the state store", str(path_.string(), ": offset ", offset));
      if (n == 0) break;
      done += static_cast<size_t>(n);
    }
    return done;
  }

  void write_at(int64_t offset, std::span<const std::byte> bytes) override {
    while (!bytes.empty()) {
      const ssize_t n = pwrite(fd_, bytes.data(), bytes.size(), offset);
      if (n < 0 && errno == EINTR) continue;
      if (n <= 0) throw io_error("write to the state store", path_.string(), kFullDisk);
      bytes = bytes.subspan(static_cast<size_t>(n));
      offset += n;
    }
  }

  void truncate(int64_t bytes) override {
    if (ftruncate(fd_, bytes) != 0)
      throw io_error("cut the state store to its whole records", path_.string());
  }

  void sync() override {
    if (fdatasync(fd_) != 0) throw io_error("sync the state store", path_.string(), kFullDisk);
  }

  /// flock keeps other writers out, those of this process included, and ends with the process however that
  /// ends. It does not say who holds it; a POSIX record lock does, to other processes, and serves only for
  /// that.
  Lock try_lock() override {
    if (flock(fd_, LOCK_EX | LOCK_NB) != 0) {
      if (errno == EWOULDBLOCK) return Lock::busy;
      throw io_error("lock the state store", path_.string(), "keep it on a filesystem that supports locks");
    }
    struct flock name_tag = whole_file();
    fcntl(fd_, F_SETLK, &name_tag);
    struct stat mine {
    }, now{};
    const bool same = fstat(fd_, &mine) == 0 && stat(path_.c_str(), &now) == 0 && mine.st_dev == now.st_dev &&
                      mine.st_ino == now.st_ino;
    return same ? Lock::taken : Lock::replaced;
  }

  int64_t lock_holder() const override {
    struct flock name_tag = whole_file();
    if (fcntl(fd_, F_GETLK, &name_tag) != 0) return 0;
    return name_tag.l_type == F_UNLCK ? 0 : name_tag.l_pid;
  }

 private:
  static struct flock whole_file() {
    struct flock lock {};
    lock.l_type = F_WRLCK;
    lock.l_whence = SEEK_SET;
    return lock;
  }

  int fd_;
  std::filesystem::path path_;
};

class RealDisk final : public Disk {
 public:
  std::unique_ptr<File> open(const std::filesystem::path& path, Open mode) override {
    const bool read = mode == Open::read;
    const int flags =
        (read ? O_RDONLY : O_RDWR) | (mode == Open::create ? O_CREAT : 0) | O_CLOEXEC | O_NONBLOCK;
    const int fd = ::open(path.c_str(), flags, 0666);  // O_NONBLOCK: a pipe must not hang us
    if (fd < 0)
      throw io_error(read ? "open the state store" : "open the state store for writing", path.string(),
                     read ? "check the path and its permissions; `snug measure` makes a store"
                          : "name another store, in a folder that exists and can be written");
    auto file = std::make_unique<RealFile>(fd, path);
    struct stat info {};
    if (fstat(fd, &info) != 0 || !S_ISREG(info.st_mode))
      throw Error{"not a regular file", path.string(), "name a file, not a folder or a device", Fault::io};
    return file;
  }

  NewFile create_beside(const std::filesystem::path& path) override {
    remove_leftovers(path);
    std::random_device random;
    for (;;) {
      const std::filesystem::path name = part_name(path, random());
      const int fd = ::open(name.c_str(), O_RDWR | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0666);
      if (fd < 0 && errno == EEXIST) continue;
      if (fd < 0)
        throw io_error("open the state store for writing", name.string(),
                       "keep it in a folder that exists and can be written");
      auto file = std::make_unique<RealFile>(fd, name);
      struct stat older {};
      if (stat(path.c_str(), &older) == 0) fchmod(fd, older.st_mode & 0777);
      return {std::move(file), name};
    }
  }

  bool exists(const std::filesystem::path& path) override {
    std::error_code ignored;
    return std::filesystem::exists(path, ignored);
  }

  void rename(const std::filesystem::path& from, const std::filesystem::path& to) override {
    if (std::rename(from.c_str(), to.c_str()) != 0)
      throw io_error("put the state store in place", to.string());
  }

  void remove(const std::filesystem::path& path) noexcept override { unlink(path.c_str()); }

  void sync_folder_of(const std::filesystem::path& path) override {
    sync_directory(path.has_parent_path() ? path.parent_path() : std::filesystem::path{"."});
  }
};

}  // namespace

Disk& real_disk() {
  static RealDisk disk;
  return disk;
}

std::unique_ptr<File> open_locked(Disk& disk, const std::filesystem::path& path, Disk::Open mode) {
  constexpr int kTries = 100;  // each further one: the file was replaced between our opening and locking it
  for (int i = 0; i < kTries; ++i) {
    auto file = disk.open(path, mode);
    const File::Lock lock = file->try_lock();
    if (lock == File::Lock::taken) return file;
    if (lock == File::Lock::replaced) continue;
    const int64_t holder = file->lock_holder();
    throw Error{holder > 0 ? str("process ", holder, " is writing to this state store")
                           : std::string{"another writer has this state store open"},
                path.string(), "wait until it ends, or give this run a store of its own and merge them",
                Fault::io};
  }
  throw Error{"the state store is replaced over and over", path.string(), "see what else writes there",
              Fault::io};
}

Disk::NewFile create_locked_beside(Disk& disk, const std::filesystem::path& path) {
  for (;;) {
    Disk::NewFile made = disk.create_beside(path);
    const File::Lock lock = made.file->try_lock();
    if (lock == File::Lock::taken) return made;
    if (lock == File::Lock::busy) disk.remove(made.name);  // somebody is just taking it for a leftover
  }
}

}  // namespace snug::state
