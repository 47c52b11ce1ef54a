#include <map>
#include <mutex>
#include <utility>

#include "base/digest.hpp"
#include "base/str.hpp"
#include "snug/error.hpp"
#include "snug/state.hpp"
#include "state/record_log.hpp"
#include "state/store_index.hpp"

namespace snug {

using namespace state;

struct Store::Impl {
  std::string where;
  std::unique_ptr<File> file;
  Access access;
  Index index;
  OpenReport report;
  int64_t end = 0;                        // where the next record goes
  int64_t put_here = 0, synced_here = 0;  // records
  bool sync_failed = false;
  mutable std::mutex mutex;  // of all the above but the file's bytes

  void create(Disk& disk, const std::filesystem::path& path);
  void append(const std::vector<std::byte>& record);
  void refuse_after_failed_sync() const;
  std::string saved() const;
};

/// A file header, synced along with the folder's entry: from here on the store exists.
void Store::Impl::create(Disk& disk, const std::filesystem::path& path) {
  const FileHeader header = file_header();
  file->truncate(0);
  file->write_at(0, bytes_of(header));
  file->sync();
  disk.sync_folder_of(path);
  end = kFileHeaderBytes;
  report.created = true;
}

std::string Store::Impl::saved() const {
  return str(where, ": ", index.live.size(), " records are saved in ", end, " bytes");
}

void Store::Impl::append(const std::vector<std::byte>& record) {
  try {
    file->write_at(end, record);
  } catch (const Error& error) {
    try {
      file->truncate(end);
    } catch (const Error&) {  // what stays behind `end` is a torn tail, which the next opening drops
    }
    throw Error{error.problem(), saved(), error.remedy(), Fault::io};
  }
  end += std::ssize(record);
}

/// The system may have dropped what it could not write and call the next sync a success: only reading anew
/// tells.
void Store::Impl::refuse_after_failed_sync() const {
  if (!sync_failed) return;
  throw Error{"an earlier sync of the state store failed",
              str(where, ": all but the last ", put_here - synced_here, " records are saved"),
              "run the same command again: the store is checked on opening", Fault::io};
}

Store::Store(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
Store::Store(Store&&) noexcept = default;
Store& Store::operator=(Store&& other) noexcept {
  std::swap(impl_, other.impl_);
  return *this;
}

Store::~Store() {
  if (!impl_ || impl_->access == Access::read) return;
  try {
    sync();
  } catch (const Error&) {  // told by sync() to whoever wants to know
  }
}

Store Store::open(const std::filesystem::path& path, Access access) {
  return open(real_disk(), path, access);
}

Store Store::open(Disk& disk, const std::filesystem::path& path, Access access) {
  auto impl = std::make_unique<Impl>();
  impl->where = path.string();
  impl->access = access;
  impl->file = access == Access::write ? open_locked(disk, path, Disk::Open::create)
                                       : disk.open(path, Disk::Open::read);
  const Scan found = scan(*impl->file, impl->where);
  impl->index = Index{found.places};
  impl->report = report_of(found, impl->index);
  impl->end = found.end;
  if (access == Access::write && found.blank) impl->create(disk, path);
  if (access == Access::write && !found.blank && found.end < found.file_bytes) {
    impl->file->truncate(found.end);
    impl->file->sync();
  }
  return Store{std::move(impl)};
}

bool Store::contains(RecordKind kind, const Digest& key) const {
  const std::lock_guard lock{impl_->mutex};
  return impl_->index.live.contains({kind, key});
}

std::optional<std::vector<std::byte>> Store::get(RecordKind kind, const Digest& key) const {
  Place place;
  {
    const std::lock_guard lock{impl_->mutex};
    const auto found = impl_->index.live.find({kind, key});
    if (found == impl_->index.live.end()) return {};
    place = found->second;
  }
  return payload_at(*impl_->file, place, impl_->where);
}

int64_t Store::count(RecordKind kind) const {
  const std::lock_guard lock{impl_->mutex};
  return impl_->index.count(kind);
}

void Store::put(RecordKind kind, const Digest& key, std::span<const std::byte> payload) {
  if (!known(kind)) throw Error{str("no record kind has the number ", static_cast<int>(kind))};
  const std::lock_guard lock{impl_->mutex};
  if (impl_->access == Access::read)
    throw Error{"the state store is open for reading only", impl_->where, "open it with Access::write"};
  impl_->refuse_after_failed_sync();
  const auto older = impl_->index.live.find({kind, key});
  if (older != impl_->index.live.end() &&
      std::ranges::equal(payload_at(*impl_->file, older->second, impl_->where), payload))
    return;
  const Place place{impl_->end, {}};
  const std::vector<std::byte> record = make_record(kind, key, payload, place.offset);
  impl_->append(record);
  impl_->index.add({place.offset, read_struct<RecordHeader>(record)});
  ++impl_->put_here;
}

void Store::sync() {
  const std::lock_guard lock{impl_->mutex};
  impl_->refuse_after_failed_sync();
  if (impl_->synced_here == impl_->put_here) return;
  try {
    impl_->file->sync();
  } catch (const Error& error) {
    impl_->sync_failed = true;
    throw Error{
        error.problem(),
        str(impl_->where, ": all but the last ", impl_->put_here - impl_->synced_here, " records are saved"),
        error.remedy(), Fault::io};
  }
  impl_->synced_here = impl_->put_here;
}

void Store::for_each(const std::function<void(const Record&)>& visit) const {
  const Index now = [&] {
    const std::lock_guard lock{impl_->mutex};
    return impl_->index;
  }();
  for (const auto& [name, place] : now.live)
    visit({name.kind, name.key, payload_at(*impl_->file, place, impl_->where)});
}

Digest Store::contents_digest() const {
  Hasher hasher;
  for_each([&](const Record& record) {
    hasher.add(uint64_t{static_cast<uint16_t>(record.kind)}).add(bytes_of(record.key)).add(record.payload);
  });
  return hasher.finish();
}

OpenReport Store::report() const {
  return impl_->report;
}

}  // namespace snug
