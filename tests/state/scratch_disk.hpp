#pragma once

#include <algorithm>
#include <limits>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <utility>
#include <vector>

#include "snug/error.hpp"
#include "state/disk.hpp"

namespace snug::test {

/// A disk in memory that can be cut off from power, fill up, and be read and spoiled byte by byte.
/// What was written and not synced, and names whose folder was not synced, may or may not survive a power
/// cut.
class ScratchDisk final : public state::Disk {
 public:
  using Bytes = std::vector<std::byte>;

  /// What a power cut leaves of unsynced work.
  enum class Unsynced { lost, zeroed, kept };
  enum class Names { lost, kept };

  std::unique_ptr<state::File> open(const std::filesystem::path& path, Open mode) override;
  NewFile create_beside(const std::filesystem::path& path) override {
    const std::filesystem::path name = path.string() + ".part";
    names_.erase(name.string());
    return {open(name, Open::create), name};
  }
  bool exists(const std::filesystem::path& path) override { return names_.contains(path.string()); }
  void rename(const std::filesystem::path& from, const std::filesystem::path& to) override {
    step("rename");
    names_[to.string()] = names_.at(from.string());
    names_.erase(from.string());
  }
  void remove(const std::filesystem::path& path) noexcept override {
    if (operations_left_ > 0) names_.erase(path.string());
  }
  void sync_folder_of(const std::filesystem::path&) override {
    step("sync the folder");
    safe_names_ = names_;
  }

  void fail_writes_after(int64_t bytes) { room_ = bytes; }
  void fail_syncs(bool fail) { fail_syncs_ = fail; }
  /// Power goes before the n-th operation from now: it and every later one fails.
  void cut_power_after(int64_t operations) { operations_left_ = operations; }
  bool power_is_cut() const { return operations_left_ <= 0; }

  void restore_power(Unsynced bytes, Names names) {
    operations_left_ = room_ = std::numeric_limits<int64_t>::max();
    if (names == Names::lost) names_ = safe_names_;
    for (auto& [name, node] : names_) {
      if (bytes == Unsynced::lost) node->now = node->safe;
      if (bytes == Unsynced::zeroed)
        for (size_t i = node->safe.size(); i < node->now.size(); ++i) node->now[i] = std::byte{};
      node->safe = node->now;
      node->locked = false;
    }
    safe_names_ = names_;
  }

  Bytes& bytes(const std::filesystem::path& path) { return names_.at(path.string())->now; }
  void place(const std::filesystem::path& path, Bytes content) {
    names_[path.string()] = std::make_shared<Node>(Node{content, content, false});
    safe_names_ = names_;
  }
  size_t files() const { return names_.size(); }

 private:
  struct Node {
    Bytes now, safe;
    bool locked = false;
  };
  class Handle;

  void step(const std::string& what) {
    if (operations_left_ <= 0 || --operations_left_ < 0)
      throw Error{"cannot " + what + ": no power", {}, {}, Fault::io};
  }

  std::map<std::string, std::shared_ptr<Node>> names_, safe_names_;
  int64_t room_ = std::numeric_limits<int64_t>::max();
  int64_t operations_left_ = std::numeric_limits<int64_t>::max();
  bool fail_syncs_ = false;
  std::recursive_mutex mutex_;  // of the files' bytes: a store may be shared by threads
};

class ScratchDisk::Handle final : public state::File {
 public:
  Handle(ScratchDisk& disk, std::shared_ptr<Node> node, std::string name)
      : disk_(disk), node_(std::move(node)), name_(std::move(name)) {}
  ~Handle() override {
    if (locked_) node_->locked = false;
  }

  int64_t size() const override {
    const std::lock_guard lock{disk_.mutex_};
    return std::ssize(node_->now);
  }
  size_t read_at(int64_t offset, std::span<std::byte> bytes) const override {
    const std::lock_guard lock{disk_.mutex_};
    const int64_t n = std::clamp<int64_t>(size() - offset, 0, std::ssize(bytes));
    std::copy_n(node_->now.begin() + std::min(offset, size()), n, bytes.begin());
    return static_cast<size_t>(n);
  }
  void write_at(int64_t offset, std::span<const std::byte> bytes) override {
    const std::lock_guard lock{disk_.mutex_};
    disk_.step("write");
    const int64_t end = offset + std::ssize(bytes);
    const int64_t growth = std::max<int64_t>(end - size(), 0);
    const int64_t granted = std::min(growth, disk_.room_);
    disk_.room_ -= granted;
    const int64_t fits = granted < growth ? size() + granted : end;
    if (fits > size()) node_->now.resize(static_cast<size_t>(fits));
    std::copy_n(bytes.begin(), std::max<int64_t>(fits - offset, 0), node_->now.begin() + offset);
    if (fits < end) throw Error{"cannot write: No space left on device", name_, "free some space", Fault::io};
  }
  void truncate(int64_t bytes) override {
    const std::lock_guard lock{disk_.mutex_};
    disk_.step("truncate");
    node_->now.resize(static_cast<size_t>(bytes));
  }
  void sync() override {
    const std::lock_guard lock{disk_.mutex_};
    disk_.step("sync");
    if (disk_.fail_syncs_) throw Error{"cannot sync: Input/output error", name_, "", Fault::io};
    node_->safe = node_->now;
  }
  Lock try_lock() override {
    if (node_->locked) return Lock::busy;
    node_->locked = locked_ = true;
    return disk_.names_[name_] == node_ ? Lock::taken : Lock::replaced;
  }
  int64_t lock_holder() const override { return 4711; }

 private:
  ScratchDisk& disk_;
  std::shared_ptr<Node> node_;
  std::string name_;
  bool locked_ = false;
};

inline std::unique_ptr<state::File> ScratchDisk::open(const std::filesystem::path& path, Open mode) {
  if (!exists(path)) {
    if (mode != Open::create)
      throw Error{"cannot open: No such file or directory", path.string(), "", Fault::io};
    step("create");
    names_[path.string()] = std::make_shared<Node>();
  }
  return std::make_unique<Handle>(*this, names_.at(path.string()), path.string());
}

}  // namespace snug::test
